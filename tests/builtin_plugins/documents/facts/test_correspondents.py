"""Who sends an invoice and who is to pay it, when no label says it."""

# ruff: noqa: E501, RUF001 - it has lines in Russian

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.documents.facts.businesses import find_businesses
from qtforge_builtin_plugins.documents.facts.correspondents import find_mentions
from qtforge_builtin_plugins.documents.facts.labels import load_labels
from qtforge_builtin_plugins.documents.facts.page import Page

# The customer's window comes first, and the sender is in the foot of the page.
FOOTS = [
    ("da", "KREDITNOTA\nKreditnota nr. KN8040\nBageriet Kringlen ApS\nAlgade 12\n9000 Aalborg\nVare Antal Pris Beløb\nTape 19 15,18 288,42\nKrediteret i alt DKK 288,42\nJysk Emballage Engros A/S, Industrivej 44, 7400 Herning, 33 55 39 24. CVR 53273203. VAT-nr. DK53273203.", "Jysk Emballage Engros A/S", "Bageriet Kringlen ApS"),
    ("sv", "KREDITFAKTURA\nKreditfaktura nr K7406\nLuleå Redovisning KB\nSkeppsbrogatan 20\n972 31 Luleå\nArtikel Antal Pris Belopp\nPärm 21 31,12 653,52\nEr tillgodo SEK 653,52\nNorrlands Kontorsvaror AB, Hamngatan 1, 941 31 Piteå, 08-555 79 22. Org.nr 556279-7513. VAT SE556279751301.", "Norrlands Kontorsvaror AB", "Luleå Redovisning KB"),
    ("de", "Werkstattrechnung\nRg.-Nr. W918736\nFrau\nYvonne Cieslik\nBergmannstr. 40\n44625 Herne\nArbeit Anz. Summe\nMotoröl 5 100,20\nEndbetrag € 602,47\nAltteile wurden entsorgt. Autohaus Petermann e. K., Inh. Jens Petermann, Dorstener Str. 210, 44652 Herne.\nRegistergericht Bochum HRB 26281, USt-Id. DE718073910", "Autohaus Petermann e. K.", "Yvonne Cieslik"),
]  # fmt: skip
# The sender signs, and the customer follows a label of no list.
MAILS = [
    ("nl", "Beste Joost,\n\nHet schilderwerk zit erop: factuur 2026141 van 12 juli 2026, € 2.156,55.\n\nGroet, Berend Kuipers\nSchildersbedrijf Kuipers en Zonen\nTurfkade 30, 9501 AB Stadskanaal\nKvK 66266985, btw NL609089614B01, 010-550 88 05\n\nVoor: VvE De Hofjes, Stationsstraat 2, 9503 AD Stadskanaal", "Berend Kuipers <berend@kuipersschilders.example>", "Schildersbedrijf Kuipers en Zonen", "VvE De Hofjes"),
    ("da", "Kære Thomas\n\nFakturaen er nr. 8093-24 på 5.581,80 kroner.\n\nVenlig hilsen\nIda Nørlund\nSprogværkstedet Nørlund, Kongensgade 40, 6700 Esbjerg\nCVR-nr. 24761134, moms DK24761134, 33 55 10 47\n\nFakturaen gælder Møbelfabrikken Egetræ A/S, Fabriksvej 2, 6900 Skjern", "Ida Nørlund <ida@sprog.example>", "Sprogværkstedet Nørlund", "Møbelfabrikken Egetræ A/S"),
    ("ru", "Здравствуйте, Ирина Львовна!\n\nК оплате по счёту 22-П выходит 34 195,20 руб.\n\nГлеб Сорокин\nООО «Бюро переводов Лексика», 454091, г. Челябинск, пр. Ленина, д. 21\nИНН 7842028754, тел. 8 (495) 555-18-97\n\nЗаказчик перевода: АО «Завод Гидромаш», 455000, г. Магнитогорск, ул. Заводская, д. 1", "Глеб Сорокин <s@leksika.example>", "ООО «Бюро переводов Лексика»", "АО «Завод Гидромаш»"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text", "issuer", "customer"), FOOTS)
def test_who_is_in_the_foot_with_registers_is_the_issuer(
    language: str, text: str, issuer: str, customer: str
) -> None:
    found = find_businesses(Page(text, load_labels(language)))
    assert found.issuer is not None
    assert found.customer is not None
    assert (found.issuer.name, found.customer.name) == (issuer, customer)


@pytest.mark.parametrize(("language", "text", "sender", "issuer", "customer"), MAILS)
def test_who_signs_a_mail_is_the_issuer_and_a_name_after_a_label_the_customer(
    language: str, text: str, sender: str, issuer: str, customer: str
) -> None:
    found = find_businesses(Page(text, load_labels(language)), sender)
    assert found.issuer is not None
    assert found.customer is not None
    assert (found.issuer.name, found.customer.name) == (issuer, customer)


def test_a_bank_and_a_title_are_no_correspondents() -> None:
    text = "Rechnung\nHauptstr. 5\n10115 Berlin\nSteirische Landesbank AG, Ring 4, 8010 Graz"
    assert find_mentions(Page(text, load_labels("de"))) == []


def test_the_mentions_of_a_long_text_are_bounded() -> None:
    text = "\n".join(f"Fell {number} GmbH, Ring 4, 8010 Graz" for number in range(500))
    assert len(find_mentions(Page(text, load_labels("de")))) == 40
