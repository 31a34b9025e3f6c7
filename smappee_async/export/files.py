"""Writes the sessions of a source to a file: what :mod:`smappee_async.export` hands out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Final, TypeVar

from smappee_async.export.new_file import NewFileThread
from smappee_async.export.source import Accounted, ArrowSource, Exported, OnProgress, SessionSource, closing, is_whole
from smappee_async.export.text import CsvDialect, CsvText, JsonLinesText, SessionText
from smappee_async.export.xlsx_file import About, about_account, write_xlsx
from smappee_async.export.zones import TimeZones, Zones
from smappee_async.models import SessionBatch
from smappee_async.rfid import ShownRfid, check_shown_rfid, rfid_as

if TYPE_CHECKING:
    import pyarrow as pa

ItemT = TypeVar("ItemT")

#: To format so many holds the event loop for one or two milliseconds.
_SESSIONS_PER_STEP: Final = 100
#: Text is written when there is so much of it, because to ask a thread costs as much as to format several sessions.
_CHARACTERS_PER_WRITE: Final = 64 * 1024


async def csv(
    source: SessionSource,
    path: str | os.PathLike[str],
    *,
    dialect: CsvDialect = "standard",
    rfid: ShownRfid = "mask",
    tz: Zones | None = None,
    on_progress: OnProgress | None = None,
) -> Exported:
    """Write sessions as CSV, with the columns of every table.

    ``standard`` is for programs: comma, point, instants in UTC such as ``2026-10-01T08:15:00.000Z``, energy with all
    its digits. ``excel-eu`` is for Excel in most of Europe: semicolon, decimal comma, byte order mark, times that Excel
    reads, and an apostrophe before a text that it would run as a formula.

    :param source: a stream, or anything with ``batches()``. A stream is closed at the end.
    :param path: the file. It appears under its name when it is whole, and takes the place of an earlier one; if data is
        missing it is named ``NAME.incomplete``.
    :param rfid: ``"mask"`` shows the last three characters of RFIDs, ``"show"`` all, ``"none"`` nothing, and
        :class:`~smappee_async.sync.HashedRfid` a hash.
    :param tz: adds ``started_local`` and ``ended_local`` in this zone, or in the zone of each park; ``excel-eu`` only.
    :param on_progress: is called with the number of sessions that were written so far.
    :raises ConfigurationError: an argument cannot work, or the file cannot be written there.
    :raises ExportError: writing failed, as on a full disk. No file is left, and an earlier one stays.
    """
    return await _write_text(source, path, CsvText(dialect, rfid=rfid, tz=tz), on_progress)


async def jsonl(
    source: SessionSource,
    path: str | os.PathLike[str],
    *,
    rfid: ShownRfid = "mask",
    on_progress: OnProgress | None = None,
) -> Exported:
    """Write sessions as JSON lines: one object for each, with the columns of every table.

    Instants are texts in UTC, and ``energy_kwh`` is exact decimal text; ``null`` stands for what is missing.

    :param source: as for :func:`csv`, as are the other arguments and the errors.
    """
    return await _write_text(source, path, JsonLinesText(rfid), on_progress)


async def parquet(
    source: ArrowSource | SessionSource,
    path: str | os.PathLike[str],
    *,
    rfid: ShownRfid = "mask",
    on_progress: OnProgress | None = None,
) -> Exported:
    """Write sessions as Parquet: the schema of ``stream.arrow()`` with its metadata, compressed with zstd.

    Needs pyarrow, which comes with the extra ``arrow``.

    :param source: a stream, or anything with ``arrow()``, or with ``batches()``. A stream is closed at the end.
    :param rfid: as for :func:`csv`, as are the other arguments and the errors; the column is there with ``"none"`` too.
    :raises ImportError: pyarrow is not installed.
    """
    choice: ShownRfid = check_shown_rfid(rfid)
    # In a thread, because it takes long; and before the stream begins, because it slows the loop all the same.
    writing, sessions = await asyncio.to_thread(_load_parquet)

    async def write(file: NewFileThread, batches: AsyncIterator[pa.RecordBatch]) -> int:
        count: int = await writing.write_parquet(file, batches, choice, on_progress)
        return count

    batches = source.arrow() if isinstance(source, ArrowSource) else sessions.record_batches(source.batches())
    return await _to_file(source, batches, path, write)


async def xlsx(
    source: SessionSource,
    path: str | os.PathLike[str],
    *,
    tz: Zones = "UTC",
    rfid: ShownRfid = "mask",
    about: About = (),
    on_progress: OnProgress | None = None,
) -> Exported:
    """Write sessions as an Excel workbook, in a process of its own. Needs the extra ``excel``.

    The sheet *Sessions* has every column, with instants in UTC and in the time zone of the park; *Totals* has the sums
    of all, and for each local day, park, station and card, with a chart of kWh a day; *About* says what the file holds.
    More than 1,048,575 sessions go on in *Sessions 2*, because a query does not say in advance how many there are.

    :param source: as for :func:`csv`, as are the other arguments and the errors.
    :param tz: for local times and days: one zone, or the zone of each park.
    :param about: lines that come first on *About*, see :func:`about_query`. The account of a stream follows by itself.
    :raises ConfigurationError: the extra is not installed, or ``sys.executable`` is no Python.
    """
    choice: ShownRfid = check_shown_rfid(rfid)
    zones = TimeZones(tz)

    def lines() -> About:
        return [*about, *(about_account(source.stats, source.failures) if isinstance(source, Accounted) else ())]

    async def write(file: NewFileThread, batches: AsyncIterator[SessionBatch]) -> int:
        counted = _counted(batches, on_progress)
        shown = partial(rfid_as, choice=choice)
        name = os.fspath(path)
        return await write_xlsx(counted, file.file.temporary, zones=zones, rfid=shown, about=lines, name=name)

    return await _to_file(source, source.batches(), path, write)


async def _counted(batches: AsyncIterator[SessionBatch], on_progress: OnProgress | None) -> AsyncIterator[SessionBatch]:
    count = 0
    async for batch in batches:
        yield batch
        count += len(batch.sessions)
        if on_progress is not None:
            on_progress(count)


def _load_parquet() -> tuple[ModuleType, ModuleType]:
    import_module("smappee_async.tables.schema")  # first, because it says which extra is not installed
    return import_module("smappee_async.export.parquet_file"), import_module("smappee_async.tables.sessions")


async def _write_text(
    source: SessionSource, path: str | os.PathLike[str], text: SessionText, on_progress: OnProgress | None
) -> Exported:
    async def write(file: NewFileThread, batches: AsyncIterator[SessionBatch]) -> int:
        count, written = 0, 0
        waiting = [text.begin()]

        async def write_waiting() -> None:
            nonlocal written
            await file.write("".join(waiting).encode("utf-8", "surrogatepass"))
            waiting.clear()
            if on_progress is not None and count > written:
                on_progress(count)
            written = count

        async for batch in batches:
            for first in range(0, len(batch.sessions), _SESSIONS_PER_STEP):
                sessions = batch.sessions[first : first + _SESSIONS_PER_STEP]
                waiting.append(text.add(sessions))
                count += len(sessions)
                if sum(map(len, waiting)) >= _CHARACTERS_PER_WRITE:
                    await write_waiting()
                else:
                    await asyncio.sleep(0)
        waiting.append(text.end())
        await write_waiting()
        return count

    return await _to_file(source, source.batches(), path, write)


async def _to_file(
    source: object,
    items: AsyncIterator[ItemT],
    path: str | os.PathLike[str],
    write: Callable[[NewFileThread, AsyncIterator[ItemT]], Awaitable[int]],
) -> Exported:
    """Write what a source gives, and give the file its name."""
    async with closing(items, source), NewFileThread(path) as thread:
        count = await write(thread, items)
        is_complete = thread.file.is_complete = is_whole(source)
    return Exported(path=thread.file.path, sessions=count, is_complete=is_complete)
