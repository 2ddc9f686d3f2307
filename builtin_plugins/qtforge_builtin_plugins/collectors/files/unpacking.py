"""Read files within limits, which count the uncompressed bytes."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupt
from qtforge_builtin_plugins.collectors.files.matching import FoundFile, invalid
from qtforge_builtin_plugins.collectors.parameters import invalid_parameter
from qtforge_sdk.errors import OperationError

__all__ = ["Allowance", "check_encoding", "opened", "read_text", "rewritten"]

_CHUNK_BYTES: Final = 1 << 20


class Allowance:
    """The number of bytes that a source may still read.

    Args:
        max_bytes: The limit for all its files together.
        key: The limit's key in the configuration.
    """

    def __init__(self, max_bytes: int, key: str) -> None:
        self.left_bytes = max_bytes
        self._max_bytes = max_bytes
        self._key = key

    def take(self, size_bytes: int, file: FoundFile) -> None:
        """Count bytes.

        Raises:
            OperationError: ``file.too_large``.
        """
        self.left_bytes -= size_bytes
        if self.left_bytes < 0:
            raise OperationError(
                "file.too_large",
                f"{file.name} is too large",
                f"with it the source has more than {self._max_bytes} bytes",
                f"raise {self._key} in [plugins.file-collector.config]",
                retryable=False,
            )


def check_encoding(encoding: str | None) -> None:
    """Check that an encoding is known.

    Raises:
        OperationError: ``file.invalid_parameters``.
    """
    if encoding is None:
        return
    try:
        known = codecs.lookup(encoding)
    except LookupError as error:
        fix = "write it as utf-8, cp1252 or utf-16"
        raise invalid_parameter("file", f"encoding: '{encoding}' is not known", fix) from error
    if not getattr(known, "_is_text_encoding", True):
        raise invalid_parameter("file", f"encoding: '{encoding}' is not a text encoding")


@contextlib.contextmanager
def opened(file: FoundFile) -> Iterator[BinaryIO]:
    """Open a file for reading its uncompressed bytes.

    Raises:
        OperationError: ``file.invalid`` when it is not valid gzip; ``file.unreadable``.
    """
    try:
        with (gzip.open if file.packed else open)(file.path, "rb") as stream:
            yield cast(BinaryIO, stream)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise invalid(file, f"it is not a valid gzip file: {error}") from error
    except OSError as error:
        why = error.strerror or str(error)
        raise OperationError("file.unreadable", f"{file.name} can't be read", why) from error


def read_text(
    file: FoundFile, encoding: str | None, allowance: Allowance, interrupt: Interrupt
) -> str:
    """Return a whole file as text, without a byte order mark.

    Raises:
        OperationError: ``file.too_large``, ``file.invalid``, ``file.unreadable``.
    """
    chunks = []
    with opened(file) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            interrupt.check()
            allowance.take(len(chunk), file)
            chunks.append(chunk)
    data = b"".join(chunks)
    try:
        return data.decode(encoding or "utf-8-sig").removeprefix("\ufeff")
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        raise _undecodable(file, encoding, data.count(b"\n", 0, start) + 1) from error


def rewritten(
    file: FoundFile, encoding: str | None, target: Path, allowance: Allowance, interrupt: Interrupt
) -> None:
    """Write a file uncompressed and in UTF-8.

    Raises:
        OperationError: As for `read_text`.
    """
    decoder = codecs.getincrementaldecoder(encoding or "utf-8-sig")()
    lines = 1
    with opened(file) as stream, target.open("wb") as out:
        while True:
            chunk = stream.read(_CHUNK_BYTES)
            interrupt.check()
            allowance.take(len(chunk), file)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                start = getattr(error, "start", 0)
                raise _undecodable(file, encoding, lines + chunk.count(b"\n", 0, start)) from error
            _write(out, text)
            lines += chunk.count(b"\n")
            if not chunk:
                return


def _write(out: IO[bytes], text: str) -> None:
    try:
        out.write(text.encode())
    except OSError as error:
        raise OperationError(
            "rows.not_writable", "a file can't be uncompressed", error.strerror or str(error),
            "free space in the folder for temporary files",
        ) from error  # fmt: skip


def _undecodable(file: FoundFile, encoding: str | None, line: int) -> OperationError:
    why = f"it is not in {encoding or 'utf-8'}"
    return invalid(file, why, line, "set encoding, such as cp1252")
