"""What one response of a chunk brought: its records, decoded, as texts or in columns."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Final

import msgspec

from smappee_async import defaults
from smappee_async.protocol.responses import (
    ColumnRecords,
    Response,
    SessionRecords,
    decode_sessions,
    read_sessions_in_steps,
)
from smappee_async.protocol.wire import WireRecords, text_of
from smappee_async.query.plan import Chunk
from smappee_async.query.truncation import ResponseSize
from smappee_async.secret import Opaque
from smappee_async.transport.call import ReadResponse, Steps, in_turns

#: Reads a response of a chunk into columns; ``None`` if it must be read as records.
ReadColumns = Callable[[Response, Chunk], Coroutine[None, None, ColumnRecords | None]]
_RAW_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])


class OneResponse(Opaque, msgspec.Struct, eq=False):
    """What one request brought.

    :param records: those in the range that was asked for; decoded if the response was small.
    :param sessions: how many there were in the whole response.
    :param size_bytes: the size of its body.
    :param body: the body, if the records are decoded.
    """

    records: SessionRecords
    sessions: int
    size_bytes: int
    body: bytes | bytearray = b""

    @property
    def size(self) -> ResponseSize:
        """The size of the whole response."""
        return ResponseSize(self.sessions, self.size_bytes)

    async def raws(self) -> list[msgspec.Raw]:
        """The records as texts: what is in doubt is judged by them."""
        if isinstance(self.records, WireRecords):
            return _RAW_LIST.decode(text_of(self.body))
        if isinstance(self.records, ColumnRecords):
            return await in_turns(self.records.split())
        return self.records


def records_of(response: Response) -> OneResponse | Steps[OneResponse]:
    """What a response brought, for :meth:`Caller.call`."""
    records = decode_sessions(response)
    if records is None:
        return _in_steps(response)
    return OneResponse(records, len(records), len(response.body), response.body)


def _in_steps(response: Response) -> Steps[OneResponse]:
    raws = yield from read_sessions_in_steps(response)
    return OneResponse(raws, len(raws), len(response.body))


def columns_of(read_columns: ReadColumns, chunk: Chunk) -> ReadResponse[OneResponse]:
    """What reads a response into columns, if it is large enough and that is possible."""

    async def read(response: Response) -> OneResponse | Steps[OneResponse]:
        columns = await read_columns(response, chunk)
        return records_of(response) if columns is None else OneResponse(columns, len(columns), len(response.body))

    return lambda response: records_of(response) if len(response.body) < defaults.COLUMNS_FROM_BYTES else read(response)
