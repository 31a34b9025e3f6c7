"""Sessions as JSON for PostgreSQL, and back.

PostgreSQL has no NUL character, neither in texts nor in ``jsonb``. It is stored as ``␚0000``, and the sign ``␚``
(U+241A) itself as ``␚241a``; every other text is stored as it is. So nothing is lost, and events have the original.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final, cast

import msgspec

from smappee_async.models import ChargingSession
from smappee_async.sync.fingerprint import fingerprint
from smappee_async.sync.report import SessionChange
from smappee_async.sync.stores.rows import session_of
from smappee_async.tables.columns import COLUMNS
from smappee_async.tables.text import instant_text

_MARK: Final = "\u241a"
_STORED: Final = {"\0": f"{_MARK}0000", _MARK: f"{_MARK}241a"}
_MARKED: Final = re.compile(f"{_MARK}(0000|241a)")
#: How JSON may say that there is one of them.
_SIGNS: Final = ("\\u0000", "\\u241a", _MARK)

_ENCODE: Final = msgspec.json.Encoder(decimal_format="number").encode


def storable(value: Any) -> Any:
    """A JSON value without NUL characters; see the module."""
    return _each_text(value, lambda text: re.sub("[\0\u241a]", lambda found: _STORED[found[0]], text))


def original(value: Any) -> Any:
    """What :func:`storable` was given."""
    return _each_text(value, lambda text: _MARKED.sub(lambda found: chr(int(found[1], 16)), text))


def _each_text(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _each_text(each, change) for key, each in value.items()}
    if isinstance(value, list):
        return [_each_text(each, change) for each in value]
    return value


def changes_json(changes: Iterable[SessionChange]) -> str:
    """Changes as one JSON array, for ``json_to_recordset``."""
    found = [
        {
            "position": position,
            "service_location_id": change.service_location_id,
            "id": change.id,
            "kind": change.kind,
            "at": instant_text(change.at_ms),
            "fingerprint": None if change.after is None else fingerprint(change.after).hex(),
            "after": None if change.after is None else _row(change.after),
        }
        for position, change in enumerate(changes)
    ]
    return _without_nul(_ENCODE(found).decode())


def state_json(state: Any) -> str:
    """A state as JSON."""
    return _without_nul(json.dumps(state))


def session_from(text: str | None) -> ChargingSession | None:
    """The session of a row of the log; ``None`` if there is no row."""
    return None if text is None else session_of(loaded(text))


def loaded(text: str) -> Any:
    """What a JSON text of the database says."""
    value = json.loads(text)
    return original(value) if any(sign in text for sign in _SIGNS) else value


def _row(session: ChargingSession) -> dict[str, object]:
    row: dict[str, object] = {}
    for column in COLUMNS:
        value: object = column.of(session)
        if value is not None and column.kind == "instant":
            value = instant_text(cast(int, value))
        elif value is not None and column.kind in ("numbers", "json"):
            value = msgspec.Raw(str(value).encode())
        row[column.name] = value
    return row


def _without_nul(text: str) -> str:
    if not any(sign in text for sign in _SIGNS):
        return text
    return _ENCODE(storable(json.loads(text, parse_float=Decimal))).decode()
