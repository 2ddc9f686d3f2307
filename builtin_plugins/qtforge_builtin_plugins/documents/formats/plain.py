"""Plain text of any encoding; the other text formats decode through it."""

from __future__ import annotations

import codecs
from typing import Final

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_sdk import OperationError

__all__ = ["decode", "extract"]

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES: Final = 131_072
_FIX: Final = "name the encoding in options.encoding, such as 'windows-1251'"


def extract(source: Source) -> Extracted:
    """Return the text unchanged.

    Raises:
        OperationError: ``document.undecodable``.
    """
    text, encoding = decode(source.data, source.encoding, source.name)
    return Extracted(text=text, encoding=encoding)


def decode(data: bytes, encoding: str | None, name: str) -> tuple[str, str]:
    """Return the text and the encoding that was used.

    A byte order mark decides, then UTF-8 if it is valid for every byte, then detection.

    Args:
        data: The encoded text.
        encoding: The encoding given by the caller, or None.
        name: The file's name, for errors.

    Raises:
        OperationError: ``document.undecodable``: the encoding is unknown or does not fit.
    """
    if encoding is not None:
        return _decoded(data, encoding, name), encoding
    for mark, marked_encoding in _BOMS:
        if data.startswith(mark):
            return _decoded(data, marked_encoding, name), marked_encoding
    if b"\0" not in data:
        try:
            return data.decode("utf-8"), "utf-8"
        except UnicodeDecodeError as error:
            # Most of a text may be ASCII: detection needs the part around the first other byte.
            sample = data[max(0, error.start - 4096) :][:_SAMPLE_BYTES]
    else:
        sample = data[:_SAMPLE_BYTES]
    found = _detect(sample, name)
    return _decoded(data, found, name), found


def _decoded(data: bytes, encoding: str, name: str) -> str:
    try:
        return str(data, encoding)
    except LookupError as error:
        raise OperationError(
            "document.undecodable", f"{name} can't be decoded",
            f"there is no encoding '{encoding}'", _FIX,
        ) from error  # fmt: skip
    except UnicodeError as error:
        raise OperationError(
            "document.undecodable", f"{name} can't be decoded", f"it is not {encoding}: {error}",
            _FIX,
        ) from error  # fmt: skip


def _detect(sample: bytes, name: str) -> str:
    import chardet  # its models take time to load, and UTF-8 needs none

    # Without the restriction, short western texts are detected as old Macintosh encodings.
    found = chardet.detect(sample, encoding_era=chardet.EncodingEra.MODERN_WEB)["encoding"]
    if found is None:
        raise OperationError(
            "document.undecodable", f"{name} can't be decoded",
            "it is not UTF-8, and its bytes fit no known encoding of text", _FIX,
        )  # fmt: skip
    return found.lower()
