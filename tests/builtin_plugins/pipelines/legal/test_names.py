"""Names in contracts: which go, and which words stay, in eight languages."""

# ruff: noqa: E501, RUF001 - it has contracts in Russian

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.pipelines.legal.messages import RedactedDocument, RedactRequest
from qtforge_builtin_plugins.pipelines.legal.redaction import redact


def redacted(text: str, language: str) -> RedactedDocument:
    request = RedactRequest(parsed_content=text, language=language)
    return redact(request, lambda done, total, what: None)


CONTRACTS = {
    "en": (
        'This Agreement is made between Brook Tools Ltd (the "Supplier") and Jane Doe (the "Client")'
        " of 54 Mill Lane, Bristol BS1 5TR.\n\n1. Work\nThe Supplier works EXCEPT AS REQUIRED BY LAW."
        " As agreed, the Client pays.\n\nBrook Tools Ltd\nBy: Miriam Oduya\n",
        ["Brook Tools", "Jane Doe", "Miriam Oduya", "54 Mill Lane"],
        ["Supplier", "Client", "EXCEPT AS REQUIRED BY LAW", "As agreed"],
    ),
    "de": (
        "Zwischen Alster Bau GmbH, Gerberweg 50, 53111 Bonn, HRB 25144, vertreten durch Katja Vogel,"
        " nachfolgend „Auftragnehmer“ genannt, und Jan Holz, nachfolgend „Auftraggeber“ genannt.\n\n"
        "Ansprechpartner ist Ulrich Brenner, Telefon +49 341 5579304. Die brenner werden gewartet.\n",
        ["Alster Bau", "Katja Vogel", "Jan Holz", "Ulrich Brenner", "Gerberweg 50", "HRB 25144"],
        ["Auftragnehmer", "Auftraggeber", "Die brenner"],
    ),
    "fr": (
        "Entre les soussignés : Cycles Morel SARL, représentée par Nadia Fontaine, ci-après « le Client »,"
        " et M. Paul Meunier, ci-après « le Prestataire ».\n\nLe Code civil s'applique au meunier.\n",
        ["Cycles Morel", "Nadia Fontaine", "Paul Meunier"],
        ["le Client", "le Prestataire", "Code civil", "au meunier"],
    ),
    "es": (
        "REUNIDOS: de una parte, Javier Molina, en nombre de Bodegas Rivas S.L., en adelante “el"
        " Cliente”. Un pastor trabaja.\n\nFdo.: Rafael Pastor\n",
        ["Javier Molina", "Bodegas Rivas", "Rafael Pastor"],
        ["el Cliente", "Un pastor"],
    ),
    "it": (
        "Tra Studio Bellini S.r.l., in persona di Elena Fabbri, di seguito “Appaltatore”, e Paolo"
        " Mugnaio, di seguito “Committente”. Il Codice Civile vale per il mugnaio.\n",
        ["Studio Bellini", "Elena Fabbri", "Paolo Mugnaio"],
        ["Appaltatore", "Committente", "Codice Civile", "il mugnaio"],
    ),
    "nl": (
        "Verhuurder: Tuin De Linde B.V., Kerkstraat 135, 3011 GC Rotterdam, handelend door Pieter Visser."
        "\nHuurder: Marijke Bakker, wonende te Gent.\nDe bakker en de visser blijven.\n",
        ["Tuin De Linde", "Pieter Visser", "Marijke Bakker", "Kerkstraat 135"],
        ["Verhuurder", "Huurder", "De bakker en de visser"],
    ),
    "ru": (
        "ООО «Дубрава», именуемое в дальнейшем «Исполнитель», представитель — Белова Ольга Сергеевна.\n"
        "Арендатор: Мельник Игорь Львович, паспорт 40 10 292163.\nРаботает мельник.\n",
        ["Дубрава", "Белова", "Мельник Игорь", "292163"],
        ["Исполнитель", "Арендатор", "Работает мельник"],
    ),
    "tr": (
        "Kiraya Veren: Kuzey Matbaa A.Ş., temsilcisi Murat Kaya.\nKiracı: Elif Terzi, T.C. kimlik no"
        " 81977055934.\nDaire kaya gibi sağlamdır, terzi kalır.\n",
        ["Kuzey Matbaa", "Murat Kaya", "Elif Terzi", "81977055934"],
        ["Kiraya Veren", "Kiracı", "kaya gibi", "terzi kalır"],
    ),
}


@pytest.mark.parametrize("language", CONTRACTS)
def test_names_go_and_roles_and_common_words_stay(language: str) -> None:
    text, private, public = CONTRACTS[language]
    found = redacted(text, language)
    for name in private:
        assert name not in found.redacted_content, name
    for word in public:
        assert word in found.redacted_content, word
    assert (found.complete, found.warnings) == (True, [])


@pytest.mark.parametrize("language", ["pl", "ja", "und"])
def test_a_text_in_a_language_without_words_is_not_called_redacted(language: str) -> None:
    found = redacted("Umowa: Jan Kowalski, jan@kowalski.example", language)
    assert "jan@kowalski.example" not in found.redacted_content
    assert (found.complete, found.warnings) == (False, ["names_not_searched"])


@pytest.mark.parametrize(
    "text",
    [
        "Dated 4 June 2025\n\nPARTIES\nThe parties agree.",
        "The sum of 500.00 USD. Payment. As consideration the Lender receives 4% interest.",
        "Section 12, 2026 Amendments, applies to 250 Old Rules.",
    ],
)
def test_dates_and_sentences_are_no_addresses_and_no_companies(text: str) -> None:
    assert redacted(text, "en").redacted_content == text
