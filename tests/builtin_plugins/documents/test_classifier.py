"""document-classifier: what rules look at, and texts that should not fool it."""

# ruff: noqa: RUF001 - it has texts in Russian

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qtforge_builtin_plugins.documents.analysis.kinds import load_classifier
from qtforge_builtin_plugins.documents.classifier import DocumentClassifier
from qtforge_builtin_plugins.documents.messages import RoutingAnalysis, RoutingAnalysisRequest
from qtforge_sdk import OperationContext
from qtforge_sdk.messages import DocumentMetadata

DESIGN_BY_CONTRACT = """Design by contract

Design by contract is an approach to writing software in which the obligations of each component
are stated where it is defined. The word is meant as in law: a contract between the client of a
routine and its supplier. The client must satisfy the precondition before the call; the supplier
must establish the postcondition when the routine returns. Each party benefits from the
obligations of the other party. When a contract is breached, an exception is raised, and the party
at fault is known: a breach of a precondition is a bug in the caller.

In Python a contract can be written with a decorator or with an assert statement. The agreement
between caller and callee is checked at run time, so that a violated contract fails early with a
stack trace. A subclass may weaken a precondition, but it shall not strengthen one. The contract of
an interface is therefore the contract of every implementation.
"""

SMART_CONTRACT = """Writing a smart contract

A smart contract is a program on a blockchain. The contract has a state and functions that
transactions call. This tutorial writes a contract that holds a receipt for each payment.

contract Receipts {
    mapping(bytes32 => uint256) public receipts;
    function pay(bytes32 invoice) external payable {
        receipts[invoice] += msg.value;
    }
}

Deploy the contract to a local node with the command line tool, then call pay with the id of the
invoice. The contract emits an event, and the client reads the receipt over JSON-RPC. A contract
cannot be changed once it is deployed, so test it on a test network first.
"""

INVOICE_API = """Invoice API

The invoice API creates, lists and cancels invoices. Every request needs an authentication token.

POST /v1/invoices with a JSON body:

{"customer_id": "c_17", "currency": "EUR", "lines": [{"sku": "A1", "unit_price": 1250}]}

The response has the invoice with its invoice_id and status. Errors are JSON objects with an error
code. An endpoint returns HTTP status 409 when the invoice exists. The schema of the payload is at
/v1/schema.json. Set the parameter dry_run to true to validate an invoice without creating it.
"""

MOVING = """How we moved house

When we moved to the new flat, the removal firm sent us three invoices, one for each van. My
brother kept every invoice and every receipt in a shoe box. The contract with the landlord had been
signed in spring, and we were glad that the agreement let us paint the walls. In the evening we sat
on the floor, ate bread and cheese, and looked at the invoices again. Nobody could say why the third
invoice was for a piano. My brother phoned the firm, and they promised to send a new invoice.
"""

ADVICE = """How to read a contract

Before you sign a contract, read it twice. Most people look at the price and nothing else, but a
contract says much more than that: how long it runs, how it ends, and who pays when something
breaks. Ask a friend to read the contract with you. Keep a copy of every agreement in a folder.
A good agreement is short, and both sides understand it.
"""

SOFTWARE_LICENCE = """Software licence agreement

This agreement is made between Elm Software Ltd (the "Licensor") and Oak Retail plc (the
"Licensee").

1.1 The Licensor grants the Licensee the right to install the software and its source code on one
server. The Licensee shall not remove a bug report function or decompile the software.
2.1 The Licensor warrants that the software conforms to the specification for ninety days.
3.1 Neither party is liable for loss of profit. Either party may terminate this agreement on breach.
4.1 This agreement is governed by the laws of Scotland.
"""

SHORT_INVOICE = "Invoice 2026-17\n\nBicycle repair, 45.00 EUR\nTotal 45.00 EUR\n"

LOAN_RU = """Договор займа

Иванов И. И., именуемый в дальнейшем Займодавец, и Петров П. П., именуемый в дальнейшем Заёмщик,
заключили настоящий договор о нижеследующем.

1.1. Займодавец обязуется передать Заёмщику деньги, а Заёмщик обязуется вернуть их в срок.
2.1. За нарушение обязательств по настоящему договору стороны несут ответственность.
2.2. За просрочку начисляется неустойка. Споры рассматриваются в судебном порядке.
"""

PURCHASE_ORDER = """Bestellung B-2025-311
Besteller
Töpferei Lehmann
Dorfstr. 2
02894 Reichenbach
Lieferant
Keramikbedarf Sachsen GmbH
Bestelldatum
5. März 2025
Artikel Menge Preis Summe
Steinzeugton weiß, 10 kg 40 8,90 356,00
Glasur transparent, 5 l 3 41,00 123,00
Bitte bestätigen Sie den Auftrag mit Liefertermin. Bestellwert netto: 479,00 €
"""

CAR_DE = """Anlage 3 zum Anstellungsvertrag
ÜBERLASSUNGSVERTRAG FÜR EINEN
DIENSTWAGEN
zwischen Nordlicht Pumpen GmbH & Co. KG, Werftstraße 90, 26121
Oldenburg, diese vertreten durch ihren Geschäftsführer Enno Sievers,
(Arbeitgeber) und Herrn Marcel Kühn, Kastanienallee 5 (Mitarbeiter)
Präambel
Herr Kühn ist als Gebietsleiter tätig.
I. Fahrzeug
Überlassen wird ein Kombi. Die Übergabe erfolgt am 1. August 2025.
II. Private Nutzung
Familienfahrten im Inland sind erlaubt.
III. Kosten
Der Eigenanteil von 85 Euro wird vom Gehalt einbehalten.
IV. Unfall
Jeder Unfall ist sofort zu melden.
V. Rückgabe
Mit Ende des Arbeitsverhältnisses ist der Wagen herauszugeben. Nordlicht ist keine höhere Gewalt.
"""

Classify = Callable[..., RoutingAnalysis]


@pytest.fixture(scope="module")
def classify() -> Classify:
    plugin = DocumentClassifier()
    context = OperationContext("document.analyze", "document-classifier")

    def classify_it(text: str, metadata: DocumentMetadata | None = None) -> RoutingAnalysis:
        request = RoutingAnalysisRequest(parsed_content=text, metadata=metadata)
        return plugin.analyze(request, context)

    return classify_it


def target(analysis: RoutingAnalysis) -> str:
    """The original's four rules, in their order."""
    keywords = analysis.keywords
    if analysis.document_type == "legal" or {"contract", "agreement"} & set(keywords):
        return "legal"
    if analysis.document_type == "financial" or {"invoice", "receipt"} & set(keywords):
        return "financial"
    if analysis.document_type == "technical" or analysis.category == "engineering":
        return "technical"
    return "general"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(DESIGN_BY_CONTRACT, "technical", id="design by contract"),
        pytest.param(SMART_CONTRACT, "technical", id="a smart contract"),
        pytest.param(INVOICE_API, "technical", id="an API for invoices"),
        pytest.param(MOVING, "general", id="a story with invoices in it"),
        pytest.param(ADVICE, "general", id="advice on contracts"),
        pytest.param(SOFTWARE_LICENCE, "legal", id="a contract on software"),
        pytest.param(SHORT_INVOICE, "financial", id="an invoice of three lines"),
        pytest.param(LOAN_RU, "legal", id="a Russian contract"),
        pytest.param(PURCHASE_ORDER, "financial", id="a purchase order with items"),
        pytest.param(CAR_DE, "legal", id="a contract with Roman sections"),
        pytest.param("", "general", id="nothing"),
    ],
)
def test_a_text_goes_where_a_reader_would_send_it(
    classify: Classify, text: str, expected: str
) -> None:
    assert target(classify(text)) == expected


def test_every_real_document_goes_where_its_name_says(
    classify: Classify, parse: Any, shared_documents: Path
) -> None:
    kinds = {"contract": "legal", "invoice": "financial"}
    paths = [*shared_documents.glob("*-*.md"), *shared_documents.glob("*.pdf")]
    assert len(paths) >= 9
    for path in paths:
        parsed = parse(path)
        kind = path.name.split("-")[0]
        analysis = classify(parsed.parsed_content, parsed.metadata)
        assert target(analysis) == kinds.get(kind, kind), path.name


def test_the_samples_go_where_they_belong(classify: Classify, parse: Any, examples: Path) -> None:
    expected = {"contract.md": "legal", "invoice.pdf": "financial", "letter.docx": "general",
                "technical-note.html": "technical"}  # fmt: skip
    for name, kind in expected.items():
        parsed = parse(examples / name)
        assert target(classify(parsed.parsed_content, parsed.metadata)) == kind, name


def test_a_documents_own_kind_stays_among_its_keywords(classify: Classify) -> None:
    assert "agreement" in classify(SOFTWARE_LICENCE * 2).keywords
    assert "invoice" in classify(SHORT_INVOICE).keywords


def test_categories_say_more_than_types(classify: Classify, parse: Any, examples: Path) -> None:
    report = "Revenue, gross margin, net income, cash flow and the balance sheet. " * 8
    mail = DocumentMetadata(
        name="m.eml", media_type="message/rfc822", size_bytes=9, sha256="0" * 64, words=9
    )
    assert classify(report).category == "finance"
    assert classify(parse(examples / "invoice.pdf").parsed_content).category == "accounting"
    assert classify(SOFTWARE_LICENCE).category == "contracts"
    assert classify(MOVING, mail).category == "correspondence"
    assert classify(MOVING).category == "general"


def test_features_are_numbers_that_conditions_may_use(classify: Classify) -> None:
    analysis = classify(SOFTWARE_LICENCE)
    assert analysis.features["words"] == len(SOFTWARE_LICENCE.split())
    assert analysis.features["legal_score"] > analysis.features["technical_score"]
    assert all(isinstance(value, float) for value in analysis.features.values())
    assert 0.5 <= analysis.confidence < 1
    assert analysis.evidence


SHORT_CONTRACTS = {
    "en": (
        "Deed of Settlement\n\nJane Doe and Rowan Mills Ltd settle their dispute. "
        "Rowan pays 4,000 pounds in full and final settlement. Jane Doe releases and "
        "discharges Rowan Mills and waives every claim. English law governs this "
        "deed.\n"
    ),
    "de": (
        "Vollmacht\n\nIch, Ute Sommer (Vollmachtgeberin), erteile Herrn Koch "
        "(Bevollmächtigter) Vollmacht, mich in allen Angelegenheiten zu vertreten. "
        "Die Vollmacht ist jederzeit widerruflich. Es gilt deutsches Recht.\n"
    ),
    "fr": (
        "Procuration\n\nJe soussigné Marc Delattre, mandant, donne procuration à Mme "
        "Fontaine, mandataire, pour signer en mon nom. Le mandataire s'engage à "
        "rendre compte. Le droit français s'applique.\n"
    ),
    "es": (
        "Poder especial\n\nAndrés Molina, poderdante, otorga poder a Lucía Cano, "
        "apoderado, para vender la finca. El apoderado se obliga a rendir cuentas. "
        "Derecho español.\n"
    ),
    "it": (
        "Atto di transazione\n\nIl sottoscritto Matteo Grassi e Edilnova S.r.l., in "
        "persona del presidente, convengono: Edilnova versa 4.000 euro a saldo e "
        "stralcio; Grassi rinuncia alla causa.\n"
    ),
    "nl": (
        "Vaststellingsovereenkomst\n\nOndergetekende Willem Bakker en de werkgever "
        "beëindigen het dienstverband. Partijen verlenen elkaar finale kwijting. "
        "Nederlands recht.\n"
    ),
    "ru": (
        "Лицензионное соглашение\n\nЛицензиар предоставляет лицензиату право "
        "использования программы. Исключительные права остаются у лицензиара. "
        "Применяется Гражданский кодекс Российской Федерации.\n"
    ),
    "tr": (
        "Gizlilik Taahhütnamesi\n\nBen Selin Kaya, bundan böyle taahhüt eden olarak "
        "anılacaktır, gizli bilgileri saklamayı taahhüt ederim. Türk hukuku "
        "uygulanır; icra daireleri yetkilidir.\n"
    ),
    "pl": (
        "Pełnomocnictwo\n\nJa, niżej podpisany mocodawca, udzielam pełnomocnictwa "
        "pełnomocnikowi Janowi Nowakowi do zawarcia umowy najmu. Mocodawca zrzeka "
        "się roszczeń.\n"
    ),
    "pt": (
        "Procuração\n\nO mandante constitui seu procurador o Dr. Silva. O procurador "
        "obriga-se a prestar contas ao mandante. Aplica-se a lei portuguesa.\n"
    ),
    "sv": (
        "Fullmakt\n\nUndertecknad fullmaktsgivare ger härmed Anna Berg fullmakt att "
        "företräda mig. Fullmakten gäller tills den återkallas. Svensk lag.\n"
    ),
    "da": (
        "Fuldmagt\n\nUndertegnede fuldmagtsgiver giver hermed Anne Holm fuldmagt til "
        "at handle. Fuldmagtsgiveren kan tilbagekalde fuldmagten. Dansk ret.\n"
    ),
}

LETTERS = {
    "en": (
        "Dear Oliver,\n\nthank you for the undertaking you showed us on Friday. The "
        "team grants you all the time you need, and nobody waives the deadline. "
        "Confidentiality was not an issue; the trip to York was full and final proof "
        "of your patience. See you in the spring.\n\nYours,\nJane\n"
    ),
    "de": (
        "Liebe Ute,\n\nim Vergleich zum letzten Sommer war es kühl. Wir haben die "
        "Abtretung der Blätter beobachtet und uns über Vertraulichkeit unter "
        "Freunden unterhalten. Ein Bürge für gutes Wetter bist du nicht. Bis bald am "
        "See, wir freuen uns alle sehr auf dich.\n\nDein Jan\n"
    ),
    "fr": (
        "Chère Juliette,\n\nla transition vers le printemps est lente. Il renonce à "
        "la plage et s'engage à faire la cuisine dimanche. Nous pensons à toi et "
        "t'attendons tous à la maison avec impatience, apporte du pain.\n\nMarc\n"
    ),
    "es": (
        "Querida Lucía:\n\nJuan renuncia al postre y se compromete a traer fruta. El "
        "poder de la música nos une. Te esperamos el domingo en casa de los abuelos, "
        "ven pronto y trae a los niños.\n\nAndrés\n"
    ),
    "it": (
        "Cara Elena,\n\nla premessa è che in persona sei più simpatica. Matteo "
        "rinuncia al dolce e si impegna a cucinare domenica. Ti aspettiamo tutti, "
        "porta i bambini e il cane.\n\nGiorgio\n"
    ),
    "nl": (
        "Beste Sanne,\n\nde boete voor te laat komen is een taart. Willem verklaart "
        "dat hij niet kan bakken. Wij verheugen ons op zondag, neem de kinderen en "
        "de hond mee naar het strand.\n\nJan\n"
    ),
    "ru": (
        "Дорогая Ольга!\n\nСоглашение о пироге остаётся в силе: в лице Игоря у нас "
        "есть лучший повар. Ждём тебя в воскресенье на даче, привози детей и собаку, "
        "погода обещает быть хорошей.\n\nВиктор\n"
    ),
    "tr": (
        "Sevgili Ayşe,\n\nKerem tatlıdan feragat etti ve pazar günü yemek yapmayı "
        "taahhüt etti. Hepimiz seni evde bekliyoruz, çocukları ve köpeği de getir, "
        "hava güzel olacak.\n\nSelin\n"
    ),
}


@pytest.mark.parametrize("language", SHORT_CONTRACTS)
def test_short_powers_of_attorney_settlements_and_licences_are_legal(language: str) -> None:
    assert load_classifier()(SHORT_CONTRACTS[language], language).name == "legal"


@pytest.mark.parametrize("language", LETTERS)
def test_letters_with_words_of_contracts_are_not_legal(language: str) -> None:
    assert load_classifier()(LETTERS[language], language).name == "general"
