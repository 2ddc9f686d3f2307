"""legal-pipeline: check a contract's clauses, and redact personal data in its text."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import msgspec

from qtforge_builtin_plugins.pipelines.legal.messages import (
    ComplianceReport,
    ComplianceRequest,
    RedactedDocument,
    RedactRequest,
)
from qtforge_sdk import OperationContext, OperationError, Plugin, operation

if TYPE_CHECKING:
    from qtforge_builtin_plugins.documents.analysis.language import Language
    from qtforge_builtin_plugins.pipelines.legal.clauses import ClauseChecker

__all__ = ["LegalConfig", "LegalPipeline"]


class LegalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of legal-pipeline.

    Attributes:
        max_characters: Refuse longer texts, since a text is redacted completely or not at all.
            Two million characters take about 20 s.
    """

    max_characters: Annotated[int, msgspec.Meta(ge=1)] = 2_000_000


class LegalPipeline(Plugin):
    """Answers the two operations of ``legal_processing_pipeline``, and contributes it.

    Both run in a worker process, since they examine every character of the text.
    """

    workflows = ("legal_processing_pipeline.toml",)
    Config = LegalConfig
    config: LegalConfig

    @operation("compliance.check", execution="process", trylast=True)
    def check(self, request: ComplianceRequest, context: OperationContext) -> ComplianceReport:
        """Return the clauses of its kind of contract that the text has and lacks.

        Raises:
            OperationError: ``legal.unsupported_language``, ``legal.unknown_kind``,
                ``legal.too_long``.
        """
        text = self._checked(request.parsed_content)
        checker = self._checker
        if request.contract_kind is not None and request.contract_kind not in checker.kinds:
            raise OperationError(
                "legal.unknown_kind",
                f"there is no kind of contract '{request.contract_kind}'",
                f"the kinds are {', '.join(checker.kinds)}",
                "name one of them, or leave it out to detect it",
            )
        language = request.language or self._identify(text).code
        if language not in checker.languages:
            raise OperationError(
                "legal.unsupported_language",
                "the clauses of this text can't be checked",
                f"its language is {language}, and the terms are for {', '.join(checker.languages)}",
                "set language if this is wrong, or install a plugin that answers"
                " compliance.check for it",
            )
        kind = request.contract_kind or checker.kind_of(text, language)
        context.progress(1, 2, kind)
        return checker.check(text, language, kind, request.sections)

    @operation("document.redact", execution="process", trylast=True)
    def redact(self, request: RedactRequest, context: OperationContext) -> RedactedDocument:
        """Return the text with placeholders, and a report without the values.

        Raises:
            OperationError: ``legal.too_long``.
        """
        from qtforge_builtin_plugins.pipelines.legal import redaction  # phonenumbers: 0.1 s

        self._checked(request.parsed_content)
        if request.language is None:
            request = msgspec.structs.replace(
                request, language=self._identify(request.parsed_content).code
            )
        return redaction.redact(request, context.progress)

    def _checked(self, text: str) -> str:
        if len(text) > self.config.max_characters:
            raise OperationError(
                "legal.too_long", "the text is too long",
                f"it has {len(text)} characters, and {self.config.max_characters} are allowed",
                "raise max_characters in the configuration of legal-pipeline",
            )  # fmt: skip
        return text

    @cached_property
    def _checker(self) -> ClauseChecker:
        from qtforge_builtin_plugins.pipelines.legal.clauses import load_checker

        return load_checker()

    @cached_property
    def _identify(self) -> Callable[[str], Language]:
        from qtforge_builtin_plugins.documents.analysis.language import load_identifier

        return load_identifier()  # takes 0.2 s; only for a request without language
