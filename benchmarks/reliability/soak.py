"""``python -m benchmarks.reliability.soak --minutes 60``: hours of load with faults, and what grows meanwhile.

One client in this process, limited to a share of one core, reads months of charging parks from a simulator in another
process. Meanwhile every kind of passing fault strikes now and then, access tokens live for seconds, and consumers stop
early, time out and are cancelled. Between laps, when nothing is running, a sample is taken of what the process holds.
The exit code is 1 if a promise did not hold: a session was lost, doubled, invented or stale, an exception was not
caught, a resource was left open, or tasks, descriptors or memory grow.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import importlib.util
import pkgutil
import random
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

import smappee_async
from benchmarks.reliability.comparison import Comparison, Difference, Truth, truth_about
from benchmarks.reliability.faults import LIMITS, PASSING, RETRY
from benchmarks.reliability.samples import (
    Done,
    Sample,
    after_warm_up,
    counting_uncaught,
    sample_now,
    slope_mib_per_h,
    verdicts,
)
from benchmarks.reliability.service import FaultJson, Service, Setup, credentials, serving
from benchmarks.reliability.showing import show
from smappee_async import SmappeeClient, SmappeeError, TimeRange

_MONTHS: Final = ((2026, 7), (2026, 8), (2026, 9), (2026, 10))
_PARKS: Final = 16
#: About a hundred sessions in a usual response: many requests, and few empty responses.
_SESSIONS_PER_YEAR: Final = 20_000
_PARKS_ASKED: Final = 6
_CONSUMERS: Final = 3
_LAP_S: Final = 5.0
_MIB: Final = 2**20


@attrs.frozen
class SoakResult:
    """The result of a run."""

    minutes: float
    python: str
    slope_mib_per_h: float
    verdicts: list[str]
    wrong: Difference
    errors: dict[str, int]
    events: dict[str, int]
    strikes: dict[str, int]
    password_grants: int
    refresh_grants: int
    reuse_detections: int
    uncaught: list[str]
    samples: list[Sample]


# --- the load ---------------------------------------------------------------------------------------------------------


class Load:
    """Consumers that read months of parks from one client, in laps."""

    def __init__(self, client: SmappeeClient, truths: dict[tuple[int, int], Truth], done: Done, share: float) -> None:
        self._client = client
        self._truths = truths
        self._parks = sorted({park for park, _ in truths})
        self._done = done
        self._share = share
        self._chance = random.Random(1)

    async def lap(self, seconds: float) -> None:
        """Read for so long, with at most the share of one core."""
        over_at = time.monotonic() + seconds
        await asyncio.gather(*(self._consume(over_at) for _ in range(_CONSUMERS)))

    async def _consume(self, over_at: float) -> None:
        while (began_at := time.monotonic()) < over_at:
            used_s = time.process_time()
            await self._round()
            # The consumers run at the same time and use the process together, so each rests for all of it.
            busy_s = time.process_time() - used_s
            await asyncio.sleep(max(0.0, busy_s / self._share - (time.monotonic() - began_at)))

    async def _round(self) -> None:
        month = self._chance.randrange(len(_MONTHS))
        parks = self._chance.sample(self._parks, _PARKS_ASKED)
        if self._chance.random() < 0.15:
            await self._stopped_early(parks, month)
        else:
            await self._whole(parks, month)

    async def _whole(self, parks: Sequence[int], month: int) -> None:
        truth = {key: held for park in parks for key, held in self._truths[park, month].items()}
        comparison = Comparison(truth)
        stream = self._client.sessions(parks, _range(month))
        try:
            async with stream:
                async for session in stream:
                    comparison.add(session)
        except SmappeeError as error:
            self._done.raised += 1
            self._done.errors[type(error).__name__] += 1
            # The sessions that did come must be right.
            self._done.add(comparison.difference(due=()))
        else:
            self._done.add(comparison.difference())
            self._done.sessions += stream.stats.sessions
        self._done.rounds += 1

    async def _stopped_early(self, parks: Sequence[int], month: int) -> None:
        """Read, and stop early in one of the ways in which programs do."""
        self._done.cancelled += 1
        with contextlib.suppress(SmappeeError, TimeoutError, asyncio.CancelledError):
            match self._chance.randrange(3):
                case 0:
                    await self._read_a_few(parks, month, self._chance.randrange(1, 300))
                case 1:
                    async with asyncio.timeout(self._chance.random() * 0.05):
                        await self._client.sessions(parks, _range(month)).collect()
                case _:
                    task = asyncio.create_task(self._client.sessions(parks, _range(month)).collect())
                    asyncio.get_running_loop().call_later(self._chance.random() * 0.05, task.cancel)
                    await task

    async def _read_a_few(self, parks: Sequence[int], month: int, few: int) -> None:
        async with self._client.sessions(parks, _range(month)) as stream:
            async for _ in stream:
                if (few := few - 1) == 0:
                    break


def faults(share: float) -> list[FaultJson]:
    """Every kind of passing fault, so rare that together they strike this share of the session calls."""
    calls = {name: recipe for name, recipe in PASSING.items() if not name.startswith("token_")}
    # Faults that cost a time-out, or end the access token, are rarer.
    rare = {"stall_before_headers": 0.1, "stall_after_headers": 0.1, "unauthorized": 0.1}
    each = share / len(calls)
    on_calls = [
        {**recipe, "route": "park_sessions", "probability": each * rare.get(name, 1.0)}
        for name, recipe in calls.items()
    ]
    bomb = {"kind": "gzip_bomb", "route": "park_sessions", "size_bytes": 4 * _MIB, "probability": each * 0.1}
    on_tokens = [
        {"kind": "status", "route": "token", "status": 500, "probability": 0.02},
        {"kind": "token_lost", "probability": 0.02},
    ]
    return [*on_calls, bomb, *on_tokens]


def _range(month: int) -> TimeRange:
    year, number = _MONTHS[month]
    return TimeRange.month(year, number, tz="UTC")


def _truths(setup: Setup) -> dict[tuple[int, int], Truth]:
    ledger = setup.ledger
    return {
        (park, month): truth_about(ledger, [park], _range(month).start_ms, _range(month).end_ms)
        for park in setup.world.parks
        for month in range(len(_MONTHS))
    }


# --- the run ----------------------------------------------------------------------------------------------------------


async def run(
    minutes: float,
    *,
    share: float,
    fault_share: float,
    sessions_per_year: int = _SESSIONS_PER_YEAR,
    lap_s: float = _LAP_S,
) -> SoakResult:
    """Run the load for so long; samples are printed as they are taken."""
    setup = Setup(parks=_PARKS, sessions_per_year=sessions_per_year, expires_in_s=4)
    done, samples = Done(), list[Sample]()
    truths = _truths(setup)
    gc.collect()
    async with serving(setup) as service:
        await service.set_faults(faults(fault_share))
        with counting_uncaught(done):
            async with SmappeeClient(
                credentials(), base_url=service.base_url, limits=LIMITS, retry=RETRY, on_event=done.note
            ) as client:
                await _laps(service, Load(client, truths, done, share), minutes * 60, lap_s, done, samples)
            gc.collect()  # what was left open gives its warning now
        return await _result(minutes, service, done, samples)


async def _laps(service: Service, load: Load, seconds: float, lap_s: float, done: Done, samples: list[Sample]) -> None:
    began_at = time.monotonic()
    print(_line([field.name for field in attrs.fields(Sample)]), flush=True)
    printed_at = 0.0
    while time.monotonic() - began_at < seconds:
        await load.lap(min(lap_s, seconds))
        await _short_life(service)
        samples.append(sample_now(began_at, done))
        if samples[-1].at_s - printed_at >= min(60.0, seconds / 10):
            printed_at = samples[-1].at_s
            print(_line([_number(value) for value in attrs.astuple(samples[-1])]), flush=True)


async def _short_life(service: Service) -> None:
    """A client that is opened, used once and closed; nothing of it may stay."""
    with contextlib.suppress(SmappeeError):
        async with SmappeeClient(credentials(), base_url=service.base_url, limits=LIMITS, retry=RETRY) as client:
            await client.service_locations()


async def _result(minutes: float, service: Service, done: Done, samples: list[Sample]) -> SoakResult:
    stats, strikes = await service.stats(), await service.strikes()
    found = verdicts(samples, done)
    if stats.hits_by_route["park_sessions"] < done.requests:
        found.append(f"{done.requests} requests counted here, but {stats.hits_by_route['park_sessions']} there")
    return SoakResult(
        minutes=minutes,
        python=sys.version.split()[0],
        slope_mib_per_h=slope_mib_per_h(after_warm_up(samples)),
        verdicts=found,
        wrong=done.wrong,
        errors=dict(done.errors),
        events=dict(done.events),
        strikes=strikes,
        password_grants=stats.password_grants,
        refresh_grants=stats.refresh_grants,
        reuse_detections=stats.reuse_detections,
        uncaught=done.uncaught[:20],
        samples=samples,
    )


# --- what is shown ----------------------------------------------------------------------------------------------------


def _number(value: float) -> str:
    return f"{value:,.1f}" if value % 1 else f"{value:,.0f}"


def _line(cells: Sequence[str]) -> str:
    return "  ".join(cell.rjust(12) for cell in cells)


def summary(result: SoakResult) -> Iterator[str]:
    """The figures of a run, line by line."""
    last = result.samples[-1]
    counted = after_warm_up(result.samples)
    yield f"{result.minutes:g} minutes, Python {result.python}: {last.requests:,} requests, {last.sessions:,} sessions"
    yield f"  queries read whole or given up    {last.rounds:,}, given up {last.raised:,}: {result.errors}"
    yield f"  consumers that stopped early      {last.cancelled:,}"
    yield f"  faults that struck                {sum(result.strikes.values()):,} of {len(result.strikes)} kinds"
    yield (
        f"  tokens                            {result.refresh_grants:,} refreshes, {result.password_grants:,} logins, "
        f"{result.reuse_detections} reuse detections"
    )
    yield f"  lost, doubled, phantom, stale     {', '.join(map(str, attrs.astuple(result.wrong)))}"
    yield f"  uncaught exceptions and warnings  {last.uncaught}"
    for name in ("resident_mib", "tasks", "descriptors", "threads"):
        values = [getattr(sample, name) for sample in counted]
        yield f"  {name:<33} {_number(min(values))} … {_number(max(values))}, at the end {_number(values[-1])}"
    yield f"  slope of resident memory          {result.slope_mib_per_h:+.3f} MiB/h after the warm-up"
    yield from (f"  NOT MET: {verdict}" for verdict in result.verdicts)
    if not result.verdicts:
        yield "  all of it met"


def plot(result: SoakResult, path: Path) -> None:
    """Draw what the process held over time."""
    import matplotlib as mpl  # noqa: PLC0415 - only for --png

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    minutes = [sample.at_s / 60 for sample in result.samples]
    figure, panels = plt.subplots(4, 1, sharex=True, figsize=(9, 10), layout="constrained")
    curves = (
        ("resident memory, MiB", ("resident_mib",)),
        ("held between laps", ("tasks", "descriptors", "threads")),
        ("requests so far", ("requests",)),
        ("wrong and uncaught", ("wrong", "uncaught")),
    )
    for panel, (title, names) in zip(panels, curves, strict=True):
        for name in names:
            panel.plot(minutes, [getattr(sample, name) for sample in result.samples], label=name, linewidth=1)
        panel.set_ylabel(title)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        if len(names) > 1:
            panel.legend(loc="upper left")
    panels[0].set_title(
        f"{result.samples[-1].requests:,} requests with faults: {result.slope_mib_per_h:+.2f} MiB/h after the warm-up"
    )
    panels[0].axvline(after_warm_up(result.samples)[0].at_s / 60, linestyle=":", color="grey")
    panels[-1].set_xlabel("minutes")
    figure.savefig(path, dpi=110)


def _load_everything() -> None:
    """Import what would be imported on first use, so that the samples show nothing but the load."""
    for module in pkgutil.walk_packages(smappee_async.__path__, "smappee_async."):
        if not any(part in module.name for part in (".cli", ".testing", ".redis", ".file", ".spark", "__main__")):
            importlib.import_module(module.name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print and save the figures; returns 1 if a promise did not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--share", type=float, default=0.2, help="of one core, for this process (default: 0.2)")
    parser.add_argument("--faults", type=float, default=0.04, help="share of calls that are struck (default: 0.04)")
    parser.add_argument(
        "--sessions",
        type=int,
        default=_SESSIONS_PER_YEAR,
        help=f"of each park in a year: fewer make more requests an hour (default: {_SESSIONS_PER_YEAR})",
    )
    parser.add_argument("--png", type=Path, help="draw the samples; needs matplotlib")
    parser.add_argument("--json", type=Path, help="save all figures and samples")
    options = parser.parse_args(arguments)
    if options.png is not None and importlib.util.find_spec("matplotlib") is None:
        parser.error("--png needs matplotlib")
    _load_everything()
    result = asyncio.run(
        run(
            options.minutes,
            share=options.share,
            fault_share=options.faults,
            sessions_per_year=options.sessions,
        )
    )
    show(summary(result), result, options.json)
    if options.png is not None:
        plot(result, options.png)
    return 1 if result.verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
