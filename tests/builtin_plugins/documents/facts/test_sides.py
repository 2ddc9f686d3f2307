"""choose_parties: a party is the name for which most speaks, with or without a legal form."""

# ruff: noqa: RUF001 - it has words in Russian and Turkish, and typographic marks

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.contracts import Contract
from qtforge_builtin_plugins.documents.facts.parties import find_parties

PARTIES = {
    "a town and a club": (
        "fr",
        "CONVENTION\nEntre la Commune de Roquevert, représentée par son maire, Mme Aline Joubert,\n"
        "d'une part, et l'Association Les Sabots, représentée par M. Guy Pons, d'autre part.\n"
        "Article 1 - Objet\nLa commune prête une salle.\n",
        ["Commune de Roquevert", "Association Les Sabots"],
    ),
    "a body at the end of whose name its kind is": (
        "tr",
        "PROTOKOL\nİşbu protokol, Gölpınar Belediye Başkanlığı ile Halk Oyunları Derneği arasında"
        " 1 Mart 2025 tarihinde imzalanmıştır.\nMadde 1 - Amaç\nBir şenlik yapılır.\n",
        ["Gölpınar Belediye Başkanlığı", "Halk Oyunları Derneği"],
    ),
    "names in a form below the heading of a side": (
        "nl",
        "KOOPOVEREENKOMST\n\nVerkoper\nNaam\tWietse Hofstra\nAdres\tKade 3, 8754 EE Makkum\n\n"
        "Koper\nNaam\tGrietje Blom-de Haan\nAdres\tPad 8, 3621 AK Breukelen\n\n"
        "1. Verkocht is een boot.\n",
        ["Wietse Hofstra", "Grietje Blom-de Haan"],
    ),
    "a person who acts for a company": (
        "es",
        "REUNIDOS\nDe una parte, D. Iker Sanz Mora, mayor de edad, con DNI 17441205K, en nombre y"
        " representación de VINOS DEL ALBA, S.L., con CIF B50123456.\n"
        "Y de otra parte, D.ª Noa Vidal Ruiz, mayor de edad, con DNI 72998410T.\n"
        "Primera.- Objeto. Un informe.\n",
        ["VINOS DEL ALBA, S.L.", "Noa Vidal Ruiz"],
    ),
    "two people with capitals in one breath": (
        "en",
        "THIS DEED is made on 14 March 2025\nPARTIES\n(1) HOLLOWAY ESTATES LIMITED whose registered"
        " office is at 12 Fen Road, London EC3M 5AD (the Landlord); and\n"
        "(2) JANE SMITH and ROBERT SMITH both of 81 Mill Road, Bristol BS8 1TX (the Tenant).\n"
        "1. RENT\n1.1 The rent is £900.\n",
        ["HOLLOWAY ESTATES LIMITED", "JANE SMITH", "ROBERT SMITH"],
    ),
    "a role below a name and its address": (
        "de",
        "Werkvertrag\n\nzwischen\n\nOfenbau Grubinger e.K.\nKirchgasse 3, 83512 Wasserburg\n"
        "– Auftragnehmer –\n\nund\n\nAnnegret Vollmer\nAm Hang 17, 83022 Rosenheim\n"
        "– Auftraggeberin –\n\n§ 1 Gegenstand\nEin Kachelofen.\n",
        ["Ofenbau Grubinger e.K.", "Annegret Vollmer"],
    ),
    "a sole trader beside a company": (
        "ru",
        "ДОГОВОР\nООО ТД «Ландыш», именуемое «Заказчик», в лице директора Орлова Петра Ильича, с"
        " одной стороны, и Индивидуальный предприниматель Хачатрян Армен Гагикович, ОГРНИП"
        " 318715400012345, именуемый «Исполнитель», с другой стороны, заключили договор:\n"
        "1. Предмет\nРемонт.\n",
        ["ООО ТД «Ландыш»", "Хачатрян Армен Гагикович"],
    ),
}


@pytest.mark.parametrize("case", PARTIES)
def test_parties_are_the_names_that_stand_like_one(case: str) -> None:
    language, text, parties = PARTIES[case]
    assert sorted(find_parties(text, language)) == sorted(parties)


def test_the_street_of_an_address_is_no_party() -> None:
    text = (
        "SÖZLEŞME\nMartı Yazılım A.Ş., Bağdat Caddesi No: 120 Kadıköy/İstanbul (Şirket) ile Selin"
        " Karaca (Danışman) arasında.\n1. Konu\nDanışmanlık.\n"
    )
    assert "Bağdat Caddesi" not in find_parties(text, "tr")


def test_a_body_that_is_only_mentioned_is_no_name() -> None:
    text = (
        "AGREEMENT between Acme Ltd and Jane Doe.\n1. Law\nThe laws of the State of Vermont apply,"
        " and the courts of the City of Burlington decide.\n"
    )
    names = [named.name for named in Contract(text, "en").names]
    assert not {"State of Vermont", "City of Burlington"} & set(names)
