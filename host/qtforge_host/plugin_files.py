"""The files of plugins: where the configuration says they are, and those in an object store."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.util
import urllib.parse
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from qtforge_sdk.errors import ConfigError, OperationError
from qtforge_sdk.files import private_folder
from qtforge_sdk.plugin_files import (
    MAX_FILE_BYTES,
    READ_BYTES,
    FileEntry,
    LocalFiles,
    PluginFiles,
    check_file_name,
    file_too_large,
    files_late,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore

__all__ = ["FilesMaker", "ObjectFiles", "files_maker"]

FilesMaker = Callable[[str, Path], PluginFiles]
"""Gives a plugin its files, by its name and its own folder."""
_INSTALL: Final = "pip install 'qtforge-host[object-store]'"
_FIX: Final = "such as file:///srv/shared or s3://BUCKET/FOLDER"
_MAX_RETRIES: Final = 3


def files_maker(
    url: str, source: str, shown: str, timeout_s: float, *, shared: Path | None = None
) -> FilesMaker:
    """Return what gives each plugin its files.

    Args:
        url: The object store with all plugins' files, with its secrets; not used where there is a
            folder; "" for the plugins' own folders.
        source: What named it, for errors.
        shown: The address without its secrets.
        timeout_s: How long one call may take, in seconds.
        shared: The folder with all plugins' files; None for none.

    Raises:
        ConfigError: The library of object stores is not installed.
    """
    if shared is not None:
        return lambda name, folder: LocalFiles(shared / name, timeout_s=timeout_s)
    if not url:
        return lambda name, folder: LocalFiles(folder, timeout_s=timeout_s)
    parsed = urllib.parse.urlsplit(url)
    if importlib.util.find_spec("obstore") is None:
        raise ConfigError(source, "files in an object store need obstore", _INSTALL)
    options = dict(urllib.parse.parse_qsl(parsed.query, keep_blank_values=True))
    place = urllib.parse.urlunsplit((parsed.scheme, parsed.netloc, parsed.path.rstrip("/"), "", ""))

    def make(name: str, folder: Path) -> PluginFiles:
        return ObjectFiles(
            functools.partial(_open, f"{place}/{name}", options, timeout_s, source),
            f"{shown.rstrip('/')}/{name}",
            folder / "incoming",
            timeout_s=timeout_s,
        )

    return make


def _open(url: str, options: dict[str, str], timeout_s: float, source: str) -> ObjectStore:
    import obstore.exceptions  # the extra; it takes 50 ms
    from obstore.store import from_url

    is_plain = options.get("endpoint", "").startswith("http://")
    config: Any = options
    try:
        return from_url(
            url,
            config=config,
            client_options={"allow_http": is_plain, "timeout": f"{timeout_s:g}s"},
            retry_config={"max_retries": _MAX_RETRIES},
        )
    except (obstore.exceptions.BaseError, ValueError) as error:
        raise OperationError(
            "files.unavailable", f"{source} can't be used", _first_line(error), _FIX
        ) from None


class ObjectFiles:
    """Implements `PluginFiles` in an object store: S3, Google Cloud Storage or Azure.

    Args:
        open_store: Connects to it, with the prefix of the plugin; called at the first use.
        where: Where it is, without secrets.
        work: The folder for copies of files on this machine.
        timeout_s: How long one call may take, in seconds.
        max_bytes: The largest file.
    """

    def __init__(
        self,
        open_store: Callable[[], ObjectStore],
        where: str,
        work: Path,
        *,
        timeout_s: float = 60.0,
        max_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self._open_store: Final = open_store
        self._where: Final = where
        self._work: Final = work
        self._timeout_s: Final = timeout_s
        self._max_bytes: Final = max_bytes
        self._store: ObjectStore | None = None

    @property
    def where(self) -> str:
        """The address, without its secrets."""
        return self._where

    async def read(self, name: str, *, max_bytes: int = READ_BYTES) -> bytes | None:
        """Return a file's content; see `PluginFiles`."""
        check_file_name(name)
        async with self._call(name) as store:
            try:
                found = await store.get_async(name)
            except FileNotFoundError:
                return None
            if found.meta["size"] > max_bytes:
                raise file_too_large(name, found.meta["size"], max_bytes)
            return bytes(await found.bytes_async())

    async def write(self, name: str, content: bytes | Path) -> None:
        """Write a file; see `PluginFiles`."""
        await self._put(name, content, "overwrite")

    async def create(self, name: str, content: bytes | Path) -> bool:
        """Write a file unless it is there; see `PluginFiles`."""
        return await self._put(name, content, "create")

    async def exists(self, name: str) -> bool:
        """Return whether a file is there; see `PluginFiles`."""
        check_file_name(name)
        async with self._call(name) as store:
            try:
                await store.head_async(name)
            except FileNotFoundError:
                return False
            return True

    async def list(
        self, folder: str = "", *, after: str = "", limit: int = 1000
    ) -> Sequence[FileEntry]:
        """List files; see `PluginFiles`."""
        if folder:
            check_file_name(folder)
        found: list[FileEntry] = []
        async with self._call(folder or "list of files") as store:
            pages = store.list(folder or None, offset=after or None, chunk_size=min(limit, 1000))
            async for page in pages:
                for each in page:
                    if len(found) >= limit:
                        return found
                    with contextlib.suppress(OperationError):  # another program's
                        check_file_name(each["path"])
                        found.append(
                            FileEntry(
                                name=each["path"],
                                size_bytes=each["size"],
                                modified_at=each["last_modified"],
                            )
                        )
        return found

    async def delete(self, name: str) -> None:
        """Delete a file; see `PluginFiles`."""
        check_file_name(name)
        async with self._call(name) as store:
            with contextlib.suppress(FileNotFoundError):
                await store.delete_async(name)

    def local(self, name: str) -> AbstractAsyncContextManager[Path | None]:
        """Give a copy of a file; see `PluginFiles`."""
        return self._copied(name)

    @contextlib.asynccontextmanager
    async def _copied(self, name: str) -> AsyncIterator[Path | None]:
        check_file_name(name)
        import tempfile  # slow to import, and needed for files elsewhere only

        await asyncio.to_thread(private_folder, self._work)
        with tempfile.NamedTemporaryFile(dir=self._work, suffix=f".{Path(name).name}") as copy:
            async with self._call(name) as store:
                try:
                    found = await store.get_async(name)
                except FileNotFoundError:
                    found = None
                if found is not None:
                    if found.meta["size"] > self._max_bytes:
                        raise file_too_large(name, found.meta["size"], self._max_bytes)
                    async for part in found.stream():
                        await asyncio.to_thread(copy.write, bytes(part))
                    await asyncio.to_thread(copy.flush)
            yield None if found is None else Path(copy.name)

    async def _put(
        self, name: str, content: bytes | Path, mode: Literal["create", "overwrite"]
    ) -> bool:
        check_file_name(name)
        if isinstance(content, bytes):
            size_bytes = len(content)
        else:
            size_bytes = (await asyncio.to_thread(content.stat)).st_size
        if size_bytes > self._max_bytes:
            raise file_too_large(name, size_bytes, self._max_bytes)
        async with self._call(name) as store:
            from obstore.exceptions import AlreadyExistsError  # imported by the call

            try:
                # Only a file that is sent as one can be refused because of its name.
                multipart = False if mode == "create" else None
                await store.put_async(name, content, mode=mode, use_multipart=multipart)
            except AlreadyExistsError:
                return False
        return True

    @contextlib.asynccontextmanager
    async def _call(self, name: str) -> AsyncIterator[ObjectStore]:
        """Give the store, and turn its errors into those of `PluginFiles`."""
        if self._store is None:
            self._store = await asyncio.to_thread(self._open_store)
        from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

        try:
            async with asyncio.timeout(self._timeout_s):
                yield self._store
        except TimeoutError:
            raise files_late(self.where, self._timeout_s) from None
        except (BaseError, OSError) as error:
            refused = isinstance(error, PermissionDeniedError | UnauthenticatedError)
            raise OperationError(
                "files.unavailable",
                f"{name} in {self.where} can't be used",
                _first_line(error),
                "check the credentials" if refused else "check the address and the network",
                retryable=False if refused else None,
            ) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
