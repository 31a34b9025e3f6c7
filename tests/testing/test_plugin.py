"""What the pytest plugin costs those who do not use it, and what its fixtures give to those who do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import smappee_async
from smappee_async import testing
from smappee_async.testing import plugin

HEAVY = ("aiohttp", "cattrs", "msgspec", "attrs", "attr", "asyncio", "smappee_async.client", "smappee_async.simulator")


def loaded_by(statements: str) -> set[str]:
    """The modules that a new interpreter has loaded after some statements."""
    code = f"{statements}\nimport sys\nprint(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(Path(smappee_async.__file__).parents[1])}
    environment = {name: value for name, value in environment.items() if not name.startswith("COVERAGE")}
    run = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return set(run.stdout.split())


def test_loading_the_plugin_loads_nothing_heavy() -> None:
    with_it = loaded_by("import pytest, smappee_async.testing.plugin")

    assert "smappee_async.testing.plugin" in with_it
    assert with_it.isdisjoint(HEAVY)


def test_loading_the_plugin_loads_only_its_own_packages() -> None:
    without, with_it = loaded_by("import pytest"), loaded_by("import pytest, smappee_async.testing.plugin")

    assert {name for name in with_it - without if name.startswith("smappee_async")} == {
        "smappee_async",
        "smappee_async._version",
        "smappee_async.testing",
        "smappee_async.testing.plugin",
    }


def test_every_fixture_has_the_name_of_the_package_in_front() -> None:
    fixtures = [name for name, value in vars(plugin).items() if isinstance(value, type(plugin.smappee_world))]

    assert fixtures
    assert all(name.startswith("smappee_") for name in fixtures)


def test_a_name_that_the_package_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'RealTimeLoop'"):
        getattr(testing, "RealTimeLoop")  # noqa: B009 - type checkers know that it does not exist
