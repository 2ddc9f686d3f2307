"""find_parties: who is a party of a contract, and who is only named in it."""

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.companies import find_companies
from qtforge_builtin_plugins.documents.facts.parties import find_parties

PARTIES = {
    "roles of this contract only, in the first lines": (
        "de",
        "Vereinbarung\nLotsin Seefahrt Nordmole GmbH\nAnschrift Kai 6, 26721 Emden\n"
        "Ausguckende Funkhaus Sielwall AG\nAnschrift Weg 1, 28203 Bremen\n"
        "1. Gegenstand\nDie Lotsin führt, und die Ausguckende meldet der Lotsin Hindernisse.\n",
        ["Seefahrt Nordmole GmbH", "Funkhaus Sielwall AG"],
    ),
    "a body without a legal form": (
        "fr",
        "Entre les soussignés :\nL'association Les Voix du Marais, dont le siège est 3 rue Basse,\n"
        "85000 La Roche, représentée par Mme Odile Perrin, et\n"
        "M. Luc Garnier, né le 4 mai 1970, demeurant 2 rue Haute, 85000 La Roche.\n"
        "Article 1 - Objet\nLe local est prêté.\n",
        ["Les Voix du Marais", "Luc Garnier"],
    ),
    "names that begin with a small letter": (
        "en",
        "THIS AGREEMENT is made BETWEEN eBell Harbour Ltd of 4 High Street, Usk NP15 1AB"
        ' (the "Supplier"); and\niRope plc, of 9 Mill Road, Bath BA2 3EJ (the "Client").\n'
        "1. Term\n1.1 The Term is twelve months.\n",
        ["eBell Harbour Ltd", "iRope plc"],
    ),
    "a second person named in one breath": (
        "en",
        "THIS AGREEMENT is made BETWEEN Gwen Price of 4 High Street, Usk NP15 1AB"
        ' (the "Landlord"); and\nDaniel Marsh and Ify Adeyemi, both of 9 Mill Road, Bath BA2 3EJ'
        ' (together the "Tenant").\n1. Term\n1.1 The Term is twelve months.\n',
        ["Gwen Price", "Daniel Marsh", "Ify Adeyemi"],
    ),
    "a postal code is no company": (
        "nl",
        "De ondergetekenden:\nWaterwerken Eemsmond B.V., gevestigd te Kade 1, 9934 AA Delfzijl,"
        " hierna: 'Opdrachtgever';\nen\nmevrouw Lieke van den Berg, wonende te Singel 4,"
        " 9934 BV Delfzijl, hierna: 'Opdrachtnemer';\nArtikel 1 Opdracht\n1.1 Er is een plan.\n",
        ["Waterwerken Eemsmond B.V.", "Lieke van den Berg"],
    ),
    "the company whose shares are sold": (
        "de",
        "Die Gesellschafter der Gasthof Zur Linde GmbH, nämlich\n"
        "1. Herr Xaver Huber, geboren am 2. Mai 1958, wohnhaft Am Weg 5, 96049 Bamberg, und\n"
        "2. Frau Melanie Vogt, geboren am 1. Mai 1987, wohnhaft Am Tor 2, 96047 Bamberg,\n"
        "vereinbaren:\nI. Abtretung\nHerr Huber tritt seinen Anteil an Frau Vogt ab.\n",
        ["Xaver Huber", "Melanie Vogt"],
    ),
    "capitals before a party": (
        "es",
        "REUNIDOS\nDE UNA PARTE, Horchatas Marina, S.L., con domicilio social en calle Mayor 15,"
        " 46120 Alboraya (en adelante, el «Franquiciador»).\nDE OTRA PARTE, D. Pablo Ruiz Mora,"
        " con DNI 17985071Z (en adelante, el «Franquiciado»).\nPrimera. Objeto\n",
        ["Horchatas Marina, S.L.", "Pablo Ruiz Mora"],
    ),
    "a company that acts for another": (
        "de",
        "Vertrag zwischen Nordlicht Pumpen GmbH & Co. KG, diese vertreten durch die Nordlicht"
        " Verwaltungs-GmbH,\n(Arbeitgeber)\nund Herrn Jan Kühn, geboren am 1. Mai 1990,"
        " wohnhaft Am Weg 5, 26129 Oldenburg (Arbeitnehmer)\n1. Fahrzeug\nEin Kombi.\n",
        ["Nordlicht Pumpen GmbH & Co. KG", "Jan Kühn"],
    ),
}


@pytest.mark.parametrize("case", PARTIES)
def test_parties_are_those_that_agree(case: str) -> None:
    language, text, parties = PARTIES[case]
    assert sorted(find_parties(text, language)) == sorted(parties)


@pytest.mark.parametrize(
    "text",
    [
        "BY AND BETWEEN Acme Harbour Ltd and",
        "ENTRE Acme Harbour SARL et",
        "ZWISCHEN Acme Harbour GmbH und",
        "TUSSEN Acme Harbour B.V. en",
        "POMIĘDZY Acme Harbour S.A. a",
    ],
)
def test_a_word_in_capitals_before_a_party_is_no_part_of_its_name(text: str) -> None:
    ((start, name),) = find_companies(text)
    assert name.startswith("Acme Harbour ")
    assert text[start:].startswith(name)
