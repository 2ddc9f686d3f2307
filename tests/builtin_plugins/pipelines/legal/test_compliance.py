"""compliance.check: clauses with their place, missing ones by name."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from qtforge_builtin_plugins.pipelines.legal import clauses
from qtforge_builtin_plugins.pipelines.legal.messages import ComplianceReport, ComplianceRequest
from qtforge_builtin_plugins.pipelines.legal.plugin import LegalConfig, LegalPipeline
from qtforge_sdk import OperationContext, OperationError
from qtforge_sdk.messages import Section

ROOT = Path(__file__).parents[4]
SHARED = ROOT.parent / "shared" / "documents"


def check(
    text: str,
    language: str | None = "en",
    kind: str | None = None,
    config: LegalConfig | None = None,
) -> ComplianceReport:
    plugin = LegalPipeline()
    plugin.config = config or LegalConfig()
    request = ComplianceRequest(parsed_content=text, language=language, contract_kind=kind)
    return plugin.check(request, OperationContext("compliance.check"))


def names(report: ComplianceReport) -> set[str]:
    return {clause.name for clause in report.clauses}


def missing(report: ComplianceReport) -> set[str]:
    return {clause.name for clause in report.missing if clause.required}


NDA_DE = """Geheimhaltungsvereinbarung

zwischen der Nordlicht GmbH, Hamburg (nachfolgend „Nordlicht“) und der Bergfeld AG, München.

§ 1 Vertrauliche Informationen
Vertrauliche Informationen sind alle Informationen, die eine Partei der anderen offenlegt.

§ 2 Pflichten
Die empfangende Partei verpflichtet sich, die Informationen geheim zu halten.

§ 3 Laufzeit und Kündigung
Diese Vereinbarung tritt am 1. März 2026 in Kraft und gilt zwei Jahre.

§ 4 Schlussbestimmungen
Es gilt deutsches Recht. Gerichtsstand ist Hamburg.

_______________________   _______________________
"""

LEASE = """Lease

This lease is made between Oakfield Homes Ltd (the "Landlord") and Peter Lamb (the "Tenant").

1.1 The Landlord lets the flat to the Tenant for a term of twelve months, which commences on
1 May 2026.
1.2 The Tenant shall pay the rent on the first day of each month.
3.1 This lease is governed by the laws of Ireland.
"""


def test_a_clause_is_found_with_heading_line_and_extract() -> None:
    report = check(NDA_DE, "de")
    assert (report.contract_kind, report.language) == ("nda", "de")
    term = next(each for each in report.clauses if each.name == "term_and_termination")
    assert term.heading == "§ 3 Laufzeit und Kündigung"
    assert term.line == 12
    assert term.extract == "Diese Vereinbarung tritt am 1. März 2026 in Kraft und gilt zwei Jahre."
    assert term.required


def test_missing_clauses_are_named_with_what_was_looked_for() -> None:
    report = check(NDA_DE, "de")
    assert not report.complete
    assert missing(report) == {"exceptions", "return_of_information"}
    gone = next(each for each in report.missing if each.name == "return_of_information")
    assert "zurückgeben" in gone.looked_for
    assert report.missing[0].required


def test_each_clause_that_is_taken_away_is_missed() -> None:
    whole = missing(check(NDA_DE, "de"))
    for piece, clause in {
        "Es gilt deutsches Recht.": "governing_law",
        "_______________________": "signatures",
        "zwischen der Nordlicht GmbH, Hamburg (nachfolgend „Nordlicht“) und": "parties",
        "Diese Vereinbarung tritt am 1. März 2026 in Kraft und gilt zwei Jahre.": "effective_date",
    }.items():
        assert piece in NDA_DE
        assert clause in missing(check(NDA_DE.replace(piece, ""), "de")) - whole


def test_the_list_depends_on_the_kind_of_contract() -> None:
    report = check(LEASE)
    assert report.contract_kind == "lease"
    assert {"premises", "rent", "parties", "governing_law", "effective_date"} <= names(report)
    assert missing(report) == {"signatures"}
    general = check(LEASE, kind="general")
    assert "rent" not in names(general)
    assert "liability" in missing(general)


def test_a_term_in_the_heading_of_an_empty_section_is_no_clause() -> None:
    text = "Vertrag\n\n§ 1 Haftung\n\nJede Partei haftet für Vorsatz.\n\n§ 2 Dauer\n\nEin Jahr.\n"
    assert "liability" not in missing(check(text, "de", "general"))
    without = text.replace("Jede Partei haftet für Vorsatz.", "")
    assert "liability" in missing(check(without, "de", "general"))


@pytest.mark.parametrize("body", ["", "[Reserved]", "Intentionally omitted."])
def test_a_heading_without_a_clause_below_it_is_no_clause(body: str) -> None:
    text = f"Agreement\n\n1. Governing law\n\n{body}\n\n2. Term\n\nThis ends on 1 May 2026.\n"
    assert "governing_law" in missing(check(text, kind="general"))
    assert "governing_law" not in missing(
        check(text.replace(f"law\n\n{body}", "law\n\nIrish law holds."), kind="general")
    )


def test_a_word_in_passing_is_no_clause() -> None:
    text = (
        "Memorandum\n\n"
        "The parties met and spoke of the price, of delivery and of risk. Nobody could say which"
        " laws apply. The signature of the minister was missing, and confidential papers lay on"
        " the table.\n"
    )
    for kind in ("general", "sales", "services", "nda"):
        assert names(check(text, kind=kind)) == set()


def test_redacted_parties_are_still_parties() -> None:
    text = LEASE.replace("Oakfield Homes Ltd", "[PARTY 1]").replace("Peter Lamb", "[PARTY 2]")
    assert "parties" in names(check(text))


def test_the_kinds_errors_are_clear() -> None:
    with pytest.raises(OperationError) as unknown:
        check(LEASE, kind="marriage")
    assert unknown.value.code == "legal.unknown_kind"
    assert "nda, sla, sales" in str(unknown.value)
    with pytest.raises(OperationError) as language:
        check("Niniejsza umowa zostaje zawarta między stronami.", None)
    assert language.value.code == "legal.unsupported_language"
    with pytest.raises(OperationError) as long:
        check(LEASE, config=LegalConfig(max_characters=10))
    assert long.value.code == "legal.too_long"


def test_every_kind_names_known_clauses_that_have_terms_in_every_language() -> None:
    data = tomllib.loads(Path(clauses.__file__).with_name("clauses.toml").read_text("utf-8"))
    checker = clauses.load_checker()
    assert checker.languages == ("en", "de", "ru", "fr", "es", "it", "nl", "tr")
    for kind in data["kinds"].values():
        for name in (*kind["required"], *kind["advised"]):
            for language in checker.languages:
                given = data["clauses"][name][language]
                assert given["headings"]
                assert given["text"]


@pytest.mark.parametrize(
    ("file", "language", "kind", "expected_missing"),
    [
        ("contract-mutual-nda.md", "en", "nda", set()),
        ("contract-sales-ru.md", "ru", "sales", set()),
        # It is a schedule to an agreement, which has these.
        ("contract-service-level-agreement.md", "en", "sla",
         {"parties", "term_and_termination", "governing_law"}),
    ],
)  # fmt: skip
def test_the_real_contracts_are_read_as_a_reader_would(
    file: str, language: str, kind: str, expected_missing: set[str]
) -> None:
    if not SHARED.is_dir():
        pytest.skip("the shared documents are not beside the checkout")
    report = check((SHARED / file).read_text("utf-8").replace("**", ""), language)
    assert report.contract_kind == kind
    assert missing(report) == expected_missing


def test_a_heading_that_only_the_format_marks_names_its_clause() -> None:
    # Without blank lines around it, the line is no heading by itself.
    text = "Loan Agreement\n\nThe loan is paid back.\nTermination\nIt runs for two years.\n"
    marked = [Section(level=2, text="Termination", line=4)]
    checker = clauses.load_checker()
    found = [
        [clause.heading for clause in report.clauses if clause.name == "term_and_termination"]
        for report in (
            checker.check(text, "en", "general"),
            checker.check(text, "en", "general", marked),
        )
    ]
    assert found == [[], ["Termination"]]


def test_a_title_with_a_full_stop_is_a_heading() -> None:
    text = "Loan Agreement\n\nIt is made on 3 March 2026.\n\nTermination.\n\nIt runs two years.\n"
    report = clauses.load_checker().check(text, "en", "general")
    (clause,) = [each for each in report.clauses if each.name == "term_and_termination"]
    assert clause.heading == "Termination"
