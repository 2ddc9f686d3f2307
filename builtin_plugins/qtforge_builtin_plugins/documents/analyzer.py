"""content-analyzer: language, kind of document, keywords, tone and readability of a text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from qtforge_builtin_plugins.documents.messages import (
    AnalysisResults,
    AnalyzeRequest,
    AnalyzeResponse,
    Sentiment,
)
from qtforge_sdk import OperationContext, OperationError, Plugin, operation

if TYPE_CHECKING:
    from qtforge_builtin_plugins.documents.analysis.kinds import Kind
    from qtforge_builtin_plugins.documents.analysis.language import Language

__all__ = ["AnalyzerConfig", "ContentAnalyzer"]


class AnalyzerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of content-analyzer.

    Attributes:
        sentiment: Whether to determine the tone.
        readability: Whether to measure the readability.
        templates: A folder with labels of further languages (``cs.toml``), as in the configuration
            of document-enricher; they tell an invoice in such a language. None for none.
    """

    sentiment: bool = True
    readability: bool = True
    templates: str | None = None


class ContentAnalyzer(Plugin):
    """Analyzes texts; the same text always has the same result.

    It runs in a worker process: a text of 60 kB takes about 0.3 s of pure Python, which in a
    thread would block the host, and could not be stopped at its deadline. The models are
    loaded at the first request and kept.
    """

    Config = AnalyzerConfig
    config: AnalyzerConfig

    @operation("content.analyze", execution="process", trylast=True)
    def analyze(self, request: AnalyzeRequest, context: OperationContext) -> AnalyzeResponse:
        """Analyze a text; the result for a text without words is ``und`` and ``general``.

        Raises:
            OperationError: ``document.invalid_template``.
        """
        # Imported when first needed, here and below: numpy alone takes 0.1 s.
        from qtforge_builtin_plugins.documents.analysis import (
            keywords,
            readability,
            sentences,
            sentiment,
        )

        text = request.parsed_content
        context.progress(0, 4, "language and kind")
        language = self._identify(text)
        try:
            kind = self._classify(text, language.code)
        except (OSError, ValueError) as error:
            if self.config.templates is None:
                raise
            raise OperationError(
                "document.invalid_template", f"the folder {self.config.templates} can't be used",
                str(error), "correct the file, or remove templates from the configuration of"
                " content-analyzer",
            ) from error  # fmt: skip
        context.progress(1, 4, "keywords")
        found_keywords = keywords.find_keywords(text, language.code)
        context.progress(2, 4, "tone")
        tone = None
        found_sentences = sentences.first_sentences(text)
        if self.config.sentiment and language.code in sentiment.LANGUAGES:
            tone = self._score(found_sentences)
        context.progress(3, 4, "readability")
        ease = None
        if self.config.readability:
            ease = readability.measure_readability(found_sentences, language.code)
        return AnalyzeResponse(
            analysis_results=AnalysisResults(
                language=language.code,
                language_confidence=language.confidence,
                document_type=kind.name,
                confidence=kind.confidence,
                evidence=list(kind.evidence),
                readability=ease,
            ),
            keywords=found_keywords,
            sentiment=tone,
        )

    @cached_property
    def _identify(self) -> Callable[[str], Language]:
        from qtforge_builtin_plugins.documents.analysis.language import load_identifier

        return load_identifier()

    @cached_property
    def _classify(self) -> Callable[[str, str], Kind]:
        from qtforge_builtin_plugins.documents.analysis.kinds import load_classifier

        return load_classifier(self.config.templates)

    @cached_property
    def _score(self) -> Callable[[Sequence[str]], Sentiment | None]:
        from qtforge_builtin_plugins.documents.analysis.sentiment import load_scorer

        return load_scorer()
