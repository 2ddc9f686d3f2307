"""Things, places and days that are named like people stay, and people named beside them go."""

# ruff: noqa: RUF001 - it has words in Russian and Turkish

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.parties import find_parties
from qtforge_builtin_plugins.documents.facts.things import is_thing
from qtforge_builtin_plugins.pipelines.legal.messages import RedactRequest
from qtforge_builtin_plugins.pipelines.legal.redaction import redact


def redacted(text: str, language: str) -> str:
    request = RedactRequest(parsed_content=text, language=language)
    return redact(request, lambda done, total, what: None).redacted_content


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "The Licensee may use Jasper Reports Server on its own machines."),
        ("en", "The office is closed on Martin Luther King Jr. Day."),
        ("en", "The Contractor will repair the roof on Madison Hall."),
        ("en", "Tickets look like 2024-118822 and drawings like 2025-7714-03."),
        ("de", "Sie singt die Partie der Rosalinde in der Operette."),
        ("de", "Er verlegt zwischen den Türen der Marke Haro und fährt nach Bad Krozingen."),
        ("fr", "Elle est exposée au musée Marie Curie, près du marché de Noël de Rennes."),
        ("es", "El acuerdo trata del proyecto Luz Marina y de Santa Cruz de Tenerife."),
        ("it", "Restaura un cassettone in stile Luigi Filippo vicino a piazza Giuseppe Verdi."),
        ("nl", "Het pand ligt bij het Frans Hals Museum en Prins Hendrik in Deventer."),
        ("ru", "В гостинице «Людмила» и у кинотеатра Анна Каренина."),
        ("tr", "İşçi, Makine Operatörü olarak çalışır."),
        ("en", "Signed for Kestrel Signed for the Customer"),
        ("tr", "Dersler Yunus Emre Lisesi ile Barış Manço Parkı içinde verilir."),
    ],
)
def test_a_thing_or_place_that_is_named_like_a_person_stays(language: str, text: str) -> None:
    assert redacted(text, language) == text


@pytest.mark.parametrize(
    ("language", "text", "name"),
    [
        ("en", "The note is signed by Margaret Day for the lender.", "Margaret Day"),
        ("en", "Model: Rosemary Blackwood", "Rosemary Blackwood"),
        ("nl", "De sleutel ligt bij Sjoerd in 't Veld op kantoor.", "Sjoerd in 't Veld"),
        ("en", "The tenants are Pádraig Ó Súilleabháin and his family.", "Pádraig Ó Súilleabháin"),
    ],
)
def test_a_person_with_a_name_like_that_of_a_thing_goes(
    language: str, text: str, name: str
) -> None:
    assert name not in redacted(text, language)


def test_a_label_does_not_make_a_thing_of_who_is_named_after_it() -> None:
    assert is_thing("the model Rosa Vintage", 10, 22, "en")
    assert not is_thing("Model: Rosa Vintage", 7, 19, "en")


@pytest.mark.parametrize(
    ("language", "text", "parties"),
    [
        (
            "ru",
            "ДОГОВОР ПОДРЯДА\n\nг. Великий Новгород                 12 мая 2026 г.\n\n"
            "ООО «Кедр-Строй», далее «Подрядчик», и Ольховская Вера Игнатьевна, проживающая по"
            " адресу: г. Великий Новгород, ул. Большая, д. 8, именуемая «Заказчик», заключили"
            " договор.\n1. Строится баня, печь «Вера».\n",
            ["ООО «Кедр-Строй»", "Ольховская Вера Игнатьевна"],
        ),
        (
            "es",
            "CONTRATO\n\nEn Santa Cruz de Tenerife, a 3 de marzo de 2026\n\nDe una parte, D.ª"
            " Remedios Carballo Inza (en adelante, la Propietaria).\nDe otra parte, Reformas Teide,"
            " S.L. (en adelante, la Contratista).\nPrimera. Un baño.\n",
            ["Reformas Teide, S.L.", "Remedios Carballo Inza"],
        ),
        (
            "de",
            "Kaufvertrag\n\nVerkäufer: Thorsten Wesseling, Am Mühlbach 3, 48653 Coesfeld\n"
            "Käufer: Fahrschule Rampe OHG, Bahnhofstraße 40, 48143 Münster\n\n"
            "Fahrzeug: Mercedes-Benz C 220 d\nKaufpreis: 19.900 EUR\n",
            ["Fahrschule Rampe OHG", "Thorsten Wesseling"],
        ),
        (
            "it",
            "CONTRATTO D'OPERA\n\nIl Sig. Fulvio Marchesini, residente in via Mazzini 3, 37121"
            " Verona (Committente), e la ditta Restauri Scaligeri S.a.s. (Artigiano), convengono:\n"
            "Art. 1. Un cassettone.\n",
            ["Fulvio Marchesini", "Restauri Scaligeri S.a.s."],
        ),
    ],
)
def test_towns_vehicles_and_titles_are_no_parties(
    language: str, text: str, parties: list[str]
) -> None:
    assert sorted(find_parties(text, language)) == parties


def test_who_signs_beside_a_party_goes_without_a_usual_given_name() -> None:
    text = (
        "KOOPOVEREENKOMST\n\nVerkoper: Stal De Vlinderhoeve V.O.F., Eikenlaan 12, 7391 AM Twello\n"
        "Koper: Marloes Kuiperij, Kade 3, 7321 CX Apeldoorn\n\n1. Verkocht wordt een merrie.\n\n"
        "Twello, 3 april 2026\nMarloes Kuiperij         Wilbrecht Hagenaars\n"
    )
    assert "Hagenaars" not in redacted(text, "nl")


def test_the_court_of_a_french_register_stays_and_its_number_goes() -> None:
    text = "La société est immatriculée, RCS Saint-Malo 812 440 117, depuis 2014."
    assert "RCS Saint-Malo [" in redacted(text, "fr")
    assert "812 440 117" not in redacted(text, "fr")
