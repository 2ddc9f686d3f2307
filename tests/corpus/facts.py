"""What an invoice says, as values, and how those values are printed."""

from __future__ import annotations

import datetime as dt
import unicodedata
from decimal import ROUND_HALF_UP, Decimal
from random import Random

import msgspec
from tests.corpus import identifiers
from tests.corpus.languages import Country, Language, Wording

CENT = Decimal("0.01")
_NUMBERS = (
    "{p}-{y}-{n:04}", "{y}/{n:04}", "{n5}", "{p}{y}-{n:03}", "{n:03}/{m:02}/{y}", "{n8}",
    "{p}/{y}/{m:02}/{n:04}", "{y}{m:02}-{n:03}", "{p}.{n5}", "{y}-{n:05}",
)  # fmt: skip
_PREFIXES = {
    "de": "RE", "en": "INV", "fr": "FA", "nl": "F", "es": "A", "it": "FT", "pt": "FT", "pl": "FV",
    "sv": "SF", "da": "FK", "ru": "СЧ", "tr": "ABC",
}  # fmt: skip
_HOURS = {"Std.", "hrs", "h", "uur", "ore", "godz.", "tim", "timer", "час", "saat"}


class Item(msgspec.Struct, frozen=True):
    """One line of an invoice; `amount` is quantity times price less the line's discount."""

    description: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    discount_percent: Decimal | None
    tax_rate: Decimal
    amount: Decimal


class Tax(msgspec.Struct, frozen=True):
    """Tax of one rate, in percent of `base`."""

    rate: Decimal
    base: Decimal
    amount: Decimal


class Party(msgspec.Struct, frozen=True):
    """A company or a person, with address and numbers; numbers without spaces."""

    name: str
    street: str
    city: str
    country: Country
    phone: str
    email: str
    vat_id: str | None
    vat_id_printed: str | None
    company_number: str | None


class Invoice(msgspec.Struct, frozen=True):
    """The values of an invoice, a credit note or a receipt."""

    kind: str
    number: str
    date: dt.date
    due_date: dt.date | None
    service_date: dt.date
    customer_number: str | None
    order_reference: str | None
    delivery_note: str | None
    payment_reference: str | None
    original_number: str | None
    issuer: Party
    customer: Party
    currency: str
    items: tuple[Item, ...]
    discount_rate: Decimal | None
    discount: Decimal
    shipping: Decimal
    net: Decimal
    taxes: tuple[Tax, ...]
    total: Decimal
    paid: Decimal
    reverse_charge: bool
    bank: str | None
    iban: str | None
    bic: str | None
    account: str | None
    bank_code: str | None


def rounded(amount: Decimal) -> Decimal:
    """Round to cents, half away from zero."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def slug(name: str) -> str:
    """Make a host name of a company's name."""
    plain = unicodedata.normalize("NFKD", _latin(name.lower())).encode("ascii", "ignore").decode()
    return "".join(sign if sign.isalnum() else "-" for sign in plain).strip("-").replace("--", "-")


def _latin(name: str) -> str:
    cyrillic = "абвгдеёжзийклмнопрстуфхцчшщъыьэюя"
    latin = "a b v g d e e zh z i y k l m n o p r s t u f h ts ch sh sch  y  e yu ya"
    table = dict(zip(map(ord, cyrillic), latin.split(" "), strict=True))
    return name.translate({**table, ord("\u0131"): "i", ord("ł"): "l", ord("ø"): "o"})


def company(rng: Random, language: Language, country: Country, stem: str) -> Party:
    """Draw a company of a country around a name's stem."""
    form = rng.choice(country.forms)
    name = f"{form} {stem}" if language.company_form_first else f"{stem} {form}"
    vat = identifiers.vat_id(rng, country.code)
    domain = slug(stem)
    return Party(
        name=name,
        street=rng.choice(country.streets).format(n=rng.randrange(2, 140)),
        city=rng.choice(country.cities),
        country=country,
        phone=identifiers.digits(rng, country.phone),
        email=f"{rng.choice(['info', 'office', 'mail'])}@{domain}.example",
        vat_id=vat,
        vat_id_printed=vat and identifiers.printed_vat_id(rng, vat, country.code),
        company_number=identifiers.company_number(rng, country.code, vat),
    )


def person(rng: Random, country: Country, name: str) -> Party:
    """Draw the address of a private person."""
    return Party(
        name=name,
        street=rng.choice(country.streets).format(n=rng.randrange(2, 140)),
        city=rng.choice(country.cities),
        country=country,
        phone=identifiers.digits(rng, country.phone),
        email=f"{slug(name).replace('-', '.')}@post.example",
        vat_id=None,
        vat_id_printed=None,
        company_number=None,
    )


def invoice_number(rng: Random, code: str, when: dt.date) -> str:
    """Draw an invoice number in one of the forms that suppliers use."""
    if code == "tr" and rng.random() < 0.5:
        return f"ABC{when.year}{rng.randrange(1, 99999):09}"
    return rng.choice(_NUMBERS).format(
        p=_PREFIXES[code],
        y=when.year,
        m=when.month,
        n=rng.randrange(12, 990),
        n5=rng.randrange(10_000, 99_999),
        n8=rng.randrange(30_000_000, 49_999_999),
    )


def _item(rng: Random, entry: tuple[str, str, int, int], rate: str, negative: bool) -> Item:
    description, unit, low, high = entry
    price = Decimal(rng.randrange(low * 100, high * 100)) / 100
    price = rng.choice([price, price.to_integral_value(), price.quantize(Decimal("0.1"))])
    quantity = Decimal(rng.randrange(1, 13))
    if unit in _HOURS and rng.random() < 0.6:
        quantity += Decimal(rng.choice(["0.5", "0.25", "0.75"]))
    if high < 50 and rng.random() < 0.3:
        quantity *= 25
    if negative:
        quantity = -quantity
    discount = Decimal(rng.choice([5, 10])) if rng.random() < 0.12 else None
    price = rounded(price)
    amount = rounded(quantity * price * (100 - (discount or 0)) / 100)
    return Item(description, quantity, unit, price, discount, Decimal(rate), amount)


def _taxed(bases: dict[Decimal, Decimal]) -> tuple[Tax, ...]:
    return tuple(
        Tax(rate, base, rounded(base * rate / 100)) for rate, base in bases.items() if base
    )


def _currency(rng: Random, country: Country) -> str:
    abroad = {"DE": "USD", "PL": "EUR", "TR": "EUR", "SE": "EUR", "GB": "EUR", "CH": "EUR"}
    return abroad[country.code] if country.code in abroad and rng.random() < 0.15 else (
        country.currency
    )  # fmt: skip


def draw_invoice(
    rng: Random, language: Language, country: Country, *, many_items: bool = False
) -> Invoice:
    """Draw the values of an invoice.

    Args:
        rng: The document's own generator.
        language: Names, goods and countries to draw from.
        country: The issuer's country, one of the language's.
        many_items: Whether the table should fill more than a page.

    Returns:
        An invoice whose arithmetic holds.
    """
    code = language.language
    stems = rng.sample(language.companies, 2)
    issuer = company(rng, language, country, stems[0])
    private = rng.random() < 0.25
    reverse = not private and bool(issuer.vat_id) and code != "ru" and rng.random() < 0.08
    others = [other for other in language.country if other is not country]
    home = rng.choice(others) if reverse and others else country
    customer = (
        person(rng, home, rng.choice(language.persons))
        if private
        else company(rng, language, home, stems[1])
    )
    when = dt.date(2024, 1, 8) + dt.timedelta(days=rng.randrange(700))
    credit = rng.random() < 0.12
    negative = credit and rng.random() < 0.5
    rates = country.rates if rng.random() < 0.5 else country.rates[:1]
    count = rng.randrange(38, 46) if many_items else rng.randrange(1, 7)
    entries = [rng.choice(language.items) for _ in range(count)] if many_items else (
        rng.sample(language.items, count)
    )  # fmt: skip
    items = tuple(
        _item(rng, entry, rates[0] if at == 0 else rng.choice(rates), negative)
        for at, entry in enumerate(entries)
    )
    main = Decimal(rates[0])
    bases: dict[Decimal, Decimal] = {Decimal(rate): Decimal(0) for rate in rates}
    for item in items:
        bases[item.tax_rate] += item.amount
    single = sum(1 for base in bases.values() if base) == 1
    discount_rate = Decimal(rng.choice([2, 3, 5, 10])) if single and rng.random() < 0.25 else None
    discount = rounded(bases[main] * discount_rate / 100) if discount_rate else Decimal(0)
    shipping = Decimal(0)
    if not credit and rng.random() < 0.25:
        shipping = rng.choice([Decimal("4.90"), Decimal("12.50"), Decimal("6.95"), Decimal("25")])
    bases[main] += shipping - discount
    net = sum(bases.values(), Decimal(0))
    taxes = () if reverse else _taxed(bases)
    total = net + sum((tax.amount for tax in taxes), Decimal(0))
    paid = Decimal(0)
    if not credit and rng.random() < 0.15:
        paid = rounded(total / rng.choice([2, 4, 5]))
    number = invoice_number(rng, code, when)
    customer_number = rng.choice(["{}", "K{}", "C-{}"]).format(rng.randrange(10_000, 90_000))
    bank, bic = rng.choice(country.banks)
    iban = identifiers.bank_account(rng, country.code, bic)
    account = bank_code = None
    if country.code == "RU":
        account, bank_code = identifiers.digits(rng, "40702810############"), (
            identifiers.digits(rng, "044######")
        )  # fmt: skip
    elif country.code == "US":
        account, bank_code = identifiers.digits(rng, "40########"), identifiers.routing_number(rng)
    shows_bank = rng.random() < 0.9
    return Invoice(
        kind="credit_note" if credit else "invoice",
        number=number,
        date=when,
        due_date=None
        if credit or rng.random() < 0.15
        else when + dt.timedelta(days=rng.choice([10, 14, 21, 30, 45])),
        service_date=when - dt.timedelta(days=rng.randrange(1, 9)),
        customer_number=customer_number if rng.random() < 0.7 else None,
        order_reference=rng.choice(["{}", "PO-{}", "B{}"]).format(rng.randrange(100_000, 999_999))
        if rng.random() < 0.5
        else None,
        delivery_note=f"{rng.choice(['L', 'LS-', ''])}{rng.randrange(20_000, 99_999)}"
        if rng.random() < 0.4
        else None,
        payment_reference=(
            identifiers.luhn_reference(rng)
            if code == "sv"
            else rng.choice([identifiers.creditor_reference(rng), f"{number}/{customer_number}"])
        )
        if rng.random() < 0.45
        else None,
        original_number=invoice_number(rng, code, when - dt.timedelta(days=40)) if credit else None,
        issuer=issuer,
        customer=customer,
        currency=_currency(rng, country),
        items=items,
        discount_rate=discount_rate,
        discount=discount,
        shipping=shipping,
        net=net,
        taxes=taxes,
        total=total,
        paid=paid,
        reverse_charge=reverse,
        bank=bank if shows_bank else None,
        iban=iban if shows_bank else None,
        bic=bic if shows_bank and country.code not in {"RU", "US"} else None,
        account=account if shows_bank else None,
        bank_code=bank_code if shows_bank else None,
    )


def draw_receipt(rng: Random, language: Language, country: Country) -> Invoice:
    """Draw the values of a till's receipt: prices include the tax, except in the United States."""
    base = draw_invoice(rng, language, country)
    taxed_on_top = country.code == "US"
    goods = [entry for entry in language.items if entry[1] not in _HOURS]
    items = tuple(
        msgspec.structs.replace(
            _item(rng, entry, rng.choice(country.rates), negative=False), discount_percent=None
        )
        for entry in rng.sample(goods, rng.randrange(2, 5))
    )
    items = tuple(
        msgspec.structs.replace(
            item,
            quantity=Decimal(at % 3 + 1),
            amount=rounded(Decimal(at % 3 + 1) * item.unit_price),
        )
        for at, item in enumerate(items)
    )
    sums: dict[Decimal, Decimal] = {}
    for item in items:
        sums[item.tax_rate] = sums.get(item.tax_rate, Decimal(0)) + item.amount
    if taxed_on_top:
        taxes = _taxed(sums)
    else:
        nets = {rate: rounded(gross * 100 / (100 + rate)) for rate, gross in sums.items()}
        taxes = tuple(Tax(rate, nets[rate], gross - nets[rate]) for rate, gross in sums.items())
    net = sum((tax.base for tax in taxes), Decimal(0))
    return msgspec.structs.replace(
        base,
        kind="receipt",
        due_date=None,
        order_reference=None,
        payment_reference=None,
        original_number=None,
        customer_number=None,
        delivery_note=None,
        currency=country.currency,
        items=items,
        discount_rate=None,
        discount=Decimal(0),
        shipping=Decimal(0),
        net=net,
        taxes=taxes,
        total=net + sum((tax.amount for tax in taxes), Decimal(0)),
        paid=Decimal(0),
        reverse_charge=False,
        bank=None,
        iban=None,
        bic=None,
        account=None,
        bank_code=None,
    )


class Printer(msgspec.Struct, frozen=True):
    """Writes dates, numbers and money as a country and a supplier's wording have them."""

    language: Language
    country: Country
    wording: Wording
    date_format: str
    currency: str

    def date(self, when: dt.date) -> str:
        """Write a date."""
        form = self.date_format
        if self.country.us_dates:
            form = form.replace("{dd}/{mm}", "{mm}/{dd}")
            form = form.replace("{d} {month} {yyyy}", "{month} {d}, {yyyy}")
            form = form.replace("{dd} {mon} {yyyy}", "{mon} {dd}, {yyyy}")
        month = self.language.months[when.month - 1]
        return form.format(
            d=when.day,
            dd=f"{when.day:02}",
            m=when.month,
            mm=f"{when.month:02}",
            month=month,
            mon=month[:3],
            yy=f"{when.year % 100:02}",
            yyyy=when.year,
        )

    def number(self, amount: Decimal, places: int = 2) -> str:
        """Write a number with the country's separators."""
        text = f"{amount:,.{places}f}"
        swap = {",": self.country.group, ".": self.country.decimal}
        return "".join(swap.get(sign, sign) for sign in text)

    def short(self, amount: Decimal) -> str:
        """Write a number without zeros at its end, for quantities and rates."""
        places = max(0, -int(amount.normalize().as_tuple().exponent))
        return self.number(amount, places)

    def percent(self, rate: Decimal) -> str:
        """Write a rate, whose sign stands before the number in Turkish."""
        return f"%{self.short(rate)}" if self.language.language == "tr" else f"{self.short(rate)}%"

    def money(self, amount: Decimal) -> str:
        """Write an amount with its currency, where the wording puts it."""
        form = self.wording.money
        own = self.currency == self.country.currency
        if not own and "{" not in form.replace("{n}", ""):
            form = "{c} {n}"
        symbols = {"EUR": "€", "USD": "$"}
        symbol = self.country.symbol if own else symbols[self.currency]
        if not own and symbol == "$":
            form = form.replace("{s}", "{c}")
        if form.startswith("{s}{n}") and amount < 0:
            return "-" + form.format(n=self.number(-amount), s=symbol, c=self.currency)
        return form.format(n=self.number(amount), s=symbol, c=self.currency)
