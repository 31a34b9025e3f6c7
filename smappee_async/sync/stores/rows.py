"""A session as a row of texts and numbers, and back: for SQLite, and for the log of changes in every database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from smappee_async.models import NOTHING_EXTRA, ChargingSession, FrozenDict, SessionStatus
from smappee_async.tables.columns import COLUMNS, Column
from smappee_async.tables.text import instant_text

NAMES: Final = tuple(column.name for column in COLUMNS)

#: The fields of a record that have another name, or another form, as a column.
_READ_BY_HAND: Final = frozenset({"status", "started_at", "ended_at", "energy_kwh", "max_amperes", "extra"})
_PLAIN: Final = tuple(column.name for column in COLUMNS if column.name not in _READ_BY_HAND)
_BOOLEANS: Final = tuple(column.name for column in COLUMNS if column.kind == "boolean")


def to_ms(text: str) -> int:
    """What :func:`~smappee_async.tables.text.instant_text` was given."""
    # A float of seconds holds every millisecond until far beyond the year 9999.
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def to_row(session: ChargingSession) -> tuple[object, ...]:
    """The columns of a session: instants as texts, energy as a float."""
    return tuple(_value(column, session) for column in COLUMNS)


def row_json(row: tuple[object, ...] | None) -> str | None:
    """A row as a JSON object; ``None`` if there is no row."""
    return None if row is None else json.dumps(dict(zip(NAMES, row, strict=True)))


def session_of(row: Mapping[str, Any]) -> ChargingSession:
    """The session of a row by column name. Columns that this version does not know are left out."""
    ended_at, max_amperes, extra = row["ended_at"], row["max_amperes"], row["extra"]
    plain = {name: row[name] for name in _PLAIN}
    for name in _BOOLEANS:  # SQLite has none
        if plain[name] is not None:
            plain[name] = bool(plain[name])
    return ChargingSession(
        **plain,
        status=SessionStatus(row["status"]),
        from_ms=to_ms(row["started_at"]),
        to_ms=None if ended_at is None else to_ms(ended_at),
        max_amperes=None if max_amperes is None else tuple(_json(max_amperes)),
        extra=NOTHING_EXTRA if extra is None else FrozenDict(_json(extra)),
    )


def _value(column: Column, session: ChargingSession) -> object:
    value = column.of(session)
    if column.kind == "instant":
        return None if value is None else instant_text(int(value))
    return float(value) if isinstance(value, Decimal) else value


def _json(value: Any) -> Any:
    # PostgreSQL has JSON in JSON; SQLite has a text in it.
    return json.loads(value) if isinstance(value, str) else value
