"""What was handed over so far, as plain JSON: a query goes on from there after a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from smappee_async.errors import ConfigurationError
from smappee_async.models import JsonValue, SessionState
from smappee_async.query.target import Target
from smappee_async.timerange import TimeRange, merge, remaining

Checkpoint = dict[str, JsonValue]
_VERSION: Final = 2
_ADVICE: Final = "Pass what stream.checkpoint() gave, or leave resume out to read everything"


class Progress:
    """The time ranges of each target that were handed over.

    :raises ConfigurationError: ``resume`` is no checkpoint, or one of another query.
    """

    def __init__(self, state: SessionState, resume: Mapping[str, JsonValue] | None) -> None:
        self._state = state
        self._read: dict[Target, list[TimeRange]] = {} if resume is None else _restore(resume, state)
        # Kept beside it, so that a checkpoint is a copy of one dictionary, however many targets there are.
        self._json: dict[str, JsonValue] = {target.key: _to_json(ranges) for target, ranges in self._read.items()}

    def add(self, target: Target, time_range: TimeRange, asked_at_ms: int | None = None) -> None:
        """A chunk was handed over.

        :param asked_at_ms: when it was asked for, milliseconds since 1970; what begins later was not read. ``None`` for
            a time range of which everything was read.
        """
        known = time_range if asked_at_ms is None else _until(time_range, asked_at_ms)
        if known is None:
            return
        before = self._read.get(target)
        self._read[target] = ranges = [known] if before is None else merge([*before, known])
        self._json[target.key] = _to_json(ranges)

    def remaining(self, ranges: Mapping[Target, TimeRange]) -> Mapping[Target, list[TimeRange]]:
        """What is still to be read of each target, computed when it is looked up."""
        return _Remaining(ranges, self._read)

    def to_json(self) -> Checkpoint:
        """As plain JSON."""
        return {
            "version": _VERSION,
            "state": self._state,
            "read": dict(self._json),
        }


@attrs.frozen(eq=False)
class _Remaining(Mapping[Target, list[TimeRange]]):
    """What is left of each target's time range. Nothing is made in advance, because there may be very many targets."""

    _ranges: Mapping[Target, TimeRange]
    _read: Mapping[Target, Sequence[TimeRange]]

    def __getitem__(self, target: Target) -> list[TimeRange]:
        read, whole = self._read.get(target), self._ranges[target]
        return [whole] if read is None else remaining(whole, read)

    def __iter__(self) -> Iterator[Target]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)


def read_ranges(checkpoint: Checkpoint, target: Target) -> list[TimeRange]:
    """The time ranges of a target that a checkpoint covers, earliest first."""
    read = checkpoint["read"]
    assert isinstance(read, dict)
    return [_range(pair) for pair in _list(read.get(target.key, []))]


def all_read_ranges(checkpoint: Checkpoint) -> Iterator[TimeRange]:
    """The time ranges of all targets that a checkpoint covers."""
    read = checkpoint["read"]
    assert isinstance(read, dict)
    return (_range(pair) for pairs in read.values() for pair in _list(pairs))


def resume_from(state: SessionState, read: Mapping[Target, Sequence[TimeRange]]) -> Checkpoint:
    """A checkpoint that covers these time ranges."""
    progress = Progress(state, None)
    for target, ranges in read.items():
        for each in ranges:
            progress.add(target, each)
    return progress.to_json()


def _to_json(ranges: list[TimeRange]) -> list[JsonValue]:
    return [[each.start_ms, each.end_ms] for each in ranges]


def _until(time_range: TimeRange, instant_ms: int) -> TimeRange | None:
    """A time range up to an instant; ``None`` if it begins later."""
    if time_range.end_ms is not None and time_range.end_ms <= instant_ms:
        return time_range
    return TimeRange.from_ms(time_range.start_ms, instant_ms) if time_range.start_ms < instant_ms else None


def _restore(resume: object, state: SessionState) -> dict[Target, list[TimeRange]]:
    if not isinstance(resume, Mapping) or resume.get("version") != _VERSION:
        raise ConfigurationError("resume is not a checkpoint of this version", advice=_ADVICE)
    if resume.get("state") != state:
        raise ConfigurationError(
            f"the checkpoint is of a query for {resume.get('state')!r} sessions, and this one is for {state!r}",
            advice=_ADVICE,
        )
    read = resume.get("read")
    if not isinstance(read, Mapping):
        raise ConfigurationError("resume is not a checkpoint: it does not say what was read", advice=_ADVICE)
    return {_target(key): merge(_range(pair) for pair in _list(pairs)) for key, pairs in read.items()}


def _target(key: object) -> Target:
    try:
        return Target.from_key(str(key))
    except ValueError as error:
        raise ConfigurationError(f"resume is not a checkpoint: {error}", advice=_ADVICE) from None


def _list(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list):
        raise ConfigurationError("resume is not a checkpoint: it holds no list of ranges", advice=_ADVICE)
    return value


def _range(pair: JsonValue) -> TimeRange:
    match pair:
        case [int(start_ms), int() | None as end_ms]:
            return TimeRange.from_ms(start_ms, end_ms)  # refuses true and false, which Python takes for numbers
    raise ConfigurationError("resume is not a checkpoint: it holds something that is no range", advice=_ADVICE)
