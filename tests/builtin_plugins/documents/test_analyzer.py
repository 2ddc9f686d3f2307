"""content-analyzer: the right kind and language, the same every time."""

# ruff: noqa: RUF001 - it has texts in Russian

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LEASE = """Lease

This lease is made between Oakfield Homes Ltd (the "Landlord") and Peter Lamb (the "Tenant").

1.1 The Landlord lets the flat to the Tenant for a term of twelve months.
1.2 The Tenant shall pay the rent on the first day of each month and shall not sublet the flat.
2.1 The Tenant is liable for damage caused by breach of this agreement.
2.2 Either party may terminate this lease on two months' written notice.
3.1 This agreement is governed by the laws of Ireland.
"""

LEASE_DE = """Mietvertrag

Zwischen Frau Anna Berg, nachfolgend Vermieter, und Herrn Jan Holz, nachfolgend Mieter, wird
folgender Vertrag geschlossen.

§ 1 Der Vermieter vermietet dem Mieter die Wohnung im zweiten Stock.
§ 2 Der Mieter verpflichtet sich, die Miete bis zum dritten Werktag zu zahlen.
§ 3 Die Kündigungsfrist beträgt drei Monate. Die Kündigung bedarf der Schriftform.
§ 4 Der Mieter haftet für Schäden. Ist eine Klausel unwirksam, so gilt der Vertrag im Übrigen.
Gerichtsstand ist Köln.
"""

LOAN_RU = """Договор займа

Иванов И. И., именуемый в дальнейшем Займодавец, и Петров П. П., именуемый в дальнейшем Заёмщик,
заключили настоящий договор о нижеследующем.

1.1. Займодавец обязуется передать Заёмщику деньги, а Заёмщик обязуется вернуть их в срок.
2.1. За нарушение обязательств по настоящему договору стороны несут ответственность.
2.2. За просрочку начисляется неустойка. Споры рассматриваются в судебном порядке.
"""

RECEIPT = """Receipt no. 5512
Corner Bakery
2 rye bread       $ 7.00
1 apple cake      $ 18.50
Subtotal          $ 25.50
Tax               $ 2.04
Total due         $ 27.54
Payment received with thanks
"""

REPORT = """Results for the fiscal year

Revenue rose to $412.6 million from $388.1 million, and gross margin to 41.2%. Operating income was
$58.3 million. Net income was $44.9 million, after a tax charge of $9.70 million. The balance sheet
shows assets of $903.4 million and liabilities of $377.0 million. Cash flow from operations covered
the dividend of $0.42 a share, and shareholders' equity rose by 6%.
"""

INVOICE_RU = """Счет на оплату № 15 от 5 марта 2026 г.
Плательщик: ООО Ромашка, ИНН 7700000000, КПП 770001001, БИК 044525225
Наименование   Кол-во   Цена   Сумма
Бумага   10   350,00   3500,00
Картридж   2   4200,00   8400,00
Итого 11900,00 руб.
В том числе НДС 1983,33 руб.
Всего к оплате 11900,00 руб.
"""

GUIDE = """Installing the server

Run pip install queue_server, then start it on the command line:

$ queue_server --port 8080 --config server.toml

The configuration file is TOML. The parameter max_clients is an integer, 64 by default; the server
returns HTTP status 503 when the timeout is over. Each request is a JSON object with a payload:

{
  "method": "push",
  "payload": null
}

Set the environment variable QUEUE_DEBUG=1 to get a stack trace in the log.
"""

GUIDE_RU = """Установка сервера

Сервер читает настройки из файла server.toml. Параметр max_clients задаёт число клиентов, а
переменная окружения QUEUE_DEBUG включает отладку. Запрос отправляется по протоколу HTTP в формате
JSON. Чтобы запустить скрипт, введите в командной строке:

$ python run_server.py --port 8080

Модуль хранит очередь в базе данных; функция push_message() возвращает номер сообщения.
"""

PRICED_NOTE = (
    GUIDE
    + """
What it costs: a small server is $12.00 a month, a large one $41.50, storage $0.02 a GB.
"""
)

STORY = """The lighthouse keeper rose before dawn, as he had every day for thirty years. The sea was
quiet. He made his tea, climbed the stairs, and put out the lamp. A ship passed far away on its way
to the north, and he waved, though nobody could have seen him. In the afternoon his daughter came
with bread and the news from the village.
"""

ARTICLE = """The football club has given its young goalkeeper a new contract. He came through the
academy and played forty matches last season. Supporters sang his name when the news was read out
before the match. The manager said that he had seldom seen anybody train so hard, and that the boy
would go far. The next match is on Saturday against the neighbours from across the river.
"""

BUDGET_TRIP = """We spent ten days walking along the coast. The weather was kind, the food was good,
and the people we met were kinder still. A room in a small inn was $45 a night, which seemed fair to
us, and the bus back to the town was almost empty. We would go again tomorrow if we could.
"""


@pytest.mark.parametrize(
    ("text", "language", "kind"),
    [
        (LEASE, "en", "legal"),
        (LEASE_DE, "de", "legal"),
        (LOAN_RU, "ru", "legal"),
        (RECEIPT, "en", "financial"),
        (REPORT, "en", "financial"),
        (INVOICE_RU, "ru", "financial"),
        (GUIDE, "en", "technical"),
        (GUIDE_RU, "ru", "technical"),
        (PRICED_NOTE, "en", "technical"),
        (STORY, "en", "general"),
        (ARTICLE, "en", "general"),
        (BUDGET_TRIP, "en", "general"),
    ],
)
def test_kind_and_language_are_found(analyze: Any, text: str, language: str, kind: str) -> None:
    results = analyze(text).analysis_results
    assert (results.language, results.document_type) == (language, kind)
    assert 0.5 <= results.confidence < 1
    assert bool(results.evidence) == (kind != "general")


def test_the_evidence_names_what_was_found(analyze: Any) -> None:
    evidence = analyze(LEASE).analysis_results.evidence
    assert "'either party' x1" in evidence
    assert any(find.startswith("'shall") for find in evidence)


def test_one_word_often_used_makes_no_kind(analyze: Any) -> None:
    text = STORY + "invoice " * 200
    assert analyze(text).analysis_results.document_type == "general"


@pytest.mark.parametrize("text", ["", "   \n", "12 34 56", "ok", "!!! --- ???"])
def test_a_text_without_words_is_undetermined(analyze: Any, text: str) -> None:
    response = analyze(text)
    results = response.analysis_results
    assert (results.language, results.language_confidence) == ("und", 0.0)
    assert (results.document_type, results.evidence) == ("unknown", [])
    assert results.confidence == 0.5
    assert results.readability is None
    assert response.sentiment is None


def test_keywords_are_lower_case_and_telling(analyze: Any) -> None:
    keywords = analyze(STORY * 2 + "The lighthouse keeper slept. The lighthouse shone.").keywords
    assert 0 < len(keywords) <= 10
    assert "lighthouse" in " ".join(keywords)
    assert keywords == [keyword.lower() for keyword in keywords]
    assert len(set(keywords)) == len(keywords)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("This was a wonderful day, and we loved every minute of the lovely concert.", "positive"),
        ("The food was horrible, the staff was rude, and we hated this awful place.", "negative"),
        ("The train leaves at nine from the second platform, behind the ticket office.", "neutral"),
    ],
)
def test_the_tone_is_found(analyze: Any, text: str, label: str) -> None:
    sentiment = analyze(text).sentiment
    assert sentiment is not None
    assert sentiment.label == label
    assert -1 <= sentiment.score <= 1


def test_there_is_no_tone_without_a_lexicon(analyze: Any) -> None:
    assert analyze(LOAN_RU).sentiment is None


def test_an_easy_text_reads_more_easily_than_a_hard_one(analyze: Any) -> None:
    hard = (
        "Notwithstanding considerable methodological heterogeneity, contemporary investigations"
        " demonstrate statistically significant associations between socioeconomic deprivation and"
        " cardiovascular morbidity, necessitating comprehensive interdisciplinary interventions"
        " incorporating epidemiological surveillance and multidimensional preventive strategies."
    ) * 2
    easy, difficult = (analyze(text).analysis_results.readability for text in (STORY, hard))
    assert easy is not None
    assert difficult is not None
    assert easy.formula == difficult.formula == "flesch"
    assert easy.score > 60 > 0 > difficult.score
    assert easy.sentences == 5


@pytest.mark.parametrize(
    ("text", "formula"), [(STORY, "flesch"), (LEASE_DE, "amstad"), (LOAN_RU, "oborneva")]
)
def test_each_language_has_its_formula(analyze: Any, text: str, formula: str) -> None:
    readability = analyze(text).analysis_results.readability
    assert readability is not None
    assert readability.formula == formula


def test_a_language_without_a_formula_has_no_readability(analyze: Any) -> None:
    french = (
        "Le gardien du phare se levait avant l'aube, comme chaque jour depuis trente ans. La mer"
        " était calme. Il préparait son thé, montait l'escalier et éteignait la lampe du phare."
    ) * 2
    results = analyze(french).analysis_results
    assert (results.language, results.readability) == ("fr", None)


ANALYZE = """
import sys, msgspec
from qtforge_builtin_plugins.documents.analyzer import AnalyzerConfig, ContentAnalyzer
from qtforge_sdk import OperationContext
from qtforge_builtin_plugins.documents.messages import AnalyzeRequest

plugin = ContentAnalyzer()
plugin.config = AnalyzerConfig()
request = AnalyzeRequest(parsed_content=sys.stdin.read())
print(msgspec.json.encode(plugin.analyze(request, OperationContext("content.analyze"))).decode())
"""


def test_every_process_gives_the_same_answer() -> None:
    answers = [
        subprocess.run(
            [sys.executable, "-c", ANALYZE],
            input=LEASE + GUIDE,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert len(set(answers)) == 1
    assert json.loads(answers[0])["keywords"]


def test_the_parts_can_be_switched_off() -> None:
    from qtforge_builtin_plugins.documents.analyzer import AnalyzerConfig, ContentAnalyzer
    from qtforge_builtin_plugins.documents.messages import AnalyzeRequest
    from qtforge_sdk import OperationContext

    plugin = ContentAnalyzer()
    plugin.config = AnalyzerConfig(sentiment=False, readability=False)
    request = AnalyzeRequest(parsed_content=STORY)
    response = plugin.analyze(request, OperationContext("content.analyze"))
    assert (response.sentiment, response.analysis_results.readability) == (None, None)


SHARED = [
    ("contract-mutual-nda.md", "en", "legal"),
    ("contract-sales-ru.md", "ru", "legal"),
    ("contract-service-level-agreement.md", "en", "legal"),
    ("general-governance.md", "en", "general"),
    ("invoice-AmazonWebServices.pdf", "en", "financial"),
    ("invoice-AzureInterior.pdf", "en", "financial"),
    ("invoice-QualityHosting.pdf", "de", "financial"),
    ("invoice-oyo.pdf", "en", "financial"),
    ("technical-workflow-dsl.md", "en", "technical"),
]


@pytest.mark.parametrize(("name", "language", "kind"), SHARED)
def test_real_documents_are_told_apart(
    parse: Any, analyze: Any, shared_documents: Path, name: str, language: str, kind: str
) -> None:
    text = parse(shared_documents / name).parsed_content
    results = analyze(text).analysis_results
    assert (results.language, results.document_type) == (language, kind)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("contract.md", "legal"),
        ("invoice.pdf", "financial"),
        ("technical-note.html", "technical"),
        ("letter.docx", "general"),
    ],
)
def test_the_sample_documents_are_told_apart(
    parse: Any, analyze: Any, examples: Path, name: str, kind: str
) -> None:
    results = analyze(parse(examples / name).parsed_content).analysis_results
    assert (results.language, results.document_type) == ("en", kind)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("本合同由双方签订。合同自签订之日起生效。合同期限为一年，合同终止须书面通知。", "合同"),
        ("本契約は両当事者が締結する。契約期間は一年とする。契約の解除は書面による。契約", "契約"),
    ],
)
def test_a_language_without_spaces_has_keywords(analyze: Any, text: str, word: str) -> None:
    keywords = analyze(text).keywords
    assert keywords[0] == word
    assert all(len(keyword) <= 6 for keyword in keywords)


@pytest.mark.parametrize("text", ["", "- 3 -", ". , ' `", "l1 I| ~ 12"])
def test_an_empty_or_scanned_text_has_no_keywords(analyze: Any, text: str) -> None:
    assert analyze(text).keywords == []


@pytest.mark.parametrize(
    ("text", "language"),
    [
        # The model takes the first one for Aragonese.
        (
            "Minuta de honorarios\nEstudio Sol S.L.\nC/ Mayor 78\n50001 Zaragoza\nConcepto Uds."
            " Tipo IVA Neto\nRevisión de caldera 9 ud.\nImporte total\nPendiente de pago",
            "es",
        ),
        (
            "Alle beløp er i kroner. Tjenesten ble utført av oss mellom mandag og fredag, og etter"
            " avtale med kunden. Utstedt av regnskap, se oppdrag 5 av i dag.",
            "no",
        ),
    ],
)
def test_a_small_neighbour_of_a_language_is_believed_with_its_own_words(
    analyze: Any, text: str, language: str
) -> None:
    assert analyze(text).analysis_results.language == language


MESSAGES = [
    "Bonjour Madame,\n\nvous trouverez ci-joint notre facture n° 2026-118 du 4 mars 2026, d'un"
    " montant de 1 320,00 € TTC, à régler avant le 3 avril 2026.\n\nCordialement,\nBois & Fer",
    "Gentile cliente,\n\nin allegato la fattura n. 55/2026 del 10 marzo 2026 per un totale di"
    " € 732,00 IVA inclusa. Il pagamento è previsto entro il 10 aprile 2026.\n\nSaluti",
    "Beste meneer Smit,\n\nHierbij ontvangt u factuur 26-0099 d.d. 2 april 2026 voor een bedrag"
    " van € 423,50 (incl. 21% btw). Wij verzoeken u dit vóór 16 april 2026 over te maken.",
]


@pytest.mark.parametrize("text", MESSAGES)
def test_a_message_whose_sentence_is_an_invoice_is_financial(analyze: Any, text: str) -> None:
    assert analyze(text).analysis_results.document_type == "financial"
