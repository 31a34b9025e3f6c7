"""What a response means: from ``(status, headers, bytes)`` to records or an error. Pure.

A function that handles a body returns its error, and a function whose frame shows nothing of the body raises it
(:func:`~smappee_async.errors.unwrap`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final, TypeVar

import msgspec

from smappee_async.defaults import SLICE_SESSIONS, SMALL_BODY_BYTES, SPLIT_STEP_BYTES
from smappee_async.errors import ApiError, CallFacts, ResponseDecodeError, ServerError, error_class, unwrap
from smappee_async.models import ChargingSession, ServiceLocation, ServiceLocationInfo
from smappee_async.protocol.converter import SERVICE_LOCATION_INFO_READER, SERVICE_LOCATION_READER, SESSION_READER
from smappee_async.protocol.dates import http_date_s
from smappee_async.protocol.salvage import salvage
from smappee_async.protocol.wire import UNREADABLE, WireRecords, text_of

DecodedT = TypeVar("DecodedT")
_SECONDS: Final = r"[0-9]{1,18}(\.[0-9]{1,9})?"
_BOM: Final = b"\xef\xbb\xbf"
_MAINTENANCE: Final = b"maintenance"
# Plain numbers, because comparing with members of the enumeration would cost half as much again for each response.
_OK: Final = HTTPStatus.OK.value
_NO_CONTENT: Final = HTTPStatus.NO_CONTENT.value
_SUCCESSES: Final = frozenset({_OK, _NO_CONTENT})


class Response(msgspec.Struct, kw_only=True, frozen=True):
    """One response as it came over the wire.

    :param headers: looked up by names in lower case; the mapping of the HTTP library ignores the case.
    :param body: uncompressed. It may hold tokens or RFIDs, so ``repr`` does not show it.
    """

    status: int
    headers: Mapping[str, str] = {}
    body: bytes | bytearray

    def __repr__(self) -> str:
        return f"Response(status={self.status}, body=<{len(self.body)} bytes>)"


# --- responses of the data calls


class ColumnRecords(msgspec.Struct, eq=False):
    """The records of a response that were read into columns. They come as texts where they are asked for.

    :param columns: the columns of one part of the records after another.
    :param sessions: how many records there are.
    :param first_ms: the start of the first one, in milliseconds since 1970, and
    :param last_ms: that of the last one.
    """

    response: Response
    columns: Sequence[object]
    sessions: int
    first_ms: int
    last_ms: int
    texts: list[msgspec.Raw] | None = None

    def __len__(self) -> int:
        return self.sessions

    def split(self) -> Generator[None, None, list[msgspec.Raw]]:
        """The texts, made in steps; see :func:`read_sessions_in_steps`."""
        if self.texts is None:
            self.texts = yield from read_sessions_in_steps(self.response)
        return self.texts

    def __repr__(self) -> str:
        return f"<{self.sessions} records in columns>"


#: Session records, decoded or as texts that are decoded later.
SplitRecords = WireRecords[ChargingSession] | list[msgspec.Raw]
#: The session records of a response.
SessionRecords = SplitRecords | ColumnRecords


def read_sessions(response: Response) -> list[msgspec.Raw]:
    """The session records of a response, not decoded yet; an empty list only if the service sent one.

    A record that is not valid JSON is one of them: it is found out when it is decoded, and does not hide the others.

    :raises ApiError: the status is not a success.
    :raises ResponseDecodeError: the body is not one whole JSON array.
    """
    raise_for_status(response)
    # Public clients accept 204 as an explicit "no sessions"; an empty body with 200 is a fault, never "no sessions".
    if response.status == _NO_CONTENT:
        return []
    records = _decode(response, _RAW_LIST)
    if not isinstance(records, ResponseDecodeError):
        return records
    return unwrap(at_once(_with_odd_records(response.body, records)))


def decode_sessions(response: Response) -> WireRecords[ChargingSession] | None:
    """The records of a small response, decoded in one go: the same as to decode what :func:`read_sessions` gives.

    ``None`` for any other response, and if a record cannot be read: then :func:`read_sessions` says what it is.
    """
    if len(response.body) > SMALL_BODY_BYTES or response.status != _OK:
        return None
    try:
        records = SESSION_READER.format.decode(text_of(response.body))
    except UnicodeDecodeError:
        return None
    # More would hold the event loop when they are built.
    return None if records is None or len(records) > SLICE_SESSIONS else records


def read_sessions_in_steps(response: Response) -> Generator[None, None, list[msgspec.Raw]]:
    """The same as :func:`read_sessions`, but a large response is split in steps.

    It yields after each step, so that its caller can give the event loop a turn.

    :raises ApiError: the status is not a success.
    :raises ResponseDecodeError: the body is not one whole JSON array.
    """
    if len(response.body) <= SPLIT_STEP_BYTES or response.status != _OK:
        return read_sessions(response)
    yield
    if (split := (yield from _split(response.body))) is not None:
        return split
    # In one step: it can be a valid array all the same, and otherwise the error says what is wrong.
    records = _decode(response, _RAW_LIST)
    if isinstance(records, ResponseDecodeError):
        yield
        records = yield from _with_odd_records(response.body, records)
    return unwrap(records)


#: Where one record may end and the next begin. It may also match inside a text or a nested list. Then what ends there
#: is not a valid array, and the next match is tried.
_BORDER: Final = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)")
_BORDER_WITHIN: Final = 64 * 1024
_BORDERS_TRIED: Final = 16


def _split(body: bytes | bytearray) -> Generator[None, None, list[msgspec.Raw] | None]:
    """The records of an array, step by step; ``None`` if the body is no array, or cannot be split like this.

    The text up to a comma is put in brackets. If that is a valid array, its records are records of the body, because a
    parser of the whole body is in the same state at this comma.
    """
    records: list[msgspec.Raw] = []
    view = memoryview(body)
    opening, begin, at, tried = b"", 0, SPLIT_STEP_BYTES, 0
    while tried < _BORDERS_TRIED and (border := _BORDER.search(body, at, at + _BORDER_WITHIN)):
        found = _records(b"".join((opening, view[begin : border.start() + 1], b"]")))
        if found is None:
            tried += 1
            at = border.end()
        else:
            records += found
            opening, begin = b"[", border.end()
            at = begin + SPLIT_STEP_BYTES
        yield
    rest = _records(b"".join((opening, view[begin:])))
    yield
    return None if rest is None else records + rest


def array_parts(body: bytes | bytearray, part_bytes: int) -> Iterator[list[bytes | memoryview]]:
    """The text of an array in parts of some size, each as what is to be joined to an array.

    If each of them is a valid array, the body is one, and its records are theirs.
    """
    view = memoryview(body)
    opening, begin = b"", 0
    while border := _BORDER.search(body, begin + part_bytes, begin + part_bytes + _BORDER_WITHIN):
        yield [opening, view[begin : border.start() + 1], b"]"]
        opening, begin = b"[", border.end()
    yield [opening, view[begin:]]


def first_record(body: bytes | bytearray) -> bytes | bytearray | None:
    """The text up to where the first record of an array may end; ``None`` if that is not found."""
    border = _BORDER.search(body, 0, _BORDER_WITHIN)
    return None if border is None else body[1 : border.start() + 1]


def _with_odd_records(
    body: bytes | bytearray, error: ResponseDecodeError
) -> Generator[None, None, list[msgspec.Raw] | ResponseDecodeError]:
    """The records of an array that was refused as a whole, step by step; the error if it is no whole array."""
    records = yield from salvage(body, _records, SPLIT_STEP_BYTES, _BORDER)
    return error if records is None else records


def at_once(steps: Generator[None, None, DecodedT]) -> DecodedT:
    """The result of what is done in steps."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: DecodedT = end.value
            return result


def _records(text: bytes) -> list[msgspec.Raw] | None:
    try:
        return _RAW_LIST.decode(text_of(text))
    except UNREADABLE:
        return None


def read_service_locations(response: Response) -> list[ServiceLocation]:
    """The service locations in a response to "Get Servicelocations".

    :raises ApiError: the status is not a success.
    :raises ResponseDecodeError: it is not such a response.
    """
    raise_for_status(response)
    listing = _decode(response, _LISTING)
    return unwrap(SERVICE_LOCATION_READER.decode_several(unwrap(listing).serviceLocations)).build()


def read_service_location_info(response: Response) -> ServiceLocationInfo:
    """The service location in a response to "Get Servicelocation Info".

    :raises ApiError: the status is not a success.
    :raises ResponseDecodeError: it is not such a response.
    """
    raise_for_status(response)
    record = _decode(response, _RAW)
    return SERVICE_LOCATION_INFO_READER.read(unwrap(record))


def raise_for_status(response: Response) -> None:
    """Raise an error for every status but 200 and 204.

    :raises ApiError: of the class that belongs to the status.
    """
    if response.status not in _SUCCESSES:
        raise status_error(response)


def status_error(response: Response) -> ApiError:
    """The error for a response whose status is not a success."""
    failed = error_class(response.status)
    advice = None
    if HTTPStatus.MULTIPLE_CHOICES <= response.status < HTTPStatus.BAD_REQUEST:
        reason = "Smappee redirected the call, which is not followed, so that tokens go nowhere else"
        advice = "Check base_url"
    elif failed is ServerError and _MAINTENANCE in response.body[:4096].lower():
        reason = "Smappee is under maintenance"
    else:
        reason = f"Smappee answered {_phrase(response.status)}"
    return failed(
        reason, retry_after_s=retry_after_s(response.headers), facts=CallFacts(status=response.status), advice=advice
    )


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


class _Listing(msgspec.Struct):
    serviceLocations: list[msgspec.Raw]  # noqa: N815 - the service's name


_RAW: Final[msgspec.json.Decoder[msgspec.Raw]] = msgspec.json.Decoder(msgspec.Raw)
_RAW_LIST: Final[msgspec.json.Decoder[list[msgspec.Raw]]] = msgspec.json.Decoder(list[msgspec.Raw])
_LISTING: Final = msgspec.json.Decoder(_Listing)


def _decode(response: Response, decoder: msgspec.json.Decoder[DecodedT]) -> DecodedT | ResponseDecodeError:
    try:
        return decoder.decode(text_of(response.body))
    except msgspec.ValidationError:
        reason = "the response is JSON, but of another shape"
    except RecursionError:
        reason = "the response is nested too deeply"
    except UnicodeDecodeError:
        reason = "the response is not UTF-8"
    except msgspec.DecodeError:
        reason = _why_not_json(response.body)
    return ResponseDecodeError(
        reason,
        facts=CallFacts(status=response.status),
        advice=f"{len(response.body)} bytes of {response.headers.get('content-type', 'no content type')} were received",
    )


def _why_not_json(body: bytes | bytearray) -> str:
    text = body.removeprefix(_BOM).strip()
    if not text:
        return "the response is empty"
    if not text.startswith(b"<"):
        return "the response is not whole, valid JSON"
    if _MAINTENANCE in text[:4096].lower():
        return "the response is an HTML page about maintenance"
    return "the response is an HTML page"


# --- how long to wait -------------------------------------------------------------------------------------------------


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The wait that ``Retry-After`` asks for, in seconds (RFC 9110 section 10.2.3); ``None`` if there is no usable one.

    A date is compared with the ``Date`` of the response, so that a wrong clock of this machine changes nothing.
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(_SECONDS, text, re.ASCII):
        seconds = float(text)
    else:
        until, sent = http_date_s(text), http_date_s(headers.get("date", ""))
        if until is None or sent is None:
            return None
        seconds = until - sent
    return seconds if math.isfinite(seconds) and seconds > 0 else None
