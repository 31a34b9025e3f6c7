"""A summary as one JSON object for programs. The keys are a promise; new ones come at the end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from smappee_async.cli.summed import SummedUp
from smappee_async.report import Total, by_energy
from smappee_async.rfid import ShownRfid, rfid_as


def summary_json(summed: SummedUp, rfid: ShownRfid) -> str:
    """The object, on one line."""
    summary = summed.summary
    found = {
        "is_complete": not summed.missing,
        "missing": list(summed.missing),
        "parks": [
            {
                "service_location_id": park.service_location_id,
                "time_zone": park.zone,
                "from": _instant(park.time_range.start),
                "to": _instant(park.time_range.end),
                "synced_until": _instant(park.synced_until),
                **_total(summary.parks.get(park.service_location_id, Total())),
            }
            for park in summed.parks
        ],
        "total": _total(summary.total),
        "open": _total(summary.open),
        "days": _days(summed),
        "cards": None
        if rfid == "none"
        else [{"rfid": rfid_as(card, rfid), **_total(total)} for card, total in by_energy(summary.cards)],
        "connectors": [{**connector._asdict(), **_total(total)} for connector, total in by_energy(summary.connectors)],
        "hours": summary.hours,
    }
    return f"{msgspec.json.encode(found).decode()}\n"


def _days(summed: SummedUp) -> list[Mapping[str, object]]:
    """Each day of the range, also those without sessions."""
    days = summed.days()
    if days is None:
        return []
    first, last = days
    every = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [{"date": day.isoformat(), **_total(summed.summary.days.get(day, Total()))} for day in every]


def _total(total: Total) -> Mapping[str, object]:
    # Never with an exponent, because parsers differ in how they read it.
    return {
        "sessions": total.sessions,
        "energy_kwh": f"{total.energy_kwh:f}",
        "without_energy": total.without_energy,
    }


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else instant.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
