"""A charging session as it happened, and what is known about it at a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from .changes import Edit
from .clock import epoch_ms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

State = Literal["completed", "active", "all"]

# Durations of the phases at both ends of a session. The documentation only says of INITIAL that it "moves almost
# immediately to STARTED or CHARGING"; the durations are invented.
_INITIAL_MS: Final = 3_000
_STARTED_MS: Final = 45_000
_STOPPING_MS: Final = 5_000
# A session without an end charges for this long, and then only occupies its connector.
_UNENDED_CHARGING_MS: Final = 8 * 3_600_000


@attrs.frozen
class SimulatedSession:
    """One charging session from plugging in to unplugging; times in epoch milliseconds, energy in 0.01 kWh.

    Meter readings are whole hundredths of a kilowatt-hour, because the service shows two decimals: so sums and
    differences are exact. A session whose ``end_ms`` is ``None`` never ends.
    """

    id: int
    start_ms: int
    end_ms: int | None = None
    serial_number: int = 6_100_000_001
    connector: int = 1
    start_reading_ckwh: int = 10_000
    energy_ckwh: int = 1_425
    authentication_type: str | None = "RFID"
    rfid: str | None = "TESTCARD01"
    user_id: int | None = 4242
    csms_transaction_id: str | None = ""
    target_range: int = 100
    target_duration: int = 2
    priority: int = 100
    suspended_by_user: bool = False
    external_control: bool = False
    smart_mode: str | None = "SMART"
    minimum_excess_percentage: int = 0
    max_amperes: tuple[int, ...] = (16, 16, 16)
    pauses: bool = False
    extra: Mapping[str, object] | None = None
    """Keys and values that are added to the wire record as they are, also in place of known keys; for tests."""
    later: tuple[Edit, ...] = attrs.field(default=(), eq=False, repr=False)
    """How a session of a fixed park changes; see :meth:`changed`."""

    @classmethod
    def between(
        cls,
        session_id: int,
        start: str,
        end: str | None = None,
        *,
        energy_kwh: float = 14.25,
        start_reading_kwh: float = 100.0,
        serial_number: int = 6_100_000_001,
        connector: int = 1,
    ) -> SimulatedSession:
        """A session from ISO 8601 instants with an offset, and energy in kWh."""
        return cls(
            id=session_id,
            start_ms=epoch_ms(start),
            end_ms=None if end is None else epoch_ms(end),
            serial_number=serial_number,
            connector=connector,
            start_reading_ckwh=round(start_reading_kwh * 100),
            energy_ckwh=round(energy_kwh * 100),
        )

    def changed(self, at: str | datetime | int, **fields: Any) -> SimulatedSession:
        """The same session, of which the service lists other values from an instant on.

        An ``end_ms`` of ``None`` opens it again. ``listed=False`` takes it out of both lists, ``listed=True`` puts it
        back. Only sessions of :meth:`Park.fixed` change so; ``at`` is an instant or epoch milliseconds.
        """
        unknown = fields.keys() - {field.name for field in attrs.fields(SimulatedSession)} - {"listed"} | (
            fields.keys() & {"id", "later"}
        )
        if unknown:
            raise ValueError(f"a session cannot change its {', '.join(sorted(unknown))}")
        at_ms = at if isinstance(at, int) else epoch_ms(at)
        return attrs.evolve(self, later=(*self.later, Edit(at_ms, fields)))

    @property
    def energy_kwh(self) -> float:
        """Energy of the whole session, in kWh."""
        return self.energy_ckwh / 100

    @property
    def start_reading_kwh(self) -> float:
        """Meter reading of the connector at the start, in kWh."""
        return self.start_reading_ckwh / 100

    @property
    def stop_reading_ckwh(self) -> int:
        """Meter reading of the connector at the end, in 0.01 kWh."""
        return self.start_reading_ckwh + self.energy_ckwh

    def visible_at(self, at_ms: int) -> bool:
        """Whether it has begun."""
        return self.start_ms <= at_ms

    def open_at(self, at_ms: int) -> bool:
        """Whether it has begun and not ended."""
        return self.start_ms <= at_ms and (self.end_ms is None or at_ms < self.end_ms)

    def in_state(self, state: State, at_ms: int) -> bool:
        """Whether it counts as ``state`` at a moment; before its start it counts as nothing."""
        if self.start_ms > at_ms:
            return False
        return state == "all" or self.open_at(at_ms) == (state == "active")

    def status_at(self, at_ms: int) -> str:
        """The status that the service gives a session at a moment [D: service.md#park-sessions]."""
        if not self.open_at(at_ms):
            return "STOPPED"
        age_ms = at_ms - self.start_ms
        if age_ms < _INITIAL_MS:
            return "INITIAL"
        if age_ms < _STARTED_MS:
            return "STARTED"
        if self.end_ms is not None and self.end_ms - at_ms <= _STOPPING_MS:
            return "STOPPING"
        charging_ms = self._charging_ms
        if self.suspended_by_user and age_ms > charging_ms // 4:
            return "SUSPENDED"
        if self.pauses and charging_ms // 3 < age_ms < charging_ms // 2:
            return "SUSPENDED"
        # A full car takes no more energy; for Smappee the session is then STARTED.
        return "CHARGING" if age_ms < charging_ms else "STARTED"

    def energy_ckwh_at(self, at_ms: int) -> int:
        """Energy so far, in 0.01 kWh; it never falls as time goes on."""
        if not self.open_at(at_ms):
            return self.energy_ckwh
        return self.energy_ckwh * min(at_ms - self.start_ms, self._charging_ms) // self._charging_ms

    @property
    def _charging_ms(self) -> int:
        """For how long the car takes energy: four fifths of the time for which it is connected."""
        if self.end_ms is None:
            return _UNENDED_CHARGING_MS
        return max(1, (self.end_ms - self.start_ms) * 4 // 5)
