from __future__ import annotations

from tests.client.conftest import cloud, cloud_of

__all__ = ["cloud", "cloud_of"]
