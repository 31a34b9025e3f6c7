"""Compares the files that workers wrote with the simulator's ledger, and counts what the service was asked.

It knows no engine: whatever wrote Parquet files of sessions into a directory can be compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import attrs
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.reliability.comparison import Difference
from benchmarks.reliability.service import Service
from benchmarks.reliability.shared_rate import worst_second
from smappee_async import TimeRange
from smappee_async.simulator import Account, Ledger

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_COLUMNS: Final = ("service_location_id", "id", "started_at", "energy")

Key = tuple[int, int]
"""Park and id of a session."""
Row = tuple[int, float | None]
"""Its start in milliseconds, and its reported energy."""


def expected_rows(ledger: Ledger, parks: Iterable[int], time_range: TimeRange) -> dict[Key, Row]:
    """The completed sessions of some parks, from the ledger."""
    found: dict[Key, Row] = {}
    for park in parks:
        for session in ledger.sessions(park, time_range.start_ms, time_range.end_ms):
            energy = ledger.wire(session).get("energy")
            found[park, session.id] = (session.start_ms, None if energy is None else float(str(energy)))
    return found


def rows_in_files(directory: Path) -> list[tuple[Key, Row]]:
    """Every row of every file."""
    return [row for file in sorted(directory.glob("*.parquet")) for row in rows_of(pq.read_table(file))]


def rows_of(table: pa.Table) -> list[tuple[Key, Row]]:
    """The rows of a table with the schema of every table."""
    columns = (table[name].to_pylist() for name in _COLUMNS)
    return [
        ((park, number), ((started - _EPOCH) // _MS, energy))
        for park, number, started, energy in zip(*columns, strict=True)
    ]


def compare(rows: Sequence[tuple[Key, Row]], expected: Mapping[Key, Row]) -> Difference:
    """How the rows differ from what is due."""
    counts = Counter(key for key, _ in rows)
    return Difference(
        lost=sum(key not in counts for key in expected),
        doubled=counts.total() - len(counts),
        phantom=sum(key not in expected for key in counts),
        stale=sum(key in expected and expected[key] != row for key, row in rows),
    )


@attrs.frozen
class Asked:
    """What the service was asked since its start.

    :ivar worst_second: the most requests that arrived in any second.
    :ivar reuses: how often a refresh token came that had been used before.
    """

    requests: int
    worst_second: int
    logins: int
    refreshes: int
    reuses: int


async def asked(service: Service) -> Asked:
    """The account of the service. Its log must be long enough for all requests."""
    stats = await service.stats()
    arrivals = await service.arrivals(stats.hits)
    if len(arrivals) != stats.hits:
        raise RuntimeError("the log of the service is too short: give Setup a greater log_limit")
    return Asked(
        requests=stats.hits,
        worst_second=worst_second(arrivals),
        logins=stats.password_grants,
        refreshes=stats.refresh_grants,
        reuses=stats.reuse_detections,
    )


def worker_environment(service: Service) -> dict[str, str]:
    """The variables with which a worker reaches the service."""
    account = Account()
    return {
        "SMAPPEE_BASE_URL": service.base_url,
        "SMAPPEE_CLIENT_ID": account.client_id,
        "SMAPPEE_CLIENT_SECRET": account.client_secret,
        "SMAPPEE_USERNAME": account.username,
        "SMAPPEE_PASSWORD": account.password,
    }
