"""How long the next chunk of one target should be, from what came back so far. Pure."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

import msgspec

from smappee_async import defaults
from smappee_async.query.seen import Seen
from smappee_async.secret import Opaque

_MS: Final = timedelta(milliseconds=1)
_DAY_MS: Final = timedelta(days=1) // _MS
_WEEK_MS: Final = 7 * _DAY_MS
_PROBE_MS: Final = defaults.PROBE // _MS
_SHORT_QUERY_MS: Final = defaults.SHORT_QUERY // _MS
_SHORTEST_MS: Final = defaults.SHORTEST_CHUNK // _MS

#: So many sessions tell something of a density.
_TELLING: Final = 3
#: A density that is so many times as high is clearly higher.
_CLEARLY: Final = 4.0
#: Fewer sessions than this share of what the busiest time would have are next to nothing.
_NEXT_TO_NOTHING: Final = 0.05
#: After so long a time without one, longer than most holidays, no time as busy as the busiest is expected.
_FORGET_MS: Final = 28 * _DAY_MS
#: Fewer sessions than this share of what was seen before are few: the edge of the quiet time may be in that chunk.
_FEW: Final = 0.25
#: A response without any session tells more than chance where so many were likely.
_LIKELY: Final = 20
#: If the far end of what is left is quiet, chunks grow after so long a time that was next to empty, longer than a
#: weekend, ...
_QUIET_AFTER_MS: Final = 3 * _DAY_MS
#: ... by this factor each time, ...
_QUIET_GROWTH: Final = 32
#: ... and before that by this one after each chunk that was quite empty.
_EMPTY_GROWTH: Final = 4
#: Less than this share of the density that was seen before shows that it is wrong. A Sunday has a quarter of it.
_FAR_BELOW: Final = 0.15
#: Until that is certain, chunks grow to this share of the time that was read: of a hub's weekend hardly.
_SLOWLY: Final = 0.125


class ChunkSizer(Opaque, msgspec.Struct, eq=False):
    """The density of one target's sessions, as far as it is known, and from it the length of the next chunk.

    :param target_sessions: the number of sessions that a response should have; ``None`` for any number.
    :param seen_before: what was seen of the target before this query. It takes the place of a first look, and bounds
        the length of chunks until a week was read. It may be wrong, so the density is not known by it.
    """

    target_sessions: int | None
    seen_before: Seen | None = None
    _sessions: float = 0.0
    _span_ms: float = 0.0
    """Sessions seen, and the time that they were seen in; older responses count less."""
    _seen_ms: int = 0
    """The time that was seen, without fading."""
    _densest: float = 0.0
    """The highest density, in sessions per millisecond, of the larger responses; older ones count less."""
    _at_most_ms: float = math.inf
    """No chunk is longer: a response of more than this was too large or too slow."""
    rest_is_quiet: bool = False
    """Whether a look at the far end of what is left found next to nothing: the park may be closed, or not open yet."""
    _quiet_ms: int = 0
    """The time that the latest responses cover that were next to empty."""
    _sparse_ms: int = 0
    """The time that the latest responses cover that were less than half as dense as the densest."""
    _last_ms: int = 0
    """The length of the last chunk that was read."""
    _is_few: bool = False
    """Whether the last chunk that was read had far fewer sessions than those before it."""
    _is_empty: bool = False
    """Whether it had none, although many were likely."""

    @property
    def is_known(self) -> bool:
        """Whether the density is known well enough to ask for several chunks at once."""
        if self.target_sessions is None:
            return not math.isinf(self._at_most_ms)
        is_at_an_edge = self._is_empty or (self.rest_is_quiet and self._is_few)
        return self._is_enough(self._sessions) and not is_at_an_edge

    @property
    def has_found_any(self) -> bool:
        """Whether there were sessions in what was seen."""
        return self._sessions > 0

    @property
    def is_far_look_useful(self) -> bool:
        """Whether what was seen is next to nothing, so that the target may be busy at another time only."""
        if self._seen_ms == 0:
            return self.seen_before is not None and self.seen_before.sessions < _TELLING
        return self._sessions < _TELLING or self._is_empty or self._quiet_ms >= _QUIET_AFTER_MS

    def is_denser_than(self, other: ChunkSizer) -> bool:
        """Whether what was seen is clearly denser than what another one saw."""
        if self._sessions < _TELLING:
            return False
        sessions, span_ms = other._sessions, other._span_ms
        if span_ms == 0 and other.seen_before is not None:
            sessions, span_ms = other.seen_before.sessions, other.seen_before.during_ms
        return self._sessions * span_ms > _CLEARLY * sessions * self._span_ms

    def _is_enough(self, sessions: float) -> bool:
        return self.target_sessions is not None and sessions >= self.target_sessions * defaults.KNOWN_SHARE

    def span_ms(self, left_ms: int) -> int:
        """How many of the ``left_ms`` milliseconds to ask for next; at least one, at most all."""
        guess_ms = self._guess_ms(left_ms)
        if self.seen_before is not None and self.target_sessions is not None:
            guess_ms = self._with_seen_before_ms(self.seen_before, guess_ms, self.target_sessions)
        span_ms = min(guess_ms, self._at_most_ms)
        if span_ms * defaults.REST_SHARE >= left_ms:
            return left_ms  # a slightly larger response costs less than one more request for the rest
        if self.is_known or self.seen_before is not None:
            # Chunks of equal length, because a short last one would be a request for few sessions.
            span_ms = left_ms / math.ceil(left_ms / span_ms)
        return max(1, int(span_ms))

    def _guess_ms(self, left_ms: int) -> float:
        if self.target_sessions is None:
            return left_ms
        if self._span_ms == 0:
            return left_ms if left_ms <= _SHORT_QUERY_MS else _PROBE_MS
        if self.rest_is_quiet and self._quiet_ms >= _QUIET_AFTER_MS:
            return self._last_ms * _QUIET_GROWTH
        if self.rest_is_quiet and self._is_empty:
            return self._last_ms * _EMPTY_GROWTH
        likely = self._sessions if self.is_known else _likely(self._sessions)
        if self._seen_ms < _DAY_MS:
            # What was seen may have been the quiet part of a day; but few sessions make no large response.
            share = defaults.NIGHT_SHARE
            is_sparse = self._sessions > 0 and not self.is_known
            likely *= min(share, _DAY_MS / self._seen_ms) if is_sparse else share
        elif self.is_known and self._seen_ms < _WEEK_MS:
            likely *= defaults.WEEKEND_SHARE  # or of a week
        guess_ms = self.target_sessions * self._span_ms / likely
        if self._densest:
            # After a quiet night or weekend, a day may follow that is as busy as before.
            guess_ms = min(guess_ms, defaults.BUSY_SHARE * self.target_sessions / self._densest)
        return guess_ms

    def _with_seen_before_ms(self, before: Seen, guess_ms: float, target_sessions: int) -> float:
        """The guess, with what was seen before the query: that alone, until the density is known from responses."""
        if self.rest_is_quiet and self._is_far_below(before):
            return guess_ms  # the park has closed: the far end says so too
        before_ms = target_sessions * before.during_ms / _likely(before.sessions)
        if before_ms < _WEEK_MS:
            before_ms /= defaults.WEEKEND_SHARE  # it is the average of nights and weekends too
        if self._seen_ms == 0 and before.sessions < _TELLING:
            before_ms = min(before_ms, _SHORT_QUERY_MS)  # it may have become busy
        if self._seen_ms and self._is_far_below(before):
            # Few sessions may be a density. Hardly any may be a weekend, so chunks grow slowly: they only have to end.
            more_ms = min(self._seen_ms, _DAY_MS) if self.is_known else self._seen_ms * _SLOWLY
            before_ms = max(before_ms, more_ms)
        # After quiet hours, or a quiet weekend, chunks are not longer than the average says.
        return min(guess_ms, before_ms) if self.is_known else before_ms

    def _is_far_below(self, before: Seen) -> bool:
        """Whether the density that was found is so much below that which was seen before that it is no weekend."""
        return self._sessions * before.during_ms < _FAR_BELOW * before.sessions * self._span_ms

    def learn(self, sessions: int, span_ms: int, elapsed_s: float) -> None:
        """A chunk was read.

        :param span_ms: its length.
        :param elapsed_s: how many seconds the response took, without the waits before it.
        """
        # A small response that is slow is slow for another reason than its size.
        slow = elapsed_s > defaults.SLOW_RESPONSE_S and self._is_enough(sessions)
        self._quiet_ms = self._quiet_ms + span_ms if sessions <= _NEXT_TO_NOTHING * self._densest * span_ms else 0
        self._last_ms = span_ms
        likely = span_ms * self._sessions / self._span_ms if self._span_ms else 0.0
        self._is_few = sessions < _FEW * likely
        self._is_empty = sessions == 0 and likely >= _LIKELY
        self._sparse_ms = self._sparse_ms + span_ms if 2 * sessions < self._densest * span_ms else 0
        if self._sparse_ms >= _FORGET_MS:
            self._densest = 0.0
        fade = defaults.FADE if self.is_known else 1.0
        self._sessions = self._sessions * fade + sessions
        self._span_ms = self._span_ms * fade + span_ms
        self._seen_ms += span_ms
        before = self.seen_before
        if before is not None and self._seen_ms >= (_QUIET_AFTER_MS if self._is_far_below(before) else _WEEK_MS):
            self.seen_before = None
        if span_ms and self._is_enough(
            sessions
        ):  # an open range may begin later than the assumed now, then it has no length
            self._densest = max(self._densest * defaults.BUSY_FADE, sessions / span_ms)
        if slow:
            self._at_most_ms = max(span_ms / 2, _SHORTEST_MS)
        elif (
            span_ms > self._at_most_ms / 2
        ):  # more than half, because chunks of equal length are shorter than the bound
            self._at_most_ms *= 2

    def shorten(self, span_ms: int) -> None:
        """A chunk of this length was too large or too slow."""
        self._at_most_ms = max(span_ms / 2, _SHORTEST_MS)


def _likely(sessions: float) -> float:
    """A small count may be low by chance: two standard deviations of a Poisson process more."""
    return sessions + 2 * math.sqrt(sessions) + 3
