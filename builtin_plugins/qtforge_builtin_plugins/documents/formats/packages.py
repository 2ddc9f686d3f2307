"""Documents that are zip files of XML: Office Open XML, OpenDocument and EPUB."""

from __future__ import annotations

import datetime
import io
import posixpath
import re
import zipfile
from collections.abc import Mapping
from typing import Final

from lxml import etree

from qtforge_builtin_plugins.documents.formats import Source
from qtforge_builtin_plugins.documents.formats.errors import damaged
from qtforge_sdk import OperationError

__all__ = ["Package", "local_name", "parse_xml"]

# Strict Office Open XML has names of its own for the same elements.
_STRICT: Final = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
_CORE: Final = {
    "title": "{http://purl.org/dc/elements/1.1/}title",
    "author": "{http://purl.org/dc/elements/1.1/}creator",
    "created": "{http://purl.org/dc/terms/}created",
}


class Package:
    """The parts of a zip file.

    Args:
        source: The file.

    Raises:
        OperationError: ``document.too_large`` for a too large uncompressed size,
            ``document.damaged``.
    """

    def __init__(self, source: Source) -> None:
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(source.data))
            entries = self._archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise damaged(source, str(error)) from error
        # zipfile never returns more than an entry declares, so the declared sizes are a limit.
        size_bytes = sum(entry.file_size for entry in entries)
        if size_bytes > source.max_unpacked_bytes:
            raise OperationError(
                "document.too_large", f"{source.name} is too large uncompressed",
                f"its parts have {size_bytes} bytes, and {source.max_unpacked_bytes} are allowed",
                "raise max_unpacked_bytes in the configuration of document-parser, if you trust"
                " it",
            )  # fmt: skip
        self._entries = {entry.filename.lstrip("/").lower(): entry for entry in entries}

    def names(self) -> list[str]:
        """Return the names of all parts, in lower case."""
        return list(self._entries)

    def read(self, name: str) -> bytes | None:
        """Return a part's bytes; None without such a part. Case does not count."""
        entry = self._entries.get(name.lstrip("/").lower())
        return None if entry is None else self._archive.read(entry)

    def xml(self, name: str) -> etree._Element | None:
        """Return a part's root element; None without such a part."""
        data = self.read(name)
        return None if data is None else parse_xml(data)

    def related(self, name: str) -> Mapping[str, tuple[str, str]]:
        """Return a part's relationships: the id to the last word of the type, and the part.

        ``""`` is the package itself.
        """
        folder, file = posixpath.split(name)
        root = self.xml(posixpath.join(folder, "_rels", f"{file}.rels"))
        found = {}
        for each in () if root is None else root:
            if isinstance(each.tag, str) and each.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, each.get("Target", "")))
                kind = each.get("Type", "").rpartition("/")[2]
                found[each.get("Id", "")] = (kind, target.lstrip("/"))
        return found

    def related_part(self, name: str, kind: str) -> str | None:
        """Return the first related part of a kind, such as ``styles``; None without one."""
        return next((part for each, part in self.related(name).values() if each == kind), None)

    def properties(self) -> dict[str, str | None]:
        """Return title, author and created (ISO 8601) of an Office Open XML file."""
        name = self.related_part("", "core-properties")
        root = self.xml(name) if name else None
        found: dict[str, str | None] = dict.fromkeys(_CORE)
        if root is not None:
            for key, tag in _CORE.items():
                found[key] = (root.findtext(tag) or "").strip() or None
            found["created"] = _iso(found["created"])
        return found


def parse_xml(data: bytes) -> etree._Element:
    """Return the root element of an untrusted XML document, without external entities."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    if b"http://purl.oclc.org/ooxml/" in data:
        data = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", data)
    return etree.fromstring(data, parser)


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace; "" for comments and the like."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def _iso(text: str | None) -> str | None:
    try:
        return datetime.datetime.fromisoformat(text or "").isoformat()
    except ValueError:
        return None
