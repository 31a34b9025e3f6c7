"""Sends a response: whole, or in the way of a fault."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
from aiohttp import web

from .wire import JSON_TYPE, encode

if TYPE_CHECKING:
    from .faults import Fault, FaultKind
    from .requestlog import RequestLog

_DRIP_BYTES_PER_S: Final = 1000.0
_DRIPS_PER_S: Final = 20
_BOMB_BYTES: Final = 256 * 1024 * 1024
_BLOCK_BYTES: Final = 1024 * 1024
_HEADER_BYTES: Final = 64 * 1024
_ENDLESS_BLOCK: Final = b" " * 65_536
_EARLY: Final[frozenset[FaultKind]] = frozenset(
    {"reset_before_headers", "close_before_headers", "stall_before_headers", "gzip_bomb", "endless_body"}
)
# The bytes that were written need time to leave, or the reset comes first and the other side sees no response at all.
_BEFORE_RESET_S: Final = 0.01
# struct linger has two shorts on Windows, and two integers elsewhere.
_LINGER_FOR_0_S: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

_MAINTENANCE_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Maintenance</title></head>"
    b"<body><p>The Smappee dashboard is currently under maintenance.</p></body></html>"
)


@attrs.frozen
class Response:
    """A response as the service means it.

    :param sessions: how many session records the body holds.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = attrs.field(factory=dict)
    content_type: str = JSON_TYPE
    sessions: int = 0

    @classmethod
    def json(cls, status: int, value: object, headers: Mapping[str, str] | None = None) -> Response:
        """A JSON response."""
        return cls(status, encode(value), headers or {})

    @classmethod
    def message(cls, status: int, text: str) -> Response:
        """A refusal with a ``message``, the only form that a public client is known to read [C]."""
        return cls.json(status, {"message": text})


def replacement(fault: Fault, path: str) -> Response | None:
    """The response that a fault puts in place of the right one; ``None`` for faults of other kinds."""
    headers = dict(fault.headers or {})
    if fault.retry_after is not None:
        headers["Retry-After"] = fault.retry_after
    body = fault.body
    match fault.kind:
        case "status":
            status = fault.status or 500
            return Response(status, encode({"message": f"Simulated {status}"}) if body is None else body, headers)
        case "maintenance":
            return Response(fault.status or 502, body or _MAINTENANCE_PAGE, headers, "text/html;charset=UTF-8")
        case "empty_200":
            return Response(200, b"", headers)
        case "null_200":
            return Response(200, b"null", headers)
        case "object_200":
            return Response(200, body or b'{"sessions":[]}', headers)
        case "unauthorized" | "token_revoked":
            return Response(401, encode({"message": "Unauthorized"}), headers)
        case "redirect":
            headers["Location"] = fault.location or f"http://elsewhere.invalid{path}"
            return Response(fault.status or 307, b"", headers)
        case "raw" | "token_odd":
            return Response(fault.status or 200, body or b"", headers)
        case _:
            return None


def respond(response: Response, log: RequestLog) -> web.StreamResponse:
    """The whole response, without a fault."""
    log.status, log.sessions, log.body_bytes = response.status, response.sessions, len(response.body)
    http_response = web.Response(status=response.status, body=response.body or None, headers=response.headers)
    # A content type in the headers of the fault has precedence.
    http_response.headers.setdefault("Content-Type", response.content_type)
    return http_response


async def deliver(request: web.BaseRequest, response: Response, fault: Fault, log: RequestLog) -> web.StreamResponse:
    """Send the response in the way of ``fault``; the server ends the response that is returned."""
    how = _DELIVERIES.get(fault.kind)
    return respond(response, log) if how is None else await how(_Sending(request, response, fault, log))


def is_early(fault: Fault) -> bool:
    """Whether a fault strikes before the request has an effect, so that no token is issued."""
    return fault.kind in _EARLY


async def deliver_early(request: web.BaseRequest, fault: Fault, log: RequestLog) -> web.StreamResponse | None:
    """Send what an early fault sends; ``None`` after a stall with an end, because then the right response follows."""
    match fault.kind:
        case "reset_before_headers":
            return reset(request)
        case "close_before_headers":
            return hang_up(request)
        case "gzip_bomb":
            return await _gzip_bomb(request, fault, log)
        case "endless_body":
            return await _endless_body(request, log)
        case _:
            await stall(fault)
            return None


async def stall(fault: Fault) -> None:
    """Wait for ``delay_s``; without one, until the other side or the simulator closes."""
    if fault.delay_s is not None:
        await asyncio.sleep(fault.delay_s)
    else:
        await asyncio.Event().wait()


def reset(request: web.BaseRequest) -> web.StreamResponse:
    """Abort the connection, so that the other side sees a reset."""
    transport = request.transport
    if transport is not None:
        _reset_on_close(transport)
        transport.abort()
    return _after_close()


def hang_up(request: web.BaseRequest) -> web.StreamResponse:
    """Close the connection properly, but before the response or in the middle of it."""
    if request.transport is not None:
        request.transport.close()
    return _after_close()


@attrs.frozen
class _Sending:
    """One response to be sent, and the fault that strikes it."""

    request: web.BaseRequest
    response: Response
    fault: Fault
    log: RequestLog


async def _truncated_json(sending: _Sending) -> web.StreamResponse:
    response = sending.response
    return respond(attrs.evolve(response, body=_first_half(response) or b"[", sessions=0), sending.log)


async def _truncated_body(sending: _Sending) -> web.StreamResponse:
    return _write_and_close(sending, _first_half(sending.response), len(sending.response.body) + 1000)


async def _wrong_content_length(sending: _Sending) -> web.StreamResponse:
    # Shorter than the body. The rest would be read as the next response, so the connection closes.
    body = sending.response.body
    return _write_and_close(sending, body, len(body) // 2)


async def _chunked_cut(sending: _Sending) -> web.StreamResponse:
    http_response = await _begin(sending.request, sending.response, sending.log, None)
    await _send(http_response, _first_half(sending.response) or b"[", sending.log)
    return hang_up(sending.request)


async def _drip(sending: _Sending) -> web.StreamResponse:
    body = sending.response.body
    http_response = await _begin(sending.request, sending.response, sending.log, len(body))
    speed = _DRIP_BYTES_PER_S if sending.fault.bytes_per_s is None else sending.fault.bytes_per_s
    # One byte at a time, or more bytes twenty times a second if the drip is fast.
    size = max(1, int(speed / _DRIPS_PER_S))
    for start in range(0, len(body), size):
        await asyncio.sleep(size / speed)
        await _send(http_response, body[start : start + size], sending.log)
    sending.log.sessions = sending.response.sessions
    return http_response


async def _stall_after_headers(sending: _Sending) -> web.StreamResponse:
    body = sending.response.body
    http_response = await _begin(sending.request, sending.response, sending.log, len(body))
    await stall(sending.fault)
    await _send(http_response, body, sending.log)
    sending.log.sessions = sending.response.sessions
    return http_response


async def _reset_mid_body(sending: _Sending) -> web.StreamResponse:
    http_response = await _begin(sending.request, sending.response, sending.log, len(sending.response.body) + 1)
    await _send(http_response, _first_half(sending.response), sending.log)
    await asyncio.sleep(_BEFORE_RESET_S)
    return reset(sending.request)


async def _token_lost(sending: _Sending) -> web.StreamResponse:
    return hang_up(sending.request)


async def _set_cookie(sending: _Sending) -> web.StreamResponse:
    http_response = respond(sending.response, sending.log)
    http_response.set_cookie("SIMULATED", "a-cookie-nobody-should-send-back", path="/")
    return http_response


async def _huge_headers(sending: _Sending) -> web.StreamResponse:
    padding = {"X-Padding": "x" * (sending.fault.size_bytes or _HEADER_BYTES)}
    return respond(attrs.evolve(sending.response, headers={**sending.response.headers, **padding}), sending.log)


def _first_half(response: Response) -> bytes:
    return response.body[: len(response.body) // 2]


async def _gzip_bomb(request: web.BaseRequest, fault: Fault, log: RequestLog) -> web.StreamResponse:
    http_response = await _begin(request, Response(200, b"", {"Content-Encoding": "gzip"}), log, None)
    for part in gzip_bomb(fault.size_bytes or _BOMB_BYTES):
        await _send(http_response, part, log)
        await asyncio.sleep(0)
    return http_response


async def _endless_body(request: web.BaseRequest, log: RequestLog) -> web.StreamResponse:
    http_response = await _begin(request, Response(200, b""), log, None)
    await _send(http_response, b"[", log)
    while True:
        await _send(http_response, _ENDLESS_BLOCK, log)
        await asyncio.sleep(0)


_Delivery: TypeAlias = Callable[[_Sending], Awaitable[web.StreamResponse]]
_DELIVERIES: Final[Mapping[FaultKind, _Delivery]] = {
    "truncated_json": _truncated_json,
    "truncated_body": _truncated_body,
    "wrong_content_length": _wrong_content_length,
    "chunked_cut": _chunked_cut,
    "drip": _drip,
    "stall_after_headers": _stall_after_headers,
    "reset_mid_body": _reset_mid_body,
    "token_lost": _token_lost,
    "set_cookie": _set_cookie,
    "huge_headers": _huge_headers,
}


def gzip_bomb(size_bytes: int) -> Iterator[bytes]:
    """A gzip stream that expands to about ``size_bytes`` of valid JSON: an array of nothing but blanks.

    One block of blanks is compressed once, up to a full flush, and repeated, which costs little time and memory. The
    stream is valid (RFC 1952), so that only a limit protects the reader.
    """
    blanks = b" " * _BLOCK_BYTES
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    opening = compressor.compress(b"[") + compressor.flush(zlib.Z_FULL_FLUSH)
    block = compressor.compress(blanks) + compressor.flush(zlib.Z_FULL_FLUSH)
    closing = compressor.compress(b"]") + compressor.flush(zlib.Z_FINISH)
    checksum, length = zlib.crc32(b"["), 1
    yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + opening
    while length < size_bytes:
        checksum, length = zlib.crc32(blanks, checksum), length + _BLOCK_BYTES
        yield block
    yield closing + struct.pack("<II", zlib.crc32(b"]", checksum), (length + 1) & 0xFFFFFFFF)


async def _begin(
    request: web.BaseRequest, response: Response, log: RequestLog, content_length: int | None
) -> web.StreamResponse:
    """Send the status line and headers; without a content length the body is chunked."""
    http_response = web.StreamResponse(status=response.status, headers=response.headers)
    http_response.headers.setdefault("Content-Type", response.content_type)
    http_response.content_length = content_length
    if content_length is None:
        http_response.enable_chunked_encoding()
    await http_response.prepare(request)
    log.status = response.status
    return http_response


async def _send(http_response: web.StreamResponse, part: bytes, log: RequestLog) -> None:
    await http_response.write(part)
    log.body_bytes += len(part)


def _write_and_close(sending: _Sending, body: bytes, claimed_bytes: int) -> web.StreamResponse:
    """Write a response with a wrong length directly to the transport, because aiohttp would not send it."""
    response, transport = sending.response, sending.request.transport
    if transport is not None:
        head = (
            f"HTTP/1.1 {response.status} Simulated\r\n"
            f"Content-Type: {response.content_type}\r\nContent-Length: {claimed_bytes}\r\n\r\n"
        )
        transport.write(head.encode("ascii") + body)
        sending.log.status, sending.log.body_bytes = response.status, len(body)
    return hang_up(sending.request)


def _reset_on_close(transport: asyncio.Transport) -> None:
    """Make the socket send RST and not FIN when it closes, and drop what is still in its buffer."""
    held = transport.get_extra_info("socket")
    if held is None:
        return
    # The proxies of some event loops cannot set options. Options belong to the open socket and not to its descriptor,
    # so they can be set on a duplicate.
    with socket.fromfd(held.fileno(), held.family, held.type) as duplicate:
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_FOR_0_S)


def _after_close() -> web.StreamResponse:
    """What a handler returns after it closed the connection; the server drops it."""
    return web.Response(status=500)
