"""Redaction of values by their kind: trade names, earlier names, forms, identities, accounts."""

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.pipelines.legal.messages import RedactRequest
from qtforge_builtin_plugins.pipelines.legal.redaction import redact

VALUES = {
    "a name under which a party trades": (
        "fr",
        "Entre Loïc Brannec, exerçant sous l'enseigne « Toits du Ponant », né le 4 mai 1980,\n"
        "et Acier Dupré SARL.\nArticle 1 - Objet\nToits du Ponant le pose. Le toit est neuf.\n",
        ["Toits du Ponant", "Loïc Brannec"],
        ["Le toit est neuf"],
    ),
    "the product that a party has named": (
        "en",
        'Agreement between Acme Analytics Limited ("Acme") and Jane Doe.\n'
        "1. Product\nAcme sells a product known as Harbour. Ships are in the harbour.\n",
        ["Jane Doe", "Acme Analytics"],
        ["Harbour", "the harbour"],
    ),
    "a surname before a marriage": (
        "de",
        "Mieterin: Mei-Lin Quandt, geb. Brosig, wohnhaft Am Weg 9, 04105 Leipzig\n"
        "Vermieter: Haus Pleiße GmbH\n§ 1 Miete\nDie Miete beträgt 900 Euro.\n",
        ["Brosig", "Mei-Lin Quandt"],
        ["Die Miete beträgt 900 Euro"],
    ),
    "the parts of an address in a form": (
        "de",
        "Käufer:\nName: Focko Janssen\nStraße: Deichweg 2\nPLZ, Ort: 26506 Norden\n"
        "Verkäufer:\nName: Anna Behn\n1. Kauf\nEin Boot für 700 Euro.\n",
        ["Deichweg 2", "26506 Norden", "Focko Janssen"],
        ["Ein Boot für 700 Euro"],
    ),
    "an account in the United Kingdom, whose bank stays": (
        "en",
        "Lender: Edith Calloway\nBorrower: Saltwind Ltd\n1. The loan is £40,000.\n"
        "2. It is repaid to account 60123487, sort code 20-45-77, on 02-05-2025.\n",
        ["60123487"],
        ["20-45-77", "02-05-2025", "40,000"],
    ),
    "numbers of a person in Mexico": (
        "es",
        "Arrendadora: Elena Nava, con RFC NAEL950314AB1 y CURP NAXE880921MGTRVC05.\n"
        "Arrendatario: Pablo Ruiz.\nPrimera. La renta es de 9000 pesos.\n",
        ["NAEL950314AB1", "NAXE880921MGTRVC05"],
        ["9000 pesos"],
    ),
    "a surname that is written in capitals": (
        "fr",
        "Le bailleur : M. Jean-Loup CASTANET, né le 3 mai 1958\n"
        "Le locataire : M. Théo GARRIGUES, né le 4 mai 1990\n"
        "1. Le loyer est de 640 euros.\nSignatures : CASTANET - GARRIGUES\n",
        ["CASTANET", "GARRIGUES"],
        ["Le loyer est de 640 euros"],
    ),
    "a body without a legal form": (
        "en",
        "MEMORANDUM\n\nbetween\n\nUniversity of Northmoor\n\nand\n\nStellar Robotics plc\n\n"
        "1. Purpose\nThe University of Northmoor studies robots. A university is no company.\n",
        ["University of Northmoor", "Stellar Robotics"],
        ["A university is no company"],
    ),
}


@pytest.mark.parametrize("case", VALUES)
def test_values_go_and_other_words_stay(case: str) -> None:
    language, text, gone, kept = VALUES[case]
    request = RedactRequest(parsed_content=text, language=language)
    redacted = redact(request, lambda done, total, what: None).redacted_content
    assert [each for each in gone if each in redacted] == []
    assert [each for each in kept if each not in redacted] == []
