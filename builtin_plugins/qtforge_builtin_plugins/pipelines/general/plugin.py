"""general-pipeline: a summary, an outline and tags of any document."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import msgspec

from qtforge_builtin_plugins.pipelines.general.messages import (
    Outline,
    OutlineRequest,
    SummarizeRequest,
    Summary,
    TagRequest,
    Tags,
)
from qtforge_sdk import OperationContext, Plugin, operation

if TYPE_CHECKING:
    from qtforge_builtin_plugins.documents.analysis.language import Language

__all__ = ["GeneralConfig", "GeneralPipeline"]


class GeneralConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of general-pipeline.

    Attributes:
        max_bytes: The largest document that is read again for its headings, in bytes; the
            headings of a larger one are recognised in the text.
    """

    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 * 1024 * 1024


class GeneralPipeline(Plugin):
    """Answers the operations of ``general_processing_pipeline``, and contributes it.

    They run in a worker process, as everything that reads untrusted text.
    """

    workflows = ("general_processing_pipeline.toml",)
    Config = GeneralConfig
    config: GeneralConfig

    @operation("document.summarize", execution="process", trylast=True)
    def summarize(self, request: SummarizeRequest) -> Summary:
        """Return the text's most central sentences, in its order."""
        from qtforge_builtin_plugins.documents.facts import summary  # segtok takes 0.1 s

        return Summary(text=summary.summarize(request.parsed_content, request.sentences))

    @operation("document.outline", execution="process", trylast=True)
    def outline(self, request: OutlineRequest, context: OperationContext) -> Outline:
        """Return the text's headings, with level and line."""
        from qtforge_builtin_plugins.pipelines.general.outline import make_outline

        return make_outline(request, self.config.max_bytes, context.logger.warning)

    @operation("document.tag", execution="process", trylast=True)
    def tag(self, request: TagRequest) -> Tags:
        """Return the document's tags; none for a text without words."""
        from qtforge_builtin_plugins.documents.analysis import keywords  # segtok takes 0.1 s
        from qtforge_builtin_plugins.pipelines.general.tags import make_tags

        text = request.parsed_content
        language = request.language or self._identify(text).code
        found = keywords.find_keywords(text, language)
        categories = (request.category, request.document_type)
        return Tags(tags=make_tags(found, categories, request.limit))

    @cached_property
    def _identify(self) -> Callable[[str], Language]:
        from qtforge_builtin_plugins.documents.analysis.language import load_identifier

        return load_identifier()  # takes 0.2 s; only for a request without language
