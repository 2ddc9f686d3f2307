"""Read a document's bytes, and refuse unreadable or too large files before reading."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from qtforge_sdk import Document, OperationError

__all__ = ["opened", "read"]

# A FIFO or a terminal that takes the file's place after the check must not block the open.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read(document: Document, max_bytes: int) -> bytes:
    """Return all bytes of a document.

    Args:
        document: A file by its path, or content in memory.
        max_bytes: The largest size; checked before anything is read.

    Raises:
        OperationError: See `opened`.
    """
    with opened(document, max_bytes) as file:
        # One byte more than allowed reveals a file that has grown since it was measured.
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise _too_large(document, len(data), max_bytes)
    return data


@contextmanager
def opened(document: Document, max_bytes: int) -> Iterator[BinaryIO]:
    """Open a document for reading, as a context manager.

    Args:
        document: A file by its path, or content in memory.
        max_bytes: The largest size.

    Raises:
        OperationError: ``document.not_found``, ``document.is_folder``, ``document.empty``,
            ``document.too_large``, ``document.unreadable``.
    """
    if document.content is not None:
        _check_size(document, len(document.content), max_bytes)
        yield io.BytesIO(document.content)
        return
    if not document.path or "\0" in document.path:
        raise OperationError(
            "document.not_found", f"{document.name} is not a file",
            "the document has neither content nor a usable path",
            "set document.path or document.content",
        )  # fmt: skip
    try:
        # The kind is checked before opening, since opening some devices has side effects.
        _check_regular(document, os.stat(document.path).st_mode)
        with open(os.open(document.path, _OPEN_FLAGS), "rb") as file:
            status = os.fstat(file.fileno())
            _check_regular(document, status.st_mode)
            _check_size(document, status.st_size, max_bytes)
            yield file
    except OSError as error:
        raise _refused(document, error) from error


def _refused(document: Document, error: OSError) -> OperationError:
    where = document.path or document.name
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return OperationError(
            "document.not_found", f"{where} does not exist", "no file has this path",
            "check the path's spelling",
        )  # fmt: skip
    return OperationError(
        "document.unreadable", f"{where} can't be read", error.strerror or str(error),
        "check the file's permissions, or read it as a user who may",
    )  # fmt: skip


def _check_regular(document: Document, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise OperationError(
            "document.is_folder", f"{document.path} is a folder", "a document is one file",
            f"name the files in it; a shell does with {os.path.join(document.path or '', '*')}",
        )  # fmt: skip
    if not stat.S_ISREG(mode):
        raise OperationError(
            "document.unreadable", f"{document.path} is not a regular file",
            "it is a pipe, a socket or a device, which has no end",
            "copy its content into a file first",
        )  # fmt: skip


def _check_size(document: Document, size_bytes: int, max_bytes: int) -> None:
    if size_bytes == 0:
        raise OperationError(
            "document.empty", f"{document.name} is empty", "it has 0 bytes",
            "check that it was copied or downloaded completely",
        )  # fmt: skip
    if size_bytes > max_bytes:
        raise _too_large(document, size_bytes, max_bytes)


def _too_large(document: Document, size_bytes: int, max_bytes: int) -> OperationError:
    return OperationError(
        "document.too_large", f"{document.name} is too large",
        f"it has {size_bytes} bytes, and {max_bytes} are allowed",
        "raise max_bytes in the request's options or in the plugin's configuration",
    )  # fmt: skip
