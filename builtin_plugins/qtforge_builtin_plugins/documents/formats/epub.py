"""EPUB: the chapters of a book in the order of reading."""

from __future__ import annotations

import posixpath
from typing import Final
from urllib.parse import unquote

from selectolax.lexbor import LexborHTMLParser

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_builtin_plugins.documents.formats.errors import damage_as_error
from qtforge_builtin_plugins.documents.formats.html import (
    declared_encoding,
    find_headings_in,
    find_tables_in,
    to_text,
)
from qtforge_builtin_plugins.documents.formats.packages import Package
from qtforge_builtin_plugins.documents.formats.plain import decode
from qtforge_sdk import OperationError
from qtforge_sdk.messages import Table

__all__ = ["extract"]

_DC: Final = "{http://purl.org/dc/elements/1.1/}"
_RIGHTS: Final = ("META-INF/rights.xml", "META-INF/license.lcpl")


def extract(source: Source) -> Extracted:
    """Return the text of the book's spine, its headings, tables, title, author and date.

    Raises:
        OperationError: ``document.encrypted`` for a book with digital rights management,
            ``document.too_large`` for a too large uncompressed size, ``document.damaged``.
    """
    package = Package(source)
    with damage_as_error(source):
        if any(package.read(name) is not None for name in _RIGHTS):
            raise OperationError(
                "document.encrypted", f"{source.name} is encrypted",
                "it has digital rights management", "get a copy without it",
            )  # fmt: skip
        container = package.xml("META-INF/container.xml")
        root_file = None if container is None else container.find(".//{*}rootfile")
        name = "" if root_file is None else root_file.get("full-path", "")
        book = package.xml(name)
        if book is None:
            raise ValueError("it has no list of chapters")
        hrefs = {
            item.get("id"): item.get("href", "") for item in book.iterfind("{*}manifest/{*}item")
        }
        texts: list[str] = []
        headings: list[tuple[int, str]] = []
        tables: list[Table] = []
        missing = []
        chapters = [
            unquote(hrefs.get(chapter.get("idref"), "").partition("#")[0])
            for chapter in book.iterfind("{*}spine/{*}itemref")
        ]
        for href in dict.fromkeys(chapters):  # each once
            data = package.read(posixpath.normpath(posixpath.join(posixpath.dirname(name), href)))
            if data is None:
                missing.append(href)
                continue
            page = LexborHTMLParser(decode(data, declared_encoding(data), source.name).text)
            texts.append(to_text(page))
            headings += find_headings_in(page)
            tables += find_tables_in(page)
        title, author, created = (
            (book.findtext(f".//{_DC}{each}") or "").strip() or None
            for each in ("title", "creator", "date")
        )
    return Extracted(
        text="\n\n".join(texts),
        title=title,
        author=author,
        created=created,
        headings=headings,
        tables=tables,
        warnings={"parts_missing": f"not in it: {', '.join(missing)}"} if missing else {},
    )
