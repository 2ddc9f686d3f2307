"""The lock of the process that serves: one holder, also beside forked children."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qtforge_host.serving.errors import AlreadyServingError
from qtforge_host.serving.state_files import ServeFolder
from qtforge_sdk.files import try_lock

pytestmark = pytest.mark.skipif(os.name != "posix", reason="it has no fork")


@contextmanager
def forked_child() -> Iterator[None]:
    """A child that lives as long as the block, with copies of the process's descriptors."""
    reading, writing = os.pipe()
    ready, is_ready = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(writing)
        os.write(is_ready, b"1")
        os.read(reading, 1)  # until the parent closes its end
        os._exit(0)
    os.close(reading)
    try:
        os.read(ready, 1)
        yield
    finally:
        for each in (writing, ready, is_ready):
            os.close(each)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("is_handed_over", [False, True])
def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path, is_handed_over: bool) -> None:
    folder = ServeFolder(tmp_path)
    with contextlib.ExitStack() as child:
        with contextlib.ExitStack() as serving:
            lock = serving.enter_context(folder.lock())
            if is_handed_over:  # as by the process that this one replaced
                handed_over = os.dup(lock)
                serving.close()
                serving.enter_context(folder.lock(handed_over))
            child.enter_context(forked_child())
            with pytest.raises(AlreadyServingError), folder.lock():
                pass
        with folder.lock():
            pass


def test_the_process_that_serves_is_named_only_while_it_lives(tmp_path: Path) -> None:
    folder = ServeFolder(tmp_path)
    with folder.lock():
        with pytest.raises(AlreadyServingError) as refused, folder.lock():
            pass
        assert refused.value.pid == str(os.getpid())
    # Another process holds the lock, and the number is of one that has ended.
    (tmp_path / "serve" / "process").write_text("999999999\n")
    descriptor = os.open(tmp_path / "serve" / "process.lock", os.O_RDONLY)
    try:
        assert try_lock(descriptor)
        with pytest.raises(AlreadyServingError) as refused, folder.lock():
            pass
    finally:
        os.close(descriptor)
    assert refused.value.pid == ""
    assert "kill" not in refused.value.fix
    assert "process.lock" in refused.value.fix
