"""Growing files and named pipes below the configured roots."""

from __future__ import annotations

import asyncio
import os
import stat
import urllib.parse
import urllib.request
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final, Literal

from qtforge_builtin_plugins.collectors.allowed_paths import AllowedPaths
from qtforge_sdk.errors import OperationError

__all__ = ["StreamPaths", "file_pieces", "path_of", "pipe_pieces"]

_PIECE_BYTES: Final = 256 * 1024
_LOOK_S: Final = 0.05  # the interval of checks of a file that has not grown
# Opening a pipe must not wait for a writer, and the file must not have become a link.
_FLAGS: Final = (
    os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
)  # fmt: skip


class StreamPaths(AllowedPaths):
    """The allowed paths of streams: of named pipes as well as regular files."""

    def source(self, path: Path) -> tuple[Path, bool]:
        """Return the resolved path of a file below the roots, and whether it is a named pipe.

        Raises:
            OperationError: As `AllowedPaths.file`.
        """
        try:
            real = path.resolve()
            self._check_below(path, real)
            if stat.S_ISFIFO(real.stat().st_mode) and os.access(real, os.R_OK):
                return real, True
        except (OSError, RuntimeError):
            pass  # `file` meets the same error, and reports it
        return self.file(path), False


def path_of(endpoint: str) -> str:
    """Return the path of an endpoint: a path, or a ``file:`` URL of this machine.

    >>> path_of("file:///var/log/a%20b.jsonl")
    '/var/log/a b.jsonl'

    Raises:
        OperationError: ``stream.invalid_endpoint``: the URL names another machine.
    """
    if not endpoint.startswith("file:"):
        return endpoint
    parts = urllib.parse.urlsplit(endpoint)
    if parts.netloc not in ("", "localhost"):
        what = f"{endpoint} names a file of another machine"
        fix = "write it as file:///path, with three slashes"
        raise OperationError("stream.invalid_endpoint", what, "", fix, retryable=False)
    return urllib.request.url2pathname(parts.path)


async def file_pieces(
    path: Path, roots: StreamPaths, start: Literal["beginning", "end"]
) -> AsyncGenerator[bytes, None]:
    """Yield a file's content, then the data appended to it, without end.

    A file that becomes shorter, or is replaced by another one, is read from its beginning, as
    ``tail -F`` does.

    Args:
        path: From `AllowedPaths.absolute`.
        roots: The allowed paths, checked each time that it is opened.
        start: Where to start in the current file.

    Raises:
        OperationError: As `AllowedPaths.file`.
    """
    # Read in the event loop, a piece at a time: a thread could not be stopped at the window's
    # end, and would read from a descriptor that belongs to another file by then.
    file = _opened(path, roots)
    try:
        if start == "end":
            os.lseek(file, 0, os.SEEK_END)
        yield b""
        while True:
            piece = os.read(file, _PIECE_BYTES)
            if piece:
                yield piece
                await asyncio.sleep(0)  # a large file must not block the event loop
                continue
            await asyncio.sleep(_LOOK_S)
            if _is_shorter(file):
                os.lseek(file, 0, os.SEEK_SET)
            elif _is_replaced(file, path):
                # The rest of the replaced file is read first.
                while rest := os.read(file, _PIECE_BYTES):
                    yield rest
                newer = _opened(path, roots)
                os.close(file)
                file = newer
    except OSError as error:
        raise _broken(path, error) from error
    finally:
        os.close(file)


async def pipe_pieces(path: Path) -> AsyncGenerator[bytes, None]:
    """Yield the data written to a named pipe, until its last writer closes it.

    Args:
        path: From `StreamPaths.source`.

    Raises:
        OperationError: ``file.unreadable``.
    """
    pipe = _opened_as(stat.S_ISFIFO, path, path)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        # Read only when readable: before the first writer, a read would report the end.
        loop.add_reader(pipe, readable.set)
        yield b""
        while True:
            await readable.wait()
            try:
                piece = os.read(pipe, _PIECE_BYTES)
            except BlockingIOError:
                readable.clear()
                continue
            except OSError as error:
                raise _broken(path, error) from error
            if not piece:
                return
            yield piece
            readable.clear()
    finally:
        loop.remove_reader(pipe)
        os.close(pipe)


def _opened(path: Path, roots: StreamPaths) -> int:
    return _opened_as(stat.S_ISREG, roots.file(path), path)


def _opened_as(is_kind: Callable[[int], bool], real: Path, path: Path) -> int:
    try:
        file = os.open(real, _FLAGS)
        if not is_kind(os.fstat(file).st_mode):
            os.close(file)
            raise OSError("it was replaced by another file")
    except OSError as error:
        raise _broken(path, error) from error
    return file


def _is_shorter(file: int) -> bool:
    return os.fstat(file).st_size < os.lseek(file, 0, os.SEEK_CUR)


def _is_replaced(file: int, path: Path) -> bool:
    try:
        return not os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False  # for a moment there may be no file


def _broken(path: Path, error: OSError) -> OperationError:
    what = f"{path} can't be read"
    fix = "check the permissions of the file and its folders"
    why = error.strerror or str(error)
    return OperationError("file.unreadable", what, why, fix, retryable=False)
