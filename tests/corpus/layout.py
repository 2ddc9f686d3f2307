"""What a layout is: a way to arrange an invoice, and the tool that makes the file."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal

import msgspec
from tests.corpus.sheet import Sheet

Tool = Literal["chromium", "fpdf2", "libreoffice", "python-docx", "email", "text"]


class Draft(msgspec.Struct, frozen=True):
    """A document's source: for `text`, `email`, `fpdf2` and `python-docx` the file itself.

    `suffix` is the source's: `.html` for Chromium, `.docx` or `.fodt` for LibreOffice.
    """

    content: bytes
    suffix: str
    tool: Tool


class Layout(msgspec.Struct, frozen=True):
    """An arrangement; `omits` are fields of the answers that it does not print."""

    id: str
    make: Callable[[Sheet, Random], Draft]
    omits: frozenset[str] = frozenset()
    hard_spaces: bool = True
    many_items: bool = False
    sentence: bool = False
