"""Bills and papers that are written out: a text with gaps, whose values are drawn from its name.

A bill says its goods and what is special about it as fields, and everything that it prints as a
text of blocks. `[words]` begins a block, and the words say how it is set (`blocks.py`); `a | b` are
cells, `---` begins another column, and a line that begins with `*` is printed for each item. Gaps:
`{number}`, `{date}`, `{due}`, `{service}`, `{order}`, `{customer_no}`, `{note}` (of a delivery),
`{ref}` (of the payment), `{original}`; `{net}`, `{total}`, `{tax 19}`, `{base 19}`, `{both 19}`,
`{paid}`, `{open}`, `{discount}`, `{shipping}`, `{rounding}`; `{issuer}`, `{vat}`, `{cno}`,
`{customer}`, `{cvat}`, `{bank}`, `{iban}`, `{bic}`, `{account}`, `{code}`; `{day -3}` is another
day, `{any ##-##}` another number, `{phone}` a phone number. A form may follow a colon:
`{date:%e. %B %Y}`, `{total:EUR #}`, `{iban:plain}`. What has no gap in the text is null in the
answers.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from random import Random

import msgspec
from tests.corpus import identifiers
from tests.corpus.answers import InvoiceAnswer, ItemAnswer, TaxAnswer
from tests.corpus.facts import rounded
from tests.corpus.languages import Bill, language

_GAP = re.compile(r"\{([a-z_]+)(?: ([^{}:]*))?(?::([^{}]*))?\}")
# Decimal sign, sign between groups, currency, and form of a phone number.
_COUNTRIES = {
    "DE": (",", ".", "EUR", "030 / 55 ## ##-#"),
    "AT": (",", ".", "EUR", "+43 (0)1 555 ## ##"),
    "CH": (".", "\u2019", "CHF", "044 555 ## ##"),
    "GB": (".", ",", "GBP", "0161 496 0###"),
    "IE": (".", ",", "EUR", "01 555 ####"),
    "US": (".", ",", "USD", "(206) 555-01##"),
    "FR": (",", " ", "EUR", "04 72 55 ## ##"),
    "BE": (",", ".", "EUR", "02/555.##.##"),
    "LU": (",", ".", "EUR", "+352 55 ## ##"),
    "NL": (",", ".", "EUR", "010-55# ## ##"),
    "IT": (",", ".", "EUR", "02 555####"),
    "ES": (",", ".", "EUR", "93 555 ## ##"),
    "MX": (".", ",", "MXN", "55 5555 ####"),
    "PT": (",", " ", "EUR", "22 555 ## ##"),
    "BR": (",", ".", "BRL", "(11) 5555-####"),
    "PL": (",", " ", "PLN", "22 555 ## ##"),
    "SE": (",", " ", "SEK", "08-555 ## ##"),
    "DK": (",", ".", "DKK", "33 55 ## ##"),
    "RU": (",", " ", "RUB", "8 (495) 555-##-##"),
    "TR": (",", ".", "TRY", "0212 555 ## ##"),
}
_TEXTS = ("number", "order", "customer_no", "note", "ref", "original")
_FIELDS = {
    "due": "due_date", "service": "service_date", "open": "amount_due", "vat": "vat_id",
    "cno": "company_number", "cvat": "customer_vat_id", "customer_no": "customer_number",
    "order": "order_reference", "note": "delivery_note", "ref": "payment_reference",
    "original": "original_number", "code": "bank_code",
}  # fmt: skip
# What the answers' evidence has no entry for.
_UNLISTED = {"day", "any", "phone", "base", "both", "rounding"}


def _one_of(rng: Random, spread: str) -> Decimal:
    """Draw from `LOW-HIGH`, or `LOW-HIGH/STEP`; without a step as many places as `LOW` has."""
    spread, _, step_text = spread.partition("/")
    low_text, _, high_text = spread.partition("-")
    low, high = Decimal(low_text), Decimal(high_text or low_text)
    step = Decimal(step_text or Decimal(1).scaleb(int(low.as_tuple().exponent)))
    return low + step * rng.randrange(int((high - low) / step) + 1)


def _swiss_reference(rng: Random) -> str:
    table = (0, 9, 4, 6, 8, 2, 7, 1, 3, 5)
    digits = identifiers.digits(rng, "21" + "#" * 24)
    carry = 0
    for digit in digits:
        carry = table[(carry + int(digit)) % 10]
    number = f"{digits}{(10 - carry) % 10}"
    return f"{number[:2]} {identifiers.grouped(number[2:], 5)}"


class Filled:
    """A bill with its values drawn."""

    def __init__(self, code: str, bill: Bill, seed: str) -> None:
        """Draw the values.

        Args:
            code: The text's language, ISO 639-1.
            bill: The bill as it is written.
            seed: What the values depend on.
        """
        self.bill = bill
        self.language = language(code)
        self.rng = Random(seed)
        self.country = bill.country or self.language.country[0].code
        self.decimal, self.group, self.currency, self.phone = _COUNTRIES[self.country]
        self.currency = bill.currency or self.currency
        if bill.style:
            self.group, self.decimal = bill.style[1], bill.style[5]
        rng = self.rng
        self.date = dt.date(2024, 2, 1) + dt.timedelta(days=rng.randrange(900))
        self.due = self.date + dt.timedelta(days=bill.due) if bill.due else None
        self.service = self.date + dt.timedelta(days=bill.service)
        self.items = tuple(self._item(entry) for entry in bill.items)
        self._add_up()
        self.texts: dict[str, str] = {}
        for key in _TEXTS:
            self.texts[key] = self._text(getattr(bill, key))
        vat = identifiers.vat_id(rng, self.country)
        if bill.issuer.startswith("ИП "):
            vat = identifiers.trader_number(rng)
        customer = bill.customer_country or self.country
        customer_vat = identifiers.vat_id(rng, customer)
        self.plain = {
            "vat": vat or "",
            "cvat": customer_vat or "",
        }
        if "{iban" in bill.text:
            self.plain["iban"] = identifiers.bank_account(rng, self.country, bill.bic) or ""
        self.texts |= {
            "vat": identifiers.printed_vat_id(rng, vat, self.country) if vat else "",
            "cvat": identifiers.printed_vat_id(rng, customer_vat, customer) if customer_vat else "",
            "iban": identifiers.grouped(self.plain.get("iban", "")),
            "bic": bill.bic,
            "bank": bill.bank,
            "issuer": bill.issuer,
            "customer": bill.customer,
            "cno": identifiers.company_number(rng, self.country, vat)
            if self.country not in {"BR", "MX", "LU"}
            else "",
            "account": identifiers.digits(
                rng, "40702810############" if self.country == "RU" else "########"
            ),
            "code": identifiers.digits(rng, "044525###")
            if self.country == "RU"
            else identifiers.routing_number(rng),
        }
        self.drawn: dict[str, str] = {}
        self.printed: dict[str, str] = {"issuer": bill.issuer}
        if bill.customer:
            self.printed["customer"] = bill.customer
        self.text = self._fill(bill.text)
        self.subject = self._fill(bill.subject)

    def _item(self, entry: str) -> ItemAnswer:
        description, unit, quantity, price, rate, *off = (part.strip() for part in entry.split("|"))
        amount_of, each = _one_of(self.rng, quantity), _one_of(self.rng, price)
        if self.bill.negative:
            amount_of = -amount_of
        discount = Decimal(off[0]) if off else None
        amount = rounded(amount_of * each * (100 - (discount or 0)) / 100)
        return ItemAnswer(description, amount_of, unit, each, discount, Decimal(rate or 0), amount)

    def _add_up(self) -> None:
        bill = self.bill
        sums: dict[Decimal, Decimal] = {}
        for item in self.items:
            rate = item.tax_rate or Decimal(0)
            sums[rate] = sums.get(rate, Decimal(0)) + item.amount
        main = next(iter(sums))
        self.discount = rounded(sums[main] * Decimal(bill.discount or 0) / 100)
        self.shipping = Decimal(bill.shipping or 0)
        sums[main] += self.shipping - self.discount
        taxes = []
        for rate, amount in sums.items():
            base = rounded(amount * 100 / (100 + rate)) if bill.gross else amount
            tax = amount - base if bill.gross else rounded(amount * rate / 100)
            taxes.append(TaxAnswer(rate, base, tax))
        self.net = sum((tax.base for tax in taxes), Decimal(0))
        self.taxes = () if bill.untaxed or bill.reverse else tuple(taxes)
        total = self.net + sum((tax.amount for tax in self.taxes), Decimal(0))
        self.total = total
        if bill.rounding:
            step = Decimal(bill.rounding)
            self.total = rounded((total / step).quantize(Decimal(1), ROUND_HALF_UP) * step)
        self.rounding = self.total - total
        self.paid = (
            rounded(self.total * Decimal(bill.paid[:-1]) / 100)
            if bill.paid.endswith("%")
            else Decimal(bill.paid or 0)
        )

    def _text(self, pattern: str) -> str:
        rng = self.rng
        special: dict[str, Callable[[Random], str]] = {
            "RF": identifiers.creditor_reference,
            "OCR": identifiers.luhn_reference,
            "QR": _swiss_reference,
            "OGM": identifiers.belgian_reference,
            "NL16": identifiers.dutch_reference,
            "FIK": identifiers.danish_reference,
        }
        if pattern in special:
            return special[pattern](rng)
        pattern = pattern.replace("{number}", self.__dict__.get("texts", {}).get("number", ""))
        for token, value in (("{yyyy}", f"{self.date:%Y}"), ("{yy}", f"{self.date:%y}"),
                             ("{mm}", f"{self.date:%m}"), ("{dd}", f"{self.date:%d}")):  # fmt: skip
            pattern = pattern.replace(token, value)
        return identifiers.digits(rng, pattern)

    def _day(self, when: dt.date, form: str) -> str:
        months = self.language.months
        name = months[when.month - 1]
        values = {
            "%d": f"{when.day:02}", "%e": str(when.day), "%m": f"{when.month:02}",
            "%n": str(when.month), "%B": name, "%b": name[:3], "%Y": str(when.year),
            "%y": f"{when.year % 100:02}", "%C": name.capitalize(),
        }  # fmt: skip
        return re.sub("%[a-zA-Z]", lambda match: values[match.group(0)], form or self.bill.date)

    def _number(self, amount: Decimal, places: int = 2) -> str:
        text = f"{amount:,.{places}f}"
        swap = {",": self.group, ".": self.decimal}
        return "".join(swap.get(sign, sign) for sign in text)

    def _short(self, amount: Decimal) -> str:
        return self._number(amount, max(0, -int(amount.normalize().as_tuple().exponent)))

    def _money(self, amount: Decimal, form: str) -> str:
        return (form or self.bill.money).replace("#", self._number(amount))

    def _fill(self, text: str) -> str:
        lines = []
        for line in text.splitlines():
            if line.startswith("*"):
                lines += [self._item_line(line[1:].strip(), at) for at in range(len(self.items))]
            else:
                lines.append(_GAP.sub(self._gap, line))
        return "\n".join(lines)

    def _item_line(self, line: str, at: int) -> str:
        item = self.items[at]
        places = max(2, -int(item.unit_price.as_tuple().exponent))

        def gap(match: re.Match[str]) -> str:
            name, _, form = match.groups()
            values = {
                "i": str(at + 1),
                "desc": item.description,
                "qty": self._short(item.quantity),
                "unit": item.unit or "",
                "price": (form or "#").replace("#", self._number(item.unit_price, places)),
                "rate": self._short(item.tax_rate or Decimal(0)),
                "off": self._short(item.discount_percent or Decimal(0)),
                "amount": (form or "#").replace("#", self._number(item.amount)),
            }
            if name not in values:
                return self._gap(match)
            if name in {"desc", "amount"}:
                key = {"desc": "description"}.get(name, name)
                self.printed[f"item {at} {key}"] = values[name]
            if name in {"unit", "rate"}:
                self.drawn[name] = ""
            return values[name]

        return _GAP.sub(gap, line)

    def _gap(self, match: re.Match[str]) -> str:
        whole = match.group(0)
        name, argument, form = match.groups()
        value = self.drawn.get(whole) or self._value(name, argument or "", form or "")
        self.drawn[whole] = value
        if name not in _UNLISTED:
            key = f"tax {Decimal(argument)}" if name == "tax" else _FIELDS.get(name, name)
            self.printed.setdefault(key, value)
        return value

    def _value(self, name: str, argument: str, form: str) -> str:
        dates = {"date": self.date, "due": self.due, "service": self.service}
        amounts = {
            "net": self.net, "total": self.total, "paid": self.paid, "discount": self.discount,
            "open": self.total - self.paid, "shipping": self.shipping, "rounding": self.rounding,
        }  # fmt: skip
        if name in dates:
            when = dates[name]
            if when is None:
                raise ValueError(f"{self.bill.id} prints {name} and does not have it")
            return self._day(when, form)
        if name == "day":
            return self._day(self.date + dt.timedelta(days=int(argument)), form)
        if name in amounts:
            return self._money(amounts[name], form)
        if name in {"tax", "base", "both"}:
            (tax,) = (tax for tax in self.taxes if tax.rate == Decimal(argument))
            both = tax.base + tax.amount
            return self._money({"tax": tax.amount, "base": tax.base, "both": both}[name], form)
        if name == "any":
            return identifiers.digits(self.rng, argument)
        if name == "phone":
            return identifiers.digits(self.rng, self.phone)
        value = self.plain.get(name, "") if form == "plain" else self.texts[name]
        if not value:
            raise ValueError(f"{self.bill.id} prints {name} and does not have it")
        return value

    def answer(self) -> InvoiceAnswer:
        """Give the values that the bill prints."""
        printed = self.printed

        def text(key: str) -> str | None:
            return self.texts[key] if _FIELDS.get(key, key) in printed else None

        def plain(key: str) -> str | None:
            return self.plain[key] if _FIELDS.get(key, key) in printed else None

        bill = self.bill
        listed = "item 0 amount" in printed
        items = tuple(
            msgspec.structs.replace(
                item,
                unit=item.unit if "unit" in self.drawn and item.unit else None,
                tax_rate=item.tax_rate if "rate" in self.drawn else None,
            )
            for item in self.items
        )
        taxes = all(f"tax {tax.rate}" in printed for tax in self.taxes)
        return InvoiceAnswer(
            number=self.texts["number"],
            date=self.date,
            due_date=self.due if "due_date" in printed else None,
            service_date=self.service if "service_date" in printed else None,
            currency=self.currency,
            prices_include_tax=bill.gross,
            net=self.net if "net" in printed else None,
            taxes=self.taxes if taxes else None,
            total=self.total,
            paid=self.paid if "paid" in printed else None,
            amount_due=self.total - self.paid if "amount_due" in printed else None,
            discount=self.discount if "discount" in printed else None,
            shipping=self.shipping if "shipping" in printed else None,
            rounding=self.rounding or None,
            issuer=bill.issuer,
            issuer_country=self.country,
            vat_id=plain("vat"),
            company_number=text("cno"),
            customer=bill.customer or None,
            customer_country=(bill.customer_country or self.country) if bill.customer else None,
            customer_vat_id=plain("cvat"),
            customer_number=text("customer_no"),
            order_reference=text("order"),
            delivery_note=text("note"),
            payment_reference=text("ref"),
            original_number=text("original"),
            reverse_charge=bill.reverse,
            bank=text("bank"),
            iban=plain("iban"),
            bic=text("bic"),
            account=text("account"),
            bank_code=text("code"),
            items=items if listed else None,
        )
