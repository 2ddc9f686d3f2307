"""Plain text of any encoding; the other text formats decode through it."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_sdk import OperationError

__all__ = ["Decoded", "decode", "extract"]

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE_BYTES: Final = 131_072
_NONE: Final[Mapping[str, str]] = MappingProxyType({})
_REPLACEMENT: Final = "\ufffd"
_MOST_WRONG: Final = 0.05  # with a larger share of wrong characters, it is another encoding
_CERTAIN: Final = 0.5  # from this confidence on, a web encoding is not compared with those of DOS
_UNCERTAIN: Final = 0.05  # chardet's confidence grows with the text: a sentence has about 0.1
_DOS_FACTOR: Final = 1.3
_DOS_BYTES: Final = 4  # with fewer bytes outside ASCII, the confidences are chance
_FIX: Final = "name the encoding in options.encoding, such as 'windows-1251'"


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded text.

    Attributes:
        text: The text.
        encoding: The encoding that was used.
        warnings: As in `Extracted`.
    """

    text: str
    encoding: str
    warnings: Mapping[str, str] = msgspec.field(default_factory=dict)


def extract(source: Source) -> Extracted:
    """Return the text unchanged.

    Raises:
        OperationError: ``document.undecodable``.
    """
    decoded = decode(source.data, source.encoding, source.name)
    return Extracted(text=decoded.text, encoding=decoded.encoding, warnings=decoded.warnings)


def decode(data: bytes, encoding: str | None, name: str) -> Decoded:
    """Decode a text.

    A byte order mark decides, then UTF-8 if most of its characters are valid, then detection.
    Bytes that are wrong in an encoding that was found are replaced by U+FFFD, and the warning
    ``encoding_errors`` says so; ``encoding_uncertain`` says that the encoding is a guess.

    Args:
        data: The encoded text.
        encoding: The encoding given by the caller, or None.
        name: The file's name, for errors.

    Raises:
        OperationError: ``document.undecodable``: the encoding is unknown or does not fit.
    """
    if encoding is not None:
        return _decoded(data, encoding, name)
    for mark, marked_encoding in _BOMS:
        if data.startswith(mark):
            return _decoded(data, marked_encoding, name)
    if b"\0" not in data:
        try:
            return Decoded(text=data.decode("utf-8"), encoding="utf-8")
        except UnicodeDecodeError as error:
            # Most of a text may be ASCII: detection needs the part around the first other byte.
            sample = data[max(0, error.start - 4096) :][:_SAMPLE_BYTES]
        if _is_mostly_utf8(sample):
            return _replaced(str(data, "utf-8", "replace"), "utf-8", {})
    else:
        sample = data[:_SAMPLE_BYTES]
    found, warnings = _detect(sample, name)
    return _decoded(data, found, name, warnings)


def _is_mostly_utf8(sample: bytes) -> bool:
    """Return whether valid characters outside ASCII outnumber wrong bytes.

    In texts of other encodings, a pair of bytes is valid UTF-8 only by chance: about one in
    seven letters of cp866, one in four characters of EUC-JP and Shift JIS, hardly any of others.
    """
    text = sample.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    valid = sum(character > "\x7f" for character in text) - wrong
    return valid > wrong


def _decoded(data: bytes, encoding: str, name: str, warnings: Mapping[str, str] = _NONE) -> Decoded:
    try:
        return Decoded(text=str(data, encoding), encoding=encoding, warnings=warnings)
    except LookupError as error:
        raise OperationError(
            "document.undecodable", f"{name} can't be decoded",
            f"there is no encoding '{encoding}'", _FIX,
        ) from error  # fmt: skip
    except UnicodeError as error:
        decoded = _replaced(str(data, encoding, "replace"), encoding, warnings)
        if decoded.text.count(_REPLACEMENT) > _MOST_WRONG * len(decoded.text):
            raise OperationError(
                "document.undecodable", f"{name} can't be decoded",
                f"it is not {encoding}: {error}", _FIX,
            ) from error  # fmt: skip
        return decoded


def _replaced(text: str, encoding: str, warnings: Mapping[str, str]) -> Decoded:
    reason = f"bytes that are not {encoding} were replaced, in {text.count(_REPLACEMENT)} places"
    return Decoded(text=text, encoding=encoding, warnings={**warnings, "encoding_errors": reason})


def _detect(sample: bytes, name: str) -> tuple[str, Mapping[str, str]]:
    """Return the most probable encoding, and a warning when it is not much more probable."""
    import chardet  # its models take time to load, and UTF-8 needs none

    # Without the restriction, short western texts are detected as old Macintosh encodings.
    found = chardet.detect(sample, encoding_era=chardet.EncodingEra.MODERN_WEB)
    if found["encoding"] is None or found["confidence"] < _CERTAIN:
        old = chardet.detect(
            sample, encoding_era=chardet.EncodingEra.MODERN_WEB | chardet.EncodingEra.DOS
        )
        if old["encoding"] is not None and _is_better(old, found, sample):
            found = old
    if found["encoding"] is None:
        raise OperationError(
            "document.undecodable", f"{name} can't be decoded",
            "it is not UTF-8, and its bytes fit no known encoding of text", _FIX,
        )  # fmt: skip
    encoding = found["encoding"].lower()
    if found["confidence"] >= _UNCERTAIN:
        return encoding, {}
    return encoding, {"encoding_uncertain": f"its encoding may not be {encoding}; {_FIX}"}


def _is_better(old: Mapping[str, Any], found: Mapping[str, Any], sample: bytes) -> bool:
    """Return whether an encoding of DOS is more probable than one of the web."""
    if found["encoding"] is None:
        return True
    if sum(byte > 127 for byte in sample) < _DOS_BYTES:
        return False
    if old["confidence"] > _DOS_FACTOR * found["confidence"]:
        return True
    return old["confidence"] >= found["confidence"] and _oddities(
        sample, old["encoding"]
    ) < _oddities(sample, found["encoding"])


def _oddities(sample: bytes, encoding: str) -> int:
    """Return the number of characters that no text has: controls, and symbols within words."""
    text = str(sample, encoding, "replace")
    return sum(
        "\x7f" <= character <= "\x9f"
        or character == _REPLACEMENT
        or (
            before.isalpha()
            and after.isalpha()
            and not (character.isalnum() or character in "’‑–—·")  # noqa: RUF001
        )
        for before, character, after in zip(text, text[1:], text[2:], strict=False)
        if character > "\x7e"
    )
