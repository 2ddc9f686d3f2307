"""diagram-extractor: find the diagrams and images in a document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from qtforge_builtin_plugins.pipelines.technical.messages import (
    Diagram,
    DiagramRequest,
    DiagramResponse,
)
from qtforge_sdk import OperationContext, Plugin, operation

if TYPE_CHECKING:
    from qtforge_builtin_plugins.pipelines.technical.notations import Notation
    from qtforge_builtin_plugins.pipelines.technical.source import Source

__all__ = ["DiagramConfig", "DiagramExtractor"]

_PLANTUML: Final = re.compile(r"@(start|end)(\w+)")


class DiagramConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of diagram-extractor.

    Attributes:
        max_bytes: Refuse larger documents, in bytes.
    """

    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 * 1024 * 1024


class DiagramExtractor(Plugin):
    """Finds Mermaid, PlantUML and Graphviz diagrams, and images; nothing is downloaded.

    It runs in a worker process, since patterns on untrusted text may take long.
    """

    Config = DiagramConfig
    config: DiagramConfig = DiagramConfig()

    @operation("diagram.extract", execution="process", trylast=True)
    def extract(self, request: DiagramRequest, context: OperationContext) -> DiagramResponse:
        """Return the diagrams and images; the lists are empty for a document without any.

        Raises:
            OperationError: ``document.changed``, ``.not_found``, ``.unreadable``,
                ``.too_large``, ``.undecodable``.
        """
        # Imported when first needed, as in every worker.
        from qtforge_builtin_plugins.pipelines.technical import images, source

        found = source.read_source(
            request.document, request.parsed_content, request.metadata, self.config.max_bytes
        )
        path = request.document.path if request.document else None
        is_marked = any(block.kind != "fence" for block in found.blocks) or found.pictures
        diagrams = list(_in_blocks(found))
        if not diagrams and not is_marked:
            diagrams = list(_in_text(request.parsed_content))
        return DiagramResponse(
            diagrams=diagrams,
            images=[images.measure(picture, path) for picture in found.pictures],
            unchecked=list(found.unchecked),
        )


def _in_blocks(found: Source) -> Iterator[Diagram]:
    from qtforge_builtin_plugins.pipelines.technical.notations import notation_of

    for block in found.blocks:
        notation = notation_of(block.language, block.text)
        if notation is not None and block.text.strip():
            yield _diagram(notation, block.text, block.line)


def _in_text(text: str) -> Iterator[Diagram]:
    """Yield PlantUML in a plain text, by its own marks of beginning and end."""
    lines = text.split("\n")
    begin: tuple[int, str] | None = None
    for number, line in enumerate(lines):
        mark = _PLANTUML.match(line)
        if mark and mark[1] == "start":
            begin = (number, mark[2])
        elif mark and begin and begin[1] == mark[2]:
            yield _diagram("plantuml", "\n".join(lines[begin[0] : number + 1]), begin[0] + 1)
            begin = None


def _diagram(notation: Notation, text: str, line: int | None) -> Diagram:
    from qtforge_builtin_plugins.pipelines.technical import notations

    kind = notations.kind_of(notation, text)
    counts = notations.count(notation, kind, text)
    return Diagram(
        notation=notation,
        kind=kind,
        line=line,
        title=notations.title_of(notation, text),
        nodes=counts.nodes if counts else None,
        edges=counts.edges if counts else None,
        source=text.strip("\n"),
    )
