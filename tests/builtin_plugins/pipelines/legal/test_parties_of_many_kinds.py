"""Parties and people of kinds that are no "Jane Doe" and no "Acme Ltd"."""

# ruff: noqa: E501, RUF001 - it has contracts in Russian

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.parties import find_parties
from qtforge_builtin_plugins.pipelines.legal.messages import RedactRequest
from qtforge_builtin_plugins.pipelines.legal.redaction import redact


def redacted(text: str, language: str) -> str:
    request = RedactRequest(parsed_content=text, language=language)
    return redact(request, lambda done, total, what: None).redacted_content


PARTIES = {
    "the heirs of somebody, in German": (
        "de",
        "Mietvertrag\n\nzwischen\n\nder Erbengemeinschaft nach Ottokar Wittling, vertreten durch Frau Hedda"
        ' Wittling\n- nachfolgend "Vermieterin" -\n\nund\n\nHerrn Lukas Brandt, geboren am 3. Mai 1990,'
        ' wohnhaft Mühlweg 4, 37073 Göttingen\n- nachfolgend "Mieter" -\n\n§ 1 Mietsache\nVermietet wird'
        " eine Wohnung.\n",
        ["Erbengemeinschaft nach Ottokar Wittling", "Lukas Brandt"],
    ),
    "the heirs of somebody, in Dutch": (
        "nl",
        "HUUROVEREENKOMST\n\nDe ondergetekenden:\n\nde erven van Harm Veldink, vertegenwoordigd door mevrouw"
        " Annie Veldink, hierna te noemen 'verhuurder',\n\nen\n\nde heer Bas Kortekaas, geboren te Gouda,"
        " hierna te noemen 'huurder',\n\nArtikel 1 Het gehuurde\nVerhuurder verhuurt de woning.\n",
        ["erven van Harm Veldink", "Bas Kortekaas"],
    ),
    "a joint estate, in French": (
        "fr",
        "BAIL\n\nEntre :\n\nL'indivision Carrel-Josse, représentée par Mme Paulette Josse, ci-après « le"
        " Bailleur »,\n\net\n\nM. Rémi Caumont, né le 3 mai 1990, ci-après « le Locataire »,\n\nArticle 1"
        " – Objet\nLe Bailleur loue un logement.\n",
        ["indivision Carrel-Josse", "Rémi Caumont"],
    ),
    "a company and a shop with their owners' names, in Italian": (
        "it",
        "CONTRATTO\n\nTra\n\nTrattoria del Borgo S.n.c. di Lanza Piero & C., con sede in Asti, in persona del"
        ' socio Piero Lanza, di seguito "Concedente"\n\ne\n\nEdicola Sprint di Moretto Tiziana, impresa'
        ' individuale, di seguito "Affittuaria"\n\nArt. 1 - Oggetto\nLa Concedente affitta l\'azienda.\n',
        ["Edicola Sprint di Moretto Tiziana", "Trattoria del Borgo S.n.c. di Lanza Piero & C."],
    ),
    "a surname before a given name, in a German form": (
        "de",
        "ARBEITSVERTRAG\n\nArbeitgeber:\nHofmolkerei Sander GmbH\nvertreten durch den Geschäftsführer Till"
        " Sander\n\nArbeitnehmer:\nName, Vorname: Öztürk, Can\nGeburtsdatum: 17.09.1994\n\n1. Tätigkeit\nDer"
        " Arbeitnehmer wird als Fahrer eingestellt.\n",
        ["Hofmolkerei Sander GmbH", "Öztürk, Can"],
    ),
    "a name in two fields of a French form": (
        "fr",
        "CONTRAT DE TRAVAIL\n\nEmployeur\nDénomination : Menuiserie Roche SARL\n\nSalarié\nNom :"
        " Belkacem\nPrénom : Inès\nNée le : 22/08/1999\n\nArticle 1. Engagement\nLa salariée est"
        " engagée.\n",
        ["Inès Belkacem", "Menuiserie Roche SARL"],
    ),
    "partners with a comma between them": (
        "de",
        "Mandatsvertrag\n\nzwischen\n\nder Kanzlei Ahrens, Bode & Kollegen mbB, vertreten durch Dr. Imke"
        " Bode (im Folgenden: Kanzlei)\n\nund\n\ndem Landkreis Ostholm-Heide, vertreten durch den Landrat"
        " Jörn Tietz (im Folgenden: Landkreis)\n\n§ 1 Gegenstand\nDie Kanzlei berät den Landkreis.\n",
        ["Kanzlei Ahrens, Bode & Kollegen mbB", "Landkreis Ostholm-Heide"],
    ),
    "the cells below the roles of a table": (
        "fr",
        "BAIL COMMERCIAL\n\nBailleur\tPreneur\nSCI du Grand Pré\tLibrairie Le Renard Bleu\n3 quai Sud, 13001"
        " Marseille\t4 rue Haute, 13001 Marseille\n\nArticle 1. Le bailleur donne un local à bail.\n",
        ["Librairie Le Renard Bleu", "SCI du Grand Pré"],
    ),
    "roles that are on no list, but in the text again": (
        "tr",
        "SÖZLEŞME\n\nBestekâr: Melodi Evi Stüdyosu (Volkan Ergüder)\nYorumcu: Ceren Aktan\n\n1. Bestekâr üç"
        " şarkı yazar, yorumcu seslendirir.\n2. Bedel 30.000 TL'dir.\n",
        ["Ceren Aktan", "Melodi Evi Stüdyosu"],
    ),
    "roles with both genders, and a name above its address": (
        "de",
        "Einstellvertrag\n\nPferdepension Birkenhof\nInhaberin: Nele Ostermann\nDorfstraße 51, 29525"
        " Uelzen\n\nund\n\nEinsteller/in: Inken Sieveking\n\nschließen folgenden Vertrag:\n\n1. Der Betrieb"
        " stellt eine Box.\n",
        ["Inken Sieveking", "Pferdepension Birkenhof"],
    ),
    "three partners in one breath": (
        "en",
        'PARTNERSHIP DEED\n\nTHIS DEED is made between Kofi Mensah (hereinafter "Kofi"), Megan Vaughan and'
        " Jasper Stone, who will carry on business together as The Copper Kettle.\n\n1. Capital is equal.\n",
        ["Jasper Stone", "Kofi Mensah", "Megan Vaughan"],
    ),
    "a couple after a role": (
        "de",
        "Pachtvertrag\n\nVerpächterin ist die Evangelische Stiftung Tannenhof, vertreten durch ihren Vorstand"
        " Hartwig Böning. Pächter sind die Eheleute Leonie Zwick und Matthis Zwick, wohnhaft in 72555"
        " Metzingen, Im Brühl 8.\n\n1. Verpachtet wird eine Wiese.\n",
        ["Evangelische Stiftung Tannenhof", "Leonie Zwick", "Matthis Zwick"],
    ),
    "a French company with its form as a description": (
        "fr",
        "CONTRAT\n\nLa société Nordéo Énergies, SAS au capital de 20 000 €, dont le siège est à Angers,"
        " représentée par Maëlys Gourdon\n\net\n\nLudovic Hamelin, entrepreneur individuel, 2 place Molière,"
        " 49100 Angers (« l'Apporteur »)\n\nconviennent :\n\n1. L'Apporteur présente des clients.\n",
        ["Ludovic Hamelin", "Nordéo Énergies"],
    ),
    "a company after the number of its section": (
        "en",
        '1. PARTIES\n\n1.1 Linguaphile Oy, a Finnish company ("Agency").\n1.2 Beatrix Holloway, a sole'
        ' trader of 3 Dock Street, Leith, Edinburgh EH6 6EY ("Translator").\n\n2. SERVICES\n2.1 The'
        " Translator translates.\n",
        ["Beatrix Holloway", "Linguaphile Oy"],
    ),
    "a bank after its role, in Turkish": (
        "tr",
        "SÖZLEŞME\n\nAlacaklı Körfez Tarım Kredi Kooperatifi ile kefil Rıfat Sezginer (T.C. Kimlik No:"
        " 14725836902) arasında bu sözleşme yapılmıştır.\n\n1. Kefil sorumludur.\n",
        ["Körfez Tarım Kredi Kooperatifi", "Rıfat Sezginer"],
    ),
    "a body of no listed kind that is represented": (
        "en",
        "MEMORANDUM\n\nbetween\n\nTall Thistles, acting through its chief executive, Morag Dunbar\n\nand\n\n"
        "Silver Larch Trust, a charity registered in Scotland (SC012345)\n\n1. The charity pays £500.\n",
        ["Silver Larch Trust", "Tall Thistles"],
    ),
    "an administration and a fund, in Russian": (
        "ru",
        "СОГЛАШЕНИЕ\n\nАдминистрация Верхнереченского муниципального округа в лице главы Громова Петра"
        " Ильича, и Благотворительный фонд «Мост надежды» в лице директора Беловой Анны Олеговны, далее"
        " вместе Стороны, заключили соглашение:\n\n1. Фонд ремонтирует площадку.\n",
        [
            "Администрация Верхнереченского муниципального округа",
            "Благотворительный фонд «Мост надежды»",
        ],
    ),
}


@pytest.mark.parametrize("kind", sorted(PARTIES))
def test_the_parties_are_found_where_one_is(kind: str) -> None:
    language, text, wanted = PARTIES[kind]
    assert sorted(find_parties(text, language)) == sorted(wanted)


@pytest.mark.parametrize("kind", sorted(PARTIES))
def test_the_whole_name_is_redacted_of(kind: str) -> None:
    language, text, wanted = PARTIES[kind]
    found = redacted(text, language)
    for name in wanted:
        for part in name.replace(",", "").split():
            is_name = len(part) > 3 and part[0].isupper() and part not in _KINDS
            assert not is_name or part not in found, found


_KINDS = frozenset(["Landkreis", "Kanzlei"])  # which are roles here, and stay


FORMS = {
    "a surname with a capital particle, in another order": (
        "it",
        "Cognome e nome: De Paoli Renata\n\nLa parte venditrice consegna le chiavi.\n\nFirma: Renata De Paoli\n",
        ["Paoli", "Renata", "De "],
        ["La parte venditrice consegna le chiavi"],
    ),
    "a surname with an apostrophe before it": (
        "nl",
        "De heer Wim van 't Wout huurt de woning. Voor schade belt de heer Van 't Wout. Het hout blijft.\n\n"
        "W. van 't Wout\n",
        ["Wout", "Van 't", "van 't"],
        ["Het hout blijft"],
    ),
    "a particle after a hyphen": (
        "nl",
        "De woning wordt beheerd door mevrouw G.W. Aalbers-ten Have. Mevrouw Aalbers-ten Have tekent.\n",
        ["Aalbers", "Have"],
        ["Mevrouw [", "tekent"],
    ),
    "a Welsh particle, and two who act for a party": (
        "en",
        "The buyer signs.\n\nEXECUTED by BRYN HOUSING LTD acting by Carys ap Huw and Emlyn Treharne\n",
        ["ap Huw", "Emlyn", "Treharne"],
        ["The buyer signs"],
    ),
    "a generation after a name": (
        "en",
        "Notices go to Warren P. Stokes, Jr. at the office.\n\nBy: Warren P. Stokes, Jr.\n",
        ["Stokes", "Jr."],
        ["at the office"],
    ),
    "initials with a hyphen": (
        "fr",
        "Je soussigné, Jean-Yves Courtial, demeurant 12 impasse des Lys, 66000 Perpignan, donne pouvoir.\n\n"
        "Signature\nJ.-Y. Courtial\n",
        ["Courtial", "J.-Y."],
        ["donne pouvoir"],
    ),
    "an apostrophe of Breton": (
        "fr",
        "Mandant : M. Yves-Marie Kerloc'h, 1 rue de Siam, 29200 Brest. Le mandant paie.\n\nLe mandant\n"
        "Y.-M. Kerloc'h\n",
        ["Kerloc", "Y.-M."],
        ["Le mandant paie"],
    ),
    "a sole trader of Russia": (
        "ru",
        "Исполнитель: Студия танца «Пируэт» (ИП Логинова Дарья Максимовна)\n\n1. Студия проводит занятия.\n",
        ["Логинова", "Дарья", "Максимовна"],
        ["Студия проводит занятия"],
    ),
    "the names of a Russian form": (
        "ru",
        "Работник\nФамилия: Зуева\nИмя: Анжела\nОтчество: Ефимовна\n\n1. Работник принимается на должность швеи.\n",
        ["Зуева", "Анжела", "Ефимовна"],
        ["Работник принимается на должность швеи"],
    ),
    "a full name after a title, without a usual given name": (
        "tr",
        "Davalarda Av. Tolunay Esendal'ı vekil tayin ettim. Vekil davayı açar.\n",
        ["Tolunay", "Esendal"],
        ["Vekil davayı açar", "vekil tayin ettim"],
    ),
}


@pytest.mark.parametrize("kind", sorted(FORMS))
def test_every_part_of_a_name_is_redacted_of(kind: str) -> None:
    language, text, gone, kept = FORMS[kind]
    found = redacted(text, language)
    for part in gone:
        assert part not in found, found
    for part in kept:
        assert part in found, found


WORDS = {
    "the kind of a body that is its role": (
        "de",
        "Vertrag zwischen dem Landkreis Südwald, vertreten durch den Landrat Kai Ohm (im Folgenden:"
        " Landkreis), und der Ahorn Bau GmbH.\n\n§ 1\nDer Landkreis zahlt.\n",
        "Der Landkreis zahlt",
    ),
    "an amount in words": (
        "fr",
        "M. Léo Vidal, né le 3 mai 1990, reconnaît devoir la somme de QUINZE MILLE EUROS (15 000 €) à"
        " M. Guy Astier.\n",
        "la somme de QUINZE MILLE EUROS",
    ),
    "the post of a company that manages": (
        "de",
        "Auftraggeber: Wohnungseigentümergemeinschaft Lindenhof 3\nvertreten durch die Verwalterin Hausgut"
        " Immobilien GmbH\n",
        "die Verwalterin [",
    ),
    "a line of capitals that begins like a name": (
        "en",
        "BILL OF SALE\n\nI, Jane Doe, sell the boat. The bill is paid.\n",
        "BILL OF SALE",
    ),
    "what capitals say in Spanish prose": (
        "es",
        "Cedente: Ainhoa Larrea Gil\nCesionaria: Luz Prado Rey\n\nLA CEDENTE AUTORIZA A LA CESIONARIA el uso"
        " de su imagen.\n",
        "LA CEDENTE AUTORIZA A LA CESIONARIA el uso",
    ),
    "a noun after a surname, in German": (
        "de",
        "Fotograf ist Sören Thamm. Bei Krankheit vermittelt Herr Thamm Ersatz.\n",
        "] Ersatz.",
    ),
    "the lodging after a name": (
        "en",
        "The yard is run by Georgina Hale at Low Oak Farm, Bourton. The farm is closed.\n",
        "The farm is closed",
    ),
    "a word of an organisation's name": (
        "ru",
        "Иванов Пётр Ильич, именуемый «Жертвователь», и Автономная некоммерческая организация «Приют Добрый"
        " хвост» в лице директора Беловой Анны Олеговны, именуемая «Благополучатель», договорились:\n\n1."
        " Приют размещает отчёт. Добрый совет: сохраняйте чек.\n",
        "Приют размещает отчёт. Добрый совет",
    ),
    "a title of the document in capitals": (
        "tr",
        "KREŞ KAYIT SÖZLEŞMESİ\n\nVeli: Çağla Kutlubay\n\n1. Veli öder.\n",
        "KREŞ KAYIT SÖZLEŞMESİ",
    ),
    "an abbreviation with a town": (
        "fr",
        "La société Métal SARL, immatriculée au R.C.S. de Dole, 12 rue Haute, 39100 Dole, paie.\n",
        "R.C.S. de Dole",
    ),
    "a title after a name, in Turkish": (
        "tr",
        "Kiracı: Selma Korur\n\nKiracı, Selma Hanım'a bildirir.\n",
        "Hanım'a bildirir",
    ),
}


@pytest.mark.parametrize("kind", sorted(WORDS))
def test_a_word_stays_that_is_no_name_such_as(kind: str) -> None:
    language, text, kept = WORDS[kind]
    found = redacted(text, language)
    assert kept in found, found


ADDRESSES = {
    "a town with its province before the street": (
        "it",
        "con sede in Ivrea (TO), Via Palestro 9, P. IVA",
        "Palestro",
    ),
    "a province after the town": ("it", "Sede: Via dell'Industria 7, 36015 Schio (VI)\n", "(VI)"),
    "a floor in Roman numbers": ("nl", "wonende Lijnbaan 8-II, 1017 GC Amsterdam, tel.", "8-II"),
    "a road with its kilometre": (
        "es",
        "con domicilio en Ctra. de Murcia km 4, 30100 Espinardo, y",
        "Murcia",
    ),
    "a house before its street": (
        "en",
        "of Trelawny House, 4 Fore Street, St Ives TR26 1HE and",
        "Trelawny",
    ),
    "a locality before the town": ("en", "of 3 Dock Street, Leith, Edinburgh EH6 6EY and", "Leith"),
    "a town that is a saint": ("en", "77 Larpenteur Avenue West, St. Paul, MN 55113\n", "St. Paul"),
}


@pytest.mark.parametrize("kind", sorted(ADDRESSES))
def test_an_address_is_redacted_with(kind: str) -> None:
    language, text, part = ADDRESSES[kind]
    found = redacted(text, language)
    assert part not in found, found
    assert "[ADDRESS 1]" in found


NUMBERS = {
    "the VAT number of a country by its form": ("nl", "btw NL002233445B67 en", "NL002233445B67"),
    "a register of associations": (
        "de",
        "eingetragen beim Amtsgericht Kiel, VR 44021, vertreten",
        "44021",
    ),
    "words between a label and its number": (
        "de",
        "Personalausweis der Vollmachtgeberin: L01X00T47\n",
        "L01X00T47",
    ),
    "the form of a German insurance number": (
        "de",
        "Die Nummer lautet 52 020208 N 501.\n",
        "020208",
    ),
    "dots in its label": ("es", "con D.N.I. 04555666P, entrega", "04555666P"),
    "a country before it": ("es", "con pasaporte sueco AA1234567, propietaria", "AA1234567"),
    "a Scottish register": (
        "en",
        "a charity registered in Scotland (SC012345), acting",
        "SC012345",
    ),
    "a membership of social security": ("es", "Nº AFILIACIÓN S.S.: 151034567890\n", "151034567890"),
}


@pytest.mark.parametrize("kind", sorted(NUMBERS))
def test_a_number_is_redacted_that_has(kind: str) -> None:
    language, text, number = NUMBERS[kind]
    found = redacted(text, language)
    assert number not in found, found
