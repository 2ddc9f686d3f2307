"""compliance.check in French, Spanish, Italian, Dutch and Turkish."""

# ruff: noqa: RUF001 - it has words in Turkish

from __future__ import annotations

import dataclasses

import pytest

from qtforge_builtin_plugins.pipelines.legal.clauses import load_checker
from qtforge_builtin_plugins.pipelines.legal.messages import ComplianceReport


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contract:
    """A contract that has every clause that its kind requires.

    Attributes:
        pieces: Texts whose removal takes a clause away, by the clause's name.
        heading: The heading of its clause on term and termination.
    """

    kind: str
    text: str
    pieces: dict[str, str]
    heading: str


CONTRACTS = {
    "fr": Contract(
        kind="nda",
        text="""ACCORD DE CONFIDENTIALITÉ

Entre les soussignés : la société Lavigne SAS, ci-après « Lavigne », et la société Brun SARL.

Article 1er – Informations confidentielles

On désigne ainsi tout document que la partie divulgatrice remet à la partie réceptrice.

Article 2 – Obligations

La partie réceptrice s'engage à ne pas divulguer ces informations à des tiers.

Article 3 – Exceptions

Sont exclues les informations tombées dans le domaine public.

Article 4 – Durée et résiliation

Le présent accord est conclu pour une durée de trois ans. Il entre en vigueur le 2 mars 2026.

Article 5 – Restitution

À la fin, chaque partie doit restituer les documents reçus.

Article 6 – Droit applicable

Le présent accord est régi par le droit français.

Fait à Lyon, le 2 mars 2026, en deux exemplaires.
""",
        pieces={
            "return_of_information": "À la fin, chaque partie doit restituer les documents reçus.",
            "signatures": "Fait à Lyon, le 2 mars 2026, en deux exemplaires.",
            "effective_date": " Il entre en vigueur le 2 mars 2026.",
            "exceptions": "Sont exclues les informations tombées dans le domaine public.",
        },
        heading="Article 4 – Durée et résiliation",
    ),
    "es": Contract(
        kind="services",
        text="""CONTRATO DE PRESTACIÓN DE SERVICIOS

De una parte, Talleres Robles, S.L. (en adelante, el Cliente), y de otra parte, Ana Vidal.

PRIMERA.- Objeto del contrato

La consultora prestará al Cliente los servicios de auditoría que se describen en el anexo.

SEGUNDA.- Honorarios y forma de pago

El Cliente abonará 1.200 euros al mes.

TERCERA.- Confidencialidad

Las partes se obligan a guardar secreto sobre los datos recibidos.

CUARTA.- Responsabilidad

La consultora responderá de los daños que cause por dolo.

QUINTA.- Duración

El contrato entra en vigor el 1 de abril de 2026 y tendrá una duración de doce meses.

SEXTA.- Ley aplicable y jurisdicción

El contrato se rige por la ley española. Son competentes los juzgados y tribunales de Sevilla.

Y para que conste, lo firman ambas partes.
""",
        pieces={
            "payment": "El Cliente abonará 1.200 euros al mes.",
            "liability": "La consultora responderá de los daños que cause por dolo.",
            "signatures": "Y para que conste, lo firman ambas partes.",
        },
        heading="QUINTA.- Duración",
    ),
    "it": Contract(
        kind="lease",
        text="""CONTRATTO DI LOCAZIONE

Il presente contratto è stipulato tra Elena Conti, di seguito «il locatore», e Paolo Greco.

Art. 1 – Oggetto

Il locatore concede in locazione al conduttore l'appartamento di via Garibaldi 4.

Art. 2 – Durata e recesso

Il contratto ha durata di quattro anni, con decorrenza dal 1° maggio 2026.

Art. 3 – Canone

Il canone mensile è pari a 700 euro.

Art. 4 – Legge applicabile

Il contratto è regolato dalla legge italiana.

Letto, confermato e sottoscritto.
""",
        pieces={
            "rent": "Il canone mensile è pari a 700 euro.",
            "signatures": "Letto, confermato e sottoscritto.",
        },
        heading="Art. 2 – Durata e recesso",
    ),
    "nl": Contract(
        kind="sales",
        text="""KOOPOVEREENKOMST

De ondergetekenden: Van Dam B.V., hierna te noemen verkoper, en Mulder Beheer B.V., koper.

Artikel 1 - Onderwerp

Verkoper verkoopt aan koper twintig machines.

Artikel 2 - Prijs en betaling

De koopprijs bedraagt 80.000 euro.

Artikel 3 - Levering

De machines worden geleverd in Utrecht.

Artikel 4 - Garantie

Verkoper garandeert dat de machines vrij van gebreken zijn.

Artikel 5 - Eigendomsvoorbehoud

Verkoper blijft eigenaar tot de koopprijs is voldaan.

Artikel 6 - Aansprakelijkheid

Verkoper is aansprakelijk voor directe schade.

Artikel 7 - Duur en opzegging

Deze overeenkomst treedt in werking op 3 maart 2026 en kan niet worden opgezegd.

Artikel 8 - Toepasselijk recht

Op deze overeenkomst is Nederlands recht van toepassing.

Aldus overeengekomen en in tweevoud ondertekend.
""",
        pieces={
            "delivery": "De machines worden geleverd in Utrecht.",
            "title_and_risk": "Verkoper blijft eigenaar tot de koopprijs is voldaan.",
            "liability": "Verkoper is aansprakelijk voor directe schade.",
        },
        heading="Artikel 7 - Duur en opzegging",
    ),
    "tr": Contract(
        kind="services",
        text="""HİZMET SÖZLEŞMESİ

Bir tarafta Yıldız Yazılım A.Ş. (bundan sonra Yüklenici), diğer tarafta Deniz Lojistik Ltd. Şti.

Madde 1 - Sözleşmenin Konusu

Yüklenici, ekte yazılı bakım hizmetlerini vermeyi taahhüt eder.

Madde 2 - Ücret ve Ödeme

Müşteri her ay 20.000 TL öder.

Madde 3 - Gizlilik

Taraflar öğrendikleri bilgileri gizli tutar.

Madde 4 - Sorumluluk

Yüklenici kusuruyla verdiği zarardan sorumludur.

Madde 5 - Süre ve Fesih

Sözleşme 1 Mart 2026 tarihinde yürürlüğe girer ve iki yıl süreyle geçerlidir.

Madde 6 - Uygulanacak Hukuk

Bu sözleşmeye Türk hukuku uygulanır. İstanbul mahkemeleri yetkilidir.

İşbu sözleşme iki nüsha olarak imza altına alınmıştır.
""",
        pieces={
            "payment": "Müşteri her ay 20.000 TL öder.",
            "confidentiality": "Taraflar öğrendikleri bilgileri gizli tutar.",
            "signatures": "İşbu sözleşme iki nüsha olarak imza altına alınmıştır.",
        },
        heading="Madde 5 - Süre ve Fesih",
    ),
}

IN_PASSING = {
    "fr": (
        "Les parties se sont réunies et ont parlé du prix, de la livraison et du risque. Personne"
        " ne savait quelles lois s'appliquent. La signature du ministre manquait, et des papiers"
        " confidentiels se trouvaient sur la table.\n"
    ),
    "es": (
        "Las partes se reunieron y hablaron del precio, de la entrega y del riesgo. Nadie sabía"
        " qué leyes se aplican. Faltaba la firma del ministro, y había papeles confidenciales"
        " sobre la mesa.\n"
    ),
    "it": (
        "Le parti si sono riunite e hanno parlato del prezzo, della consegna e del rischio."
        " Nessuno sapeva quali leggi si applicano. Mancava la firma del ministro, e carte"
        " riservate erano sul tavolo.\n"
    ),
    "nl": (
        "De partijen kwamen bijeen en spraken over de prijs, de levering en het risico. Niemand"
        " wist welke wetten gelden. De handtekening van de minister ontbrak, en er lagen"
        " vertrouwelijke papieren op tafel.\n"
    ),
    "tr": (
        "Taraflar toplandı; fiyattan, teslimattan ve riskten söz etti. Hangi kanunların geçerli"
        " olduğunu kimse bilmiyordu. Bakanın imzası eksikti, masada gizli kâğıtlar vardı.\n"
    ),
}


def check(language: str, text: str, kind: str | None = None) -> ComplianceReport:
    checker = load_checker()
    return checker.check(text, language, kind or checker.kind_of(text, language))


def missing(report: ComplianceReport) -> set[str]:
    return {each.name for each in report.missing if each.required}


@pytest.mark.parametrize("language", CONTRACTS)
def test_a_whole_contract_lacks_nothing(language: str) -> None:
    contract = CONTRACTS[language]
    report = check(language, contract.text)
    assert report.contract_kind == contract.kind
    assert missing(report) == set()


@pytest.mark.parametrize("language", CONTRACTS)
def test_a_clause_names_the_heading_that_it_is_under(language: str) -> None:
    contract = CONTRACTS[language]
    found = {each.name: each.heading for each in check(language, contract.text).clauses}
    assert found["term_and_termination"] == contract.heading


@pytest.mark.parametrize(
    ("language", "clause"),
    [(language, name) for language, each in CONTRACTS.items() for name in each.pieces],
)
def test_what_is_taken_away_is_missed(language: str, clause: str) -> None:
    contract = CONTRACTS[language]
    piece = contract.pieces[clause]
    assert piece in contract.text
    report = check(language, contract.text.replace(piece, ""), contract.kind)
    assert missing(report) == {clause}


@pytest.mark.parametrize("language", IN_PASSING)
def test_a_word_in_passing_is_no_clause(language: str) -> None:
    for kind in ("general", "sales", "services", "nda", "lease", "sla"):
        assert [each.name for each in check(language, IN_PASSING[language], kind).clauses] == []
