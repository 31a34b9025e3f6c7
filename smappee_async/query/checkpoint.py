"""What has been handed over so far, as plain JSON: to go on after a restart without asking again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from smappee_async.errors import ConfigurationError
from smappee_async.models import JsonValue, SessionState
from smappee_async.query.plan import Target, left_to_read, merge
from smappee_async.timerange import TimeRange

Checkpoint = dict[str, JsonValue]
_VERSION: Final = 1
_ADVICE: Final = "Pass what stream.checkpoint() gave, or leave resume out to begin anew"


class Progress:
    """The ranges of time that have been handed over, target by target.

    :raises ConfigurationError: ``resume`` is not a checkpoint, or one of another query.
    """

    def __init__(self, state: SessionState, resume: Mapping[str, JsonValue] | None) -> None:
        self._state = state
        self._read: dict[str, list[TimeRange]] = {} if resume is None else _restore(resume, state)

    def add(self, target: Target, time_range: TimeRange) -> None:
        """A each of a target has been handed over."""
        name = str(target)
        before = self._read.get(name)
        self._read[name] = [time_range] if before is None else merge([*before, time_range])

    def left(self, targets: Iterable[Target], asked: TimeRange) -> dict[Target, list[TimeRange]]:
        """What is still to be read of each target."""
        return {target: left_to_read(asked, self._read.get(str(target), ())) for target in targets}

    def to_json(self) -> Checkpoint:
        """As plain JSON."""
        return {
            "version": _VERSION,
            "state": self._state,
            "read": {name: [[chunk.start_ms, chunk.end_ms] for chunk in ranges] for name, ranges in self._read.items()},
        }


def _restore(resume: object, state: SessionState) -> dict[str, list[TimeRange]]:
    if not isinstance(resume, Mapping) or resume.get("version") != _VERSION:
        raise ConfigurationError("resume is not a checkpoint of this version", advice=_ADVICE)
    if resume.get("state") != state:
        raise ConfigurationError(
            f"the checkpoint is of the {resume.get('state')!r} sessions, and {state!r} ones are asked for",
            advice=_ADVICE,
        )
    read = resume.get("read")
    if not isinstance(read, Mapping):
        raise ConfigurationError("resume is not a checkpoint: it does not say what was read", advice=_ADVICE)
    return {name: merge(_range(pair) for pair in _list(pairs)) for name, pairs in read.items()}


def _list(value: JsonValue) -> list[JsonValue]:
    if not isinstance(value, list):
        raise ConfigurationError("resume is not a checkpoint: it holds no list of ranges", advice=_ADVICE)
    return value


def _range(pair: JsonValue) -> TimeRange:
    match pair:
        case [int(start_ms), int() | None as end_ms]:
            return TimeRange.from_ms(start_ms, end_ms)  # refuses true and false, which are numbers here
    raise ConfigurationError("resume is not a checkpoint: it holds something that is no range", advice=_ADVICE)
