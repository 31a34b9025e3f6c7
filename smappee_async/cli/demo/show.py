"""Fetch, compare with the ledger, and print the result."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import attrs

from smappee_async.cli.demo.child import SimulatorProcess
from smappee_async.cli.demo.obstacles import TITLE, Fault, obstacles
from smappee_async.cli.demo.verdict import Arrivals, Verdict, judge
from smappee_async.cli.ending import ExitCode, run_async
from smappee_async.cli.output import Column, Row, TableWriter
from smappee_async.cli.progress import Coverage, ProgressCallback, progress, seconds
from smappee_async.cli.sinks import open_sink
from smappee_async.cli.together import all_of
from smappee_async.client import SmappeeClient
from smappee_async.limits import Limits
from smappee_async.models import ServiceLocation, StreamStats
from smappee_async.timerange import TimeRange

_YEAR: Final = 2025
_NOW: Final = "2026-11-01T00:00Z"
_COLUMNS: Final = (
    Column("service_location_id", "Park", right=True),
    Column("name", "Name"),
    Column("sessions", "Sessions", right=True),
    Column("kwh", "kWh", right=True),
    Column("mean", "Mean kWh", right=True),
    Column("busiest", "Busiest day"),
)


@attrs.frozen(kw_only=True)
class Demo:
    """The options of the demo.

    :param sessions: least number of sessions in the year, all parks together.
    :param plain: ASCII only: no progress bar, no colours.
    :param faults: faults in addition to the usual ones.
    """

    parks: int
    sessions: int
    seed: int
    limits: Limits
    plain: bool
    faults: Sequence[Fault] = ()


@attrs.frozen
class _Outcome:
    arrivals: Mapping[int, Arrivals]
    stats: StreamStats
    seconds: float


def show_demo(demo: Demo) -> ExitCode:
    """Run the demo; it fails if one record differs."""
    year = TimeRange.year(_YEAR, tz="UTC")
    with SimulatorProcess(parks=demo.parks, sessions=demo.sessions, seed=demo.seed, now=_NOW) as simulator:
        simulator.add_faults([*obstacles(simulator.parks, _YEAR), *demo.faults])
        _tell(f"A simulated cloud of {len(simulator.parks)} parks, the year {_YEAR}. In the way: {TITLE}.")
        with progress("Fetching", wanted=not demo.plain) as on_progress:
            outcome = run_async(_fetch(simulator, year, demo.limits, on_progress))
        with progress("Comparing with the ledger", wanted=not demo.plain) as on_progress:
            verdicts = _judge_all(simulator, year, outcome.arrivals, on_progress)
        met = simulator.faults_met()
    with open_sink(None) as sink:
        table = TableWriter(_COLUMNS, what="parks", colours=sink.is_terminal and not demo.plain, plain=demo.plain)
        table.add(_row(park, arrivals) for park, arrivals in outcome.arrivals.items())
        total = sum(verdicts.values(), Verdict(0, 0))
        sink.write(table.end() + _summary(total, outcome) + "\n")
    _tell(f"Faults met: {', '.join(f'{count} x {kind}' for kind, count in met.items() if count)}.")
    for park, verdict in verdicts.items():
        if not verdict.is_exact:
            _tell(f"Park {park} differs: {verdict.describe()}")
    return ExitCode.OK if total.is_exact else ExitCode.FAILED


async def _fetch(
    simulator: SimulatorProcess, year: TimeRange, limits: Limits, on_progress: ProgressCallback
) -> _Outcome:
    started = time.perf_counter()
    async with SmappeeClient(simulator.credentials, base_url=simulator.base_url, proxy=False, limits=limits) as client:
        locations = await client.service_locations()
        arrivals = dict(await all_of(_no_arrivals(client, location) for location in locations))
        coverage = Coverage(on_progress, len(locations) * seconds(year))
        stream = client.sessions(locations, year)
        async with stream:
            async for batch in stream.batches():
                assert batch.service_location_id is not None
                arrivals[batch.service_location_id].add(batch.sessions)
                coverage.add(batch)
    return _Outcome(arrivals, stream.stats, time.perf_counter() - started)


async def _no_arrivals(client: SmappeeClient, location: ServiceLocation) -> tuple[int, Arrivals]:
    """The id of a park, and its arrivals before the first one."""
    info = await client.service_location(location.id)
    return location.id, Arrivals(location.name or "", ZoneInfo(info.timezone or "UTC"))


def _judge_all(
    simulator: SimulatorProcess, year: TimeRange, arrivals: Mapping[int, Arrivals], on_progress: ProgressCallback
) -> dict[int, Verdict]:
    """A verdict for each park of the simulator, even if the client did not see it."""
    verdicts: dict[int, Verdict] = {}
    for number, park in enumerate(simulator.parks):
        on_progress(number / len(simulator.parks), f"park {park}")
        arrived = arrivals.get(park) or Arrivals("", ZoneInfo("UTC"))
        held, digest = simulator.truth(park, year)
        verdicts[park] = judge(arrived, held, digest, partial(simulator.true_ids, park, year))
    return verdicts


def _row(park: int, arrivals: Arrivals) -> Row:
    mean, busiest = arrivals.mean_kwh, arrivals.busiest_day
    return {
        "service_location_id": park,
        "name": arrivals.name,
        "sessions": f"{arrivals.count:,}",
        "kwh": f"{arrivals.energy_kwh:,.2f}",
        "mean": None if mean is None else f"{mean:.2f}",
        "busiest": None if busiest is None else f"{busiest:%a %Y-%m-%d} ({arrivals.days[busiest]:,})",
    }


def _summary(total: Verdict, outcome: _Outcome) -> str:
    """The line that sums up the demo."""
    parts = [
        f"ledger {total.held:,}",
        f"arrived {total.arrived:,}",
        f"lost {total.lost:,}",
        f"doubled {total.doubled:,}",
    ]
    if total.strange:
        parts.append(f"not in the ledger {total.strange:,}")
    parts.append(f"requests {outcome.stats.requests:,}")
    parts.append(f"retries {outcome.stats.retries:,}")
    parts.append(f"seconds {outcome.seconds:.1f}")
    end = "every record agrees" if total.is_exact else "RECORDS DIFFER"
    return f"Account: {', '.join(parts)}: {end}"


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
