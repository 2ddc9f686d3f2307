"""Suppliers' templates and labels of the user's own, in the folder that the configuration names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from qtforge_builtin_plugins.documents.analyzer import AnalyzerConfig, ContentAnalyzer
from qtforge_builtin_plugins.documents.enricher import DocumentEnricher, EnricherConfig
from qtforge_builtin_plugins.documents.messages import AnalyzeRequest, EnrichRequest, Invoice
from qtforge_sdk import OperationContext, OperationError

TEMPLATE = """\
issuer: Fjord Ferries
keywords:
  - Fjord Ferries
exclude_keywords:
  - reminder
fields:
  amount: Paid by card\\s+([\\d.,]+)
  invoice_number:
    parser: regex
    regex: Crossing (\\w+)
  date: Sailing\\s+(\\d{2}\\.\\d{2}\\.\\d{4})
  static_vat: NO999999999
options:
  currency: NOK
  date_formats:
    - '%d.%m.%Y'
"""
TICKET = "Receipt\nFjord Ferries\nCrossing K77X\nSailing 04.05.2026\nPaid by card 310,00\n"

Read = Callable[[str, str | None], Invoice | None]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    plugin = DocumentEnricher()
    plugin.config = EnricherConfig(templates=str(tmp_path), summary_sentences=0)
    context = OperationContext("document.enrich", "document-enricher")

    def read_it(text: str, language: str | None = "en") -> Invoice | None:
        request = EnrichRequest(parsed_content=text, language=language, document_type="financial")
        return plugin.enrich(request, context).invoice

    return read_it


def test_a_suppliers_template_comes_before_the_labels(tmp_path: Path, read: Read) -> None:
    (tmp_path / "fjord.yml").write_text(TEMPLATE, "utf-8")
    invoice = read(TICKET, "en")
    assert invoice is not None
    assert (invoice.number, invoice.date, invoice.issuer) == ("K77X", "2026-05-04", "Fjord Ferries")
    assert invoice.total is not None
    assert (invoice.total.value, invoice.total.currency) == ("310.00", "NOK")
    assert (invoice.vat_id, invoice.template) == ("NO999999999", "fjord.yml")
    assert invoice.evidence["total"].text == "Paid by card 310,00"
    assert invoice.evidence["total"].line == 5


def test_a_template_without_its_keywords_does_not_apply(tmp_path: Path, read: Read) -> None:
    (tmp_path / "fjord.yml").write_text(TEMPLATE, "utf-8")
    for text in (TICKET + "This is a reminder.\n", "Receipt no. 5\nTotal $3.00\n"):
        invoice = read(text, "en")
        assert invoice is None or invoice.template is None


def test_a_sum_adds_all_places(tmp_path: Path, read: Read) -> None:
    (tmp_path / "sum.yml").write_text(
        "keywords: [Two parts]\nfields:\n  sum_amount: 'Part \\w ([\\d.]+)'\n", "utf-8"
    )
    invoice = read("Receipt no. 9\nTwo parts\nPart A 1.50\nPart B 2.25\n", "en")
    assert invoice is not None
    assert invoice.total is not None
    assert invoice.total.value == "3.75"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broken.yml", "keywords: ["),
        ("empty.yml", ""),
        ("no_fields.yml", "keywords: [A]\n"),
        ("pattern.yml", "keywords: [A]\nfields:\n  amount: '('\n"),
        ("no_regex.yml", "keywords: [A]\nfields:\n  amount: {parser: regex}\n"),
    ],
)
def test_a_file_that_is_no_template_is_named(
    tmp_path: Path, read: Read, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(OperationError, match="can't be used") as caught:
        read("Receipt no. 1\nTotal $5.00\n", "en")
    assert caught.value.code == "document.invalid_template"
    assert name in caught.value.why


def test_a_user_adds_the_labels_of_a_language(tmp_path: Path, read: Read) -> None:
    text = "FAKTURA\nČíslo dokladu: 2026-41\nVystaveno: 5.3.2026\nCelkem k úhradě: 121,00 Kč\n"
    (tmp_path / "cs.toml").write_text(
        'titles = ["faktura"]\n[labels]\nnumber = ["číslo dokladu"]\ndate = ["vystaveno"]\n'
        'total = ["celkem (k úhradě)"]\n',
        "utf-8",
    )
    invoice = read(text, "cs")
    assert invoice is not None
    assert (invoice.number, invoice.date) == ("2026-41", "2026-03-05")
    assert invoice.total is not None
    assert (invoice.total.value, invoice.total.currency) == ("121.00", "CZK")


CZECH = (
    "Faktura\nModrá Dvířka s.r.o.\nČíslo dokladu: 2026-118\nVystaveno: 05.03.2026\n"
    "Splatnost: 19.03.2026\nOdběratel: Jan Novák\nOprava dveří a nátěr rámu\n"
    "Celkem bez DPH 1000,00 Kč\nDPH 21 % 210,00 Kč\nCelkem 1210,00 Kč\n"
)


def test_labels_of_a_language_tell_an_invoice_also_to_the_analyzer(tmp_path: Path) -> None:
    (tmp_path / "cs.toml").write_text(
        'titles = ["faktura"]\n[labels]\nnumber = ["číslo dokladu"]\ndate = ["vystaveno"]\n'
        'due_date = ["splatnost"]\nnet = ["celkem bez dph"]\ntax = ["dph"]\ntotal = ["celkem"]\n',
        "utf-8",
    )
    scores = []
    for folder in (None, str(tmp_path)):
        plugin = ContentAnalyzer()
        plugin.config = AnalyzerConfig(sentiment=False, readability=False, templates=folder)
        context = OperationContext("content.analyze", "content-analyzer")
        results = plugin.analyze(AnalyzeRequest(parsed_content=CZECH), context).analysis_results
        assert results.language == "cs"
        scores.append([each for each in results.evidence if each.startswith("labels")])
    assert scores[1] != scores[0]
    assert "due_date" in scores[1][0]


def test_labels_that_are_not_toml_fail_the_analysis_with_the_files_name(tmp_path: Path) -> None:
    (tmp_path / "cs.toml").write_text("titles = [", "utf-8")
    plugin = ContentAnalyzer()
    plugin.config = AnalyzerConfig(templates=str(tmp_path))
    context = OperationContext("content.analyze", "content-analyzer")
    with pytest.raises(OperationError) as caught:
        plugin.analyze(AnalyzeRequest(parsed_content=CZECH), context)
    assert caught.value.code == "document.invalid_template"
    assert "cs.toml" in str(caught.value)
