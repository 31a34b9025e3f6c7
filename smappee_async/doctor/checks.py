"""What the observations say about each assumption. Pure."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from http import HTTPStatus
from itertools import pairwise
from typing import Final

from smappee_async.doctor.findings import Finding, Verdict
from smappee_async.doctor.observe import Observations, Record, Reply
from smappee_async.errors import ResponseDecodeError
from smappee_async.models import ChargingSession, SessionStatus, is_certainly_active, is_certainly_completed
from smappee_async.protocol.converter import converter

_Result = tuple[Verdict, str]
_REQUIRED: Final = ("id", "serialNumber", "from", "status")
_NOT_SEEN: Final[_Result] = ("could not be seen", "no session that shows it")
#: Meter readings have two decimals.
_KWH_TOLERANCE: Final = 0.02
_MOST_SKEW_S: Final = 60


def examine_observations(seen: Observations) -> tuple[Finding, ...]:
    """One finding for each check."""
    findings = []
    for name, assumption, consequence, check in _CHECKS:
        verdict, text = check(seen)
        findings.append(
            Finding(
                name=name,
                assumption=assumption,
                verdict=verdict,
                seen=text,
                consequence=consequence if verdict == "otherwise" else "",
            )
        )
    return tuple(findings)


def _verdict(*, holds: bool, seen: str) -> _Result:
    return ("as assumed" if holds else "otherwise"), seen


def _records(seen: Observations) -> list[Record]:
    return [record for park in seen.parks for reply in (park.completed, park.active) for record in reply.records or ()]


def _ids(reply: Reply | None) -> set[object]:
    return set() if reply is None else {record.get("id") for record in reply.records or ()}


def _is(rule: Callable[[int | None, SessionStatus], bool], record: Record) -> bool:
    status, to = record.get("status"), record.get("to")
    return isinstance(status, str) and rule(to if isinstance(to, int) else None, SessionStatus(status))


# --- the parameter active ---------------------------------------------------------------------------------------------


def _active_filter(seen: Observations) -> _Result:
    running = sum(_is(is_certainly_active, record) for park in seen.parks for record in park.completed.records or ())
    ended = sum(_is(is_certainly_completed, record) for park in seen.parks for record in park.active.records or ())
    if running or ended:
        return "otherwise", f"active=false gave {running} that run, active=true gave {ended} that have ended"
    if not any(park.active.records for park in seen.parks):
        return _NOT_SEEN
    return "as assumed", "active=false gave none that run, active=true none that have ended"


def _active_default(seen: Observations) -> _Result:
    for park in seen.parks:
        unspecified, completed, active = _ids(park.unspecified), _ids(park.completed), _ids(park.active)
        if park.unspecified.records is None:
            return "otherwise", f"a request without active failed: {park.unspecified.problem}"
        if unspecified != completed:
            what = (
                "both"
                if unspecified >= completed | active
                else "only active ones"
                if unspecified == active
                else "others"
            )
            return "otherwise", f"a request without active gave {what}"
        if active - completed:
            return "as assumed", "a request without active gave the completed ones"
    return _NOT_SEEN


# --- responses --------------------------------------------------------------------------------------------------------


def _shape(seen: Observations) -> _Result:
    problems = {
        reply.problem for park in seen.parks for reply in (park.completed, park.active) if reply.records is None
    }
    if problems:
        return "otherwise", "; ".join(sorted(problems))
    return ("as assumed", "an array each time") if seen.parks else _NOT_SEEN


def _order(seen: Observations) -> _Result:
    steps: Counter[bool] = Counter()
    for park in seen.parks:
        starts = [start for record in park.completed.records or () if isinstance(start := record.get("from"), int)]
        steps.update(before > after for before, after in pairwise(starts) if before != after)
    if not steps:
        return _NOT_SEEN
    order = "newest first" if not steps[False] else "oldest first" if not steps[True] else "mixed"
    return _verdict(holds=order == "newest first", seen=order)


def _empty(seen: Observations) -> _Result:
    reply = seen.empty
    if reply is None:
        return _NOT_SEEN
    if reply.status == HTTPStatus.NO_CONTENT:
        return "otherwise", "204"
    if reply.records is None:
        return "otherwise", reply.problem
    if reply.records:
        return "otherwise", "sessions outside the time range"
    return "as assumed", "an empty array"


def _foreign(seen: Observations) -> _Result:
    reply = seen.foreign
    if reply is None or reply.status is None:
        return _NOT_SEEN
    return _verdict(holds=reply.status in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN), seen=f"status {reply.status}")


def _without_range(seen: Observations) -> _Result:
    reply = seen.without_range
    if reply is None or reply.status is None:
        return _NOT_SEEN
    return _verdict(holds=reply.status == HTTPStatus.BAD_REQUEST, seen=f"status {reply.status}")


def _date(seen: Observations) -> _Result:
    if seen.date_ms is None:
        return "otherwise", "no usable Date"
    skew_s = round(time.time() - seen.date_ms / 1000)
    near = "within a minute of" if abs(skew_s) <= _MOST_SKEW_S else f"{abs(skew_s)} s away from"
    return "as assumed", f"a Date that is {near} the clock of this machine"


# --- time ranges ------------------------------------------------------------------------------------------------------


def _edges(seen: Observations) -> _Result:
    for park in seen.parks:
        if park.from_start is None or park.until_start is None:
            continue
        included = any(record.get("from") == park.start_ms for record in park.from_start.records or ())
        excluded = all(record.get("from") != park.start_ms for record in park.until_start.records or ())
        text = (
            f"a start is {'included' if included else 'not included'}, an end {'excluded' if excluded else 'included'}"
        )
        return _verdict(holds=included and excluded, seen=text)
    return _NOT_SEEN


def _comma(seen: Observations) -> _Result:
    for park in seen.parks:
        if park.encoded_comma is not None:
            same = _ids(park.encoded_comma) == _ids(park.from_start)
            return _verdict(holds=same, seen="the same sessions" if same else "others, or an error")
    return _NOT_SEEN


def _limit(seen: Observations) -> _Result:
    largest = 0
    for park in seen.parks:
        if park.halves is None:
            continue
        whole, halves = _ids(park.completed), _ids(park.halves[0]) | _ids(park.halves[1])
        if halves - whole:
            return "otherwise", f"a response of {len(whole)} sessions left out {len(halves - whole)}"
        largest = max(largest, len(whole))
    return ("as assumed", f"responses of up to {largest} sessions were whole") if largest else _NOT_SEEN


# --- records ----------------------------------------------------------------------------------------------------------


def _required(seen: Observations) -> _Result:
    records = _records(seen)
    missing = Counter(key for record in records for key in _REQUIRED if record.get(key) is None)
    if missing:
        return "otherwise", ", ".join(f"{key} missing in {count}" for key, count in sorted(missing.items()))
    return ("as assumed", f"in all of {len(records)} records") if records else _NOT_SEEN


def _types(seen: Observations) -> _Result:
    problems: Counter[str] = Counter()
    records = _records(seen)
    for record in records:
        try:
            converter.structure(record, ChargingSession)
        except ResponseDecodeError as error:
            problems[f"{error.json_path}: {error.reason}"] += 1
    if problems:
        return "otherwise", "; ".join(f"{text} ({count} times)" for text, count in sorted(problems.items()))
    return ("as assumed", f"in all of {len(records)} records") if records else _NOT_SEEN


def _serial_number(seen: Observations) -> _Result:
    kinds = {type(record.get("serialNumber")).__name__ for record in _records(seen) if "serialNumber" in record}
    names = {"int": "a number", "str": "a text"}
    if not kinds:
        return _NOT_SEEN
    return _verdict(holds=kinds == {"int"}, seen=" and ".join(sorted(names.get(kind, kind) for kind in kinds)))


def _keys(seen: Observations) -> _Result:
    records = _records(seen)
    if not records:
        return _NOT_SEEN
    known = set(converter.unstructure(_full()))
    unknown = sorted({key for record in records for key in record} - known - {"to", "serviceLocationId"})
    return _verdict(holds=not unknown, seen=f"unknown: {', '.join(unknown)}" if unknown else "no unknown key")


def _full() -> ChargingSession:
    """A session with every field, for the names of all keys."""
    return ChargingSession(
        1, "1", 1_700_000_000_000, SessionStatus.STOPPED, 1_700_000_000_001, 1, "", "", "", 1, 0.0, 0.0, 0.0,
        1, 1, 1, False, False, "", 1, (1,),
    )  # fmt: skip


def _statuses(seen: Observations) -> _Result:
    statuses = {status for record in _records(seen) if isinstance(status := record.get("status"), str)}
    unknown = sorted(status for status in statuses if not SessionStatus(status).is_known)
    if not statuses:
        return _NOT_SEEN
    return _verdict(holds=not unknown, seen=", ".join(unknown or sorted(statuses)))


def _units(seen: Observations) -> _Result:
    agree = other = 0
    for record in _records(seen):
        energy, start, stop = (record.get(key) for key in ("energy", "startReading", "stopReading"))
        if isinstance(energy, float | int) and isinstance(start, float | int) and isinstance(stop, float | int):
            if abs(energy - (stop - start)) <= _KWH_TOLERANCE:
                agree += 1
            else:
                other += 1
    if not agree + other:
        return _NOT_SEEN
    return _verdict(holds=not other, seen=f"energy is the difference of the readings in {agree} of {agree + other}")


def _unique(seen: Observations) -> _Result:
    stations: dict[tuple[int, object], set[str]] = defaultdict(set)
    for number, park in enumerate(seen.parks):
        for reply in (park.completed, park.active):
            for record in reply.records or ():
                stations[number, record.get("id")].add(str(record.get("serialNumber")))
    repeated = sum(len(each) > 1 for each in stations.values())
    if not stations:
        return _NOT_SEEN
    return _verdict(holds=not repeated, seen=f"{repeated} of {len(stations)} ids are at several stations of a park")


def _rotation(seen: Observations) -> _Result:
    if seen.is_rotated is None:
        return "could not be seen", "the token was not renewed"
    return _verdict(holds=seen.is_rotated, seen="a new refresh token" if seen.is_rotated else "the same refresh token")


_Check = tuple[str, str, str, Callable[[Observations], _Result]]
_NOTHING: Final = "nothing: the client does not rely on it"
_CHECKS: Final[Iterable[_Check]] = (
    ("active_filter", "active=false gives completed sessions, active=true running ones",
     "it decides by status and end which sessions count", _active_filter),
    ("active_default", "without active, completed sessions come", "it always sends active", _active_default),
    ("shape", "sessions come as a JSON array", "it raises ResponseDecodeError", _shape),
    ("order", "the newest session comes first", _NOTHING, _order),
    ("empty_response", "where nothing matches, an empty array comes",
     "204 is taken for none; a 200 without a body is tried again, then an error", _empty),
    ("unknown_park_status", "a park of another account is 403 or 404", "it raises the error of that status", _foreign),
    ("missing_range_status", "a request without range is 400", "it always sends range", _without_range),
    ("sends_date", "responses have a Date", "checkpoints keep a margin of two hours", _date),
    ("edges", "a range includes its start and excludes its end", "please report it: sessions may be lost", _edges),
    ("comma", "a comma may be percent-encoded in range", "it sends the comma itself", _comma),
    ("session_limit", "a response has all sessions of its range", "it asks for shorter ranges", _limit),
    ("required", "id, serialNumber, from and status are in every record", "such a record is invalid", _required),
    ("types", "values have the documented types", "such a record is invalid", _types),
    ("serial_number_type", "serialNumber is a number", "it reads texts as well", _serial_number),
    ("keys", "there are no other keys than the known ones", "they are kept in extra", _keys),
    ("statuses", "there are no other statuses than the documented ones", "they keep their text", _statuses),
    ("units", "readings and energy are in one unit", "please report it: energy_kwh may be wrong", _units),
    ("unique", "an id belongs to one station of a park", "both sessions are handed over, if they differ", _unique),
    ("refresh_returns_new_token", "a renewal brings a new refresh token", "it keeps the old one", _rotation),
)  # fmt: skip
