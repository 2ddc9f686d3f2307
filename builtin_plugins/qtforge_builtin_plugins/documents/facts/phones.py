"""Phone numbers, by Google's libphonenumber."""

# ruff: noqa: RUF001 - it has labels in Russian

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

import phonenumbers

__all__ = ["find_phone_numbers"]

MOST_CHARACTERS: Final = 300_000
_MOST_TRIES: Final = 2_000
# A currency is a better hint at the country than a language, except for the euro.
_CURRENCY_REGIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"USD": "US", "GBP": "GB", "INR": "IN", "RUB": "RU", "CHF": "CH", "JPY": "JP", "PLN": "PL",
     "CAD": "CA", "AUD": "AU", "SEK": "SE", "NOK": "NO", "DKK": "DK", "CZK": "CZ", "CNY": "CN"}
)  # fmt: skip
# Tax, bank and customer numbers have the form of phone numbers.
_OTHER_NUMBER: Final = re.compile(
    r"(?:\bno|\bnr|\bn°|nummer|number|\bid|№|#|\biban|konto|account|code|\bинн|\bкпп|\bбик)\W{0,4}$",
    re.IGNORECASE,
)
_PHONE_LABEL: Final = re.compile(r"tel|phone|fax|mob|handy|call|тел|факс|моб", re.IGNORECASE)
_LANGUAGE_REGIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"en": "US", "ru": "RU", "de": "DE", "fr": "FR", "es": "ES", "it": "IT", "nl": "NL",
     "pl": "PL", "pt": "PT", "uk": "UA", "sv": "SE", "cs": "CZ", "ja": "JP", "tr": "TR"}
)  # fmt: skip


def find_phone_numbers(
    text: str, language: str | None, currencies: Collection[str] = ()
) -> list[str]:
    """Return the valid numbers in E.164 form, in the text's order, without repeats.

    Args:
        text: Only its first 300,000 characters count.
        language: ISO 639-1; a hint, with ``currencies``, at the country of national numbers.
        currencies: ISO 4217, the currencies of the text's amounts, the most frequent first.
    """
    region = next(
        (_CURRENCY_REGIONS[currency] for currency in currencies if currency in _CURRENCY_REGIONS),
        _LANGUAGE_REGIONS.get(language or ""),
    )
    matcher = phonenumbers.PhoneNumberMatcher(
        text[:MOST_CHARACTERS], region, leniency=phonenumbers.Leniency.VALID, max_tries=_MOST_TRIES
    )
    e164 = phonenumbers.PhoneNumberFormat.E164
    return list(
        dict.fromkeys(
            phonenumbers.format_number(match.number, e164)
            for match in matcher
            if not _is_other_number(text[max(0, match.start - 30) : match.start])
        )
    )


def _is_other_number(before: str) -> bool:
    label = before.rpartition("\n")[2]
    return bool(_OTHER_NUMBER.search(label)) and not _PHONE_LABEL.search(label)
