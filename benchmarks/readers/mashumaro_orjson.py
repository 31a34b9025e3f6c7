"""mashumaro, with orjson below it: a dataclass with slots, not a frozen one, which would cost it more."""

from __future__ import annotations

from dataclasses import dataclass, field

from mashumaro.codecs.orjson import ORJSONDecoder
from mashumaro.config import BaseConfig

from smappee_async.models import SessionStatus


@dataclass(slots=True)
class Session:
    """The fields of :class:`smappee_async.ChargingSession`."""

    id: int
    serial_number: int = field(metadata={"alias": "serialNumber"})
    from_ms: int = field(metadata={"alias": "from"})
    status: SessionStatus
    to_ms: int | None = field(default=None, metadata={"alias": "to"})
    connector: int | None = None
    authentication_type: str | None = field(default=None, metadata={"alias": "authenticationType"})
    rfid: str | None = None
    csms_transaction_id: str | None = field(default=None, metadata={"alias": "csmsTransactionId"})
    user_id: int | None = field(default=None, metadata={"alias": "userId"})
    start_reading: float | None = field(default=None, metadata={"alias": "startReading"})
    stop_reading: float | None = field(default=None, metadata={"alias": "stopReading"})
    energy: float | None = None
    range: float | None = None
    duration: float | None = None
    priority: int | None = None
    suspended_by_user: bool | None = field(default=None, metadata={"alias": "suspendedByUser"})
    external_control: bool | None = field(default=None, metadata={"alias": "externalControl"})
    smart_mode: str | None = field(default=None, metadata={"alias": "smartMode"})
    minimum_excess_percentage: int | None = field(default=None, metadata={"alias": "minimumExcessPercentage"})
    max_amperes: tuple[float, ...] | None = field(default=None, metadata={"alias": "maxAmperes"})

    class Config(BaseConfig):
        """How mashumaro is to read it."""

        lazy_compilation = False


_SESSIONS = ORJSONDecoder(list[Session])


def read(body: bytes) -> list[Session]:
    """The sessions of a response."""
    return _SESSIONS.decode(body)
