"""What a forked child must not keep: locks, and with them ports."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.serving.http.server import listen
from qtforge_sdk.files import exclusive_lock, private_file, private_folder
from qtforge_sdk.testing._journal_scenarios import keep, started

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="fork is of POSIX"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@contextmanager
def forked_child() -> Iterator[None]:
    """Fork a child that lives until the block ends."""
    reading, writing = os.pipe()
    is_ready, say_ready = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.write(say_ready, b"1")
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    os.read(is_ready, 1)  # the child has done what is done after a fork
    os.close(is_ready)
    os.close(say_ready)
    try:
        yield
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_a_child_does_not_keep_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "file"
    lock = exclusive_lock(path, 0.0)
    lock.__enter__()
    with forked_child():
        lock.__exit__(None, None, None)
        with exclusive_lock(path, 0.0):
            pass


def test_a_child_does_not_end_its_parents_lock(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with exclusive_lock(path, 0.0):
        with forked_child():
            pass
        with pytest.raises(TimeoutError), exclusive_lock(path, 0.0):
            pass


def test_a_child_does_not_keep_a_port() -> None:
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    with forked_child():
        listening.close()
        listen("127.0.0.1", port).close()


def test_a_child_does_not_keep_the_runs_of_a_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        owner, other = SqliteJournal(tmp_path), SqliteJournal(tmp_path)
        await owner.open()
        await other.open()
        await keep(owner, started())
        with forked_child():
            # As when the owner is killed: nothing is released, only its descriptors are closed.
            owner._locks.close()
            await other.claim("run")
        await owner.close()
        await other.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("make", [private_file, private_folder])
def test_what_is_private_is_private_whatever_the_umask(
    tmp_path: Path, umask: int, make: Callable[[Path], None]
) -> None:
    before = os.umask(umask)
    try:
        make(tmp_path / "new")
        private_folder(tmp_path / "a" / "b")
        with exclusive_lock(tmp_path / "a" / "b" / "file", 0.0):
            pass
    finally:
        os.umask(before)
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
