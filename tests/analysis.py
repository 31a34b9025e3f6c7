"""What analysts have installed, and the extra ``test`` leaves out because it is large."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, Final

import pytest

#: The modules that only the extra ``analysis`` has.
MODULES: Final = frozenset({"matplotlib", "pandas", "polars"})


def need(module: str) -> Any:
    """Import a module; where it is not installed the test is skipped, and for ``.ci/run``, which installs it, fails."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        reason = f"there is no {module}; pip install 'smappee-async[analysis]'"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
