"""Sessions as record batches and tables: the same selection, account, checkpoint and errors as records."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest

from smappee_async import ChargingSession, Limits, ServerError, TimeRange, seen_in
from smappee_async.defaults import TARGET_SESSIONS
from smappee_async.simulator import Fault, Park
from smappee_async.tables.schema import SCHEMA
from tests.rows import row

from .support import Cloud, StartCloud

pytestmark = pytest.mark.anyio
PARKS = (1001, 1002, 1003)
QUARTER = TimeRange.parse("2026-07-01T00:00Z..2026-10-01T00:00Z")
SEPTEMBER = TimeRange.month(2026, 9, tz="UTC")


def by_identity(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda each: (each["service_location_id"], each["id"]))


def rows_of(sessions: list[ChargingSession]) -> list[dict[str, Any]]:
    return by_identity(list(map(row, sessions)))


@pytest.fixture
async def hub(cloud_of: StartCloud) -> Cloud:
    """A large hub beside two small parks: its responses are large enough for columns."""
    return await cloud_of(
        Park.home(1001), Park.office(1002, timezone="Europe/London"), Park.hub(1003, sessions_per_day=150)
    )


@pytest.mark.parametrize("order", ["arrival", "start"])
@pytest.mark.parametrize("state", ["completed", "active", "all"])
async def test_a_table_holds_the_sessions_of_the_same_query(hub: Cloud, state: Any, order: Any) -> None:
    client = await hub.connect()
    table = await client.sessions(PARKS, QUARTER, state=state, order=order).table()
    sessions = await client.sessions(PARKS, QUARTER, state=state, order=order).collect()
    assert table.schema.equals(SCHEMA, check_metadata=True)
    assert by_identity(table.to_pylist()) == rows_of(sessions)


async def test_large_responses_go_straight_into_columns(hub: Cloud) -> None:
    client = await hub.connect()
    stream = client.sessions(PARKS, QUARTER)
    table = await stream.table()
    assert table.num_rows == stream.stats.sessions > 4 * TARGET_SESSIONS
    assert 0.9 * table.num_rows < stream.stats.columnar < table.num_rows


async def test_with_order_start_rows_come_by_start(hub: Cloud) -> None:
    client = await hub.connect()
    table = await client.sessions(PARKS, QUARTER, order="start").table()
    starts = table["started_at"].to_pylist()
    assert starts == sorted(starts)


async def test_a_table_without_sessions_has_the_same_schema(cloud: Cloud) -> None:
    client = await cloud.connect()
    table = await client.sessions(1001, TimeRange.parse("2001-01-01T00:00Z..2001-01-02T00:00Z")).table()
    assert (table.num_rows, table.schema.equals(SCHEMA, check_metadata=True)) == (0, True)


async def test_small_parks_come_in_one_batch(cloud: Cloud) -> None:
    client = await cloud.connect()
    async with client.sessions(PARKS, TimeRange.parse("2026-04-01T00:00Z..2026-04-02T00:00Z")) as stream:
        batches = [batch async for batch in stream.arrow()]
    assert len(batches) == 1
    assert len(set(batches[0]["service_location_id"].to_pylist())) > 1


async def test_a_checkpoint_after_each_batch_goes_on_with_what_is_missing(hub: Cloud) -> None:
    client = await hub.connect()
    whole = await client.sessions(PARKS, QUARTER).table()
    resume: dict[str, Any] | None = None
    rows: list[dict[str, Any]] = []
    is_whole = False
    while not is_whole:
        is_whole = True
        async with client.sessions(PARKS, QUARTER, resume=resume) as stream:
            async for batch in stream.arrow():
                rows += batch.to_pylist()
                before, resume = resume, stream.checkpoint()
                # A large response comes in several batches; until its last, its chunk is not part of a checkpoint.
                if batch.num_rows > TARGET_SESSIONS / 2 and resume != before:
                    is_whole = False  # interrupted, as soon as the run has brought much
                    break
    assert {(each["service_location_id"], each["id"]) for each in rows} == {
        (each["service_location_id"], each["id"]) for each in whole.to_pylist()
    }


async def test_a_checkpoint_leaves_out_what_waited_for_a_batch_when_reading_was_cancelled(cloud_of: StartCloud) -> None:
    cloud = await cloud_of(Park.home(1001), Park.home(1002))
    cloud.sim.add_fault(Fault("stall_before_headers", service_location_id=1002))
    client = await cloud.connect()
    stream = client.sessions([1001, 1002], TimeRange.parse("2026-04-01T00:00Z..2026-04-08T00:00Z"))
    async with stream:
        reading = asyncio.create_task(stream.table())
        while not stream.stats.chunks:  # noqa: ASYNC110 - what is waited for is on the other side of a socket
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # its sessions wait for more
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert stream.stats.sessions == 0
        assert stream.checkpoint()["read"] == {}


async def test_rows_that_were_read_come_before_the_error(hub: Cloud) -> None:
    hub.sim.add_fault(Fault("status", status=500, service_location_id=1003, skip=4))
    client = await hub.connect()
    stream = client.sessions(PARKS, QUARTER)
    arriving = stream.arrow()
    rows = 0
    error: ServerError | None = None
    while error is None:
        try:
            rows += (await anext(arriving)).num_rows
        except ServerError as raised:
            error = raised
    assert rows == stream.stats.sessions > 0


async def test_chunks_that_cannot_be_read_are_collected(hub: Cloud) -> None:
    hub.sim.add_fault(Fault("status", status=403, service_location_id=1002))
    client = await hub.connect()
    stream = client.sessions(PARKS, QUARTER, on_error="collect")
    table = await stream.table()
    assert {failure.service_location_id for failure in stream.failures} == {1002}
    assert set(table["service_location_id"].to_pylist()) == {1001, 1003}


async def test_a_stream_is_read_in_one_way_only(cloud: Cloud) -> None:
    client = await cloud.connect()
    stream = client.sessions(1001, QUARTER)
    await stream.table()
    with pytest.raises(RuntimeError, match="read once"):
        await stream.table()


# --- pyarrow ----------------------------------------------------------------------------------------------------------


def python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)


def test_what_is_not_installed_names_its_extra() -> None:
    program = """
import asyncio, sys
sys.modules["pyarrow"] = None
from smappee_async import Credentials, SmappeeClient, TimeRange

async def main():
    async with SmappeeClient(Credentials("a", "b", "c", "d")) as client:
        client.sessions(1, TimeRange.parse("2026-10-01T00:00Z..2026-11-01T00:00Z")).arrow()

asyncio.run(main())
"""
    assert "pip install 'smappee-async[arrow]'" in python(program).stderr


def test_nothing_of_it_is_imported_before_it_is_asked_for() -> None:
    program = "import sys, smappee_async, smappee_async.client, smappee_async.sync; print('pyarrow' in sys.modules)"
    assert python(program).stdout == "False\n"


async def test_what_an_earlier_table_has_keeps_the_responses_of_a_busy_month_small(hub: Cloud) -> None:
    client = await hub.connect(limits=Limits(target_sessions=500, verify_from_sessions=None))
    before = await client.sessions(1003, QUARTER).table()
    stream = client.sessions(1003, SEPTEMBER, seen=seen_in(before, QUARTER))

    sizes = [len(batch.sessions) async for batch in stream.batches()]

    assert sum(sizes) == len(hub.truth([1003], SEPTEMBER)) > 2_000
    assert max(sizes) <= 1_000
