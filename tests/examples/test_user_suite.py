"""A user's own test suite on the fixtures of the package, as its author would write it, run by a pytest of its own."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

import smappee_async

pytest_plugins = ["pytester"]

PLUGIN = "smappee_async.testing.plugin"
INSTALLED = any(point.value == PLUGIN for point in entry_points(group="pytest11"))

SUITE = """
import pytest
from smappee_async import TimeRange

@pytest.mark.anyio
async def test_march_is_whole(smappee_client, smappee_simulator):
    march = TimeRange.month(2026, 3, tz="Europe/Brussels")
    async with smappee_client as smappee:
        sessions = await smappee.sessions([1001, 1002, 1003], march).collect()
    assert len(sessions) == sum(
        smappee_simulator.ledger.count(park, march.start_ms, march.end_ms) for park in (1001, 1002, 1003)
    )
"""
ON_ASYNCIO = """
import pytest

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""


class Author:
    """Writes a suite and runs it, with warnings as errors."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester

    def runs(self, suite: str, *options: str) -> pytest.RunResult:
        """Run a suite with the plugins that it names, and no others."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            return self.runs_as_installed(suite, "-p", PLUGIN, *options)

    def runs_as_installed(self, suite: str, *options: str) -> pytest.RunResult:
        """Run a suite with every plugin that the environment has."""
        self._pytester.makeconftest(ON_ASYNCIO)
        self._pytester.makepyfile(suite)
        return self._pytester.runpytest_subprocess("-W", "error", "-p", "no:cacheprovider", *options)


@pytest.fixture
def author(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Author:
    here = str(Path(smappee_async.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])))
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return Author(pytester)


def test_a_suite_of_a_few_lines_passes(author: Author) -> None:
    author.runs(SUITE, "-p", "anyio").assert_outcomes(passed=1)


@pytest.mark.skipif(not INSTALLED, reason="the package is not installed, only on the path")
def test_an_installed_package_brings_its_fixtures_in_by_itself(author: Author) -> None:
    # pytest-asyncio, where it is installed, warns of a setting that this suite does not need.
    author.runs_as_installed(SUITE, "-p", "no:asyncio").assert_outcomes(passed=1)


def test_it_needs_no_plugin_for_asynchronous_tests(author: Author) -> None:
    suite = """
    import asyncio

    def test_parks(smappee_client):
        async def parks():
            async with smappee_client as smappee:
                return [park.id for park in await smappee.service_locations()]

        assert asyncio.run(parks()) == [1001, 1002, 1003]
    """

    author.runs(suite).assert_outcomes(passed=1)


@pytest.mark.skipif(find_spec("pytest_asyncio") is None, reason="pytest-asyncio is not installed")
def test_it_passes_with_pytest_asyncio_as_well(author: Author) -> None:
    suite = SUITE.replace("@pytest.mark.anyio\n", "")
    settings = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")

    author.runs(suite, "-p", "asyncio", *settings).assert_outcomes(passed=1)


def test_each_test_has_a_simulator_of_its_own(author: Author) -> None:
    suite = """
    import pytest

    @pytest.mark.parametrize("time", [1, 2])
    @pytest.mark.anyio
    async def test_login(smappee_client, smappee_simulator, time):
        async with smappee_client as smappee:
            await smappee.service_locations()
        assert smappee_simulator.hits("token") == 1
    """

    author.runs(suite, "-p", "anyio").assert_outcomes(passed=2)


def test_faults_are_put_in_the_way_of_the_users_program(author: Author) -> None:
    suite = """
    import pytest
    from smappee_async import NotFound
    from smappee_async.simulator import Fault

    @pytest.mark.anyio
    async def test_park_that_was_sold(smappee_client, smappee_simulator):
        smappee_simulator.add_fault(Fault("status", status=404, service_location_id=1002))
        async with smappee_client as smappee:
            with pytest.raises(NotFound):
                await smappee.service_location(1002)
    """

    author.runs(suite, "-p", "anyio").assert_outcomes(passed=1)


def test_the_world_can_be_replaced(author: Author) -> None:
    suite = """
    import pytest
    from smappee_async.simulator import Park, World

    @pytest.fixture
    def smappee_world():
        return World.of([Park.fixed(7)])

    @pytest.mark.anyio
    async def test_parks(smappee_client):
        async with smappee_client as smappee:
            assert [park.id for park in await smappee.service_locations()] == [7]
    """

    author.runs(suite, "-p", "anyio").assert_outcomes(passed=1)


def test_the_assumptions_can_be_replaced(author: Author) -> None:
    suite = """
    import pytest
    from smappee_async import PermissionDenied
    from smappee_async.simulator import Assumptions

    @pytest.fixture
    def smappee_assumptions():
        return Assumptions(unknown_park_status=403)

    @pytest.mark.anyio
    async def test_unknown_park(smappee_client):
        async with smappee_client as smappee:
            with pytest.raises(PermissionDenied):
                await smappee.service_location(7)
    """

    author.runs(suite, "-p", "anyio").assert_outcomes(passed=1)


def test_the_fixtures_explain_themselves(author: Author) -> None:
    listed = author.runs(SUITE, "--fixtures", "-p", "anyio")

    listed.stdout.fnmatch_lines(["*smappee_client*", "*A client of the simulator*"])
