"""A part becomes one file, whole or not at all, with the sessions of the ledger in a fixed order."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq
import pytest
import redis

from smappee_async import ConfigurationError, Credentials, ServerError, SmappeeClient, TimeRange
from smappee_async.distributed import Part, partition, process_client, read_part, write_part
from smappee_async.simulator import Fault, Simulator
from smappee_async.tables.schema import SCHEMA
from tests.client.support import QUICK

QUARTER = TimeRange.parse("2026-07-01T00:00Z..2026-10-01T00:00Z")
PART = Part(parks=(1001, 1002, 1003, 1004), time_range=QUARTER)


def ledger(sim: Simulator, parks: tuple[int, ...] = PART.parks) -> list[tuple[int, int, int]]:
    """Park, start and id of each session, in the order of a file."""
    return sorted(
        (park, each.start_ms, each.id)
        for park in parks
        for each in sim.ledger.sessions(park, QUARTER.start_ms, QUARTER.end_ms)
    )


def rows(table: Any) -> list[tuple[int, int, int]]:
    columns = (table["service_location_id"], table["started_at"].cast("int64"), table["id"])
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def impatient() -> SmappeeClient:
    return SmappeeClient(Credentials.from_env(), base_url=os.environ["SMAPPEE_BASE_URL"], retry=QUICK)


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    process_client.close_clients()


def test_a_part_is_read_in_a_fixed_order(sim: Simulator) -> None:
    read = read_part(PART)
    assert rows(read.table) == ledger(sim)
    assert read.table.schema.equals(SCHEMA, check_metadata=True)
    assert (read.missing, read.stats.sessions) == ((), read.table.num_rows)


def test_a_part_becomes_one_file(sim: Simulator, tmp_path: Path) -> None:
    written = write_part(PART, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [f"{PART.name}.parquet"]
    assert rows(pq.read_table(written.path)) == ledger(sim)
    assert (written.sessions, written.missing, written.was_finished) == (len(ledger(sim)), 0, False)


def test_a_part_that_is_finished_is_not_read_again(sim: Simulator, tmp_path: Path) -> None:
    write_part(PART, tmp_path)
    requests = len(sim.requests)
    again = write_part(PART, tmp_path)
    assert (again.was_finished, len(sim.requests)) == (True, requests)


def test_parts_share_one_client(sim: Simulator, tmp_path: Path) -> None:
    parts = partition(PART.parks, QUARTER, parks_per_part=1)
    with ThreadPoolExecutor(4) as threads:
        written = list(threads.map(lambda part: write_part(part, tmp_path), parts))
    assert sum(each.sessions or 0 for each in written) == len(ledger(sim))
    assert sum(request.route == "token" for request in sim.requests) == 1


def test_a_park_that_the_account_does_not_see_is_listed_beside_the_file(sim: Simulator, tmp_path: Path) -> None:
    sim.add_fault(Fault("status", status=403, service_location_id=1002))
    written = write_part(PART, tmp_path)
    missing = json.loads((tmp_path / f"{PART.name}.failures.json").read_text())
    assert {(each["service_location_id"], each["is_record"]) for each in missing} == {(1002, False)}
    assert min(each["start_ms"] for each in missing) == QUARTER.start_ms
    assert max(each["end_ms"] for each in missing) == QUARTER.end_ms
    assert written.missing == len(missing)
    assert rows(pq.read_table(written.path)) == ledger(sim, (1001, 1003, 1004))
    assert write_part(PART, tmp_path).missing == len(missing)


def test_a_record_that_cannot_be_read_is_listed_without_what_it_holds(sim: Simulator, tmp_path: Path) -> None:
    sim.add_fault(Fault("bad_json_record", index=3, service_location_id=1001))
    write_part(Part(parks=(1001,), time_range=QUARTER), tmp_path)
    [file] = tmp_path.glob("*.failures.json")
    missing = json.loads(file.read_text())[0]
    assert (missing["service_location_id"], missing["is_record"]) == (1001, True)
    assert set(missing) == {"service_location_id", "start_ms", "end_ms", "is_record", "reason"}


def test_what_may_succeed_next_time_is_an_error_and_leaves_no_file(sim: Simulator, tmp_path: Path) -> None:
    sim.add_fault(Fault("status", status=500, service_location_id=1003))
    with pytest.raises(ServerError):
        write_part(PART, tmp_path, client=impatient)
    assert list(tmp_path.iterdir()) == []


def test_a_list_of_failures_goes_when_nothing_is_missing_any_more(sim: Simulator, tmp_path: Path) -> None:
    (tmp_path / f"{PART.name}.failures.json").write_text("[]")
    write_part(PART, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == [f"{PART.name}.parquet"]


def test_a_url_is_written_by_fsspec(sim: Simulator) -> None:
    fsspec = pytest.importorskip("fsspec", reason="the extra dlt brings fsspec")
    written = write_part(PART, "memory://lake/sessions")
    files = fsspec.filesystem("memory")
    assert files.ls("/lake/sessions", detail=False) == [f"/lake/sessions/{PART.name}.parquet"]
    assert written.path == f"memory:///lake/sessions/{PART.name}.parquet"
    assert write_part(PART, "memory://lake/sessions").was_finished


def test_an_unknown_kind_of_url_is_refused_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere://") as caught:
        write_part(PART, "nowhere://user:hunter2@host/path")
    assert "hunter2" not in str(caught.value)


def test_missing_credentials_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMAPPEE_PASSWORD", raising=False)
    with pytest.raises(ConfigurationError, match="SMAPPEE_PASSWORD"):
        read_part(PART)


@pytest.mark.parametrize("name", ["SMAPPEE_REQUESTS_PER_SECOND", "SMAPPEE_CONCURRENCY"])
def test_a_variable_that_is_no_number_is_named(sim: Simulator, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "many")
    with pytest.raises(ConfigurationError, match=f"{name} must be a number, not 'many'"):
        read_part(PART)


def test_processes_with_a_redis_share_one_login_and_one_rate(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch, redis_url: str
) -> None:
    monkeypatch.setenv("SMAPPEE_REDIS_URL", redis_url)
    monkeypatch.setenv("SMAPPEE_REQUESTS_PER_SECOND", "500")
    context: Any = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        counts = pool.map(_count, partition(PART.parks, QUARTER, parks_per_part=2))
    assert sum(counts) == len(ledger(sim))
    assert sum(request.route == "token" for request in sim.requests) == 1
    keys = _keys(redis_url)
    assert {b"tokens", b"rate"} <= {key.rpartition(b":")[2] for key in keys}


def _keys(redis_url: str) -> list[bytes]:
    with redis.Redis.from_url(redis_url) as connection:
        return cast(list[bytes], connection.keys())


# --- processes --------------------------------------------------------------------------------------------------------


def _count(part: Part) -> int:
    return int(read_part(part).table.num_rows)


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_new_process_has_a_client_of_its_own(sim: Simulator, method: str) -> None:
    expected = _count(PART)  # so that the parent has a client already
    context: Any = multiprocessing.get_context(method)
    with context.Pool(1) as pool:
        assert pool.apply(_count, (PART,)) == expected
    assert sum(request.route == "token" for request in sim.requests) == 2


def test_a_process_that_ends_closes_its_client(sim: Simulator) -> None:
    program = f"""
from smappee_async import TimeRange
from smappee_async.distributed import Part, read_part
print(read_part(Part(parks=(1003,), time_range=TimeRange.from_ms({QUARTER.start_ms}, {QUARTER.end_ms}))).table.num_rows)
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=100, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert int(ended.stdout) == len(ledger(sim, (1003,)))
