"""document-classifier: determine a document's kind, for the rules that choose its pipeline."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from qtforge_builtin_plugins.documents.messages import RoutingAnalysis, RoutingAnalysisRequest
from qtforge_sdk import OperationContext, Plugin, operation

if TYPE_CHECKING:
    from qtforge_builtin_plugins.documents.analysis.kinds import Kind
    from qtforge_builtin_plugins.documents.analysis.language import Language

__all__ = ["DocumentClassifier"]


class DocumentClassifier(Plugin):
    """Answers ``document.analyze``, the original's request before a document is routed.

    It runs in a worker process, for the same reasons as `ContentAnalyzer`, and leaves out
    tone and readability, which no rule uses.
    """

    @operation("document.analyze", execution="process", trylast=True)
    def analyze(
        self, request: RoutingAnalysisRequest, context: OperationContext
    ) -> RoutingAnalysis:
        """Classify a document; the result for a text without words is ``und`` and ``general``."""
        # Imported when first needed, here and below: numpy alone takes 0.1 s.
        from qtforge_builtin_plugins.documents.analysis import keywords, routing

        text = request.parsed_content
        context.progress(0, 2, "language and kind")
        language = self._identify(text)
        kind = self._classify(text, language.code)
        context.progress(1, 2, "keywords")
        found = keywords.find_keywords(text, language.code)
        return RoutingAnalysis(
            document_type=kind.name,
            language=language.code,
            language_confidence=language.confidence,
            keywords=routing.own_keywords(found, text, kind),
            confidence=kind.confidence,
            features=routing.measure_features(text, request.metadata, kind),
            category=routing.categorize(text, request.metadata, kind),
            evidence=list(kind.evidence),
        )

    @cached_property
    def _identify(self) -> Callable[[str], Language]:
        from qtforge_builtin_plugins.documents.analysis.language import load_identifier

        return load_identifier()

    @cached_property
    def _classify(self) -> Callable[[str, str], Kind]:
        from qtforge_builtin_plugins.documents.analysis.kinds import load_classifier

        return load_classifier()
