"""Writes one part as one Parquet file, which is there whole or not at all."""

from __future__ import annotations

import io
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import attrs

from smappee_async.distributed.parts import Part
from smappee_async.distributed.process_client import MakeClient
from smappee_async.distributed.reading import PartRead, read_part
from smappee_async.errors import ConfigurationError
from smappee_async.models import StreamStats

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_PER_GROUP: Final = 64 * 1024


@attrs.frozen(kw_only=True)
class WrittenPart:
    """What became of a part.

    :param path: the file.
    :param sessions: the sessions in it; ``None`` if it was finished before.
    :param missing: how many ranges and records are missing for good; they are listed in ``NAME.failures.json`` beside
        the file.
    :param stats: the account of the stream; ``None`` if the part was finished before.
    """

    name: str
    path: str
    sessions: int | None
    missing: int
    stats: StreamStats | None

    @property
    def was_finished(self) -> bool:
        """Whether the file was there already, so that nothing was read."""
        return self.sessions is None


def write_part(part: Part, to: str | os.PathLike[str], *, client: MakeClient | None = None) -> WrittenPart:
    """Read a part and write it as ``NAME.parquet``; a part whose file is there is not read again.

    The file is written under another name and renamed, so a task that is killed leaves no part of a file, and two tasks
    that write the same part at once leave one whole file. RFIDs are in it as they came.

    :param to: a directory, or a URL for fsspec, such as ``s3://lake/sessions``; its package must be installed.
    :param client: makes the client of the process; :func:`client_from_env` if left out.
    :raises SmappeeError: as :func:`read_part`.
    :raises ConfigurationError: there is nothing of that kind to write to.
    :raises OSError: it could not be written.
    """
    place = _place(to)
    file, failures = f"{part.name}.parquet", f"{part.name}.failures.json"
    if place.exists(file):
        lacks = json.loads(place.read(failures)) if place.exists(failures) else []
        return WrittenPart(name=part.name, path=place.path_of(file), sessions=None, missing=len(lacks), stats=None)
    read = read_part(part, client=client)
    # First, because the file says that the part is finished.
    if read.missing:
        lines = [each.to_json() for each in read.missing]
        place.write(failures, json.dumps(lines, indent=1).encode())
    elif place.exists(failures):
        place.remove(failures)
    place.write(file, _parquet(read))
    return WrittenPart(
        name=part.name,
        path=place.path_of(file),
        sessions=read.table.num_rows,
        missing=len(read.missing),
        stats=read.stats,
    )


def _parquet(read: PartRead) -> bytes | memoryview:
    import pyarrow.parquet as pq  # noqa: PLC0415 - read_part has imported pyarrow

    table: pa.Table = read.table
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=_ROWS_PER_GROUP)
    return sink.getbuffer()


# --- places -----------------------------------------------------------------------------------------------------------


class _Place(Protocol):
    """A directory, wherever it is."""

    def exists(self, name: str) -> bool: ...

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, data: bytes | memoryview) -> None: ...

    def remove(self, name: str) -> None: ...

    def path_of(self, name: str) -> str: ...


def _place(to: str | os.PathLike[str]) -> _Place:
    text = os.fspath(to)
    return _Remote(text) if "://" in text else _Directory(Path(text))


@attrs.frozen
class _Directory:
    """A directory of this machine, or one that is mounted.

    What a killed task left under a temporary name stays: on a mounted directory, locks may not tell it from what a task
    on another machine is writing.
    """

    _path: Path

    def exists(self, name: str) -> bool:
        return (self._path / name).is_file()

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()

    def write(self, name: str, data: bytes | memoryview) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        temporary = self._path / _temporary(name)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path / name)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        (self._path / name).unlink(missing_ok=True)

    def path_of(self, name: str) -> str:
        return str(self._path / name)


class _Remote:
    """A place that fsspec knows."""

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs  # noqa: PLC0415 - only for URLs
        except ModuleNotFoundError:
            raise ConfigurationError(f"{_shown(url)} needs fsspec", advice="pip install fsspec") from None
        try:
            self._files: Any
            self._files, root = cast(Callable[[str], tuple[Any, str]], url_to_fs)(url)
        except (ImportError, ValueError) as error:
            kind = url.partition("://")[0]
            raise ConfigurationError(
                f"fsspec cannot write to {kind}:// here: {type(error).__name__}",
                advice="Install the package that fsspec names for it",
            ) from None
        self._root = PurePosixPath(root)

    def exists(self, name: str) -> bool:
        # Another worker may have written it since the listing that is cached.
        self._files.invalidate_cache()
        return bool(self._files.exists(self._at(name)))

    def read(self, name: str) -> bytes:
        data: bytes = self._files.cat_file(self._at(name))
        return data

    def write(self, name: str, data: bytes | memoryview) -> None:
        self._files.makedirs(str(self._root), exist_ok=True)
        temporary = self._at(_temporary(name))
        self._files.pipe_file(temporary, bytes(data))
        self._files.mv(temporary, self._at(name))

    def remove(self, name: str) -> None:
        self._files.rm_file(self._at(name))

    def path_of(self, name: str) -> str:
        return str(self._files.unstrip_protocol(self._at(name)))

    def _at(self, name: str) -> str:
        return str(self._root / name)


def _shown(url: str) -> str:
    """A URL without what may be a password."""
    kind, _, rest = url.partition("://")
    return f"{kind}://{rest.rpartition('@')[2]}"


def _temporary(name: str) -> str:
    return f".{name}.{secrets.token_hex(8)}.tmp"
