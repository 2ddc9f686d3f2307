"""Find e-mail addresses, account numbers, card numbers and phone numbers."""

# ruff: noqa: RUF001 - it has labels in Russian

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import phonenumbers
from stdnum import luhn

from qtforge_builtin_plugins.documents.facts import ibans
from qtforge_builtin_plugins.pipelines.legal.spans import Span

__all__ = ["find_cards", "find_emails", "find_ibans", "find_phones"]

# Wider than what counts as a link: also o'brien@, and domains in other scripts.
_EMAIL: Final = re.compile(
    r"\w[\w.!#$%&'*+^`{|}~-]{0,63}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,63}(?![\w-])"
)
# In one piece, or in the groups of a card: 4-4-4-4, 4-6-5, 4-6-4, 4-4-4-4-3.
_CARD: Final = re.compile(
    r"(?<![\w.,/-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?"
    r"|\d{4}([ -])\d{6}\2\d{4,5})(?![\w/-]|[.,]\d)"
)
# ISO/IEC 7812 prefixes as the card networks publish them, with their lengths.
_NETWORK: Final = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|62\d{14,17}|220[0-4]\d{12}"
)
# A contract in a language may be from any of its countries, tried in this order.
_REGIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"en": ("US", "GB", "AU", "IN"), "ru": ("RU", "BY"), "de": ("DE", "AT", "CH"),
     "fr": ("FR", "BE", "CH"), "es": ("ES", "MX"), "it": ("IT", "CH"), "nl": ("NL", "BE"),
     "pl": ("PL",), "pt": ("PT", "BR"), "uk": ("UA",), "sv": ("SE",), "cs": ("CZ",), "ja": ("JP",),
     "tr": ("TR",), "da": ("DK",), "no": ("NO",), "fi": ("FI",)}
)  # fmt: skip
_PHONE_LABEL: Final = re.compile(
    r"(?:\btel|\bphone|telephone|telefon|\bfax|\bmob|handy|\bcall|\bcell|тел|факс|моб)"
    r"[^\d\n+(]{0,20}\(?$",
    re.IGNORECASE,
)
_LABELLED_PHONE: Final = re.compile(
    r"(?:\btel(?:efon|ephone)?|\bphone|telefax|\bfax|\bmob(?:ile|il)?|\bmóvil|\bcellulare"
    r"|\bcell\.|\bportable|\bgsm|\bтел(?:ефон)?|\bфакс)"
    r"[^\w\n+(]{0,6}(?:no\.?|number|nr\.?)?[^\w\n+(]{0,4}"
    r"(?P<number>\+?\(?\d[\d ()/.\u00a0-]{5,20}\d)",
    re.IGNORECASE,
)
_OTHER_NUMBER: Final = re.compile(
    r"(?:\bno|\bnr|\bn°|nummer|numbers?|\bid|№|#|\bkonto|account|\bcode|\bинн|\bкпп|\bбик|\bhrb|\bhra"
    r"|\bnº|\bnúm|\bnum|numéro|número|numero|\bref|référence|referencia|riferimento|reference"
    r"|zeichen|kenmerk|expediente|protocollo|dossier|serial|série|matrícula|matricola"
    r"|номер\w{0,2}|numarası|sayılı|\bflurstück|\bparcel\w*"
    r"|[$€£¥₽₹]|\beur|\busd|\bgbp|\brs\.?|\bsection|\bclause|\bversion|\bv)\W{0,4}$",
    re.IGNORECASE,
)
_MONEY_AFTER: Final = re.compile(
    r"\W{0,2}(?:[$€£¥₽₹%]|eur\b|usd\b|gbp\b|rub\b|chf\b|руб|коп|тыс)", re.I
)
_AMOUNT: Final = re.compile(r"[1-9]\d{0,2}(?:[ \u00a0.,]\d{3})+")
# A year and a number, as offices and companies number things.
_BY_YEAR: Final = re.compile(r"(?:19|20)\d\d[-/.]\d{2,8}(?:[-/.]\d{1,6})?")
_DATES: Final = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?:\D{1,3}[\d./-]+)?")
# Not before the number of a section: "1 Law", "2. Term".
_BROKEN_NUMBER: Final = re.compile(
    r"(\+\d[\d ()/-]{1,16}|\(\d{2,5}\))\n(?=\d)"
    r"(?!\d{1,2}(?:\.\d+)*(?:[.)][ \t]|[ \t]+[A-ZÀ-ÞА-ЯİĞŞ]))"
)
# The country of an IBAN.
_COUNTRY: Final = re.compile(r"(?<!\w)([A-Z]{2})\d{2} ?[A-Z0-9]{4} ?[A-Z0-9]{4}(?=[ \dA-Z])")
_MOST_COUNTRIES: Final = 2
_LEAST_DIGITS: Final = 9


def find_emails(text: str) -> Iterator[Span]:
    """Yield e-mail addresses."""
    for match in _EMAIL.finditer(text):
        yield Span(start=match.start(), end=match.end(), kind="email", key=match.group().lower())


def find_ibans(text: str) -> Iterator[Span]:
    """Yield account numbers; those with a wrong checksum only after a label."""
    for start, found in ibans.iterate_ibans(text):
        yield Span(
            start=start,
            end=start + len(found.text),
            kind="iban",
            key=found.iban,
            checked=found.valid,
        )


def find_cards(text: str) -> Iterator[Span]:
    """Yield card numbers: the form and prefix of a network, and a valid check digit (Luhn)."""
    for match in _CARD.finditer(text):
        digits = re.sub(r"\D", "", match.group())
        if _NETWORK.fullmatch(digits) and luhn.is_valid(digits):
            yield Span(start=match.start(), end=match.end(), kind="card", key=digits, checked=True)


def find_phones(text: str, language: str | None) -> Iterator[Span]:
    """Yield phone numbers.

    Args:
        text: Any text.
        language: ISO 639-1; numbers of its countries are found without a country code.
    """
    # A number may continue in the next line.
    text = _BROKEN_NUMBER.sub(lambda match: f"{match[1]} ", text)
    regions = _REGIONS.get(language or "", _REGIONS["en"])
    # An account's country says where the parties are: 01 555 3842 beside an Irish IBAN.
    countries = dict.fromkeys(_COUNTRY.findall(text)) if language in _REGIONS else ()
    known = [each for each in countries if each in phonenumbers.SUPPORTED_REGIONS]
    for region in dict.fromkeys([*regions, *known[:_MOST_COUNTRIES]]):
        matcher = phonenumbers.PhoneNumberMatcher(
            # Every candidate is tried: a skipped one would stay readable.
            text, region, leniency=phonenumbers.Leniency.VALID, max_tries=len(text) + 1
        )  # fmt: skip
        for match in matcher:
            if _is_phone(text, match):
                key = phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164)
                yield Span(start=match.start, end=match.end, kind="phone", key=key, checked=True)
    for labelled in _LABELLED_PHONE.finditer(text):
        start, end = labelled.span("number")
        key = re.sub(r"[^\d+]", "", labelled["number"])
        yield Span(start=start, end=end, kind="phone", key=key, checked=False)


def _is_phone(text: str, match: phonenumbers.PhoneNumberMatch) -> bool:
    """Return whether it is a phone number and not a date, amount, version or other number."""
    raw = match.raw_string
    before = text[max(0, match.start - 30) : match.start].rpartition("\n")[2]
    if raw.startswith("+") or _PHONE_LABEL.search(before):
        return True
    separated = re.search(r"[ ()/.\u00a0-]", raw) is not None
    dots_only = separated and re.fullmatch(r"\d+\.\d+", raw) is not None
    return (
        separated
        and not dots_only
        and sum(map(str.isdigit, raw)) >= _LEAST_DIGITS
        and not _AMOUNT.fullmatch(raw)
        and not _DATES.fullmatch(raw)
        and not _BY_YEAR.fullmatch(raw)
        and not _OTHER_NUMBER.search(before)
        and not _MONEY_AFTER.match(text, match.end)
    )
