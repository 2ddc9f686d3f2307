"""A text's headings, from its format if that marks them, or else from its lines."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from qtforge_builtin_plugins.documents import formats
from qtforge_builtin_plugins.documents.reading import read
from qtforge_builtin_plugins.pipelines.general.messages import Heading, Outline, OutlineRequest
from qtforge_builtin_plugins.pipelines.headings import find_headings
from qtforge_sdk import Document, OperationError
from qtforge_sdk.messages import DocumentMetadata

__all__ = ["make_outline"]

_MOST_HEADINGS: Final = 1000
_MOST_LEVELS: Final = 9
_MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        media_type: module
        for media_type, module in formats.MODULES.items()
        if module in {"markdown", "html", "docx", "pdf"}
    }
)


def make_outline(
    request: OutlineRequest, max_bytes: int, explain: Callable[[str], None]
) -> Outline:
    """Return the headings with their lines in the parsed text.

    Args:
        request: The text and its document.
        max_bytes: The largest document that is read again.
        explain: Called with the reason why a document's own headings could not be read.
    """
    lines = request.parsed_content.split("\n")
    if request.document is not None and request.metadata is not None:
        try:
            declared = _declared(request.document, request.metadata, max_bytes)
        except OperationError as error:
            # The text was parsed before: a later change of its file is no failure here.
            explain(str(error))
            declared = []
        placed = _placed(declared, lines)
        if placed:
            return Outline(headings=placed[:_MOST_HEADINGS], source="document")
    found = [
        Heading(level=each.level, text=each.text, line=each.line)
        for each in find_headings(request.parsed_content)
    ]
    return Outline(headings=found[:_MOST_HEADINGS], source="text")


def _declared(
    document: Document, metadata: DocumentMetadata, max_bytes: int
) -> list[tuple[int, str]]:
    """Return the document's own headings; none if its format has none.

    Raises:
        OperationError: It can't be read, or has changed since it was parsed.
    """
    module = _MODULES.get(metadata.media_type)
    if module is None:
        return []
    data = read(document, max_bytes)
    if hashlib.sha256(data).hexdigest() != metadata.sha256:
        raise OperationError(
            "document.changed", f"{document.name} has changed",
            "it differs from the file that was parsed", "run the workflow again",
        )  # fmt: skip
    source = formats.Source(
        name=document.name,
        data=data,
        encoding=metadata.encoding,
        max_unpacked_bytes=4 * max_bytes,
        progress=lambda done, total: None,
    )
    # Imported here, so that a text needs no PDF library.
    found: list[tuple[int, str]] = importlib.import_module(
        f"qtforge_builtin_plugins.documents.formats.{module}"
    ).find_headings(source)
    return found


def _placed(declared: Iterable[tuple[int, str]], lines: list[str]) -> list[Heading]:
    """Return the headings that occur in the text, each searched after the previous one."""
    plain = [" ".join(line.split()).casefold() for line in lines]
    placed: list[Heading] = []
    after = 0
    for level, text in declared:
        wanted = text.casefold()
        place = next((i for i in range(after, len(plain)) if plain[i] == wanted), None)
        if place is None:
            continue
        placed.append(Heading(level=min(level, _MOST_LEVELS), text=text, line=place + 1))
        after = place + 1
    return placed
