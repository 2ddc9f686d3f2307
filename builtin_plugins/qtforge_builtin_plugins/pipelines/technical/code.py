"""code-analyzer: find and measure the blocks of code in a document."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from qtforge_builtin_plugins.pipelines.technical.messages import (
    CodeBlock,
    CodeRequest,
    CodeResponse,
)
from qtforge_sdk import OperationContext, Plugin, operation

if TYPE_CHECKING:
    from qtforge_builtin_plugins.pipelines.technical.source import Block

__all__ = ["CodeAnalyzer", "CodeConfig"]

_EXCERPT_CHARACTERS: Final = 200


class CodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of code-analyzer.

    Attributes:
        max_bytes: Refuse larger documents, in bytes.
    """

    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 * 1024 * 1024


class CodeAnalyzer(Plugin):
    """Finds code and its language, lines and complexity; code is never executed.

    It runs in a worker process, since patterns on untrusted text may take long.
    """

    Config = CodeConfig
    config: CodeConfig = CodeConfig()

    @operation("code.analyze", execution="process", trylast=True)
    def analyze(self, request: CodeRequest, context: OperationContext) -> CodeResponse:
        """Return the code in a document; the list is empty for a document without any.

        Raises:
            OperationError: ``document.changed``, ``.not_found``, ``.unreadable``,
                ``.too_large``, ``.undecodable``.
        """
        # Imported when first needed, as in every worker: Pygments and the parsers are heavy.
        from qtforge_builtin_plugins.pipelines.technical import (
            languages,
            measures,
            notations,
            source,
        )

        whole = languages.of_file(request.metadata.name)
        if request.metadata.media_type == "text/plain" and whole is not None:
            text = request.parsed_content[: source.MOST_BLOCK_CHARACTERS]
            blocks = [source.Block(kind="file", text=text, language=whole.name, line=1)]
            unchecked: tuple[str, ...] = ()
        else:
            found = source.read_source(
                request.document, request.parsed_content, request.metadata, self.config.max_bytes
            )
            unchecked = found.unchecked
            # Diagrams are left to `diagram.extract`.
            blocks = [
                block
                for block in found.blocks
                if notations.notation_of(block.language, block.text) is None
            ]
        analyzed = []
        for done, block in enumerate(blocks, 1):
            analyzed.append(_analyzed(block))
            context.progress(done, len(blocks), f"block {done}")
        by_language: Counter[str] = Counter()
        for each in analyzed:
            by_language[each.language or "unknown"] += each.lines.code
        complexities = [each.complexity for each in analyzed if each.complexity is not None]
        return CodeResponse(
            blocks=analyzed,
            languages=dict(sorted(by_language.items(), key=lambda pair: (-pair[1], pair[0]))),
            lines=measures.sum_lines(each.lines for each in analyzed),
            complexity=max(complexities, default=None),
            unchecked=list(unchecked),
        )


def _analyzed(block: Block) -> CodeBlock:
    from qtforge_builtin_plugins.pipelines.technical import languages, measures

    language = (
        languages.by_name(block.language) if block.language else languages.recognize(block.text)
    )
    functions = measures.find_functions(block.text, language.name)
    return CodeBlock(
        source=block.kind,
        line=block.line,
        language=language.name,
        language_source=language.source,
        lines=measures.count_lines(block.text, language.lexer),
        functions=functions,
        complexity=max((each.complexity for each in functions), default=None),
        excerpt=block.text.strip("\n")[:_EXCERPT_CHARACTERS],
    )
