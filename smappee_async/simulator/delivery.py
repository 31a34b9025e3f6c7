"""How a response leaves by the socket: whole, or the way a fault wants it."""

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
# What has been written must have left before a reset overtakes it, or the other side never sees that it began.
_HEAD_START_S: Final = 0.01
# struct linger has shorts on Windows and integers elsewhere.
_LINGER_ON_FOR_0_S: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)

_MAINTENANCE_PAGE: Final = (
    b"<!DOCTYPE html><html><head><title>Maintenance</title></head>"
    b"<body><p>The Smappee dashboard is currently under maintenance.</p></body></html>"
)


@attrs.frozen
class Response:
    """A response as it should arrive."""

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
        """A refusal in the one form that a public client is known to read [C]: a ``message``."""
        return cls.json(status, {"message": text})


def replacement(fault: Fault, path: str) -> Response | None:
    """The response that a fault gives in place of the right one, if it is of that sort."""
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
    """The whole response, as it should be."""
    log.status, log.sessions, log.body_bytes = response.status, response.sessions, len(response.body)
    stream = web.Response(status=response.status, body=response.body or None, headers=response.headers)
    # A type among the fault's own headers stands.
    stream.headers.setdefault("Content-Type", response.content_type)
    return stream


async def deliver(request: web.BaseRequest, response: Response, fault: Fault, log: RequestLog) -> web.StreamResponse:
    """The response as ``fault`` has it arrive; the stream that is returned is only finished by the server."""
    how = _DELIVERIES.get(fault.kind)
    return respond(response, log) if how is None else await how(_Sending(request, response, fault, log))


def is_early(fault: Fault) -> bool:
    """Whether it strikes before the request is acted on: no token is issued, no session looked up."""
    return fault.kind in _EARLY


async def deliver_early(request: web.BaseRequest, fault: Fault, log: RequestLog) -> web.StreamResponse | None:
    """What an early fault sends; ``None`` after a stall that has an end, for then the response goes its usual way."""
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
    """Say nothing for ``delay_s``; without one until the other side, or the simulator, gives up."""
    if fault.delay_s is not None:
        await asyncio.sleep(fault.delay_s)
    else:
        await asyncio.Event().wait()


def reset(request: web.BaseRequest) -> web.StreamResponse:
    """Break the connection so that the other side sees a reset."""
    transport = request.transport
    if transport is not None:
        _linger_not(transport)
        transport.abort()
    return _nobody_there()


def hang_up(request: web.BaseRequest) -> web.StreamResponse:
    """Close the connection in good order, but without a response, or in the middle of one."""
    if request.transport is not None:
        request.transport.close()
    return _nobody_there()


@attrs.frozen
class _Sending:
    """One response on its way out, and what is to happen to it."""

    request: web.BaseRequest
    response: Response
    fault: Fault
    log: RequestLog


async def _truncated_json(sending: _Sending) -> web.StreamResponse:
    cut = attrs.evolve(
        sending.response, body=sending.response.body[: len(sending.response.body) // 2] or b"[", sessions=0
    )
    return respond(cut, sending.log)


async def _truncated_body(sending: _Sending) -> web.StreamResponse:
    half = sending.response.body[: len(sending.response.body) // 2]
    return _write_and_close(sending.request, sending.response, half, len(sending.response.body) + 1000, sending.log)


async def _wrong_content_length(sending: _Sending) -> web.StreamResponse:
    # Shorter than the body. What is left over would be read as the next sending.response, so the connection closes.
    return _write_and_close(
        sending.request, sending.response, sending.response.body, len(sending.response.body) // 2, sending.log
    )


async def _chunked_cut(sending: _Sending) -> web.StreamResponse:
    stream = await _begin(sending.request, sending.response, sending.log, None)
    await _send(stream, sending.response.body[: len(sending.response.body) // 2] or b"[", sending.log)
    return hang_up(sending.request)


async def _drip(sending: _Sending) -> web.StreamResponse:
    stream = await _begin(sending.request, sending.response, sending.log, len(sending.response.body))
    speed = _DRIP_BYTES_PER_S if sending.fault.bytes_per_s is None else sending.fault.bytes_per_s
    # A slow drip is one byte at a time, a fast one a few at most twenty times a second.
    size = max(1, int(speed / _DRIPS_PER_S))
    for start in range(0, len(sending.response.body), size):
        await asyncio.sleep(size / speed)
        await _send(stream, sending.response.body[start : start + size], sending.log)
    sending.log.sessions = sending.response.sessions
    return stream


async def _stall_after_headers(sending: _Sending) -> web.StreamResponse:
    stream = await _begin(sending.request, sending.response, sending.log, len(sending.response.body))
    await stall(sending.fault)
    await _send(stream, sending.response.body, sending.log)
    sending.log.sessions = sending.response.sessions
    return stream


async def _reset_mid_body(sending: _Sending) -> web.StreamResponse:
    stream = await _begin(sending.request, sending.response, sending.log, len(sending.response.body) + 1)
    await _send(stream, sending.response.body[: len(sending.response.body) // 2], sending.log)
    await asyncio.sleep(_HEAD_START_S)
    return reset(sending.request)


async def _token_lost(sending: _Sending) -> web.StreamResponse:
    return hang_up(sending.request)


async def _set_cookie(sending: _Sending) -> web.StreamResponse:
    stream = respond(sending.response, sending.log)
    stream.set_cookie("SIMULATED", "a-cookie-nobody-should-send-back", path="/")
    return stream


async def _huge_headers(sending: _Sending) -> web.StreamResponse:
    padding = {"X-Padding": "x" * (sending.fault.size_bytes or _HEADER_BYTES)}
    return respond(attrs.evolve(sending.response, headers={**sending.response.headers, **padding}), sending.log)


async def _gzip_bomb(request: web.BaseRequest, fault: Fault, log: RequestLog) -> web.StreamResponse:
    stream = await _begin(request, Response(200, b"", {"Content-Encoding": "gzip"}), log, None)
    for part in gzip_bomb(fault.size_bytes or _BOMB_BYTES):
        await _send(stream, part, log)
        await asyncio.sleep(0)
    return stream


async def _endless_body(request: web.BaseRequest, log: RequestLog) -> web.StreamResponse:
    stream = await _begin(request, Response(200, b""), log, None)
    await _send(stream, b"[", log)
    while True:
        await _send(stream, _ENDLESS_BLOCK, log)
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
    """A gzip stream of about ``size_bytes`` that expands to a valid JSON array: brackets around blanks.

    One block of blanks is compressed once, up to a full flush, and repeated: it costs neither time nor memory to
    make. RFC 1952 is satisfied to the last byte, so that only a limit can save the reader.
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
    """Send the status line and headers; without a length the body is chunked."""
    stream = web.StreamResponse(status=response.status, headers=response.headers)
    stream.headers.setdefault("Content-Type", response.content_type)
    stream.content_length = content_length
    if content_length is None:
        stream.enable_chunked_encoding()
    await stream.prepare(request)
    log.status = response.status
    return stream


async def _send(stream: web.StreamResponse, part: bytes, log: RequestLog) -> None:
    await stream.write(part)
    log.body_bytes += len(part)


def _write_and_close(
    request: web.BaseRequest, response: Response, body: bytes, claimed_bytes: int, log: RequestLog
) -> web.StreamResponse:
    """Write a response with a false length by hand, for no honest library would send it."""
    transport = request.transport
    if transport is not None:
        head = (
            f"HTTP/1.1 {response.status} Simulated\r\n"
            f"Content-Type: {response.content_type}\r\nContent-Length: {claimed_bytes}\r\n\r\n"
        )
        transport.write(head.encode("ascii") + body)
        log.status, log.body_bytes = response.status, len(body)
    return hang_up(request)


def _linger_not(transport: asyncio.Transport) -> None:
    """Have the socket send RST instead of FIN when it closes, and throw away what is still in its buffer."""
    held = transport.get_extra_info("socket")
    if held is None:
        return
    # Event loops hand out proxies that cannot all set options. Those belong to the open socket rather than to its
    # descriptor, so they can be set on a duplicate.
    with socket.fromfd(held.fileno(), held.family, held.type) as duplicate:
        duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ON_FOR_0_S)


def _nobody_there() -> web.StreamResponse:
    """What a handler returns after its connection has gone: the server notices and drops it without a word."""
    return web.Response(status=500)
