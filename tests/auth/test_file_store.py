"""The file store: safe from other users, whole at every moment, and locked between processes."""

# ruff: noqa: ASYNC110, ASYNC240 - a test may read a file, and wait for a thread

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smappee_async import FileTokenStore, StoredToken, Token, TokenStoreError
from smappee_async.auth.stores import file

pytestmark = pytest.mark.anyio

TOKEN = Token("the-access-token", "the-refresh-token", datetime(2026, 11, 1, tzinfo=UTC))
FIRST = StoredToken(generation=1, token=TOKEN)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "place" / "token.json"


async def kept(path: Path) -> FileTokenStore:
    store = FileTokenStore(path)
    async with store.lock():
        assert await store.replace(0, FIRST)
    return store


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.parent.iterdir()}


async def test_file_and_lock_are_the_owners_alone(path: Path) -> None:
    """R13, R35."""
    old = os.umask(0)
    try:
        await kept(path)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.with_name("token.json.lock").stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_only_file_and_lock_are_there_afterwards(path: Path) -> None:
    await kept(path)
    assert names(path) == {"token.json", "token.json.lock"}


async def test_the_lock_file_stays_when_the_lock_is_given_back(path: Path) -> None:
    """If the lock file were removed, two processes could lock two files of the same name."""
    store = await kept(path)
    before = path.with_name("token.json.lock").stat().st_ino
    async with store.lock():
        pass
    assert path.with_name("token.json.lock").stat().st_ino == before


async def test_the_home_directory_can_be_written_as_a_tilde(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(path.parent))
    store = FileTokenStore("~/token.json")
    await store.replace(0, FIRST)
    assert path.exists()


async def test_the_file_is_replaced_and_not_written_into(path: Path) -> None:
    """R13: a reader sees the old file or the new one, whole."""
    store = await kept(path)
    with path.open() as reader:
        await store.replace(1, FIRST.following(TOKEN, refreshing=True))
        assert json.load(reader)["generation"] == 1


async def test_a_symbolic_link_is_refused(path: Path, tmp_path: Path) -> None:
    """R35."""
    store = await kept(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(TokenStoreError, match="symbolic link"):
        await FileTokenStore(link).load()
    with pytest.raises(TokenStoreError, match="symbolic link"):
        await FileTokenStore(link).replace(1, FIRST)
    assert await store.load() == FIRST


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o601, 0o660, 0o777])
async def test_a_file_that_others_can_use_is_refused(path: Path, mode: int) -> None:
    """R35."""
    store = await kept(path)
    path.chmod(mode)
    with pytest.raises(TokenStoreError, match="other users"):
        await store.load()
    with pytest.raises(TokenStoreError, match="other users"):
        await store.replace(1, FIRST)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
async def test_a_file_of_another_user_is_refused(path: Path) -> None:
    """R35."""
    store = await kept(path)
    os.chown(path, 12345, 12345)
    with pytest.raises(TokenStoreError, match="belongs to another user"):
        await store.load()


def make_directory(path: Path) -> None:
    path.mkdir(mode=0o700)


def make_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


@pytest.mark.parametrize("make", [make_directory, make_pipe])
async def test_what_is_not_a_file_is_refused_and_not_waited_for(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """R35."""
    make(tmp_path / "odd")
    with pytest.raises(TokenStoreError, match="is not a file"):
        await FileTokenStore(tmp_path / "odd").load()


CORRUPT = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff\xfe",
    b"{}",
    b'{"generation": true, "refreshing": false, "token": null}',
    b'{"generation": -1, "refreshing": false, "token": null}',
    b'{"generation": 1, "refreshing": 0, "token": null}',
    b'{"generation": 1, "refreshing": false, "token": []}',
    b'{"generation": 1, "refreshing": false, "token": {"access_token": "", "expires_at": 1}}',
    b'{"generation": 1, "refreshing": false, "token": {"access_token": "a", "expires_at": NaN}}',
    b'{"generation": 1, "refreshing": false, "token": {"access_token": "a", "expires_at": 1e300}}',
    b'{"generation": 1, "refreshing": false, "token": {"access_token": "a", "refresh_token": 1, "expires_at": 1}}',
    b"[" * 50_000,
    b" " * 70_000,
    b'{"generation": 1' + b"0" * 5000 + b"}",
]


@pytest.mark.parametrize("data", CORRUPT, ids=range(len(CORRUPT)))
async def test_a_file_that_is_no_record_is_put_aside_and_counts_as_nothing(path: Path, data: bytes) -> None:
    """R13."""
    store = await kept(path)
    path.write_bytes(data)
    assert await store.load() is None
    assert path.with_name("token.json.corrupt").read_bytes() == data
    assert await store.replace(0, FIRST)


async def test_what_a_killed_process_left_half_written_is_gone_with_the_next_write(path: Path) -> None:
    """R13."""
    store = await kept(path)
    path.with_name(".token.json.new").write_text('{"generation": 2, "tok')
    assert await store.replace(1, FIRST.following(TOKEN))
    assert names(path) == {"token.json", "token.json.lock"}


async def test_a_full_disk_leaves_the_old_file_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R17."""
    store = await kept(path)

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("smappee_async.auth.stores.file.os.fsync", full)
    with pytest.raises(TokenStoreError, match="cannot be written: No space left on device"):
        await store.replace(1, FIRST.following(TOKEN))
    monkeypatch.undo()
    assert await store.load() == FIRST
    assert names(path) == {"token.json", "token.json.lock"}


async def test_a_directory_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = FileTokenStore(tmp_path / "file" / "token.json")
    with pytest.raises(TokenStoreError, match="cannot be"):
        async with store.lock():
            pass
    with pytest.raises(TokenStoreError):
        await store.load()


async def test_two_stores_of_one_process_take_turns_on_one_file(path: Path) -> None:
    """R37: two clients of one process share the file, but not the store object."""
    first, second = FileTokenStore(path), FileTokenStore(path)
    order: list[str] = []

    async def wait() -> None:
        async with second.lock():
            order.append("second")

    async with first.lock():
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        order.append("first")
    await waiting
    assert order == ["first", "second"]


HOLD = """
import asyncio, sys
from smappee_async import FileTokenStore
async def main():
    async with FileTokenStore(sys.argv[1]).lock():
        print("held", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_the_lock_of_a_killed_process_is_free(path: Path) -> None:
    """R13."""
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, str(path), stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    store = FileTokenStore(path)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02), store.lock():
            pass
    holder.kill()
    await holder.communicate()
    async with asyncio.timeout(20), store.lock():
        pass


async def test_a_lock_that_was_cancelled_while_a_thread_was_taking_it_is_given_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R11: the thread ends after its waiter has gone."""
    in_thread, go = threading.Event(), threading.Event()
    acquire = file._FileLockAttempt.acquire

    def slow(attempt: file._FileLockAttempt) -> bool:
        in_thread.set()
        go.wait(60)
        return acquire(attempt)

    monkeypatch.setattr(file._FileLockAttempt, "acquire", slow)
    store = FileTokenStore(path)

    async def hold() -> None:
        async with store.lock():
            pass

    task = asyncio.create_task(hold())
    while not in_thread.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.sleep(0)
    go.set()
    await asyncio.wait([task])
    monkeypatch.undo()
    async with asyncio.timeout(20), FileTokenStore(path).lock():
        pass
