"""pydantic v2: strict, what nobody knew is kept, the whole array in one call of its validator."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from smappee_async.models import SessionStatus


class Session(BaseModel):
    """The fields of :class:`smappee_async.ChargingSession`."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    id: int
    serial_number: Annotated[int | str, Field(alias="serialNumber")]
    from_ms: Annotated[int, Field(alias="from")]
    status: SessionStatus
    to_ms: Annotated[int | None, Field(alias="to")] = None
    connector: int | None = None
    authentication_type: Annotated[str | None, Field(alias="authenticationType")] = None
    rfid: str | None = None
    csms_transaction_id: Annotated[str | None, Field(alias="csmsTransactionId")] = None
    user_id: Annotated[int | None, Field(alias="userId")] = None
    start_reading: Annotated[float | None, Field(alias="startReading")] = None
    stop_reading: Annotated[float | None, Field(alias="stopReading")] = None
    energy: float | None = None
    range: int | float | None = None
    duration: int | float | None = None
    priority: int | None = None
    suspended_by_user: Annotated[bool | None, Field(alias="suspendedByUser")] = None
    external_control: Annotated[bool | None, Field(alias="externalControl")] = None
    smart_mode: Annotated[str | None, Field(alias="smartMode")] = None
    minimum_excess_percentage: Annotated[int | None, Field(alias="minimumExcessPercentage")] = None
    max_amperes: Annotated[tuple[int | float, ...] | None, Field(alias="maxAmperes")] = None


_SESSIONS = TypeAdapter(list[Session])


def read(body: bytes) -> list[Session]:
    """The sessions of a response."""
    return _SESSIONS.validate_json(body)


def read_parsed(records: list[object]) -> list[Session]:
    """The sessions of a response that ``json.loads`` has parsed."""
    return _SESSIONS.validate_python(records, strict=False)
