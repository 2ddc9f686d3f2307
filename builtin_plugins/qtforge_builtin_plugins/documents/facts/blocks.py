"""The address blocks of an invoice: who is above which street and town, and which one sends it."""

# ruff: noqa: RUF001 - it has a Russian abbreviation and typographic marks

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qtforge_builtin_plugins.documents.facts.companies import find_companies
from qtforge_builtin_plugins.documents.facts.labels import fold
from qtforge_builtin_plugins.documents.facts.page import Page

__all__ = ["DEPARTMENT", "HONORIFIC", "TOWN", "Block", "find_blocks"]

_BRITISH_CODE: Final = r"[A-Z]{1,2}\d{1,2}[A-Z]? ?\d[A-Z]{2}"

TOWN: Final = re.compile(
    r"(?:[A-Z]{1,2}-)?(?:\d{4} [A-Z]{2}|\d{4}-\d{3}|\d{2}-\d{3}|\d{3} \d{2}|\d{4,6}),? (?:г\. ?)?"
    r"[^\W\d_][^\d\n]{1,40}(?: \d{1,2})?"
    r"|[^\W\d_][^\d\n]{1,40},? (?:[A-Z]{2} \d{5}(?:-\d{4})?"
    rf"|{_BRITISH_CODE}"
    r"|[A-Z]\d[\dW] ?[A-Z\d]{4})"
)
"""A line with the town of an address: 53111 Bonn, 1012 WX Amsterdam, Columbus, OH 43215."""

DEPARTMENT: Final = re.compile(
    r"(?<!\w)(?:att|attn|attention|z\. ?hd|zu handen|fao|t\.? ?a\.? ?v|c\.a|a/c|all'att|all'uff"
    r"|a l'att|servic|accounts|dep|department|dept|buchhalt|kreditor|debitor|abteilung|abt|compta"
    r"|administra"
    r"|afdeling|ufficio|dpto|departamento|bogholder|ekonomi|okonomi|dzial|ksiegow|muhasebe|bolum"
    r"|departman|finans|satin alma|бухгалт|вниманию|отдел|purchas|financ|einkauf|inkop|indkob"
    r"|zakup|compras|achats|acquisti|contabil|inkoop|crediteur|payable|cuentas|contas|per adres|c/o"
    r"|fornitor|leverandor|leverantor|kreditorer)"
)
"""The words of a line of an address that names a department or a person of a company."""

_PARTS: Final = re.compile(r", | [-–·|] ")
_POSTCODE: Final = re.compile(rf"{_BRITISH_CODE}|\d{{5}}")
_LABEL: Final = re.compile(r"[^\W\d_][^\d:,\t]{1,40}:\s+")
_HOUSE_NUMBER: Final = re.compile(r"\d{1,4} ?\w?")
_BRITISH: Final = re.compile(_BRITISH_CODE)
_CONTACT: Final = re.compile(
    r"@|\+\d\d|www\.|\.example\b|(?<!\d)0\d{1,4}[ /-]\d|\b\d{3} \d{3} \d{2,3}\b"
)
HONORIFIC: Final = re.compile(
    r"(?:att|attn|z\. ?hd|zu handen|frau|herrn?|mr|mrs|ms|mme|m\.|monsieur|madame|fao|c/o|p\. ?adr"
    r"|t\.a\.v|spett|egr|exmo|sayin|inh\.|dhr|mevr|sr|sra|gerente|sig)(?![^\W_])"
)
_MOST_LINES: Final = 40
_MOST_HEIGHT: Final = 4  # lines from the name to the street
_MOST_BELOW: Final = 4  # lines with phone numbers and the like below a town
_MOST_LINE: Final = 60
_CONTACTS: Final = frozenset({"phone", "email", "iban", "bic"})
_OF_NUMBERS: Final = frozenset({"vat_id", "company_number"})


@dataclass(frozen=True, slots=True)
class Block:
    """A name with its address.

    Attributes:
        name: As written, without what follows a comma.
        start: Its position.
        line: The index of its line.
        last: The index of the line with the town.
        score: How much it looks like the sender's: greater is more.
    """

    name: str
    start: int
    line: int
    last: int
    score: int


def find_blocks(page: Page) -> list[Block]:
    """Return the blocks of the first lines in order; a page with columns has none."""
    places = list(_towns(page))
    found: list[Block] = []
    for number, (index, is_one_line) in enumerate(places):
        floor = found[-1].last if found else -1
        top = _top(page, index, floor, is_one_line=is_one_line)
        if top is None:
            continue
        following = places[number + 1][0] if number + 1 < len(places) else index + _MOST_BELOW + 1
        found.append(_block(page, top, index, following, is_one_line=is_one_line))
    return found


def _towns(page: Page) -> Iterator[tuple[int, bool]]:
    """Yield each line that ends with a town, and whether the street is on it, too."""
    for index in range(min(_MOST_LINES, len(page.lines))):
        if len(page.cells[index]) > 1:
            continue
        text = page.line(index).rstrip(".")
        if len(text) > 2 * _MOST_LINE or not any(map(str.isdigit, text)):
            continue
        if TOWN.fullmatch(text) or _BRITISH.fullmatch(text):
            yield index, False
            continue
        *before, last = _PARTS.split(text)
        is_split = len(before) > 1 and _POSTCODE.fullmatch(last)
        if before and (TOWN.fullmatch(last) or is_split) and any(map(str.isdigit, before[-1])):
            yield index, True


def _top(page: Page, town: int, floor: int, *, is_one_line: bool) -> int | None:
    """Return the line of the name above a town, or on its line."""
    street = town if is_one_line else town - 1
    if street <= floor or street < 0:
        return None
    parts = _PARTS.split(page.line(town))
    is_street = len(parts) > 1 and _HOUSE_NUMBER.fullmatch(parts[1]) is not None
    if is_one_line and not is_street and not any(map(str.isdigit, parts[0])):
        return town if _is_name(page, town, whole=False) else None
    if not is_one_line and not any(map(str.isdigit, page.line(street))):
        street -= 1  # a village without streets, or a further line
        if street <= floor:
            return None
    top: int | None = None
    company: int | None = None
    for index in range(street - 1, max(floor, street - 1 - _MOST_HEIGHT), -1):
        if _is_of_numbers(page, index):
            continue
        if not _is_joined(page, index):
            break
        if next(iter(find_companies(page.line(index))), (1, ""))[0] == 0:
            top = company = index
        elif DEPARTMENT.match(page.folded, *page.lines[index]):
            continue
        elif not _is_name(page, index):
            # Below the name at the top may be a line about its trade.
            top = 0 if top is None and index == 1 and _is_name(page, 0) else top
            break
        else:
            top = index
    return top if company is None else company


def _is_joined(page: Page, index: int) -> bool:
    return page.text[page.lines[index][1] : page.lines[index + 1][0]].count("\n") == 1


def _is_of_numbers(page: Page, index: int) -> bool:
    start, _ = page.lines[index]
    return any(_OF_NUMBERS & set(hit.kinds) for hit in page.hits_between(start, start + 1))


def _is_name(page: Page, index: int, *, whole: bool = True) -> bool:
    start, end = page.lines[index]
    text = page.text[start:end]
    own = text if whole else _PARTS.split(text)[0]
    words = page.labels.words_of(page.folded[start:end])
    if len(words) == 1 and page.labels.roles_of(words[0]):
        return False  # the heading of a column
    is_attention = HONORIFIC.match(page.folded, start, end) is not None
    return (
        len(own) <= _MOST_LINE
        and len(page.cells[index]) == 1
        and own[:1].isalpha()
        and not any(map(str.isdigit, own))
        and not text.endswith((":", ".", "!", "?"))
        and "@" not in text
        and (is_attention or not page.hits_between(start, start + 1))
        and next(page.labels.find_titles(page.folded, page.tokens_between(start, end)), None)
        is None
    )


def _block(page: Page, top: int, town: int, following: int, *, is_one_line: bool) -> Block:
    start, end = page.lines[top]
    label = _LABEL.match(page.text, start, end)
    start = label.end() if label else start
    company = next(iter(find_companies(page.text[start:end])), None)
    name = company[1] if company and company[0] == 0 else page.text[start:end]
    if not (company and company[0] == 0):
        name = _PARTS.split(name)[0] if top == town else name.split(",", 1)[0]
    inner = range(top, town)
    below = range(town + 1, min(town + 1 + _MOST_BELOW, following - 1, len(page.lines)))
    has_contact = any(_has_contact(page, index) for index in (*inner, town, *below))
    is_polite = label is not None or any(
        HONORIFIC.match(page.folded, *page.lines[index]) for index in (max(0, top - 1), *inner)
    )
    words = fold(name)
    repeats = page.folded.count(words) > 1 if len(words) > 5 else False
    score = 2 * is_one_line + 2 * has_contact + repeats - 3 * is_polite + (company is not None)
    return Block(name, start, top, town, score)


def _has_contact(page: Page, index: int) -> bool:
    if _CONTACT.search(page.line(index)):
        return True
    return any(_CONTACTS & set(hit.kinds) for hit in page.hits_between(*page.lines[index]))
