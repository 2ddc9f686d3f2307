"""The wordings and texts of a language, read from `languages/*.toml`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

FOLDER = Path(__file__).parent / "languages"
CODES = ("de", "en", "fr", "nl", "es", "it", "pt", "pl", "sv", "da", "ru", "tr")


class Country(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Money, taxes, places and banks of a country."""

    code: str
    currency: str
    symbol: str
    decimal: str
    group: str
    rates: tuple[str, ...]
    forms: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]
    phone: str
    banks: tuple[tuple[str, str], ...]
    tax_name: str = ""
    vat_label: str = ""
    us_dates: bool = False


class Wording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One supplier's words for everything that an invoice says."""

    id: str
    money: str
    dates: tuple[str, ...]
    title: str
    credit_title: str
    title_line: str
    number: str
    date: str
    due: str
    service_date: str
    customer_no: str
    order_no: str
    delivery_note: str
    payment_ref: str
    original: str
    net: str
    tax: str
    total: str
    payable: str
    paid: str
    discount: str
    shipping: str
    seller: str
    buyer: str
    vat_id: str
    company_no: str
    iban: str
    bic: str
    bank: str
    phone: str
    columns: tuple[str, str, str, str, str, str, str]
    page: str
    carry: str
    base: str
    reverse: str
    thanks: str
    sentence: str
    hello: str
    bye: str
    # What only some suppliers print: the sign after a label, sentences around the due date and
    # the payment reference, a line above and one under the customer's name, the address of
    # delivery, and the heads of a table of taxes (rate, base, amount, base and amount).
    colon: str = ":"
    terms: str = ""
    quote: str = ""
    salute: str = ""
    attention: str = ""
    ship_to: str = ""
    tax_heads: tuple[str, str, str, str] | None = None


class ReceiptWording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The words of a till's receipt."""

    title: str
    number: str
    date: str
    time: str
    total: str
    net: str
    tax: str
    cash: str
    change: str
    thanks: str


class ContractText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contract with gaps for names and numbers, and what of it is no name."""

    id: str
    title: str
    titles: tuple[str, str]
    sign: tuple[str, str, str, str, str]
    keep: tuple[str, ...]
    body: str
    individual: bool = False


class PlainText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document that is neither invoice nor contract."""

    kind: str
    title: str
    body: str


class Third(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What only documents of the folder `third` use."""

    wording: tuple[Wording, ...] = ()
    contract: tuple[ContractText, ...] = ()
    text: tuple[PlainText, ...] = ()


class Language(Third, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A language: names to draw from, and every text outside the part of `third`."""

    language: str
    months: tuple[str, ...]
    companies: tuple[str, ...]
    persons: tuple[str, ...]
    titles: tuple[str, ...]
    items: tuple[tuple[str, str, int, int], ...]
    country: tuple[Country, ...]
    receipt: ReceiptWording
    company_form_first: bool = False
    third: Third = Third()


class CountryLabels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A country's labels of a company's numbers, one for each wording; `{}` is the number."""

    vat: tuple[str, ...]
    company: tuple[str, ...]


class Agreement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contract in the marks of `agreements.py`; `header` stands at the top of each page."""

    id: str
    title: str
    body: str
    header: str = ""


class Tranche(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the second tranche has of a language: names without a legal form among them."""

    companies: tuple[str, ...]
    persons: tuple[str, ...]
    customers: tuple[str, ...]
    items: tuple[tuple[str, str, int, int], ...]
    labels: dict[str, CountryLabels]
    wording: tuple[Wording, ...]
    agreement: tuple[Agreement, ...] = ()


class Bill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An invoice or a credit note that is written out, in the form that `written.py` tells.

    An entry of `items` is `description | unit | quantity | price | tax rate`, and a line's discount
    may follow; quantity and price are `LOW-HIGH` and may have a step, `2-8/0.25`. `#` and `@` in
    numbers become digits and letters. `style` is 1,234.56 as the bill writes it, if not as its
    country does; `paid` an amount or a percentage; `due` and `service` days after the date.
    """

    id: str
    format: str
    number: str
    issuer: str
    items: tuple[str, ...]
    text: str
    kind: str = "invoice"
    country: str = ""
    customer: str = ""
    customer_country: str = ""
    currency: str = ""
    style: str = ""
    date: str = "%d.%m.%Y"
    money: str = "# €"
    due: int = 0
    service: int = 0
    gross: bool = False
    negative: bool = False
    untaxed: bool = False
    reverse: bool = False
    discount: str = ""
    shipping: str = ""
    paid: str = ""
    rounding: str = ""
    order: str = ""
    customer_no: str = ""
    note: str = ""
    ref: str = ""
    original: str = ""
    bank: str = ""
    bic: str = ""
    subject: str = ""
    sender: tuple[str, str] = ("", "")
    to: tuple[str, str] = ("", "")


class Sheet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A document that is neither bill nor contract, in blocks."""

    kind: str
    format: str
    text: str
    subject: str = ""
    sender: tuple[str, str] = ("", "")
    to: tuple[str, str] = ("", "")


class Deed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contract in the marks of `agreements.py`, and how it is set."""

    id: str
    format: str
    title: str
    body: str
    header: str = ""


class Written(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a folder has of a language, written out."""

    bill: tuple[Bill, ...] = ()
    deed: tuple[Deed, ...] = ()
    sheet: tuple[Sheet, ...] = ()


@cache
def written(folder: str, code: str) -> Written:
    """Read what a folder has of a language.

    Args:
        folder: one of `written_plan.FOLDERS`.
        code: ISO 639-1, one of `CODES`.

    Returns:
        Bills, contracts and other papers.
    """
    content = (FOLDER / folder / f"{code}.toml").read_bytes()
    return msgspec.toml.decode(content, type=Written)


@cache
def second_tranche(code: str) -> Tranche:
    """Read what the second tranche adds to a language.

    Args:
        code: ISO 639-1, one of `CODES`.

    Returns:
        Wordings, names, goods and contracts.
    """
    return msgspec.toml.decode((FOLDER / "second" / f"{code}.toml").read_bytes(), type=Tranche)


@cache
def language(code: str) -> Language:
    """Read a language and its part of `third`.

    Args:
        code: ISO 639-1, one of `CODES`.

    Returns:
        The language, with the texts of the folder `third` in `third`.
    """
    shown = msgspec.toml.decode((FOLDER / f"{code}.toml").read_bytes(), type=Language)
    third = (FOLDER / "third" / f"{code}.toml").read_bytes()
    return msgspec.structs.replace(shown, third=msgspec.toml.decode(third, type=Third))
