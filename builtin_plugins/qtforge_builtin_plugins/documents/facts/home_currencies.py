"""The currency of an invoice that prints none: that of the country it names by its numbers.

A till and a craftsman leave the currency out where everybody knows it. What is printed tells the
country all the same: the account's, the tax's and the registers' numbers. They are data,
``home_currencies.toml``; if they are of countries with different currencies, there is no answer.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from qtforge_builtin_plugins.documents.facts.ibans import iterate_ibans
from qtforge_builtin_plugins.documents.facts.labels import fold

__all__ = ["find_home_currency"]

_DATA: Final = Path(__file__).with_suffix(".toml")
_SPACE: Final = r"[  ]?"


def find_home_currency(text: str, language: str | None = None) -> str | None:
    """Return the ISO 4217 code of the country that an invoice's numbers name; None without one.

    The country of a valid account comes before that of other numbers, which may be a customer's.

    Args:
        text: The invoice.
        language: ISO 639-1, or None.
    """
    currencies, words, numbers = _evidence(language)
    accounts = {
        currencies[iban.iban[:2]]
        for _, iban in iterate_ibans(text)
        if iban.valid and iban.iban[:2] in currencies
    }
    if accounts:
        return accounts.pop() if len(accounts) == 1 else None
    said = {match.lastgroup for match in words.finditer(fold(text))}
    said |= {match.lastgroup for match in numbers.finditer(text)}
    return said.pop() if len(said) == 1 else None


@cache
def _evidence(
    language: str | None,
) -> tuple[Mapping[str, str], re.Pattern[str], re.Pattern[str]]:
    """Return the currency of each country of accounts, and a pattern with a group of each."""
    data: Mapping[str, Mapping[str, Any]] = tomllib.loads(_DATA.read_text("utf-8"))
    accounts = {
        country: currency for currency, each in data.items() for country in each.get("accounts", ())
    }
    words: dict[str, list[str]] = {}
    for currency, each in data.items():
        own = each.get("languages", {}).get(language)
        listed = [*each.get("words", ()), *([own] if own else [])]
        if listed:
            words[currency] = [re.escape(fold(word)) for word in listed]
    numbers = {
        currency: [number.replace("~", _SPACE).replace(r"\d{", rf"(?:{_SPACE}\d){{")
                   for number in each["numbers"]]
        for currency, each in data.items() if "numbers" in each
    }  # fmt: skip
    return accounts, _pattern(words), _pattern(numbers)


def _pattern(parts: Mapping[str, list[str]]) -> re.Pattern[str]:
    groups = (f"(?P<{currency}>{'|'.join(each)})" for currency, each in parts.items())
    return re.compile(rf"(?<!\w)(?:{'|'.join(groups)})(?!\w)")
