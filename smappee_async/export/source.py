"""What a file is written from: a stream, or anything that gives batches."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from smappee_async.models import SessionBatch, StreamStats

if TYPE_CHECKING:
    import pyarrow as pa

OnProgress = Callable[[int], None]
"""Is called with the number of sessions that were written so far."""


class SessionSource(Protocol):
    """Gives sessions in batches, as a :class:`~smappee_async.SessionStream` does.

    If it also has ``failures`` or ``invalid``, and one of them holds something at the end, data is missing. If it has
    ``aclose()``, it is closed at the end.
    """

    def batches(self) -> AsyncIterator[SessionBatch]:
        """The sessions, in batches."""
        ...


@runtime_checkable
class ArrowSource(Protocol):
    """Gives sessions as Arrow record batches, as a :class:`~smappee_async.SessionStream` does.

    If it also has ``failures`` or ``invalid``, and one of them holds something at the end, data is missing. If it has
    ``aclose()``, it is closed at the end.
    """

    def arrow(self) -> AsyncIterator[pa.RecordBatch]:
        """The sessions, in record batches with the schema of every table."""
        ...


@runtime_checkable
class Accounted(Protocol):
    """Knows what became of everything that it received, as a :class:`~smappee_async.SessionStream` does."""

    @property
    def stats(self) -> StreamStats:
        """The account so far."""
        ...

    @property
    def failures(self) -> Sequence[object]:
        """What could not be read."""
        ...


@runtime_checkable
class _Closable(Protocol):
    async def aclose(self) -> None: ...


@attrs.frozen(kw_only=True)
class Exported:
    """A file that was written.

    :param path: its name.
    :param sessions: the number of sessions in it.
    :param is_complete: whether all data is in it; if not, the name ends with ``.incomplete``.
    """

    path: Path
    sessions: int
    is_complete: bool


@asynccontextmanager
async def closing(*used: object) -> AsyncGenerator[None, None]:
    """At the end those are closed that can be, so that a stream leaves no task and no request behind."""
    try:
        yield
    finally:
        for each in used:
            if isinstance(each, _Closable):
                await each.aclose()


def is_whole(source: object) -> bool:
    """Whether nothing is missing of what a source has given."""
    return not (getattr(source, "failures", ()) or getattr(source, "invalid", ()))
