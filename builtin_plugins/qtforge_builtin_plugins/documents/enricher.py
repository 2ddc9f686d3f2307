"""document-enricher: extract the facts in a text."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from qtforge_builtin_plugins.documents.messages import EnrichRequest, EnrichResponse, Invoice
from qtforge_sdk import OperationContext, OperationError, Plugin, operation

__all__ = ["DocumentEnricher", "EnricherConfig"]


_MAILS: Final = frozenset({"message/rfc822", "application/vnd.ms-outlook"})


class EnricherConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of document-enricher.

    Attributes:
        summary_sentences: The most sentences of a summary; 0 for no summary.
        templates: A folder with suppliers' templates (``.yml``, as for invoice2data) and with
            labels of further languages (``cs.toml``); None for none. They are read once.
    """

    summary_sentences: Annotated[int, msgspec.Meta(ge=0, le=20)] = 3
    templates: str | None = None


class DocumentEnricher(Plugin):
    """Finds dates, amounts, addresses, account and phone numbers, and writes a summary.

    It runs in a worker process, for the same reasons as `ContentAnalyzer`. Each kind of fact
    is searched in a limited beginning of the text; see ``MOST_CHARACTERS`` in its module.
    """

    Config = EnricherConfig
    config: EnricherConfig

    @operation("document.enrich", execution="process", trylast=True)
    def enrich(self, request: EnrichRequest, context: OperationContext) -> EnrichResponse:
        """Return the facts in the text; the lists are empty for a text without any.

        Raises:
            OperationError: ``document.invalid_template``.
        """
        # Imported when first needed: dateparser and phonenumbers take 0.2 s.
        from qtforge_builtin_plugins.documents.facts import (
            amounts,
            dates,
            ibans,
            links,
            phones,
            summary,
        )

        text, language = request.parsed_content, request.language
        context.progress(0, 5, "dates and amounts")
        found_dates = dates.find_dates(text, language)
        found_amounts = amounts.find_amounts(text, language, found_dates)
        context.progress(1, 5, "addresses and numbers")
        found_links = links.find_links(text)
        currencies = amounts.main_currencies(found_amounts)
        phone_numbers = phones.find_phone_numbers(text, language, currencies)
        found_ibans = ibans.find_ibans(text)
        context.progress(2, 5, "invoice")
        invoice = _invoice(request, self.config.templates)
        context.progress(3, 5, "parties")
        found_parties = _parties(request)
        context.progress(4, 5, "summary")
        return EnrichResponse(
            dates=dates.distinct_dates(found_dates),
            amounts=amounts.distinct_amounts(found_amounts),
            emails=list(found_links.emails),
            urls=list(found_links.urls),
            phone_numbers=phone_numbers,
            ibans=found_ibans,
            invoice=invoice,
            parties=found_parties,
            summary=summary.summarize(text, self.config.summary_sentences),
        )


def _invoice(request: EnrichRequest, folder: str | None) -> Invoice | None:
    if request.document_type not in ("financial", "unknown", None):
        return None
    from qtforge_builtin_plugins.documents.facts import invoices, templates

    text, language = request.parsed_content, request.language
    try:
        # If the kind is not known, the text itself must name it an invoice.
        if request.document_type == "financial" or invoices.looks_like_invoice(text, None, folder):
            metadata = request.metadata
            is_mail = metadata is not None and metadata.media_type in _MAILS
            found = invoices.find_invoice(
                text, language, folder,
                metadata.recipients if metadata else (),
                metadata.author if metadata and is_mail else None,
            )  # fmt: skip
        else:
            return None
        if folder is None:
            return found
        return templates.apply_templates(templates.load_templates(folder), text, language, found)
    except (templates.TemplateError, ValueError) as error:
        if folder is None:
            raise
        raise OperationError(
            "document.invalid_template", f"the folder {folder} can't be used", str(error),
            "correct the file, or remove templates from the configuration of document-enricher",
        ) from error  # fmt: skip


def _parties(request: EnrichRequest) -> list[str]:
    if request.document_type in ("legal", "unknown", None):
        from qtforge_builtin_plugins.documents.facts import parties

        return parties.find_parties(request.parsed_content, request.language)
    return []
