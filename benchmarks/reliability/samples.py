"""The samples of a soak: what the process holds over time, and what grows."""

from __future__ import annotations

import asyncio
import contextlib
import os
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

from benchmarks.reliability.comparison import Difference
from benchmarks.reliability.counting import is_attempt
from benchmarks.reliability.faults import LIMITS
from smappee_async.events import ClientEvent

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 2**20
#: The share of each run that does not count, because caches and pools still grow.
_WARM_UP_SHARE: Final = 0.25
#: Resident memory must grow by less than this, if a run is long enough for a slope to mean anything.
_SLOPE_MIB_PER_H: Final = 1.0
_SLOPE_NEEDS_S: Final = 1800.0
_HOUR_S: Final = 3600.0


@attrs.frozen
class Sample:
    """What the process holds between two laps, and what it has done so far."""

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

    :ivar raised: queries that ended with an error of the client.
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
        self.requests += is_attempt(event)

    def add(self, found: Difference) -> None:
        """Add the difference of one query."""
        pairs = zip(attrs.astuple(self.wrong), attrs.astuple(found), strict=True)
        self.wrong = Difference(*(before + now for before, now in pairs))

    def uncaught_one(self, what: object) -> None:
        """Count an exception or a warning that was not caught; only the first ones are kept as text."""
        text = str(what) if len(self.uncaught) < 20 else ""
        self.uncaught.append(text)
        if text:
            print(f"uncaught: {text}", file=sys.stderr, flush=True)


def sample_now(began_at: float, done: Done) -> Sample:
    """A sample of this process now."""
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
    """The promises that did not hold, one sentence each."""
    counted = after_warm_up(samples)
    third = max(1, len(counted) // 3)
    first, last = counted[:third], counted[-third:]
    found = []
    if done.wrong:
        found.append(f"not as it happened: {done.wrong}")
    if done.uncaught:
        found.append(f"{len(done.uncaught)} exceptions or warnings that were not caught")
    # Between laps only a token renewal may be running, and connections are kept for the next call.
    for name, spare in (("tasks", 2), ("descriptors", LIMITS.concurrency), ("threads", 2)):
        before, now = (median(getattr(sample, name) for sample in third_of) for third_of in (first, last))
        if now > before + spare:
            found.append(f"{name} grew from {before:g} to {now:g}")
    slope = slope_mib_per_h(counted)
    if len(samples) and samples[-1].at_s >= _SLOPE_NEEDS_S and slope >= _SLOPE_MIB_PER_H:
        found.append(f"resident memory grows by {slope:.2f} MiB/h")
    if done.rounds and done.raised > done.rounds * 0.05:
        found.append(f"{done.raised} of {done.rounds} queries were given up")
    return found


@contextlib.contextmanager
def counting_uncaught(done: Done) -> Iterator[None]:
    """Count what is not caught: exceptions in the loop's handler and in finalisers, and resource warnings."""
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
