"""The workflow definitions that come with the plugins."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from qtforge_builtin_plugins.documents import workflows
from qtforge_builtin_plugins.documents.messages import RoutingAnalysis
from qtforge_builtin_plugins.documents.workflows import DocumentWorkflows


def definitions() -> dict[str, dict[str, Any]]:
    folder = Path(workflows.__file__).parent
    texts = [(folder / name).read_text("utf-8") for name in DocumentWorkflows.workflows]
    return {definition["name"]: definition for definition in map(tomllib.loads, texts)}


def test_document_processing_is_contributed_and_readable() -> None:
    assert [stage["operation"] for stage in definitions()["document-processing"]["stages"]] == [
        "document.parse",
        "content.analyze",
        "document.enrich",
        "document.store",
    ]


def test_document_routing_has_the_originals_four_rules_word_for_word() -> None:
    rules = definitions()["document-routing"]["rules"]
    assert [tuple(rule.values()) for rule in rules] == [
        (
            "legal_documents",
            "documentType == 'legal' || keywords.contains('contract')"
            " || keywords.contains('agreement')",
            "legal_processing_pipeline",
            10,
            {"compliance_check": True, "redaction_required": True},
        ),
        (
            "financial_documents",
            "documentType == 'financial' || keywords.contains('invoice')"
            " || keywords.contains('receipt')",
            "financial_processing_pipeline",
            9,
            {"fraud_detection": True, "audit_trail": True},
        ),
        (
            "technical_documents",
            "documentType == 'technical' || contentCategory == 'engineering'",
            "technical_processing_pipeline",
            8,
            {"code_analysis": True, "diagram_extraction": True},
        ),
        ("default_processing", "true", "general_processing_pipeline", 1),
    ]


def test_document_routing_offers_the_originals_names_from_the_analysis() -> None:
    names = definitions()["document-routing"]["names"]
    assert list(names) == [
        "documentType", "language", "keywords", "confidenceScore", "features", "contentCategory",
    ]  # fmt: skip
    members = {
        text.removeprefix("${stages.document_analysis.data.")[:-1] for text in names.values()
    }
    assert members <= set(RoutingAnalysis.__struct_fields__)
