"""Sessions into DuckDB by dlt: what is in the table, what is remembered, and runs that fail."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

import smappee_async
from smappee_async import ConfigurationError, Credentials, NotFound, SessionStatus, SmappeeClient
from smappee_async.dlt import Reader, sessions_resource
from smappee_async.models import FrozenDict
from smappee_async.simulator import Park, SimulatedClock, Simulator, World
from smappee_async.sync import SyncReport
from smappee_async.sync.source import Source
from smappee_async.tables.columns import COLUMNS
from smappee_async.testing.thread import in_thread

from .changing_world import BEGIN_MS, DAY_MS, HOUR_MS, ChangingWorld, Version, by_chance, session
from .support import world_of

# dlt uses a name of the logging library that is deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")

START_MS = BEGIN_MS + 10 * DAY_MS
RUNNING = attrs.evolve(session(7, START_MS), service_location_id=1)
ENDED = attrs.evolve(RUNNING, status=SessionStatus.STOPPED, to_ms=START_MS + HOUR_MS, energy=20.0)
SINCE = datetime(2026, 9, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _dlt_stays_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No telemetry, and no files outside of the test's directory."""
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


class Table:
    """A pipeline into a file of DuckDB, and what is in the file.

    :param place: the directory of the file, and of what dlt keeps on this machine.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.path = place / "sessions.duckdb"

    def run(self, resource: Any, machine: str = "one") -> Any:
        """A run of the pipeline, on a machine with a disk of its own."""
        return self.pipeline(machine).run(resource)

    def pipeline(self, machine: str = "one") -> Any:
        return dlt.pipeline(
            "smappee",
            pipelines_dir=str(self.place / machine),
            destination=dlt.destinations.duckdb(str(self.path)),
            dataset_name="ev",
        )

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(duckdb.connect(str(self.path))) as connection:
            found: list[tuple[Any, ...]] = connection.execute(statement).fetchall()
            return found

    def sessions(self) -> dict[tuple[int, int], tuple[Any, ...]]:
        """Status, start, end and energy of each session."""
        rows = self.execute(
            "SELECT service_location_id, id, status, epoch_ms(started_at), epoch_ms(ended_at), energy FROM ev.sessions"
        )
        assert len({row[:2] for row in rows}) == len(rows)
        return {row[:2]: row[2:] for row in rows}


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def reader(world: ChangingWorld, on_report: Callable[[SyncReport], None] | None = None) -> Reader:
    @asynccontextmanager
    async def source() -> AsyncGenerator[Source, None]:
        yield world

    return Reader(open_source=source, parks=list(world.versions), since_ms=BEGIN_MS, on_report=on_report)


def resource(world: ChangingWorld, on_report: Callable[[SyncReport], None] | None = None) -> Any:
    return reader(world, on_report).resource()


def listed(world: ChangingWorld) -> dict[tuple[int, int], tuple[Any, ...]]:
    """What the service lists now, as :meth:`Table.sessions` shows it."""
    return {
        (park, each.id): (str(each.status), each.from_ms, each.to_ms, each.energy)
        for park in world.versions
        for state in ("active", "completed")
        for each in world.listing(park, "active" if state == "active" else "completed")
    }


# --- what is in the table ---------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_after_many_runs_the_table_is_what_the_service_lists_and_what_it_removed(table: Table) -> None:
    world, chance = by_chance(1, parks=2, days=90), random.Random(1)
    world.now_ms = BEGIN_MS + DAY_MS
    while world.now_ms < BEGIN_MS + 180 * DAY_MS:
        table.run(resource(world))
        world.now_ms += chance.randrange(1, 14 * 24) * HOUR_MS
    world.now_ms += 31 * DAY_MS  # until the last tier is read again
    table.run(resource(world))

    now, rows = listed(world), table.sessions()
    removed = {(park, number) for park, lives in world.versions.items() for number in lives} - now.keys()
    assert {key: row for key, row in rows.items() if key in now} == now
    assert removed
    assert rows.keys() - now.keys() <= removed


def test_a_session_that_ends_while_a_run_reads_stands_in_the_table_as_it_was_read_last(table: Table) -> None:
    world = world_of([Version(START_MS, "active", RUNNING)])
    world.now_ms = START_MS + HOUR_MS

    def end(_: int) -> None:  # between the two lists, in the same moment
        if world.requests > 1:
            world.versions[1][7] = [Version(START_MS, "completed", ENDED)]

    world.before_read = end
    table.run(resource(world))

    assert table.sessions() == {(1, 7): ("STOPPED", START_MS, START_MS + HOUR_MS, 20.0)}


def test_the_columns_are_those_of_every_table_with_their_types(table: Table) -> None:
    full = attrs.evolve(
        ENDED,
        energy=14.249999999999986,
        max_amperes=(6.0, 32.0),
        suspended_by_user=False,
        rfid="TESTCARD01",
        extra=FrozenDict({"tariff": {"day": [1, None]}}),
    )
    world = world_of([Version(START_MS, "completed", full)], [Version(START_MS, "active", session(8, START_MS))])
    world.now_ms = START_MS + HOUR_MS
    table.run(resource(world))

    described = table.execute(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'ev'"
        " AND table_name = 'sessions' ORDER BY ordinal_position"
    )
    names = [column.name for column in COLUMNS]
    assert [name for name, _ in described] == [*names, "read_at", "_dlt_load_id", "_dlt_id"]
    types = dict(described)
    assert {column.kind: types[column.name] for column in COLUMNS} == {
        "integer": "BIGINT",
        "text": "VARCHAR",
        "instant": "TIMESTAMP WITH TIME ZONE",
        "energy": "DECIMAL(38,9)",
        "number": "DOUBLE",
        "numbers": "JSON",
        "boolean": "BOOLEAN",
        "json": "JSON",
    }
    (row,) = table.execute(
        "SELECT energy_kwh, energy, max_amperes, extra, suspended_by_user, rfid FROM ev.sessions WHERE id = 7"
    )
    assert row[:2] == (Decimal("14.250000000"), 14.249999999999986)
    assert (json.loads(row[2]), json.loads(row[3])) == ([6.0, 32.0], {"tariff": {"day": [1, None]}})
    assert row[4:] == (False, "TESTCARD01")
    assert table.execute("SELECT count(*) FROM information_schema.tables WHERE table_name LIKE 'sessions__%'") == [(0,)]


def test_a_value_that_is_taken_back_is_null(table: Table) -> None:
    world = world_of([Version(START_MS, "completed", ENDED), Version(START_MS + 2 * HOUR_MS, "active", RUNNING)])
    world.now_ms = START_MS + HOUR_MS
    table.run(resource(world))
    world.now_ms += 2 * HOUR_MS
    table.run(resource(world))

    assert table.sessions() == {(1, 7): ("CHARGING", START_MS, None, 10.0)}


# --- what is remembered -----------------------------------------------------------------------------------------------


def test_a_run_takes_two_requests_a_park_if_no_older_tier_is_due(table: Table) -> None:
    world = by_chance(4, parks=3, days=60)
    world.now_ms = BEGIN_MS + 80 * DAY_MS
    table.run(resource(world))
    before = world.requests
    world.now_ms += HOUR_MS
    table.run(resource(world))

    assert world.requests - before == 2 * 3


def test_another_machine_goes_on_with_what_stands_in_the_destination(table: Table) -> None:
    world = by_chance(4, parks=3, days=60)
    world.now_ms = BEGIN_MS + 80 * DAY_MS
    table.run(resource(world))
    before = world.requests
    world.now_ms += HOUR_MS
    table.run(resource(world), machine="another")

    assert world.requests - before == 2 * 3


def test_a_park_that_is_added_begins_at_since(table: Table) -> None:
    world = by_chance(5, parks=2, days=60)
    world.now_ms = BEGIN_MS + 50 * DAY_MS
    table.run(resource(ChangingWorld({1: world.versions[1]}, world.now_ms)))
    table.run(resource(world))

    assert table.sessions() == listed(world)


# --- runs that fail ---------------------------------------------------------------------------------------------------


def test_a_run_that_fails_while_it_reads_remembers_nothing(table: Table) -> None:
    world = by_chance(6, parks=2, days=200)
    world.now_ms = BEGIN_MS + 150 * DAY_MS

    def fail_late(_: int) -> None:
        if world.requests == 9:
            raise RuntimeError("the cable is cut")

    world.before_read = fail_late
    with pytest.raises(PipelineStepFailed, match="the cable is cut"):
        table.run(resource(world))
    table.run(resource(world))

    assert table.sessions() == listed(world)


def test_a_run_whose_load_is_refused_is_read_again(table: Table) -> None:
    world = by_chance(7, parks=2, days=30)
    world.now_ms = BEGIN_MS + 20 * DAY_MS
    table.run(resource(world))
    world.now_ms += 3 * DAY_MS
    table.execute("ALTER TABLE ev.sessions RENAME COLUMN energy TO kept")
    with pytest.raises(PipelineStepFailed):
        table.run(resource(world))
    table.execute("ALTER TABLE ev.sessions RENAME COLUMN kept TO energy")

    table.run(resource(world))
    table.run(resource(world))

    assert table.sessions() == listed(world)


def test_a_package_that_is_dropped_is_read_again(table: Table) -> None:
    world = by_chance(7, parks=2, days=30)
    world.now_ms = BEGIN_MS + 20 * DAY_MS
    table.run(resource(world))
    world.now_ms += 3 * DAY_MS
    pipeline = table.pipeline()
    pipeline.extract(resource(world))
    pipeline.abort_packages()

    table.run(resource(world))

    assert table.sessions() == listed(world)


def refuse(park: int) -> None:
    if park == 2:
        raise NotFound("Smappee answered 404 Not Found")


def test_a_park_that_cannot_be_read_fails_the_run(table: Table) -> None:
    world = by_chance(5, parks=3, days=20)
    world.now_ms = BEGIN_MS + 10 * DAY_MS
    world.before_read = refuse

    with pytest.raises(PipelineStepFailed, match="404"):
        table.run(resource(world))


def test_a_park_that_cannot_be_read_is_in_the_account_and_the_others_are_loaded(table: Table) -> None:
    world, reports = by_chance(5, parks=3, days=20), list[SyncReport]()
    world.now_ms = BEGIN_MS + 10 * DAY_MS
    world.before_read = refuse
    table.run(resource(world, reports.append))
    others = {key: row for key, row in listed(world).items() if key[0] != 2}
    assert table.sessions() == others

    world.before_read = None
    table.run(resource(world, reports.append))

    assert table.sessions() == listed(world)
    assert [[failure.service_location_id for failure in report.failures] for report in reports] == [[2], []]


def test_a_limit_on_the_items_of_a_run_loses_nothing(table: Table) -> None:
    world = by_chance(8, parks=2, days=200)
    world.now_ms = BEGIN_MS + 150 * DAY_MS
    table.run(resource(world).add_limit(3))
    assert 0 < len(table.sessions()) < len(listed(world))

    table.run(resource(world))

    assert table.sessions() == listed(world)


def test_what_is_remembered_is_never_ahead_of_what_dlt_has_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    world, state = by_chance(8, parks=1, days=200), dict[str, Any]()
    world.now_ms = BEGIN_MS + 150 * DAY_MS
    monkeypatch.setattr(dlt.current, "resource_state", lambda: state)

    async def main() -> None:
        async with aclosing(reader(world)._rows()) as several:
            await anext(several)  # what runs
            assert state == {"parks": {}}
            await anext(several)  # the first month
            assert "read" not in state["parks"]["1"]["backfill"]
            await anext(several)
            assert len(state["parks"]["1"]["backfill"]["read"]) == 1

    asyncio.run(main())


# --- with a client ----------------------------------------------------------------------------------------------------


@pytest.fixture
def sim() -> Iterator[Simulator]:
    def make() -> Simulator:
        parks = World.of([Park.home(1001), Park.office(1002)], seed=3)
        return Simulator(parks, clock=SimulatedClock.at("2026-11-01T00:00:00Z"))

    with in_thread(make) as simulator:
        yield simulator


def client_of(account: Mapping[str, str]) -> SmappeeClient:
    names = ("client_id", "client_secret", "username", "password")
    return SmappeeClient(Credentials(*(account[name] for name in names)), base_url=account["base_url"], proxy=False)


def account_of(sim: Simulator) -> dict[str, str]:
    account = sim.account
    return {
        "client_id": account.client_id,
        "client_secret": account.client_secret,
        "username": account.username,
        "password": account.password,
        "base_url": sim.base_url,
    }


def of_service(sim: Simulator, **options: Any) -> Any:
    account = account_of(sim)
    return sessions_resource(lambda: client_of(account), [1001, 1002], since=SINCE, **options)


def keys(sim: Simulator, parks: Sequence[int] = (1001, 1002)) -> set[tuple[int, int]]:
    start_ms = int(SINCE.timestamp() * 1000)
    return {(park, each.id) for park in parks for each in sim.ledger.sessions(park, start_ms, None, "all")}


def test_a_client_is_opened_and_closed_in_the_loop_in_which_dlt_reads(table: Table, sim: Simulator) -> None:
    table.run(of_service(sim))
    assert table.sessions().keys() == keys(sim)
    sim.clock.move(timedelta(days=3))
    table.run(of_service(sim))

    assert table.sessions().keys() == keys(sim)


def test_an_asynchronous_program_runs_a_pipeline_in_a_thread(table: Table, sim: Simulator) -> None:
    async def main() -> int:
        turns = 0
        running = asyncio.create_task(asyncio.to_thread(table.run, of_service(sim)))
        while not running.done():
            await asyncio.sleep(0.01)
            turns += 1
        await running
        return turns

    assert asyncio.run(main()) > 1
    assert table.sessions().keys() == keys(sim)


PROGRAM = """
import json, os, signal, sys
from datetime import UTC, datetime
import dlt, duckdb
from dlt.load.load import Load
from dlt.normalize.normalize import Normalize
from smappee_async import Credentials, SmappeeClient
from smappee_async.dlt import sessions_resource

point, place, account = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if point == "normalize":
    Normalize.run = die
elif point == "load":
    Load.complete_package = die

def make_client():
    credentials = Credentials(*(account[n] for n in ("client_id", "client_secret", "username", "password")))
    return SmappeeClient(credentials, base_url=account["base_url"], proxy=False)

sessions = sessions_resource(
    make_client, [1001, 1002], since=datetime(2026, 9, 1, tzinfo=UTC), on_report=die if point == "read" else None
)
destination = dlt.destinations.duckdb(place + "/sessions.duckdb")
dlt.pipeline("smappee", pipelines_dir=place + "/one", destination=destination, dataset_name="ev").run(sessions)
"""


@pytest.mark.parametrize(
    ("point", "machine"), [("read", "one"), ("normalize", "one"), ("load", "one"), ("load", "another")]
)
def test_a_run_that_is_killed_loses_nothing(table: Table, sim: Simulator, point: str, machine: str) -> None:
    table.run(of_service(sim))
    sim.clock.move(timedelta(days=3))
    package = str(Path(smappee_async.__file__).parents[1])
    killed = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, point, str(table.place), json.dumps(account_of(sim))],
        env=os.environ | {"PYTHONPATH": package},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr

    table.run(of_service(sim), machine)  # loads first what is left
    table.run(of_service(sim), machine)

    assert table.sessions().keys() == keys(sim)


# --- before anything is read ------------------------------------------------------------------------------------------


def test_arguments_are_checked_where_the_resource_is_made() -> None:
    with pytest.raises(ConfigurationError):
        sessions_resource(lambda: client_of({}), [], since=SINCE)


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlt", None)
    monkeypatch.delitem(sys.modules, "smappee_async.dlt")
    with pytest.raises(ImportError, match=r"pip install 'smappee-async\[dlt\]'"):
        import smappee_async.dlt  # noqa: F401, PLC0415
