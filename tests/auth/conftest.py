from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from smappee_async import TokenStoreError, defaults
from tests.redis_server import _redis_knows_its_version, _shared_redis, redis_url

from .support import Stage

__all__ = ["_redis_knows_its_version", "_shared_redis", "redis_url"]


@pytest.fixture
async def stage(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(defaults, "SAVE_RETRY_S", 0.001)
    monkeypatch.setattr(defaults, "SAVE_RETRY_MAX_S", 0.004)
    stage = Stage()
    yield stage
    stage.service.meanwhile = None
    for manager in stage.managers:
        with suppress(TokenStoreError):
            await manager.aclose()
