"""People in contracts: full names by their given name, and every later form of them."""

# ruff: noqa: E501, RUF001 - it has contracts in Russian

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.parties import find_parties
from qtforge_builtin_plugins.pipelines.legal.messages import RedactRequest
from qtforge_builtin_plugins.pipelines.legal.redaction import redact


def redacted(text: str, language: str) -> str:
    request = RedactRequest(parsed_content=text, language=language)
    return redact(request, lambda done, total, what: None).redacted_content


LATER_FORMS = {
    "en": (
        "The tools are kept by Gareth Holloway in the yard. Ask Mr Holloway first. Holloway's key is"
        " with GARETH HOLLOWAY only; G. Holloway signs. A hollow way is no name, and The Yard stays.",
        ["olloway", "OLLOWAY", "Gareth"],
        ["Ask Mr [", "A hollow way", "The Yard stays", "'s key"],
    ),
    "de": (
        "Die Abnahme macht Wiebke Tanner mit dem Bauleiter. Frau Tanner meldet Mängel; Tanners Bericht"
        " zählt. Rechtsanwalt Dr. Ekkehard Lohse berät. Der Bauleiter und die Mängel bleiben.",
        ["Tanner", "Wiebke", "Lohse", "Ekkehard"],
        ["Frau [", "Der Bauleiter und die Mängel bleiben", "Rechtsanwalt"],
    ),
    "fr": (
        "Le chantier est suivi par Gwenaëlle Tessier. Mme Tessier rend compte à Me Odile Garnier et à"
        " M. de Lussac. La cour tient le tessier pour un métier.",
        ["Tessier", "Gwenaëlle", "Garnier", "Lussac"],
        ["Mme [", "La cour tient le tessier"],
    ),
    "es": (
        "Acudirá Macarena Olmedo Prieto con la letrada Yagüe. El señor Olmedo cobra; doña Macarena"
        " firma. El olmedo del parque y el Juzgado quedan fuera.",
        ["Olmedo Prieto", "Macarena", "Yagüe", "señor Olmedo"],
        ["El olmedo del parque y el Juzgado quedan fuera", "la letrada ["],
    ),
    "it": (
        "I lavori sono diretti da Donatella Lo Presti con l'ing. Bassani. La sig.ra Lo Presti firma;"
        " D. Lo Presti approva. Il Tribunale di Pavia resta.",
        ["Presti", "Donatella", "Bassani"],
        ["Il Tribunale di Pavia resta", "sig.ra ["],
    ),
    "nl": (
        "Het werk wordt gedaan door Sjoerd van der Molen en mr. E.F. Postma. De heer Van der Molen"
        " tekent. Een molen is geen partij.",
        ["Molen ", "Sjoerd", "Postma", "der Molen"],
        ["De heer [", "Een molen is geen partij"],
    ),
    "ru": (
        "Работы ведёт Шубин Аркадий Львович. Отчёт вручается Шубину А. Л. лично, претензии подписаны"
        " Аркадием Львовичем. Звонить г-ну Шубину или Снежане Рогозиной. Работы и Отчёт остаются.",
        ["Шубин", "Арка", "Льво", "Снежан", "Рогозин"],
        ["Работы и Отчёт остаются", "г-ну ["],
    ),
    "tr": (
        "İşleri Tuğba Soylu yürütür. Soylu'nun onayı gerekir; T. Soylu imzalar, Av. Ilgın'ı ve Nilgün"
        " Hanım'ı bilgilendirir. Asliye Hukuk Mahkemesi yetkilidir.",
        ["Soylu", "Tuğba", "Ilgın", "Nilgün"],
        ["'nun onayı", "Asliye Hukuk Mahkemesi yetkilidir", "Av. ["],
    ),
}


@pytest.mark.parametrize("language", sorted(LATER_FORMS))
def test_a_name_goes_in_every_later_form_and_common_words_stay(language: str) -> None:
    text, gone, kept = LATER_FORMS[language]
    found = redacted(text, language)
    for part in gone:
        assert part not in found, found
    for part in kept:
        assert part in found, found


def test_a_name_over_two_lines_goes_and_the_next_line_stays() -> None:
    found = redacted("The deed was read to Florian\nHaberkorn\nSettlement Terms\n", "en")
    assert "Haberkorn" not in found
    assert "Settlement Terms" in found


def test_two_signatories_side_by_side_are_two_values() -> None:
    found = redacted("Seller                 Buyer\nEttore Bianco Ilaria Salis\n", "it")
    assert "[PERSON 1] [PERSON 2]" in found


def test_a_mail_address_tells_whose_name_is_in_the_text() -> None:
    text = "Xiulan Ndege decides. Write to x.ndege@works.example. Works Council meets."
    found = redacted(text, "en")
    assert "Ndege" not in found
    assert "Works Council meets" in found


def test_a_word_in_capitals_among_others_is_no_surname() -> None:
    text = "Murat Doğan imzalar.\nAYIPTAN DOĞAN SORUMLULUK KABUL EDİLMEZ.\n"
    assert "AYIPTAN DOĞAN SORUMLULUK" in redacted(text, "tr")


def test_words_of_a_mail_address_do_not_make_a_company_a_common_word() -> None:
    text = (
        'Quayside Joinery Ltd (the "Seller") and Ann Lee (the "Buyer").\n\n1. Price\nQuayside Joinery'
        " is paid to info@quayside-joinery.example. The team at Quayside answers.\n"
    )
    found = redacted(text, "en")
    assert "Quayside" not in found


@pytest.mark.parametrize(
    ("language", "text", "address"),
    [
        ("de", "Herr A, wohnhaft in 24105 Kiel, Am Holm 7, schließt ab.", "24105 Kiel, Am Holm 7"),
        ("it", "residente in Pavia, Via Olona 12 (di seguito)", "Pavia, Via Olona 12"),
        ("nl", "gevestigd te Sneek, Kade 9, hierna", "Sneek, Kade 9"),
        (
            "es",
            "vecino de Lugo, calle Rúa 4, código postal 27001, otorga",
            "Lugo, calle Rúa 4, código postal 27001",
        ),
        (
            "fr",
            "demeurant à Brest (29200), 5 quai Malbert, ci-après",
            "Brest (29200), 5 quai Malbert",
        ),
        ("en", "its office at Mill House, Cork T12 K8AF is open", "Mill House, Cork T12 K8AF"),
        (
            "tr",
            "Kaya Mah. Nar Sok. No: 8/5, Tuzla/İstanbul adresinde",
            "Kaya Mah. Nar Sok. No: 8/5, Tuzla/İstanbul",
        ),
    ],
)
def test_an_address_goes_in_any_order_of_its_parts(language: str, text: str, address: str) -> None:
    found = redacted(text, language)
    before, after = text.split(address)
    assert found.startswith(before)
    assert found.endswith(after)


def test_the_line_after_an_address_stays() -> None:
    text = "Große Allee 40, 22767 Lille\nHandelsregister\n\nAvda. Sur 15, 41004 Sevilla\n\nRepresentante"
    found = redacted(text, "de")
    assert "\nHandelsregister\n" in found
    assert found.endswith("\n\nRepresentante")


def test_the_number_of_the_next_section_is_no_part_of_a_phone_number() -> None:
    assert redacted("Tel. +49 341 5556484\n1. Preis\n", "de") == "Tel. [PHONE 1]\n1. Preis\n"


@pytest.mark.parametrize(
    ("language", "text", "parties"),
    [
        ("de", "Ich, Wiebke Tanner, geb. am 3.1.1970, bevollmächtige die Lohse Bau GmbH.", ["Wiebke Tanner", "Lohse Bau GmbH"]),
        ("es", "Yo, Macarena Olmedo, nacida en Lugo, otorgo poder a Reformas Sil, S.L. en Lugo.", ["Macarena Olmedo", "Reformas Sil, S.L."]),
        ("fr", "Entre M. Loïc Tessier, né le 2 mai 1979, et la société GARNIER BOIS SASU.", ["Loïc Tessier", "GARNIER BOIS SASU"]),
        ("en", "Between Oak Yard Ltd and Gareth Holloway, born on 3 May 1970. OAK YARD LTD signs.", ["Oak Yard Ltd", "Gareth Holloway"]),
    ],
)  # fmt: skip
def test_people_who_are_described_are_parties(language: str, text: str, parties: list[str]) -> None:
    assert sorted(find_parties(text, language)) == sorted(parties)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("es", "A. Objeto\nB. Precio\nC. Plazo\nD. Obligaciones\nLas Obligaciones son mutuas.\n"),
        ("en", "Write to customer.service@acme.example. Customer Service answers by phone."),
        ("en", 'Atlas Software Ltd (the "Seller") sells Software and delivers Software on time.'),
        ("de", "Der Notar Beurkundungen vor. Die Beurkundungen sind teuer."),
        ("en", "Attn: Legal Department, Maire Road office. Notify the board."),
        ("fr", "Monsieur le Maire et Madame la Présidente sont invités. Le Maire répond."),
    ],
)
def test_words_that_only_look_like_names_stay(language: str, text: str) -> None:
    found = redacted(text, language)
    for word in (
        "Obligaciones",
        "Customer Service",
        "Software and",
        "Beurkundungen",
        "Maire",
        "Legal Department",
    ):
        assert found.count(word) == text.count(word), found


@pytest.mark.parametrize(
    ("language", "text", "kept"),
    [
        (
            "en",
            'Rowan Mills Ltd (the "Recipient"), acting by its General Counsel, Mr. Devon A. Marsh.'
            "\nContact: Oliver Grant, Head of Intellectual Property (o.grant@rowan.example).\n"
            "The Marsh is not part of the site.",
            ["General Counsel", "Head of Intellectual Property", "The Marsh"],
        ),
        (
            "de",
            "Falkenried GmbH, vertreten durch den Geschäftsführer Herrn Dr. Joachim Petersen, und"
            " Frau Ute Sommer und Herrn Stefan Koch. Herr Dr. Petersen erhält im Sommer 2026"
            " Koch- und Rezeptdaten.",
            ["Geschäftsführer Herrn Dr. [", "Herr Dr. [", "im Sommer 2026", "Koch- und"],
        ),
        (
            "es",
            "De otra parte, Dña. Lucía Cano Rey, en representación de MONTESOL, S.A., en su calidad"
            ' de Consejera Delegada (en adelante, la "Parte Receptora"), para el Proyecto Levante'
            ' (el "Propósito"). El Receptor guarda secreto y el Rey no interviene.',
            ["Consejera Delegada", "Proyecto Levante", "El Receptor", "el Rey"],
        ),
        (
            "fr",
            "Entre ARDOISE, SAS, représentée par Madame Solène Vasseur, et M. Marc Roy, dans le"
            " cadre du Projet Mistral (ci-après l'« Objet »). Le Roy est une péniche.",
            ["Projet Mistral", "Le Roy est"],
        ),
        (
            "it",
            "Valbruna S.r.l., in persona del Presidente del Consiglio di Amministrazione, Sig.ra"
            " Elena Serra, residente in Via San Felice 21, 40122 Bologna, C.F. RCCMNL83S18D969H."
            " Referente: Giorgio Monti, Responsabile Ricerca e Sviluppo (g.monti@valbruna.example).",
            ["Presidente del Consiglio di Amministrazione", "Responsabile Ricerca", "C.F. ["],
        ),
        (
            "nl",
            "Groene Haven B.V. en Willem Bakker onderzoeken Project Zeester (het Doel). Namens haar"
            " tekent Sanne Visser, Hoofd Personeelszaken.",
            ["Project Zeester", "Hoofd Personeelszaken"],
        ),
        (
            "ru",
            "ООО «Хлебный двор» в лице Директора Роман Ильи Борисовича заключило договор."
            " Адрес: 125009, г. Москва, ул. Тверская, д. 8, кв. 14\nПредставитель     Титов Виктор"
            " Павлович\nДиректор И.Б. Роман",
            ["в лице Директора [", "\nПредставитель ", "\nДиректор ["],
        ),
        (
            "tr",
            "Mavi Deniz Lojistik Ltd. Şti. adına Yönetim Kurulu Başkanı Kerem Yıldız.\nMavi Deniz"
            " için: İrtibat kişisi Kerem Bey. Deniz yoluyla taşınır.\nTaahhüt Eden\nAdı Soyadı:"
            " Selin Kaya",
            ["Yönetim Kurulu Başkanı [", "Deniz yoluyla", "Taahhüt Eden\nAdı Soyadı: ["],
        ),
        (
            "de",
            "Seehof AG, handelnd durch den Leiter Klinische Forschung Urs Baumann.",
            ["Leiter Klinische Forschung ["],
        ),
        (
            "en",
            "Tidewater Shipping Limited, represented by Captain Rose Hart, and Marlowe Capital LLP."
            ' The first sells its Baltic Division ("Operation Summer Rose"). Ask the Marine Accident'
            " Branch in Hart Street.",
            ["Captain [", "Baltic Division", "the Marine Accident Branch", "Hart Street"],
        ),
        (
            "it",
            "Bellariva S.p.A., rappresentata dall'Amministratrice Unica, dott.ssa Chiara Costa, prova"
            ' il prototipo "Delfino Blu".\nL\'Amministratrice Unica\nChiara Costa',
            ["dall'Amministratrice Unica", "Delfino Blu", "\nL'Amministratrice Unica\n["],
        ),
        (
            "tr",
            "Ege Enerji A.Ş. temsilcisi Genel Müdür Yardımcısı Burcu Şahin",
            ["Genel Müdür Yardımcısı ["],
        ),
        (
            "fr",
            "Entre ARDOISE, SAS et LUMEN, SARL\nSIREN 411 214 331 SIREN 323 691 055\nLieu",
            ["SIREN [REGISTRATION 1] SIREN [REGISTRATION 2]\nLieu"],
        ),
        (
            "ru",
            "Адрес г. Пермь, ул. Пушкина, д. 76\nПредставитель Ершов Николай Степанович\n"
            "Представитель Лапина Светлана Романовна, директор\nЛапина С. Р. Ершов Н. С.",
            ["Адрес [ADDRESS 1]\nПредставитель [", "директор\n[PERSON 2] [PERSON 1]"],
        ),
    ],
)
def test_posts_roles_titles_and_labels_beside_names_stay(
    language: str, text: str, kept: list[str]
) -> None:
    found = redacted(text, language)
    assert [words for words in kept if words not in found] == [], found


@pytest.mark.parametrize(
    ("language", "text", "gone"),
    [
        ("es", 'MONTESOL TECNOLOGÍA, S.A., con domicilio en Madrid (en adelante, "Montesol"). Montesol calla.', "Montesol"),
        ("fr", "La société ARDOISE CONSEIL, SAS au capital de 50 000 euros,\nCi-après dénommée « Ardoise »,\nPour Ardoise : signature", "Ardoise"),
        ("it", 'Nuova Ottica Lombarda S.p.A., con sede in Milano (di seguito "NOL"). Per NOL firma il direttore.', "NOL"),
        ("nl", 'Kaasmakerij De Zonnehoeve B.V. (hierna: "De Zonnehoeve"). Namens De Zonnehoeve.', "Zonnehoeve"),
    ],
)  # fmt: skip
def test_the_short_name_that_a_definition_gives_goes(language: str, text: str, gone: str) -> None:
    assert gone not in redacted(text, language)


def test_a_defined_short_name_goes_even_if_it_is_also_a_common_word() -> None:
    text = (
        'Harrier Optics Corporation ("Harrier") and Lind Trading Ltd (the "Buyer").\n\n1. Law\n'
        "Harrier appoints the Buyer. A harrier is shown in flight.\n"
    )
    found = redacted(text, "en")
    assert "Harrier" not in found
    assert "A harrier is shown" in found


def test_a_word_of_a_name_that_is_a_mail_domain_goes_by_itself() -> None:
    text = (
        "Auftragnehmerin: Dentawolke Rechenzentrum AG\nAuftraggeberin: Zahnhaus GmbH\n\n"
        "1. Betrieb\nDie Dentawolke betreibt das Rechenzentrum (post@dentawolke.example).\n"
    )
    found = redacted(text, "de")
    assert "Dentawolke" not in found
    assert "betreibt das Rechenzentrum" in found


def test_a_town_of_an_address_is_no_surname() -> None:
    text = "Ville de Mende\nM. Luc Garnier, 3 rue Basse, 48000 Mende.\nLe tribunal de Mende juge.\n"
    assert "Le tribunal de Mende juge" in redacted(text, "fr")
