"""How long a each of one target to ask for next, from what came back so far. Pure."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

import attrs

from smappee_async import defaults

_MS: Final = timedelta(milliseconds=1)
_DAY_MS: Final = timedelta(days=1) // _MS
_PROBE_MS: Final = defaults.PROBE // _MS
_SHORT_QUERY_MS: Final = defaults.SHORT_QUERY // _MS
_SHORTEST_MS: Final = defaults.SHORTEST_CHUNK // _MS


@attrs.define
class ChunkSizer:
    """How dense one target's sessions are, as far as is known, and so how much time makes one response of good size.

    :param target_sessions: the size of response that is aimed at; ``None`` for whatever comes.
    """

    target_sessions: int | None
    _sessions: float = 0.0
    _span_ms: float = 0.0
    """Sessions seen, and the time that they were seen in; the older count less."""
    _looked_at_ms: int = 0
    """The same time, of which nothing fades."""
    _densest: float = 0.0
    """The most sessions in a millisecond that a response of some size had lately."""
    _at_most_ms: float = math.inf
    """Longer ranges than this were too much for the service or for us."""

    @property
    def is_known(self) -> bool:
        """Whether enough was seen to ask for several ranges at once."""
        if self.target_sessions is None:
            return not math.isinf(self._at_most_ms)
        return self._is_much(self._sessions)

    def _is_much(self, sessions: float) -> bool:
        return self.target_sessions is not None and sessions >= self.target_sessions * defaults.KNOWN_SHARE

    def span_ms(self, left_ms: int) -> int:
        """How much of ``left_ms`` milliseconds to ask for next; never less than one, never more than all."""
        span_ms = min(self._guess_ms(left_ms), self._at_most_ms)
        if span_ms * defaults.REST_SHARE >= left_ms:
            return left_ms  # a little more than planned costs less than a request of its own for the rest
        if self.is_known:
            # As many chunks as it takes, all of one length: a short last one would be a request for little.
            span_ms = left_ms / math.ceil(left_ms / span_ms)
        return max(1, int(span_ms))

    def _guess_ms(self, left_ms: int) -> float:
        if self.target_sessions is None:
            return left_ms
        if self._span_ms == 0:
            return left_ms if left_ms <= _SHORT_QUERY_MS else _PROBE_MS
        # The fewer were seen, the more there may be: two standard deviations above, for counts as in a Poisson process.
        likely = self._sessions if self.is_known else self._sessions + 2 * math.sqrt(self._sessions) + 3
        if self._looked_at_ms < _DAY_MS:
            likely *= defaults.NIGHT_SHARE  # a part of a day may have been the quiet part
        guess_ms = self.target_sessions * self._span_ms / likely
        if self._densest:
            # After a quiet night or weekend, a busy day may come as it came before.
            guess_ms = min(guess_ms, defaults.BUSY_SHARE * self.target_sessions / self._densest)
        return guess_ms

    def learn(self, sessions: int, span_ms: int, elapsed_s: float) -> None:
        """A each was read.

        :param elapsed_s: how long the response took, without the waits for a place and between attempts.
        """
        # A small response that is slow is not slow for its length.
        slow = elapsed_s > defaults.SLOW_RESPONSE_S and self._is_much(sessions)
        fade = defaults.FADE if self.is_known else 1.0
        self._sessions = self._sessions * fade + sessions
        self._span_ms = self._span_ms * fade + span_ms
        self._looked_at_ms += span_ms
        if span_ms and self._is_much(sessions):  # an open end may begin later than what is thought to be now
            self._densest = max(self._densest * defaults.BUSY_FADE, sessions / span_ms)
        if slow:
            self._at_most_ms = max(span_ms / 2, _SHORTEST_MS)
        elif span_ms > self._at_most_ms / 2:  # chunks are a little shorter than they may be, so that all are alike
            self._at_most_ms *= 2

    def too_much(self, span_ms: int) -> None:
        """A each was too much at once."""
        self._at_most_ms = max(span_ms / 2, _SHORTEST_MS)
