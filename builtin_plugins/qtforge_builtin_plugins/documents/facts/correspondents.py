"""The names with addresses in a document, and how much each looks like its sender's.

Who sends an invoice has phone, registers and bank beside the name, stands in the foot of the page
or signs the mail; who is to pay has a window of an address and nothing else, or a form of address
or any label before the name. So the sum of what is near a name tells the two apart where no label
does.
"""

# ruff: noqa: RUF001 - it has typographic marks and words in Russian

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qtforge_builtin_plugins.documents.facts.blocks import DEPARTMENT, HONORIFIC, TOWN
from qtforge_builtin_plugins.documents.facts.companies import find_companies, has_form
from qtforge_builtin_plugins.documents.facts.page import Page

__all__ = ["BANK_NAME", "CONTACT", "Mention", "find_mentions", "sender_score"]

CONTACT: Final = re.compile(
    r"@|\+\d\d|www\.|(?<![\d.,/-])0\d{1,4}[ /-]+\d|\(\d{2}\) \d|\b\d{3} \d{3} \d{2,3}\b(?! ?[€$£])"
    r"|\b(?:[Tt]el|[Tt]lf|[Tt]fn|[Ff]on|T|тел)[.:]? ?\d|\b\d{2} \d{2} \d{2} \d{2}\b"
)
_SEGMENT: Final = re.compile(r"(?<=[\w)]{4})[.] (?=[^\W\d_])|\t| {3,}| [·|] ")
_LABEL: Final = re.compile(
    r"[^\W\d_][^\d:,\t]{1,40}: +"
    r"|(?:To|Aos?|Às?|An|Para|Till|Til|Aan|Dla|Alla?|Spett\.le) (?=[^\W\d_a-z])"
)
_NAME: Final = re.compile(r"[^\W\d_a-zß-öø-ÿа-я][^,:;@\t]{2,58}")
_STREET: Final = re.compile(r"\w[^,:@]{2,40}")
# The last word before the name of a street, in the languages in which it is a small one.
_STREET_KIND: Final = re.compile(
    r"(?<!\w)(?:пр-т|просп\.?|проспект|ул\.?|улица|пер\.?|наб\.?|пл\.?|шоссе|ш\.|бул\.?|б-р|проезд|rue"
    r"|avenue|av\.|bd|boulevard|place|quai|chemin|impasse|allée|route|cours|via|viale|piazza|corso"
    r"|calle|c/|ul\.?|al\.|pl\.|plac|aleja|os\.|rua|praça|travessa|largo|estrada) $"
)
_PLACE: Final = re.compile(r"[^\W\d_][^\d,:@]{2,40}")
_SMALL_WORD: Final = re.compile(
    r"(?<!\w)(?!(?:and|of|the|und|für|de|du|des|la|le|les|del|della|delle|dei|di|do|da|dos|das|e|y"
    r"|et|en|van|der|den|ved|ve|i|och|og|w|na|von|zu|zur|zum|af|av|a|al|à|z|o|für|och|te|ter)\b)"
    r"[a-zß-öø-ÿа-я][\w'’-]+ (?=[^\W\d_a-zß-öø-ÿа-я])"
)
BANK_NAME: Final = re.compile(
    r"(?i:ban[kcq](?:\b|[aou]|en\b|ue)|kasse\b|building society|банк|kreditanstalt)"
)
_MOST_NAME: Final = 60
_MOST_MENTIONS: Final = 40
_MOST_LINES: Final = 400
_HEIGHT: Final = 5  # lines of a block below its name
_FOOT: Final = 4  # lines
_NUMBERS: Final = frozenset({"vat_id", "company_number"})
_BANK: Final = frozenset({"iban", "bic", "account", "bank_code"})


@dataclass(frozen=True, slots=True)
class Mention:
    """A name with what is beside it.

    Attributes:
        name: As written.
        start: Its position.
        line: The index of its line.
        score: Greater for what is like a sender, less than 0 for what is like a recipient.
    """

    name: str
    start: int
    line: int
    score: float


@dataclass(frozen=True, slots=True)
class _Place:
    """A name, whether it is above its address, and the label before it."""

    line: int
    start: int
    name: str
    is_block: bool
    label: str


def find_mentions(page: Page) -> list[Mention]:
    """Return the names that stand with an address or are a company's, in order.

    Args:
        page: The text.
    """
    places = list(_places(page))
    found: list[Mention] = []
    for number, place in enumerate(places):
        following = places[number + 1].start if number + 1 < len(places) else len(page.text)
        end = min(_end_of_block(page, place.line), following)
        score = _score(page, place, end)
        if place.label:
            score += _label_score(page, place.label)
        elif place.is_block and place.line and _is_polite(page, place.line):
            score -= 3
        found.append(Mention(place.name, place.start, place.line, score))
    return found


def _places(page: Page) -> Iterator[_Place]:
    """Yield the places of names in order."""
    count = 0
    last = -_HEIGHT
    for index, (line_start, line_end) in enumerate(page.lines[:_MOST_LINES]):
        if line_end - line_start < 3:
            continue
        at = line_start
        ends = [match.span() for match in _SEGMENT.finditer(page.text, line_start, line_end)]
        for cut, following in [*ends, (line_end, line_end)]:
            place = _in_segment(page, index, at, cut)
            at = following
            if place is None or BANK_NAME.search(place.name):
                continue
            # The second line of a block is no name, unless it has a legal form.
            if not place.is_block or index > last + 1 or has_form(place.name):
                last = index
                yield place
                count += 1
                if count == _MOST_MENTIONS:
                    return


def _in_segment(page: Page, index: int, start: int, end: int) -> _Place | None:
    label = _LABEL.match(page.text, start, end)
    label_text = page.folded[start : label.end()] if label else ""
    start = label.end() if label else start
    text = page.text[start:end]
    head, comma, rest = text.partition(",")
    company = next(find_companies(text[: 2 * _MOST_NAME]), None)
    is_address = bool(comma) and _is_address(rest)
    if company is not None and (company[0] == 0 or (is_address and company[0] < len(head))):
        if company[0] and not label_text:
            label_text = page.folded[start : start + company[0]]
        return _Place(index, start + company[0], company[1], not comma, label_text)
    if is_address:
        small = [match.end() for match in _SMALL_WORD.finditer(head)]
        begin = small[-1] if small else 0
        name = head[begin:].strip()
        if _STREET_KIND.search(head, 0, begin):
            return None
        if _NAME.fullmatch(name) and len(name) <= _MOST_NAME and not any(map(str.isdigit, name)):
            label_text = label_text or page.folded[start : start + begin]
            return _Place(index, start + begin, name, False, label_text)
        return None
    if label is None and _heads_block(page, index, start, end):
        return _Place(index, start, text.strip(), True, "")
    return None


def _is_address(rest: str) -> bool:
    """Return whether a street or a place with a number follows a name."""
    parts = [part.strip() for part in rest.split(",")][:4]
    return len(parts) > 1 and any(
        _STREET.match(part) and any(map(str.isdigit, part)) for part in parts[:2]
    ) and any(TOWN.match(part) or _PLACE.match(part) for part in parts[1:])  # fmt: skip


def _heads_block(page: Page, index: int, start: int, end: int) -> bool:
    """Return whether a line is the first of a block with a street and a town."""
    text = page.text[start:end]
    if (start, end) != page.lines[index] or not _NAME.fullmatch(text):
        return False
    if (
        any(map(str.isdigit, text))
        or text.endswith((".", "!", "?"))
        or page.hits_between(start, start + 1)
        or any(page.labels.find_titles(page.folded, page.tokens_between(start, end)))
    ):
        return False
    polite = HONORIFIC.match(page.folded, start, end)
    if (polite and polite.end() >= end - 1) or DEPARTMENT.match(page.folded, start, end):
        return False
    has_number = False
    for below in range(index + 1, min(index + _HEIGHT, len(page.lines))):
        if page.text[page.lines[below - 1][1] : page.lines[below][0]].count("\n") > 1:
            return False
        line = page.line(below)
        if TOWN.match(line.rpartition(", ")[2]) or TOWN.match(line):
            return has_number or "," in line
        has_number = has_number or any(map(str.isdigit, line))
        if len(line) > _MOST_NAME:
            return False
    return False


def _end_of_block(page: Page, index: int) -> int:
    end = page.lines[index][1]
    for below in range(index + 1, min(index + _HEIGHT, len(page.lines))):
        start, stop = page.lines[below]
        if page.text[end:start].count("\n") > 1:
            break
        end = stop
    return end


def _score(page: Page, place: _Place, end: int) -> float:
    return sender_score(page, place.start, place.line, end) - 0.5 * place.is_block


def sender_score(page: Page, start: int, index: int, end: int) -> float:
    """Return how much what is near a name is a sender's: phone, registers, bank, a foot, the top.

    Args:
        page: The text.
        start: The name's position.
        index: The index of its line.
        end: The position after what is near it.
    """
    kinds = {kind for hit in page.hits_between(start, end) for kind in hit.kinds}
    score = 0.0
    score += 1.5 * (CONTACT.search(page.text, start, end) is not None or "phone" in kinds)
    score += 1.0 * bool(_NUMBERS & kinds)
    score += 1.0 * bool(_BANK & kinds)
    is_foot = index >= len(page.lines) - _FOOT and index > _FOOT
    line_start, line_end = page.lines[index]
    score += 1.5 * (is_foot and line_end - line_start > _MOST_NAME)
    score += 0.7 * (index == 0)
    return score


def _label_score(page: Page, label: str) -> float:
    """Return what a label before a name says; any one is rather a recipient's."""
    roles = frozenset[str]().union(*map(page.labels.roles_of, page.labels.words_of(label)))
    if "seller" in roles:
        return 3.0
    return -3.0 if "buyer" in roles else -2.0


def _is_polite(page: Page, index: int) -> bool:
    return any(HONORIFIC.match(page.folded, *page.lines[each]) for each in (index - 1, index))
