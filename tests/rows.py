"""What a row of a table must say of a session, worked out from the record alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal

from smappee_async.models import ChargingSession

WIDE = Context(prec=1200)


def instant(ms: int | None) -> datetime | None:
    return None if ms is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def number(value: float | None) -> float | None:
    return None if value is None else float(value)


def six_places(value: Decimal | None) -> Decimal | None:
    if value is None:
        return None
    rounded = value.quantize(Decimal("0.000001"), context=WIDE)
    return rounded if abs(rounded) < 10**12 else None


def row(session: ChargingSession) -> dict[str, object]:
    return {
        "service_location_id": session.service_location_id,
        "id": session.id,
        "serial_number": session.serial_number,
        "status": session.status.value,
        "connector": session.connector,
        "user_id": session.user_id,
        "priority": session.priority,
        "minimum_excess_percentage": session.minimum_excess_percentage,
        "started_at": instant(session.from_ms),
        "ended_at": instant(session.to_ms),
        "energy_kwh": six_places(session.energy_kwh),
        "start_reading": session.start_reading,
        "stop_reading": session.stop_reading,
        "energy": session.energy,
        "range": number(session.range),
        "duration": number(session.duration),
        "authentication_type": session.authentication_type,
        "csms_transaction_id": session.csms_transaction_id,
        "smart_mode": session.smart_mode,
        "rfid": session.rfid,
        "suspended_by_user": session.suspended_by_user,
        "external_control": session.external_control,
        "max_amperes": None if session.max_amperes is None else [float(each) for each in session.max_amperes],
        "extra": json.dumps(dict(session.extra), sort_keys=True) if session.extra else None,
    }
