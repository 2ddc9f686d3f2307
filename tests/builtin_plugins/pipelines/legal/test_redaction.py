"""document.redact: what identifies people, accounts and parties goes; everything else stays."""

# ruff: noqa: RUF001 - it has texts in Russian

from __future__ import annotations

import msgspec
import pytest

from qtforge_builtin_plugins.pipelines.legal.messages import RedactedDocument, RedactRequest
from qtforge_builtin_plugins.pipelines.legal.redaction import redact
from qtforge_sdk.messages import DocumentMetadata


def redacted(text: str, language: str | None = "en", **more: object) -> RedactedDocument:
    request = msgspec.convert(
        {"parsed_content": text, "language": language, **more}, RedactRequest, from_attributes=True
    )
    return redact(request, lambda done, total, step: None)


@pytest.mark.parametrize(
    ("text", "placeholder", "kind"),
    [
        ("Write to ann.lee+legal@mail.example.co.uk.", "[EMAIL 1]", "email"),
        ("see ...o'brien@post.example,", "[EMAIL 1]", "email"),
        ("пишите на иван@почта.рф.", "[EMAIL 1]", "email"),
        ("IBAN DE89 3704 0044 0532 0130 00", "[IBAN 1]", "iban"),
        ("to GB82WEST12345698765432, please", "[IBAN 1]", "iban"),
        ("card 4111 1111 1111 1111 on file", "[CARD 1]", "card"),
        ("card 378282246310005 on file", "[CARD 1]", "card"),
        ("card 5555-5555-5555-4444 on file", "[CARD 1]", "card"),
        ("call +44 20 7946 0958 today", "[PHONE 1]", "phone"),
        ("call (212) 736-5000 today", "[PHONE 1]", "phone"),
        ("our office, 020 7946 0958", "[PHONE 1]", "phone"),
        ("Tel.: 555 01 99 12", "[PHONE 1]", "phone"),
        ("móvil 600 123 456", "[PHONE 1]", "phone"),
        ("SSN 536-90-4399", "[NATIONAL ID 1]", "us_ssn"),
        ("social security no. 536 90 4399", "[NATIONAL ID 1]", "us_ssn"),
        ("social security number: 536904399", "[NATIONAL ID 1]", "us_ssn"),
        ("National Insurance no. QQ123456C", "[NATIONAL ID 1]", "gb_nino"),
        ("with AB 12 34 56 C as insured", "[NATIONAL ID 1]", "gb_nino"),
        ("NHS number 943 476 5870", "[NATIONAL ID 1]", "gb_nhs"),
        ("Steuer-ID 36 574 261 809", "[NATIONAL ID 1]", "de_idnr"),
        ("Steuernummer 181/815/08155", "[NATIONAL ID 1]", "de_stnr"),
        ("NIR 2 95 10 99 126 111 93", "[NATIONAL ID 1]", "fr_nir"),
        ("ИНН 500100732259", "[NATIONAL ID 1]", "ru_inn"),
        ("ИНН/КПП 7707083893/770701001", "[NATIONAL ID 1]", "ru_inn"),
        ("СНИЛС 112-233-445 95", "[NATIONAL ID 1]", "ru_snils"),
        ("паспорт серия 45 06 № 123456", "[NATIONAL ID 1]", "ru_passport"),
        ("DNI 54362315-K", "[NATIONAL ID 1]", "es_dni"),
        ("nata, RCCMNL83S18D969H, in Italia", "[NATIONAL ID 1]", "it_codice_fiscale"),
        ("BSN 111222333", "[NATIONAL ID 1]", "nl_bsn"),
        ("PESEL 44051401359", "[NATIONAL ID 1]", "pl_pesel"),
        ("AHV 756.9217.0769.85", "[NATIONAL ID 1]", "ch_ahv"),
        ("CPF 390.533.447-05", "[NATIONAL ID 1]", "br_cpf"),
        ("PAN ACUPA7085R", "[NATIONAL ID 1]", "in_pan"),
        ("your personal public service number is 1234567FA", "[NATIONAL ID 1]", "ie_pps"),
        ("by wire to account 7729104455 within ten days", "[ACCOUNT 1]", "account"),
        ("by wire to account number 12345678.", "[ACCOUNT 1]", "account"),
        ("to Contractor, (520)\n555-0147, at any time", "[PHONE 1]", "phone"),
        ("at 14 Merrion Row, Dublin 2, D02 YF64", "[ADDRESS 1]", "address"),
        ("адрес г. Псков, Рижский проспект, д. 48, кв. 77", "[ADDRESS 1]", "address"),
        ("Adresi: Avanos Yolu 3. km, 50500 Avanos / Nevşehir", "[ADDRESS 1]", "address"),
        ("demeurant Mas de la Fage,\n48190 Cubières, d'autre part", "[ADDRESS 1]", "address"),
    ],
)
def test_a_value_is_replaced_and_reported(text: str, placeholder: str, kind: str) -> None:
    found = redacted(text)
    assert placeholder in found.redacted_content
    (redaction,) = found.redactions
    assert kind in (redaction.kind, redaction.subkind)
    assert not any(character.isdigit() for character in redaction.masked)


def test_a_phone_number_is_one_of_the_country_of_an_account() -> None:
    text = "Pay to IE29 AIBK 9311 5212 3456 78, or ring Grainne Duffy on 01 555 3842."
    assert "01 555 3842" not in redacted(text).redacted_content


@pytest.mark.parametrize(
    "text",
    [
        "Signed on 2026-01-12, 12.01.2026, 12/01/2026 and 1 May 2026 at 12:30.",
        "Versions 1.2.3, 10.15.7 and 2.31.0-rc1; clause 3.6.1.2; section 164.512.",
        "It costs £18,400.00, $1,234,567.89, 1 234 567,89 руб. or 250 000 000 USD.",
        "The order 4711-0815-2026 has 1000000000 parts of 2125551234 kinds.",
        "Invoice no. 1234567890, account 1234 5678, ISBN 978-3-16-148410-0.",
        "Host 192.168.100.101 and 10.1.2.3:8080, id 123e4567-e89b-12d3-a456-426614174000.",
        "The number 4111 1111 1111 1112 fails the check, and 1234567812345670 has no network.",
        "Directive 2016/679, 45 CFR 164.512, Regulation (EU) No 910/2014, 2010-2020, 1999/2000.",
        "Rows 100 25 2500, 12 345 678 903, 536 90 4399; the Managing Director, Partner.",
        "Commit 4111111111111111a and serial X4111111111111111 are no cards.",
        "БИК 044525225, к/с 30101810400000000225",
        "A share of 123-45-678 or 000-12-3456 or 666-12-3456 is nobody's.",
        "See https://example.com/users/17 and the file report_2026.pdf, pages 100-200.",
    ],
)
@pytest.mark.parametrize("language", ["en", "de", "ru", None])
def test_dates_versions_amounts_and_numbers_of_things_stay(text: str, language: str | None) -> None:
    assert redacted(text, language).redacted_content == text


CONTRACT = """Services Agreement of HARBOUR & PINE LTD

This Agreement is between Harbour & Pine Ltd, of Bristol (the "Customer"), and Lantern
Data Works LLP, of Edinburgh (the "Supplier").

1. The Customer pays. Lantern Data Works delivers to Harbour & Pine.
2. Write to ann@harbour.example or ANN@harbour.example.

Harbour & Pine Ltd, represented by its director Miriam Oduya
Callum Reid, Partner
"""


def test_parties_go_in_every_form_and_their_roles_stay() -> None:
    found = redacted(CONTRACT)
    text = found.redacted_content
    assert text.startswith("Services Agreement of [PARTY 1]\n")
    assert '[PARTY 1], of Bristol (the "Customer")' in text
    assert "The Customer pays. [PARTY 2] delivers to [PARTY 1]." in text
    for name in ("Harbour", "HARBOUR", "Lantern", "Data", "Miriam", "Callum"):
        assert name not in text
    assert found.counts == {"email": 2, "party": 6, "person": 2}


def test_the_same_value_has_the_same_placeholder_and_lines_stay_lines() -> None:
    found = redacted(CONTRACT)
    assert "Write to [EMAIL 1] or [EMAIL 1]." in found.redacted_content
    email = next(each for each in found.redactions if each.kind == "email")
    assert [(place.line, place.column) for place in email.places] == [(7, 13), (7, 36)]
    assert len(found.redacted_content.split("\n")) == len(CONTRACT.split("\n"))
    assert "1. The Customer pays." in found.redacted_content.split("\n")[5]


def test_the_report_never_holds_a_value() -> None:
    text = CONTRACT + "SSN 536-90-4399, IBAN DE89370400440532013000, 4111111111111111\n"
    report = msgspec.json.encode(redacted(text).redactions).decode()
    for value in ("536-90-4399", "536904399", "DE89", "4111", "Harbour", "Oduya", "ann@"):
        assert value.lower() not in report.lower()


def test_redacting_again_changes_nothing_and_new_values_get_new_numbers() -> None:
    once = redacted(CONTRACT).redacted_content
    assert redacted(once).redacted_content == once
    assert "[EMAIL 1] and [EMAIL 2]" in redacted("[EMAIL 1] and bob@new.example").redacted_content


def test_overlapping_finds_leave_nothing_readable() -> None:
    text = (
        "Pay DE89 3704 0044 0532 0130 00 4111 1111 1111 1111, bob@acme.example, tel +49 30 90182."
    )
    found = redacted(text, "de", parties=["Acme"])
    assert not any(character.isdigit() for character in found.redacted_content.replace(" 1]", "]"))
    assert "bob" not in found.redacted_content
    assert found.counts == {"card": 1, "email": 1, "iban": 1, "phone": 1}


def test_a_labelled_number_with_a_slip_in_it_goes_too() -> None:
    found = redacted("ИНН 500100732258", "ru")
    assert found.redacted_content == "ИНН [NATIONAL ID 1]"
    assert found.redactions[0].checked is False


def test_russian_names_go_declined_and_with_initials() -> None:
    text = (
        "ООО «Ромашка», именуемое в дальнейшем Заказчик, в лице директора Петрова Петра Петровича,"
        " и Иванов Иван Иванович, именуемый в дальнейшем Исполнитель, заключили договор.\n"
        "Заказчик платит Иванову Ивану Ивановичу. Подписи: Иванов И. И., «Ромашка».\n"
    )
    result = redacted(text, "ru").redacted_content
    for name in ("Ромашка", "Иванов", "Петров"):
        assert name not in result
    assert "Заказчик платит [PARTY 2]" in result


def test_parties_in_a_german_heading_go_with_who_represents_them() -> None:
    text = (
        "Dienstvertrag\n\nzwischen\n\nMüller & Söhne GmbH & Co. KG, Industriestr. 5, Stuttgart,\n"
        "vertreten durch den Geschäftsführer Klaus Müller\n"
        "– nachfolgend „Auftraggeber“ genannt –\n\nund\n\n"
        "Frau Dr. Erika Schneider, Gartenweg 12, Berlin\n"
        "– nachfolgend „Auftragnehmerin“ genannt –\n\n"
        "§ 1 Leistung\nMüller & Söhne zahlt an Frau Schneider. Die Auftragnehmerin liefert.\n"
    )
    result = redacted(text, "de").redacted_content
    for name in ("Müller", "Söhne", "Klaus", "Erika", "Schneider"):
        assert name not in result
    assert "Die Auftragnehmerin liefert." in result


def test_an_american_contract_keeps_its_state_and_its_roles() -> None:
    text = (
        "This Agreement is by and between Brightwater Analytics, Inc., a Delaware corporation"
        ' ("Brightwater"), and Dr. Jane Q. Doe, an individual ("Consultant").\n\n'
        "1. Brightwater pays Consultant. Ms. Doe helps. The law of Delaware governs.\n\n"
        "Name: Robert K. Miles          Jane Q. Doe\n"
    )
    result = redacted(text).redacted_content
    for name in ("Brightwater", "Jane", "Doe", "Robert", "Miles"):
        assert name not in result
    assert "a Delaware corporation" in result
    assert "pays Consultant." in result
    assert "Name: [PERSON 1]          [PARTY 2]" in result


def test_a_short_name_that_the_contract_defines_goes_too() -> None:
    text = 'Between Acme Trading Ltd ("ATL") and Bolt plc (the "Buyer"). ATL sells to the Buyer.'
    result = redacted(text, parties=["Acme Trading Ltd"]).redacted_content
    assert "ATL" not in result
    assert "sells to the Buyer" in result


def test_name_title_and_check_sum_of_the_document_are_redacted_too() -> None:
    metadata = DocumentMetadata(
        name="Harbour & Pine.md", media_type="text/markdown", size_bytes=1, sha256="0" * 64,
        words=1, title="For Lantern Data Works LLP", author="Miriam Oduya",
    )  # fmt: skip
    found = redacted(CONTRACT, metadata=metadata).metadata
    assert found is not None
    assert (found.name, found.title, found.author) == ("[PARTY 1].md", "For [PARTY 2]", None)
    assert found.sha256 != metadata.sha256
    assert found.media_type == "text/plain"
    assert found.size_bytes > 100


def test_the_end_of_a_long_text_is_redacted_like_its_beginning() -> None:
    text = (
        "The parties agree on nothing in particular.\n" * 9000 + "bob@end.example +1 212 736 5000"
    )
    assert redacted(text).redacted_content.endswith("\n[EMAIL 1] [PHONE 1]")
