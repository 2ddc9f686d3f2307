"""A document's bytes, and the text that they are."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from qtforge_sdk import Document, OperationError

__all__ = ["decode", "read"]

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read(document: Document, max_bytes: int) -> bytes:
    """Return a document's bytes.

    Args:
        document: A file by its path, or content in memory.
        max_bytes: The most that is accepted.

    Raises:
        OperationError: ``document.not_found``, ``document.is_folder``,
            ``document.unreadable``, ``document.empty``, ``document.too_large``.
    """
    data = document.content if document.content is not None else _from_file(document, max_bytes)
    if not data:
        raise OperationError(
            "document.empty", f"{document.name} is empty", "it has 0 bytes",
            "check that it was downloaded to its end",
        )  # fmt: skip
    if len(data) > max_bytes:
        raise OperationError(
            "document.too_large", f"{document.name} is too large",
            f"more than {max_bytes} bytes are not allowed",
            "raise options.max_bytes, or max_bytes in the configuration of subtitle-parser",
        )  # fmt: skip
    return data


def decode(name: str, data: bytes, encoding: str | None) -> tuple[str, str]:
    """Return the text and the encoding that it had.

    Args:
        name: For the error.
        data: Not empty.
        encoding: What the caller says it is; None to go by the byte order mark, else UTF-8.

    Raises:
        OperationError: ``document.undecodable``.
    """
    chosen = encoding or next((each for mark, each in _MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(chosen), chosen
    except (UnicodeError, LookupError) as error:
        raise OperationError(
            "document.undecodable", f"{name} can't be decoded as {chosen}", str(error),
            "set options.encoding, such as cp1252",
        ) from error  # fmt: skip


def _from_file(document: Document, max_bytes: int) -> bytes:
    if not document.path or "\0" in document.path:
        raise OperationError(
            "document.not_found", f"{document.name} names no file",
            "it has neither content nor a usable path", "set document.path or document.content",
        )  # fmt: skip
    path = Path(document.path)
    try:
        if path.is_dir():
            raise OperationError(
                "document.is_folder", f"{path} is a folder", "a document is one file",
                "name the files in it",
            )  # fmt: skip
        if path.exists() and not path.is_file():
            raise OperationError(
                "document.unreadable", f"{path} is not a regular file",
                "a pipe or a device has no end to read to", "copy its content into a file first",
            )  # fmt: skip
        with path.open("rb") as file:
            return file.read(max_bytes + 1)  # one more shows that it is too large
    except FileNotFoundError as error:
        raise OperationError(
            "document.not_found", f"{path} is not there", "no file has this path",
            "check the path's spelling",
        ) from error  # fmt: skip
    except OSError as error:
        raise OperationError(
            "document.unreadable", f"{path} can't be read", error.strerror or str(error),
            "check the file's permissions",
        ) from error  # fmt: skip
