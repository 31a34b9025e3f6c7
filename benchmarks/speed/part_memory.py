"""What parts of several sizes take in memory: read and written for real, from a simulator in a process of its own."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

import attrs

from benchmarks.reliability.service import Setup, serving
from benchmarks.speed.mixture import FIVE_YEARS
from benchmarks.speed.process import forget_peak, in_fresh_process, peak_bytes, resident_bytes
from smappee_async import Credentials, Limits, Seen, SmappeeClient, TimeRange
from smappee_async.distributed import Part, partition, read_part, write_part
from smappee_async.simulator import Account, SimulatedClock


@attrs.frozen(kw_only=True)
class PartMemory:
    """One part. All memory is that of its process.

    :param record_bytes: the size of a session in a response, uncompressed.
    :param idle: before it was read, with the client open, in bytes.
    :param read_peak: the most while it was read.
    :param table: the size of its table alone.
    :param written_peak: the most while another process read it and wrote it as a file.
    """

    parks: int
    sessions: int
    requests: int
    record_bytes: float
    idle: int
    read_peak: int
    table: int
    written_peak: int
    seconds: float


@attrs.frozen(kw_only=True)
class PartitionCost:
    """What :func:`partition` takes.

    :param cpu_s: seconds of CPU.
    :param peak: the most memory beyond that of the parks and hints, in bytes.
    :param pickled: the size of all parts as an engine sends them.
    """

    parts: int
    cpu_s: float
    peak: int
    pickled: int


def measure_parts(parks: int, sessions_a_year: Sequence[int]) -> list[PartMemory]:
    """Read and write a year of so many parks, with so many sessions each time."""
    return [asyncio.run(_measure_part(Setup(parks=parks, sessions_per_year=count))) for count in sessions_a_year]


def measure_partition(parks: Sequence[int], seen: Mapping[int, Seen] | None) -> PartitionCost:
    """Divide parks into parts, in a process of its own."""
    return in_fresh_process(_partition, list(parks), None if seen is None else dict(seen))


async def _measure_part(setup: Setup) -> PartMemory:
    end = SimulatedClock.at("2026-11-01T00:00:00Z").now
    part = Part(parks=tuple(setup.world.parks), time_range=TimeRange(end - timedelta(days=365), end))
    async with serving(setup) as service:
        found = await asyncio.to_thread(in_fresh_process, _read, service.base_url, part)
        written = await asyncio.to_thread(in_fresh_process, _write, service.base_url, part)
    return attrs.evolve(found, written_peak=written)


def _log_in(base_url: str, part: Part) -> None:
    """Open the client of this process, and import all that it needs."""
    account = Account()
    os.environ |= {
        "SMAPPEE_BASE_URL": base_url,
        "SMAPPEE_CLIENT_ID": account.client_id,
        "SMAPPEE_CLIENT_SECRET": account.client_secret,
        "SMAPPEE_USERNAME": account.username,
        "SMAPPEE_PASSWORD": account.password,
    }
    day = TimeRange(part.time_range.start, part.time_range.start + timedelta(days=1))
    with tempfile.TemporaryDirectory() as folder:
        write_part(attrs.evolve(part, time_range=day, parks=part.parks[:1]), folder)
    gc.collect()
    forget_peak()


def _read(base_url: str, part: Part) -> PartMemory:
    _log_in(base_url, part)
    idle, began_at = resident_bytes(), time.perf_counter()
    found = read_part(part)
    seconds, peak = time.perf_counter() - began_at, peak_bytes()
    month = TimeRange(part.time_range.start, part.time_range.start + timedelta(days=30))
    trusted = read_part(attrs.evolve(part, time_range=month), client=_trusting).stats
    return PartMemory(
        parks=len(part.parks),
        sessions=found.table.num_rows,
        requests=found.stats.requests,
        record_bytes=trusted.bytes / trusted.received,
        idle=idle,
        read_peak=peak,
        table=found.table.nbytes,
        written_peak=0,
        seconds=seconds,
    )


def _trusting() -> SmappeeClient:
    """A client that asks for nothing twice."""
    limits = Limits(verify_from_sessions=None)
    return SmappeeClient(Credentials.from_env(), base_url=os.environ["SMAPPEE_BASE_URL"], limits=limits)


def _write(base_url: str, part: Part) -> int:
    _log_in(base_url, part)
    with tempfile.TemporaryDirectory() as folder:
        write_part(part, folder)
    return peak_bytes()


def _partition(parks: Sequence[int], seen: Mapping[int, Seen] | None) -> PartitionCost:
    partition(parks[:1], FIVE_YEARS, seen=None if seen is None else {})
    gc.collect()
    before = resident_bytes()
    forget_peak()
    began_at = time.process_time()
    parts = partition(parks, FIVE_YEARS, seen=seen)
    cpu_s, peak = time.process_time() - began_at, peak_bytes() - before
    pickled = sum(len(pickle.dumps(part)) for part in parts)
    return PartitionCost(parts=len(parts), cpu_s=cpu_s, peak=peak, pickled=pickled)
