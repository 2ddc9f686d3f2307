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
        # The kind of a thing before several names, or behind one of them.
        ("en", "The apples are of the cultivars Granny Smith, Pink Lady and James Grieve."),
        ("fr", "Les personnages Peter Pan, Arsène Lupin et le Chat Botté sont concédés."),
        ("nl", "Het Albert Schweitzer ziekenhuis wordt bediend."),
        ("tr", "Buluşma yeri Barış Manço Kültür Merkezi olacaktır."),
        # A title before the name of a role, and a word with the name of a person in it.
        ("it", "Sono concessi l'opera Tosca e il ruolo di Don Giovanni."),
        ("de", "Treffpunkt ist das Ludwig Erhard Haus oder die Anne-Frank-Schule."),
        ("nl", "De tournee begint aan de Anna Paulownastraat."),
        # An article or a number, which people do not have.
        ("en", "The Contractor shall supply one Mercedes Vito."),
        ("es", "Se entrega un Mercedes Vito."),
        # Words of contracts with capitals.
        ("en", "Faith Schools, Max Load and Pat Testing are covered; Joy Rides are not."),
        ("en", "The Managing Partner, Senior Associate and Trainee Solicitor attend."),
        ("de", "Das Bürgerliche Gesetzbuch gilt; die Deutschen Vorschriften gelten auch."),
        ("it", "Il Decreto Bersani e il Medico Competente sono citati. Regolamento Interno"),
        ("tr", "Ramazan Bayramı ve Kurban Bayramı günlerinde işyeri kapalıdır."),
        ("ru", "Доставка осуществляется в Великие Луки."),
        # People of history, and numbers of parts.
        ("en", "Works by Vincent van Gogh and Johann Sebastian Bach are in the public domain."),
        ("ru", "Произведения Александра Пушкина и Петра Чайковского свободны."),
        ("en", "Part number 778-12-3345 and style 110-22-3456 apply."),
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
        (
            "en",
            "The model was drawn by Mercedes Quintero, and the hall is hers.",
            "Mercedes Quintero",
        ),
        ("en", "Lady Margaret Ashdown opens the fair.", "Margaret Ashdown"),
        ("en", "The will of Archibald St. John Macready is read.", "John Macready"),
        ("de", "Die Halle baut Lukas Steinhaus aus Celle.", "Lukas Steinhaus"),
        ("nl", "Het model is van Lucas Zaal uit Gouda.", "Lucas Zaal"),
        ("ru", "Архитектор Генрих Моршаков и Роза Гирляндова присутствуют.", "Роза Гирляндова"),
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


def test_a_number_in_the_form_of_an_identity_number_goes_unless_it_is_one_of_a_part() -> None:
    assert "778-12-3345" not in redacted("Jane Doe, 778-12-3345, is the tenant.", "en")
    assert "778-12-3345" not in redacted("SSN no. 778-12-3345", "en")


@pytest.mark.parametrize(
    ("language", "text", "party"),
    [
        (
            "it",
            "CONTRATTO\n\nTra\n\nGalleria Luisa Marten, con sede in via del Mulino 12, 40121"
            " Bologna (di seguito il «Prestatore»)\n\ne\n\nQuintino Esteri, residente in piazza"
            " Nuova 4, 40121 Bologna (di seguito il «Cliente»),\n\nArt. 1 - Oggetto\nPulisce.\n",
            "Galleria Luisa Marten",
        ),
        (
            "de",
            "VERTRAG\n\nzwischen\n\nHaus der Klänge, Lindenallee 14, 38102 Braunschweig,"
            ' nachfolgend "Auftragnehmer",\n\nund\n\nPetra Lüders, Am Sandberg 3, 38106'
            ' Braunschweig, nachfolgend "Auftraggeber".\n\n§ 1 Leistung\nEr reinigt.\n',
            "Haus der Klänge",
        ),
        (
            "ru",
            "ДОГОВОР\n\nСтудия Анны Ротовой, именуемая в дальнейшем «Исполнитель», и Ольхов Юрий"
            " Иванович, именуемый в дальнейшем «Заказчик», заключили договор.\n\n1. Предмет\n"
            "Исполнитель убирает помещения.\n",
            "Студия Анны Ротовой",
        ),
    ],
)
def test_a_party_that_is_named_after_a_person_is_a_party_as_a_whole(
    language: str, text: str, party: str
) -> None:
    assert party in find_parties(text, language)
    assert party.split()[0] not in redacted(text, language)
