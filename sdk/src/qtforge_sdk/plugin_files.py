"""Files that a plugin keeps: `PluginFiles`, and `LocalFiles`, which keeps them in a folder.

`PluginContext.files` is a plugin's own. Without configuration they are in its folder in the state
directory; with ``[host] files`` they are in a shared folder or an object store, and the same on
all machines. Names are relative, such as ``reports/2026/r1.md``: parts of letters, digits, ``.``,
``_`` and ``-``, of which none begins with ``.``.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import heapq
import os
import re
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from qtforge_sdk.errors import OperationError
from qtforge_sdk.files import private_folder

__all__ = [
    "MAX_FILE_BYTES",
    "READ_BYTES",
    "FileEntry",
    "LocalFiles",
    "PluginFiles",
    "check_file_name",
    "file_too_large",
    "files_late",
]

MAX_FILE_BYTES: Final = 1 << 30
"""The largest file, in bytes."""
READ_BYTES: Final = 64 << 20
"""How much `PluginFiles.read` reads by default, in bytes."""
_PART: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_LONGEST: Final = 512
_DEEPEST: Final = 16
_CHUNK_BYTES: Final = 1 << 20
_NO_FILE: Final = (errno.ENOENT, errno.ENOTDIR)
T = TypeVar("T")


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file in a list.

    Attributes:
        name: Its name.
        size_bytes: Its size, in bytes.
        modified_at: When it was written.
    """

    name: str
    size_bytes: int
    modified_at: datetime.datetime


class PluginFiles(Protocol):
    """The files of one plugin.

    Every method raises `OperationError`: ``files.invalid_name`` for a name that is none,
    ``files.too_large``, ``files.not_a_file`` for what is no plain file, ``files.timeout`` when it
    takes longer than ``[host] files_timeout``, and ``files.unavailable`` where they can't be
    reached or written.
    """

    @property
    def where(self) -> str:
        """Where the files are, for people: a folder, or an address without its secrets."""

    async def read(self, name: str, *, max_bytes: int = READ_BYTES) -> bytes | None:
        """Return the content of a file; None where there is none of that name.

        Args:
            name: Its name.
            max_bytes: A larger one is ``files.too_large``.
        """

    async def write(self, name: str, content: bytes | Path) -> None:
        """Write a file, or replace it: a reader sees the old content or the new, never a part.

        Args:
            name: Its name.
            content: The content, or a file on this machine that has it.
        """

    async def create(self, name: str, content: bytes | Path) -> bool:
        """Write a file unless there is one of that name, of several writers on all machines one.

        Returns:
            Whether it was written.
        """

    async def exists(self, name: str) -> bool:
        """Return whether there is a file of that name."""

    async def list(
        self, folder: str = "", *, after: str = "", limit: int = 1000
    ) -> Sequence[FileEntry]:
        """Return files in a folder and its folders, ordered by their names.

        Args:
            folder: The folder, such as ``reports/2026``; "" for all files.
            after: Only names after this one: the last of the page before.
            limit: How many at most.
        """

    async def delete(self, name: str) -> None:
        """Delete a file; that there is none is no error."""

    def local(self, name: str) -> AbstractAsyncContextManager[Path | None]:
        """Give the path of a file with the content, on this machine, within a ``with`` block.

        It must not be changed, and may be gone after the block. None where there is none of that
        name.
        """


def check_file_name(name: str) -> Sequence[str]:
    """Return the parts of a file's name.

    Raises:
        OperationError: ``files.invalid_name``: it has other characters, is absolute, is too long,
            or could lead out of the folder.
    """
    parts = name.split("/") if len(name) <= _LONGEST else []
    if not 0 < len(parts) <= _DEEPEST or not all(map(_PART.fullmatch, parts)):
        raise OperationError(
            "files.invalid_name",
            f"{name[:80]!a} can't be the name of a file",
            f"it has parts of letters, digits, '.', '_' and '-', none begins with '.', at most"
            f" {_DEEPEST} of 128 characters, {_LONGEST} in all",
            "encode other names, such as by their SHA-256",
            retryable=False,
        )
    return parts


def file_too_large(name: str, size_bytes: int | None, max_bytes: int) -> OperationError:
    """Return the error for a file that is larger than it may be; None for an unknown size."""
    size = "more" if size_bytes is None else f"{size_bytes:,}"
    why = f"it has {size} bytes, and may have {max_bytes:,}"
    return OperationError(
        "files.too_large", f"the file {name} is too large", why, "keep less in it", retryable=False
    )


def files_late(where: str, timeout_s: float) -> OperationError:
    """Return the error for what took too long."""
    return OperationError(
        "files.timeout",
        f"the files in {where} did not answer",
        f"{timeout_s:g} s are over",
        "check the disk or the network, or raise [host] files_timeout",
        retryable=True,
    )


class LocalFiles:
    """Implements `PluginFiles` in a folder, which may be shared by several machines.

    No symbolic link below the folder is followed. What is made can be opened by its owner alone.

    Args:
        folder: The folder; it is made when something is written.
        timeout_s: How long one call may take, in seconds.
        max_bytes: The largest file.
    """

    def __init__(
        self, folder: Path, *, timeout_s: float = 60.0, max_bytes: int = MAX_FILE_BYTES
    ) -> None:
        self._folder: Final = folder
        self._timeout_s: Final = timeout_s
        self._max_bytes: Final = max_bytes

    @property
    def where(self) -> str:
        """The folder."""
        return str(self._folder)

    async def read(self, name: str, *, max_bytes: int = READ_BYTES) -> bytes | None:
        """Return a file's content; see `PluginFiles`."""
        parts = check_file_name(name)
        return await self._in_thread(name, lambda: self._read(name, parts, max_bytes))

    async def write(self, name: str, content: bytes | Path) -> None:
        """Write a file; see `PluginFiles`."""
        parts = check_file_name(name)
        await self._in_thread(name, lambda: self._write(name, parts, content, replace=True))

    async def create(self, name: str, content: bytes | Path) -> bool:
        """Write a file unless it is there; see `PluginFiles`."""
        parts = check_file_name(name)
        return await self._in_thread(name, lambda: self._write(name, parts, content, replace=False))

    async def exists(self, name: str) -> bool:
        """Return whether a file is there; see `PluginFiles`."""
        parts = check_file_name(name)

        def look() -> bool:
            with self._opened(name, parts) as descriptor:
                return descriptor is not None

        return await self._in_thread(name, look)

    async def list(
        self, folder: str = "", *, after: str = "", limit: int = 1000
    ) -> Sequence[FileEntry]:
        """List files; see `PluginFiles`."""
        parts = check_file_name(folder) if folder else ()
        until_s = time.monotonic() + self._timeout_s

        def look() -> Sequence[FileEntry]:
            found = (each for each in self._entries(parts, until_s) if each.name > after)
            return heapq.nsmallest(limit, found, key=lambda each: each.name)

        return await self._in_thread(folder, look)

    async def delete(self, name: str) -> None:
        """Delete a file; see `PluginFiles`."""
        parts = check_file_name(name)

        def remove() -> None:
            with self._parent(parts, make=False) as parent:
                if parent is not None:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(parts[-1], dir_fd=parent)

        await self._in_thread(name, remove)

    @contextlib.asynccontextmanager
    async def local(self, name: str) -> AsyncIterator[Path | None]:
        """Give the file itself; see `PluginFiles`."""
        yield self._folder.joinpath(*name.split("/")) if await self.exists(name) else None

    async def _in_thread(self, name: str, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.to_thread(work)
        except TimeoutError:
            raise files_late(self.where, self._timeout_s) from None
        except OSError as error:
            raise self._unavailable(name, error) from error

    def _unavailable(self, name: str, error: OSError) -> OperationError:
        if error.errno in (errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP):
            return _no_file(name)
        return OperationError(
            "files.unavailable",
            f"the file {name} in {self.where} can't be used",
            error.strerror or str(error),
            "check the folder's permissions and the space left",
        )

    def _read(self, name: str, parts: Sequence[str], max_bytes: int) -> bytes | None:
        with self._opened(name, parts) as descriptor:
            if descriptor is None:
                return None
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(max_bytes + 1)
            if len(content) > max_bytes:
                size_bytes = max(os.fstat(descriptor).st_size, len(content))
                raise file_too_large(name, size_bytes, max_bytes)
            return content

    def _write(
        self, name: str, parts: Sequence[str], content: bytes | Path, *, replace: bool
    ) -> bool:
        size_bytes = len(content) if isinstance(content, bytes) else content.stat().st_size
        if size_bytes > self._max_bytes:
            raise file_too_large(name, size_bytes, self._max_bytes)
        private_folder(self._folder)
        with self._parent(parts, make=True) as parent:
            temporary = f".{os.urandom(8).hex()}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, 0o600, dir_fd=parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    if isinstance(content, bytes):
                        file.write(content)
                    else:
                        import shutil  # slow to import, and needed here only

                        with content.open("rb") as source:
                            shutil.copyfileobj(source, file, _CHUNK_BYTES)
                    file.flush()
                    os.fsync(descriptor)
                if not replace:
                    try:
                        os.link(temporary, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
                    except FileExistsError:
                        if _is_folder(parts[-1], parent):
                            raise _no_file(name) from None
                        return False
                else:
                    os.rename(temporary, parts[-1], src_dir_fd=parent, dst_dir_fd=parent)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=parent)
            assert parent is not None  # noqa: S101 - it was made
            os.fsync(parent)
        return True

    @contextlib.contextmanager
    def _opened(self, name: str, parts: Sequence[str]) -> Iterator[int | None]:
        """Give the descriptor of a plain file to read; None where there is none."""
        with self._parent(parts, make=False) as parent:
            descriptor = None
            if parent is not None:
                # A pipe would block without it.
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                try:
                    descriptor = os.open(parts[-1], flags, dir_fd=parent)
                except FileNotFoundError:
                    pass
                except OSError as error:
                    if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, or a socket
                        raise _no_file(name) from None
                    raise
            try:
                if descriptor is not None:
                    mode = os.fstat(descriptor).st_mode
                    if stat.S_ISDIR(mode):  # as in an object store, there is no such file
                        os.close(descriptor)
                        descriptor = None
                    elif not stat.S_ISREG(mode):
                        raise _no_file(name)
                yield descriptor
            finally:
                if descriptor is not None:
                    os.close(descriptor)

    @contextlib.contextmanager
    def _parent(self, parts: Sequence[str], *, make: bool) -> Iterator[int | None]:
        """Give the descriptor of the folder of a file; None where there is none.

        One part is opened after the other, so that no link is followed, whatever is changed
        meanwhile.
        """
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            descriptor = os.open(self._folder, flags)
        except (FileNotFoundError, NotADirectoryError):
            if make:
                raise
            yield None
            return
        try:
            for number, part in enumerate(parts[:-1], 1):
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=descriptor)
                try:
                    inner = os.open(part, flags | os.O_NOFOLLOW, dir_fd=descriptor)
                except OSError as error:
                    if error.errno in _NO_FILE and not make and not _is_link(part, descriptor):
                        yield None
                        return
                    if error.errno in (errno.ENOTDIR, errno.ELOOP):
                        raise _no_file("/".join(parts[:number])) from None
                    raise
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def _entries(self, parts: Sequence[str], until_s: float) -> Iterator[FileEntry]:
        """Give the plain files in a folder, in any order."""
        with self._parent([*parts, ""], make=False) as top:
            if top is None:
                return
            for folder, folders, names, descriptor in os.fwalk(".", dir_fd=top):
                if time.monotonic() > until_s:
                    raise TimeoutError
                folders[:] = filter(_PART.fullmatch, folders)  # nothing of ours is in others
                path = [*parts, *(each for each in folder.split("/") if each != ".")]
                for each in filter(_PART.fullmatch, names):
                    with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                        found = os.stat(each, dir_fd=descriptor, follow_symlinks=False)
                        if stat.S_ISREG(found.st_mode):
                            modified_at = datetime.datetime.fromtimestamp(
                                found.st_mtime, datetime.UTC
                            )
                            yield FileEntry(
                                name="/".join([*path, each]),
                                size_bytes=found.st_size,
                                modified_at=modified_at,
                            )


def _is_link(name: str, folder: int) -> bool:
    return stat.S_ISLNK(_mode(name, folder))


def _is_folder(name: str, folder: int | None) -> bool:
    return stat.S_ISDIR(_mode(name, folder))


def _mode(name: str, folder: int | None) -> int:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0


def _no_file(name: str) -> OperationError:
    return OperationError(
        "files.not_a_file",
        f"{name} is no plain file",
        "it is a folder, a symbolic link or a device, or a file where a folder is to be",
        "give another name",
        retryable=False,
    )
