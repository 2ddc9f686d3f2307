"""The numbers of a contract's parties: of registers, identity documents and accounts."""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from qtforge_builtin_plugins.documents.facts.labels import Hit

__all__ = ["Number", "find_numbers"]

_NUMBER: Final = re.compile(
    r"(?:[ ](?:der|des|von|of|de la|du|del|della|di|van)[ ][^\d\n;:]{2,40}(?=:)"
    r"|[ ][a-zà-ÿ]{4,12}(?=[ ][A-Z\d]{6}))?"  # pasaporte sueco AA1234567
    r"(?:[^\W\d_]*[^\d\n;:]{0,30}?[ ]"
    r"(?:n|nr|no|num|n[°º]|№|number|numero|número|numéro|nummer)(?=[ .:]))?"
    r"[\s:.#№·()–-]{0,6}[ \t]{0,40}(?:(?:с[её]рии|series|numero|number|numéro|número|nummer"
    r"|номер|mit der|sous le)\s)?"
    r"(?P<value>(?:HR ?[AB]|FN|Hoja|CHE?|REA|[A-Z]{1,3})?[ .:-]{0,2}(?:[A-Z]{1,2}-?)?"
    # After a gap: digits or a letter or two, and not the next label (411 214 331 SIREN ...).
    r"\d(?:[\dA-Z]|[ ./-](?=\d|[A-Z]{1,2}(?![^\W\d_])))*[\dA-Za-z](?![\w]))"
)
# Of a country without IBAN: "account number 004417729358", "account no. 12-3456-78".
_ACCOUNT: Final = re.compile(
    r"(?P<word>[ \n](?:numbers?|no|nr|num|numero|número|numéro|nummer|n[°º]|номер|№)(?!\w))?"
    r"[ \n.:#№°º]{0,5}"
    r"(?P<value>\d{6,24}|\d{1,6}(?:[ -]\d{1,6}){1,5})(?![\w-]|[.,/]\d| ?(?:EUR|USD|GBP|€|\$|%))"
)
_LEAST_NUMBER: Final = 6
_LEAST_ACCOUNT: Final = 9  # digits of an account that no "number" is before
_BRITISH_ACCOUNT: Final = 8  # digits, in one piece
_REGISTER: Final = re.compile(
    r"(?<!\w)(?:(?:HR ?[AB]|VR|GnR|PR|GsR) ?\d{2,6}(?: ?[A-Z](?!\w))?"
    r"|(?:SC|NI|OC|SO) ?\d{6}|FN \d{4,6} ?[a-z](?!\w)"
    # The numbers of taxpayers of the European Union and Switzerland by their forms.
    r"|NL ?\d{9} ?B ?\d{2}|DE ?\d{3} ?\d{3} ?\d{3}|ATU ?\d{8}|FR ?[A-Z\d]{2} ?\d{3} ?\d{3} ?\d{3}"
    r"|BE ?[01]\d{3}\.?\d{3}\.?\d{3}|IT ?\d{11}|ES ?[A-Z]\d{7}[A-Z\d]|CHE-?\d{3}\.?\d{3}\.?\d{3}"
    r"|Hoja [A-Z]{1,2}-? ?\d{3,7})(?!\w)"
)
# The town is that of the court.
_FRENCH_REGISTER: Final = re.compile(
    r"(?<!\w)(?:RCS|R\.C\.S\.)(?: [A-ZÀ-Þ][\w-]+){1,3} ((?:[A-Z] )?\d{3} ?\d{3} ?\d{3})(?!\w)"
)
_NUMBER_BEFORE: Final = re.compile(
    r"(?<!\w)(\d{8,16})\s(?:numaras?ı(?:yla|nda)?\skayıtlı|(?:T\. ?C\. ?)?kimlik\s(?:numaral|no))"
)
# Not the account of a bank itself, which begins with 301.
_RUSSIAN_ACCOUNT: Final = re.compile(r"(?<!\d)(?!301)\d{20}(?!\d)")


@dataclass(frozen=True, slots=True)
class Number:
    """A number under which a party is registered, or of an account."""

    start: int
    end: int
    kind: str


def find_numbers(text: str, folded: str, hits: Iterable[Hit]) -> Iterator[Number]:
    """Yield the numbers after words such as ``registered under number``.

    Args:
        text: The contract, with the lines of a paragraph joined.
        folded: The same, folded.
        hits: The words of contracts in it.
    """
    for hit in hits:
        if "account" in hit.kinds:
            account = _ACCOUNT.match(text, hit.end)
            digits = sum(map(str.isdigit, account["value"])) if account else 0
            label = folded[hit.start : hit.end]
            is_number = " " in label or label.endswith("nummer")
            if (
                digits >= _LEAST_NUMBER
                and account
                and (
                    account["word"]
                    or is_number
                    or digits >= _LEAST_ACCOUNT
                    or (digits == _BRITISH_ACCOUNT and account["value"].isdigit())
                )
            ):
                yield Number(account.start("value"), account.end("value"), "account")
        if "id" not in hit.kinds:
            continue
        match = _NUMBER.match(text, hit.end)
        if match is None or "\n\n" in match[0]:
            continue
        digits = sum(map(str.isdigit, match["value"]))
        is_long = digits > 4 or (digits > 3 and len(match["value"]) > 6)
        if is_long and not _is_date_or_amount(text, match):
            yield Number(match.start("value"), match.end("value"), "registration")
    for match in _REGISTER.finditer(text):
        yield Number(match.start(), match.end(), "registration")
    for match in (*_FRENCH_REGISTER.finditer(text), *_NUMBER_BEFORE.finditer(text)):
        yield Number(match.start(1), match.end(1), "registration")
    for match in _RUSSIAN_ACCOUNT.finditer(text):
        yield Number(match.start(), match.end(), "account")


def _is_date_or_amount(text: str, match: re.Match[str]) -> bool:
    value = match["value"]
    after = text[match.end() : match.end() + 5].strip().lower()
    return bool(
        re.fullmatch(r"(?:[0-2]?\d|3[01])[./-](?:[0-2]?\d|3[01])[./-]\d{2,4}", value)
        or re.match(r"(?:eur|usd|gbp|€|\$|руб|tl)", after)
    )
