"""The records that the client hands over: sessions, service locations, batches, and the statistics of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Context, Decimal
from enum import StrEnum
from typing import Annotated, Final, Literal, NoReturn, Self

import attrs

from smappee_async.errors import SmappeeError
from smappee_async.rfid import masked
from smappee_async.timerange import TimeRange, from_ms

JsonValue = bool | int | float | str | None | list["JsonValue"] | dict[str, "JsonValue"]
SessionState = Literal["completed", "active", "all"]

EpochMs = Annotated[int, "milliseconds since 1970"]
SerialNumber = Annotated[str, "a number or a text on the wire"]
Number = int | float

# Wide enough that the difference of any two finite floats is exact, whatever the caller's own decimal context.
_EXACT: Final = Context(prec=1100)


class FrozenDict(dict[str, JsonValue]):
    """A dictionary that cannot be changed. It compares, copies and pickles as a ``dict`` does."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("records are immutable")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = _refuse
    setdefault = update = _refuse  # pyright: ignore[reportAssignmentType] - it accepts any arguments

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[str, JsonValue]]]:
        return FrozenDict, (dict(self),)


NOTHING_EXTRA: Final[Mapping[str, JsonValue]] = FrozenDict()


class SessionStatus(StrEnum):
    """The status of a charging session (service.md#park-sessions).

    A status that the documentation does not name keeps its text: ``SessionStatus("PARKED")`` is a value of its own that
    equals ``"PARKED"``, and its :attr:`is_known` is false. Statuses have no order: one may change back.
    """

    INITIAL = "INITIAL"
    """The session is being set up; it changes to STARTED or CHARGING within seconds."""
    STARTED = "STARTED"
    """Smappee has started the session, but the car takes no energy, perhaps because the driver paused it."""
    CHARGING = "CHARGING"
    """The car takes energy."""
    SUSPENDED = "SUSPENDED"
    """Smappee has paused the session, for example to protect the fuses."""
    STOPPING = "STOPPING"
    """Between CHARGING and STOPPED after a remote stop; legacy."""
    STOPPED = "STOPPED"
    """The session has ended."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        # Not added to the table of the enum, because a server that invents statuses must not make the process grow.
        unknown = str.__new__(cls, value)
        unknown._name_ = value
        unknown._value_ = value
        return unknown

    @property
    def is_known(self) -> bool:
        """Whether the documentation names this status."""
        return self._value_ in type(self)._value2member_map_

    @property
    def is_open(self) -> bool:
        """Whether the documentation says that a session with this status runs; false for an unknown status."""
        return self in OPEN_STATUSES


OPEN_STATUSES: Final = frozenset(
    {
        SessionStatus.INITIAL,
        SessionStatus.STARTED,
        SessionStatus.CHARGING,
        SessionStatus.SUSPENDED,
        SessionStatus.STOPPING,
    }
)


def is_certainly_active(to_ms: int | None, status: SessionStatus) -> bool:
    """Whether a session has an open status and no end, so that it runs beyond doubt.

    An unknown status is never certain.
    """
    return to_ms is None and status in OPEN_STATUSES


def is_certainly_completed(to_ms: int | None, status: SessionStatus) -> bool:
    """Whether a session has the status ``STOPPED`` and an end, so that it is over beyond doubt.

    An unknown status is never certain.
    """
    return to_ms is not None and status == SessionStatus.STOPPED


def exact_energy_kwh(energy: float | None, start_reading: float | None, stop_reading: float | None) -> Decimal | None:
    """The energy that was reported, else the difference of the readings, in kWh; ``None`` if neither is known."""
    if energy is not None:
        return Decimal(repr(energy))
    if start_reading is None or stop_reading is None:
        return None
    return _EXACT.subtract(Decimal(repr(stop_reading)), Decimal(repr(start_reading)))


def show_names(extra: Mapping[str, JsonValue]) -> str:
    """The text that ``repr`` shows: the keys only, because the values of unknown keys may name a person."""
    return f"<{', '.join(extra) or 'nothing'}>"


#: A field that is no key of the wire record: the client fills it.
_ADDED: Final = {"wire": None}


@attrs.frozen(weakref_slot=False)
class ChargingSession:
    """One charging session, as the service reported it.

    The fields have the names and the values of the service (service.md#park-sessions). The
    properties are computed from them when they are read. The identity is :attr:`key`: park and id.

    A field is one line here: how it is read and written follows from its name and its type. Where the metadata says
    ``none``, this number on the wire means that there is no value.
    """

    id: int
    """The service's id of the session."""
    serial_number: SerialNumber
    """Serial number of the charging station; documented as a number, seen as a text."""
    from_ms: EpochMs = attrs.field(metadata={"wire": "from"})
    """Start of the session, milliseconds since 1970. See :attr:`started_at`."""
    status: SessionStatus
    """The status; an unknown one keeps its text."""
    to_ms: EpochMs | None = attrs.field(default=None, metadata={"wire": "to", "none": 0})
    """End of the session, milliseconds since 1970; absent, or 0, while it runs. See :attr:`ended_at`."""
    connector: int | None = None
    """Position of the connector on the station: 1 is right, 2 is left."""
    authentication_type: str | None = None
    """How the driver was identified, such as ``RFID``; absent for free charging."""
    rfid: str | None = attrs.field(default=None, repr=lambda rfid: repr(masked(rfid)))
    """The card that was held to the station. Personal data: ``repr`` shows its last three characters only."""
    csms_transaction_id: str | None = None
    """Transaction id of the charging station management system; may be empty."""
    user_id: int | None = None
    """Smappee's id of the driver's account."""
    start_reading: float | None = None
    """Meter reading at the start, kWh."""
    stop_reading: float | None = None
    """Meter reading at the end, kWh; absent while the session runs."""
    energy: float | None = None
    """Energy as reported, kWh; grows while the session runs. See :attr:`energy_kwh`."""
    range: Number | None = None
    """Not documented; probably the kilometres that smart charging shall add, not a range of time."""
    duration: Number | None = None
    """Not documented; probably the hours that smart charging may take, not the session's. See :attr:`elapsed`."""
    priority: int | None = None
    """Smart-charging priority."""
    suspended_by_user: bool | None = None
    """Whether the driver paused the session."""
    external_control: bool | None = None
    """Whether something outside Smappee controls the session."""
    smart_mode: str | None = None
    """Smart-charging mode; its values are not documented."""
    minimum_excess_percentage: int | None = None
    """Least share of solar surplus to charge with, per cent."""
    max_amperes: tuple[Number, ...] | None = None
    """Highest currents, A; probably one for each phase."""
    service_location_id: int | None = attrs.field(default=None, hash=False, metadata=_ADDED)
    """The charging park that was asked. The client adds it, because the record does not name its park; ``None`` if a
    charging station was asked."""
    extra: Mapping[str, JsonValue] = attrs.field(default=NOTHING_EXTRA, hash=False, metadata=_ADDED, repr=show_names)
    """The unknown keys of the record and their values."""

    @property
    def key(self) -> tuple[int | str, int]:
        """What identifies the session: park and id; if a station was asked, serial number of the station and id."""
        return (self.service_location_id if self.service_location_id is not None else self.serial_number, self.id)

    @property
    def started_at(self) -> datetime:
        """Start of the session, in UTC."""
        return from_ms(self.from_ms)

    @property
    def ended_at(self) -> datetime | None:
        """End of the session, in UTC; ``None`` while it runs."""
        return None if self.to_ms is None else from_ms(self.to_ms)

    @property
    def elapsed(self) -> timedelta | None:
        """End minus start; ``None`` while the session runs."""
        return None if self.to_ms is None else timedelta(milliseconds=self.to_ms - self.from_ms)

    @property
    def energy_kwh(self) -> Decimal | None:
        """Energy in kWh, exact: as reported, else stop reading minus start reading; ``None`` if neither is known.

        Computed from the shortest texts of the numbers, so that 115.21 - 100.96 is exactly 14.25.
        """
        return exact_energy_kwh(self.energy, self.start_reading, self.stop_reading)

    @property
    def is_certainly_active(self) -> bool:
        """Whether it has an open status and no end. An unknown status is never certain."""
        return is_certainly_active(self.to_ms, self.status)

    @property
    def is_certainly_completed(self) -> bool:
        """Whether it has the status ``STOPPED`` and an end. An unknown status is never certain."""
        return is_certainly_completed(self.to_ms, self.status)


@attrs.frozen(weakref_slot=False)
class ServiceLocation:
    """A service location that the account can see; a charging park is one ("Get Servicelocations")."""

    id: int = attrs.field(metadata={"wire": "serviceLocationId"})
    """The number that the other calls take."""
    name: str | None = None
    uuid: str | None = attrs.field(default=None, metadata={"wire": "serviceLocationUuid"})
    device_serial_number: str | None = None
    """Serial number of the gateway, not of a charging station; may be absent."""
    extra: Mapping[str, JsonValue] = attrs.field(default=NOTHING_EXTRA, hash=False, metadata=_ADDED, repr=show_names)
    """The unknown keys of the record and their values."""


@attrs.frozen(weakref_slot=False)
class ServiceLocationInfo:
    """One service location in detail ("Get Servicelocation Info", service.md#service-location-info)."""

    id: int = attrs.field(metadata={"wire": "serviceLocationId"})
    name: str | None = None
    uuid: str | None = attrs.field(default=None, metadata={"wire": "serviceLocationUuid"})
    timezone: str | None = None
    """IANA name of the time zone of this location's days and months."""
    currency: str | None = attrs.field(default=None, metadata={"wire": "electricityCurrency"})
    """Currency of :attr:`electricity_cost`, such as ``EUR``."""
    electricity_cost: float | None = None
    """Price of one kWh as configured; sessions carry no price."""
    latitude: float | None = attrs.field(default=None, metadata={"wire": "lat"})
    longitude: float | None = attrs.field(default=None, metadata={"wire": "lon"})
    extra: Mapping[str, JsonValue] = attrs.field(default=NOTHING_EXTRA, hash=False, metadata=_ADDED, repr=show_names)
    """The unknown keys of the record and their values: appliances, actuators, sensors, channels."""


@attrs.frozen(kw_only=True)
class SessionBatch:
    """Sessions of one charging park, or station, and one chunk.

    A large response gives several batches of the same ``time_range``; the last of them has ``is_last`` set.
    """

    service_location_id: int | None
    serial_number: str | None
    time_range: TimeRange
    sessions: tuple[ChargingSession, ...]
    is_last: bool = True


@attrs.frozen(kw_only=True)
class InvalidRecord:
    """A record that could not be read, collected with ``on_invalid="collect"``."""

    error: SmappeeError
    """What is wrong with it: park, range, index and JSON path."""
    raw: bytes = attrs.field(repr=lambda raw: f"<{len(raw)} bytes>")
    """The JSON text of the record. It may hold an RFID, so ``repr`` does not show it."""


@attrs.frozen(kw_only=True)
class ChunkFailure:
    """A chunk that could not be read, collected with ``on_error="collect"``."""

    service_location_id: int | None
    serial_number: str | None
    time_range: TimeRange
    error: SmappeeError


@attrs.frozen(kw_only=True)
class StreamStats:
    """What a stream has counted so far. Always: received = sessions + filtered + duplicates + invalid."""

    received: int = 0
    """Records that arrived and were looked at."""
    sessions: int = 0
    """Sessions handed to the consumer."""
    filtered: int = 0
    """Records left out because they are certainly of the other state, or started outside the range of their chunk."""
    duplicates: int = 0
    """Records left out because the same session came more than once: with the same id, station and start."""
    moved: int = 0
    """Those of the duplicates that had another start, because it was corrected while the stream was read."""
    conflicts: int = 0
    """Sessions handed over although another one has the same park and id: they differ in station or start."""
    forgotten: int = 0
    """Sessions that are no longer remembered, because a stream remembers 100,000. If the start of such a session is
    corrected while the stream is read, and moves by more than an hour, it may come twice."""
    invalid: int = 0
    """Records left out because they cannot be read; ``SessionStream.invalid`` lists them."""
    unknown_statuses: int = 0
    """Sessions handed over with a status that the documentation does not name."""
    chunks: int = 0
    """Chunks read completely."""
    requests: int = 0
    """Requests sent, retries included."""
    retries: int = 0
    """Requests sent again after a failure."""
    bytes: int = 0
    """Size of the responses, uncompressed."""
    columnar: int = 0
    """Sessions of large responses that went straight into columns, with ``arrow()`` or ``table()``. All others were
    read as records first, which holds the event loop longer and means the same."""
