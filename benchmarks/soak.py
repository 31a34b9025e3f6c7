"""``python -m benchmarks.soak --minutes 60``: hours of load with faults, and what grows meanwhile.

One client in this process, paced to a share of one core, reads months of charging parks from a simulator in another
process, while every kind of passing fault strikes now and then, tokens live for seconds, and consumers break off,
run out of time and are cancelled. Between laps, when nothing is under way, it is written down what the process holds.
Ends with 1 if anything of what was promised did not hold: a session lost, doubled, invented or stale, an exception that
nobody caught, a resource left open, or tasks, descriptors or memory that grow.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import importlib.util
import os
import pkgutil
import random
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final

import attrs
import msgspec

import smappee_async
from benchmarks.reliability_faults import LIMITS, PASSING, RETRY
from benchmarks.reliability_service import FaultJson, Service, Setup, credentials, serving
from benchmarks.reliability_truth import Account, Difference, Truth, truth_about
from smappee_async import SmappeeClient, SmappeeError, TimeRange
from smappee_async.events import ClientEvent

_MONTHS: Final = ((2026, 7), (2026, 8), (2026, 9), (2026, 10))
_PARKS: Final = 16
#: A hundred sessions in a usual response: many requests, each with something in it.
_SESSIONS_PER_YEAR: Final = 20_000
_PARKS_ASKED: Final = 6
_CONSUMERS: Final = 3
_LAP_S: Final = 5.0
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 2**20
#: A share of each run that does not count: caches fill, pools grow, the allocator finds its size.
_WARM_UP_SHARE: Final = 0.25
#: Resident memory may grow by less than this, once a run is long enough for a slope to mean anything.
_SLOPE_MIB_PER_H: Final = 1.0
_SLOPE_NEEDS_S: Final = 1800.0
_HOUR_S: Final = 3600.0


@attrs.frozen
class Sample:
    """What the process holds between two laps, and what it has done by then."""

    at_s: float
    resident_mib: float
    tasks: int
    descriptors: int
    threads: int
    uncaught: int
    requests: int
    sessions: int
    rounds: int
    cancelled: int
    raised: int
    wrong: int


@attrs.define
class Done:
    """What the load has done so far.

    :ivar raised: questions that ended with an error of the client's: given up, and said so.
    :ivar wrong: lost, doubled, phantom and stale sessions.
    """

    requests: int = 0
    sessions: int = 0
    rounds: int = 0
    cancelled: int = 0
    raised: int = 0
    wrong: Difference = attrs.field(factory=Difference)
    errors: Counter[str] = attrs.field(factory=Counter)
    events: Counter[str] = attrs.field(factory=Counter)
    uncaught: list[str] = attrs.field(factory=list)

    def note(self, event: ClientEvent) -> None:
        """Count one event of the client."""
        self.events[event.kind] += 1
        self.requests += event.kind in ("answered", "failed")

    def add(self, found: Difference) -> None:
        """Add up what was wrong with one response."""
        pairs = zip(attrs.astuple(self.wrong), attrs.astuple(found), strict=True)
        self.wrong = Difference(*(before + now for before, now in pairs))

    def uncaught_one(self, what: object) -> None:
        """Something ended where nobody saw it; only the first are kept in words."""
        text = str(what) if len(self.uncaught) < 20 else ""
        self.uncaught.append(text)
        if text:
            print(f"uncaught: {text}", file=sys.stderr, flush=True)


@attrs.frozen
class Report:
    """What a run found."""

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
    """Consumers that ask one client for months of parks, in laps."""

    def __init__(self, client: SmappeeClient, truths: dict[tuple[int, int], Truth], done: Done, share: float) -> None:
        self._client = client
        self._truths = truths
        self._parks = sorted({park for park, _ in truths})
        self._done = done
        self._share = share
        self._chance = random.Random(1)

    async def lap(self, seconds: float) -> None:
        """Ask for so long, at most at the share of one core."""
        over_at = time.monotonic() + seconds
        await asyncio.gather(*(self._consume(over_at) for _ in range(_CONSUMERS)))

    async def _consume(self, over_at: float) -> None:
        while (began_at := time.monotonic()) < over_at:
            used_s = time.process_time()
            await self._round()
            # The consumers share the time that the process used, so each of them rests for all of it.
            busy_s = time.process_time() - used_s
            await asyncio.sleep(max(0.0, busy_s / self._share - (time.monotonic() - began_at)))

    async def _round(self) -> None:
        month = self._chance.randrange(len(_MONTHS))
        parks = self._chance.sample(self._parks, _PARKS_ASKED)
        if self._chance.random() < 0.15:
            await self._broken_off(parks, month)
        else:
            await self._whole(parks, month)

    async def _whole(self, parks: Sequence[int], month: int) -> None:
        truth = {key: said for park in parks for key, said in self._truths[park, month].items()}
        account = Account(truth)
        stream = self._client.sessions(parks, _range(month))
        try:
            async with stream:
                async for session in stream:
                    account.add(session)
        except SmappeeError as error:
            self._done.raised += 1
            self._done.errors[type(error).__name__] += 1
            # What did come must be right all the same.
            self._done.add(account.difference(due=()))
        else:
            self._done.add(account.difference())
            self._done.sessions += stream.stats.sessions
        self._done.rounds += 1

    async def _broken_off(self, parks: Sequence[int], month: int) -> None:
        """End the reading in one of the ways in which programs do."""
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
    """Every kind that passes, each so rare that together they strike this share of the session calls."""
    calls = {name: recipe for name, recipe in PASSING.items() if not name.startswith("token_")}
    # Those that cost a time-out, or end the access token, are rarer still.
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


# --- the samples ------------------------------------------------------------------------------------------------------


def _sample(began_at: float, done: Done) -> Sample:
    return Sample(
        at_s=time.monotonic() - began_at,
        resident_mib=int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES / _MIB,
        tasks=len(asyncio.all_tasks()),
        descriptors=sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1,
        threads=threading.active_count(),
        uncaught=len(done.uncaught),
        requests=done.requests,
        sessions=done.sessions,
        rounds=done.rounds,
        cancelled=done.cancelled,
        raised=done.raised,
        wrong=sum(attrs.astuple(done.wrong)),
    )


def after_warm_up(samples: Sequence[Sample]) -> Sequence[Sample]:
    """The samples that count."""
    return samples[int(len(samples) * _WARM_UP_SHARE) :]


def slope_mib_per_h(samples: Sequence[Sample]) -> float:
    """How fast resident memory grows, by least squares."""
    if len(samples) < 2:
        return 0.0
    mean_s = sum(sample.at_s for sample in samples) / len(samples)
    mean_mib = sum(sample.resident_mib for sample in samples) / len(samples)
    spread = sum((sample.at_s - mean_s) ** 2 for sample in samples)
    together = sum((sample.at_s - mean_s) * (sample.resident_mib - mean_mib) for sample in samples)
    return together / spread * _HOUR_S if spread else 0.0


def verdicts(samples: Sequence[Sample], done: Done) -> list[str]:
    """What was promised and did not hold, in a sentence each."""
    counted = after_warm_up(samples)
    third = max(1, len(counted) // 3)
    first, last = counted[:third], counted[-third:]
    found = []
    if done.wrong:
        found.append(f"not as it happened: {done.wrong}")
    if done.uncaught:
        found.append(f"{len(done.uncaught)} exceptions or warnings that nobody caught")
    # Between laps nothing is under way but perhaps a token's renewal, and connections that are kept for the next call.
    for name, spare in (("tasks", 2), ("descriptors", LIMITS.concurrency), ("threads", 2)):
        before, now = (median(getattr(sample, name) for sample in part) for part in (first, last))
        if now > before + spare:
            found.append(f"{name} grew from {before:g} to {now:g}")
    slope = slope_mib_per_h(counted)
    if len(samples) and samples[-1].at_s >= _SLOPE_NEEDS_S and slope >= _SLOPE_MIB_PER_H:
        found.append(f"resident memory grows by {slope:.2f} MiB/h")
    if done.rounds and done.raised > done.rounds * 0.05:
        found.append(f"{done.raised} of {done.rounds} questions were given up")
    return found


@contextlib.contextmanager
def _nothing_unseen(done: Done) -> Iterator[None]:
    """Count what ends where nobody looks: in the loop's handler, in a finaliser, as a warning of what was left open."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: done.uncaught_one(context.get("exception") or context["message"]))
    hook = sys.unraisablehook
    sys.unraisablehook = lambda what: done.uncaught_one(f"{what.exc_value!r} in {what.object!r}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always", ResourceWarning)
            warnings.showwarning = lambda message, *_, **__: done.uncaught_one(message)
            yield
    finally:
        sys.unraisablehook = hook
        loop.set_exception_handler(None)


# --- the run ----------------------------------------------------------------------------------------------------------


async def run(
    minutes: float,
    *,
    share: float,
    fault_share: float,
    sessions_per_year: int = _SESSIONS_PER_YEAR,
    lap_s: float = _LAP_S,
) -> Report:
    """Load for so long; the table is printed as it grows."""
    setup = Setup(parks=_PARKS, sessions_per_year=sessions_per_year, expires_in_s=4)
    done, samples = Done(), list[Sample]()
    truths = _truths(setup)
    gc.collect()
    async with serving(setup) as service:
        await service.set_faults(faults(fault_share))
        with _nothing_unseen(done):
            async with SmappeeClient(
                credentials(), base_url=service.base_url, limits=LIMITS, retry=RETRY, on_event=done.note
            ) as client:
                await _laps(service, Load(client, truths, done, share), minutes * 60, lap_s, done, samples)
            gc.collect()  # what was forgotten open says so now
        return await _report(minutes, service, done, samples)


async def _laps(service: Service, load: Load, seconds: float, lap_s: float, done: Done, samples: list[Sample]) -> None:
    began_at = time.monotonic()
    print(_line([field.name for field in attrs.fields(Sample)]), flush=True)
    printed_at = 0.0
    while time.monotonic() - began_at < seconds:
        await load.lap(min(lap_s, seconds))
        await _short_life(service)
        samples.append(_sample(began_at, done))
        if samples[-1].at_s - printed_at >= min(60.0, seconds / 10):
            printed_at = samples[-1].at_s
            print(_line([_number(value) for value in attrs.astuple(samples[-1])]), flush=True)


async def _short_life(service: Service) -> None:
    """A client that is opened, asks once and is closed; nothing of it may stay."""
    with contextlib.suppress(SmappeeError):
        async with SmappeeClient(credentials(), base_url=service.base_url, limits=LIMITS, retry=RETRY) as client:
            await client.service_locations()


async def _report(minutes: float, service: Service, done: Done, samples: list[Sample]) -> Report:
    stats, strikes = await service.stats(), await service.strikes()
    found = verdicts(samples, done)
    if stats.hits_by_route["park_sessions"] < done.requests:
        found.append(f"{done.requests} requests counted here, but {stats.hits_by_route['park_sessions']} there")
    return Report(
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


def summary(report: Report) -> Iterator[str]:
    """The figures of a run, line by line."""
    last = report.samples[-1]
    counted = after_warm_up(report.samples)
    yield f"{report.minutes:g} minutes, Python {report.python}: {last.requests:,} requests, {last.sessions:,} sessions"
    yield f"  questions read whole or given up  {last.rounds:,}, given up {last.raised:,}: {report.errors}"
    yield f"  consumers that broke off          {last.cancelled:,}"
    yield f"  faults that struck                {sum(report.strikes.values()):,} of {len(report.strikes)} kinds"
    yield (
        f"  tokens                            {report.refresh_grants:,} refreshes, {report.password_grants:,} logins, "
        f"{report.reuse_detections} reuse detections"
    )
    yield f"  lost, doubled, phantom, stale     {', '.join(map(str, attrs.astuple(report.wrong)))}"
    yield f"  uncaught exceptions and warnings  {last.uncaught}"
    for name in ("resident_mib", "tasks", "descriptors", "threads"):
        values = [getattr(sample, name) for sample in counted]
        yield f"  {name:<33} {_number(min(values))} … {_number(max(values))}, at the end {_number(values[-1])}"
    yield f"  slope of resident memory          {report.slope_mib_per_h:+.3f} MiB/h after the warm-up"
    yield from (f"  NOT MET: {verdict}" for verdict in report.verdicts)
    if not report.verdicts:
        yield "  all of it met"


def plot(report: Report, path: Path) -> None:
    """Draw what the process held over time."""
    import matplotlib as mpl  # noqa: PLC0415 - only for who wants a picture

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    minutes = [sample.at_s / 60 for sample in report.samples]
    figure, panels = plt.subplots(4, 1, sharex=True, figsize=(9, 10), layout="constrained")
    curves = (
        ("resident memory, MiB", ("resident_mib",)),
        ("held between laps", ("tasks", "descriptors", "threads")),
        ("requests so far", ("requests",)),
        ("wrong and uncaught", ("wrong", "uncaught")),
    )
    for panel, (title, names) in zip(panels, curves, strict=True):
        for name in names:
            panel.plot(minutes, [getattr(sample, name) for sample in report.samples], label=name, linewidth=1)
        panel.set_ylabel(title)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        if len(names) > 1:
            panel.legend(loc="upper left")
    panels[0].set_title(
        f"{report.samples[-1].requests:,} requests with faults: {report.slope_mib_per_h:+.2f} MiB/h after the warm-up"
    )
    panels[0].axvline(after_warm_up(report.samples)[0].at_s / 60, linestyle=":", color="grey")
    panels[-1].set_xlabel("minutes")
    figure.savefig(path, dpi=110)


def _load_everything() -> None:
    """Import what would be imported on first use, so that nothing but the load is seen in the samples."""
    for module in pkgutil.walk_packages(smappee_async.__path__, "smappee_async."):
        if not any(part in module.name for part in (".cli", ".testing", ".redis", ".file", "__main__")):
            importlib.import_module(module.name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 if something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
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
    parser.add_argument("--json", type=Path, help="write all figures and samples")
    options = parser.parse_args(arguments)
    if options.png is not None and importlib.util.find_spec("matplotlib") is None:
        parser.error("--png needs matplotlib")
    _load_everything()
    report = asyncio.run(
        run(
            options.minutes,
            share=options.share,
            fault_share=options.faults,
            sessions_per_year=options.sessions,
        )
    )
    print(*summary(report), sep="\n", flush=True)
    if options.json is not None:
        options.json.write_bytes(msgspec.json.encode(report))
    if options.png is not None:
        plot(report, options.png)
    return 1 if report.verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
