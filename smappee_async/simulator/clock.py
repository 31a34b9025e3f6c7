"""The simulated instant. It alone decides which sessions have begun and which have ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class SimulatedClock:
    """The time in the simulated world, in epoch milliseconds.

    The clock stands still until it is moved, so that a test decides what the service knows. A ``running`` clock also
    advances with the time of the event loop, from the moment when its simulator starts.
    """

    def __init__(self, now_ms: int, *, running: bool = False) -> None:
        self._base_ms = now_ms
        self._running = running
        self._loop_time: Callable[[], float] | None = None
        self._started_s = 0.0
        self._jumps: list[tuple[int, int]] = []

    @classmethod
    def at(cls, instant: str | datetime, *, running: bool = False) -> SimulatedClock:
        """A clock at an aware ``datetime``, or at its ISO 8601 text such as ``2026-11-01T00:00:00Z``."""
        return cls(epoch_ms(instant), running=running)

    @property
    def now_ms(self) -> int:
        """The simulated instant, in milliseconds since 1970-01-01T00:00:00Z."""
        if self._loop_time is None:
            return self._base_ms
        return self._base_ms + int((self._loop_time() - self._started_s) * 1000)

    @property
    def now(self) -> datetime:
        """The simulated instant, in UTC."""
        return datetime.fromtimestamp(self.now_ms / 1000, UTC)

    def move(self, by: timedelta | float) -> None:
        """Move by a duration or by a number of seconds; backwards is allowed, because servers' clocks do that too."""
        delta = by if isinstance(by, timedelta) else timedelta(seconds=by)
        self._base_ms += delta // timedelta(milliseconds=1)

    def move_to(self, instant: str | datetime) -> None:
        """Set the clock to an instant."""
        self._base_ms += epoch_ms(instant) - self.now_ms

    @property
    def shown(self) -> datetime:
        """The time that the service shows in its ``Date`` header: the simulated instant, unless it is put off."""
        now_ms = self.now_ms
        off_ms = sum(by_ms for from_ms, by_ms in self._jumps if from_ms <= now_ms)
        return datetime.fromtimestamp((now_ms + off_ms) / 1000, UTC)

    def put_off(self, by: timedelta | float, *, at: str | datetime | None = None) -> None:
        """Let the ``Date`` header be ahead by a duration or seconds, or behind if that is negative; calls add up.

        With ``at`` it jumps when the clock comes to that instant. The simulated instant stays as it is, and with it
        what the service knows.
        """
        delta = by if isinstance(by, timedelta) else timedelta(seconds=by)
        from_ms = -(1 << 62) if at is None else epoch_ms(at)
        self._jumps.append((from_ms, delta // timedelta(milliseconds=1)))

    def start(self, loop_time: Callable[[], float]) -> None:
        """Start to run, if this is a running clock. The simulator calls it with the time of its event loop."""
        if self._running:
            self.stop()
            self._loop_time, self._started_s = loop_time, loop_time()

    def stop(self) -> None:
        """Stand still at the current instant. The simulator calls it when it closes."""
        self._base_ms = self.now_ms
        self._loop_time = None


def epoch_ms(instant: str | datetime) -> int:
    """Whole milliseconds from the epoch to an aware instant.

    :raises ValueError: the instant is naive.
    """
    moment = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    if moment.tzinfo is None:
        raise ValueError(f"{instant!r} has no time zone; write it as 2026-11-01T00:00:00Z or pass an aware datetime")
    # Whole-number arithmetic, because a rounded float could fall outside a range that ends at this instant.
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
