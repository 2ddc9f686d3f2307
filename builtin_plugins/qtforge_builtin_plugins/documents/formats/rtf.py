"""RTF, by striprtf: the text without its markup, and the properties."""

from __future__ import annotations

import re
from typing import Final

from striprtf.striprtf import rtf_to_text

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_sdk import OperationError

__all__ = ["extract"]

_CODE_PAGE: Final = re.compile(rb"\\ansicpg(\d{3,5})\b")
# Groups with text that striprtf leaves out.
_LEFT_OUT: Final = re.compile(r"\\(?:footnote|header[lrf]?|footer[lrf]?|shptxt|mmath)\b")
# A property of the group "info", which may have escapes but no groups.
_PROPERTY: Final = r"\{{\\{name} ((?:[^{{}}\\]|\\[^{{}}]){{0,500}})\}}"
_TIME: Final = re.compile(r"\{\\creatim\\yr(\d{4})\\mo(\d{1,2})\\dy(\d{1,2})")


def extract(source: Source) -> Extracted:
    """Return the text, title, author and date of making.

    Headers, footers, footnotes, boxes and equations are left out, with the warning
    ``rtf_parts_left_out``; deleted and hidden text is read.

    Raises:
        OperationError: ``document.damaged``.
    """
    found = _CODE_PAGE.search(source.data[:4096])
    encoding = f"cp{found[1].decode('ascii')}" if found else "cp1252"
    try:
        markup = str(source.data, encoding, "replace")
    except LookupError:  # 65001 and others that are no code page of Python's
        encoding = "utf-8" if encoding == "cp65001" else "cp1252"
        markup = str(source.data, encoding, "replace")
    made = _TIME.search(markup)
    return Extracted(
        text=_text(markup, encoding),
        title=_property(markup, "title", encoding),
        author=_property(markup, "author", encoding),
        created="{:0>4}-{:0>2}-{:0>2}".format(*made.groups()) if made else None,
        encoding=encoding,
        warnings={"rtf_parts_left_out": "headers, notes or boxes are not read"}
        if _LEFT_OUT.search(markup)
        else {},
    )


def _property(markup: str, name: str, encoding: str) -> str | None:
    found = re.search(_PROPERTY.format(name=name), markup)
    if found is None:
        return None
    return _text(f"{{\\rtf1 {found[1]}}}", encoding).strip() or None


def _text(markup: str, encoding: str) -> str:
    try:
        # The library has type information, but not for this function.
        return str(rtf_to_text(markup, encoding, "replace"))  # type: ignore[no-untyped-call]
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        raise OperationError(
            "document.damaged", "the RTF is damaged", f"{type(error).__name__}: {error}",
            "get a complete copy of it",
        ) from error  # fmt: skip
