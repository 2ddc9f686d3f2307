"""Which of a document's names is its issuer, and which is to pay: one score for each pair.

What other rules have found is evidence like any other: the label before a name, a letterhead, a
window of an address, a form of address, phone and registers beside it, the domain of a mail, a
place in the foot. So a name that stands like a sender's is not the customer because no label was
known, and the first name below a label is not the issuer because it is there.
"""

# ruff: noqa: RUF001 - it has words in Russian and typographic marks

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from qtforge_builtin_plugins.documents.facts.blocks import DEPARTMENT, HONORIFIC, TOWN
from qtforge_builtin_plugins.documents.facts.bodies import find_bodies, is_body
from qtforge_builtin_plugins.documents.facts.companies import find_companies, has_form
from qtforge_builtin_plugins.documents.facts.correspondents import BANK_NAME, CONTACT, sender_score
from qtforge_builtin_plugins.documents.facts.labels import fold
from qtforge_builtin_plugins.documents.facts.page import Page

__all__ = ["Place", "choose_pair"]

# What is between a name and its address in a line of a letterhead.
_PART: Final = re.compile(r"\t| {3,}| [·|•–-] |, ")
_ADDRESS_AFTER: Final = re.compile(r", [^\n]{0,50}\d")
_LABEL_AT_END: Final = re.compile(
    r".* (?:to|an|para|a|à|al|alla|aan|dla|pour|ao|aos|di|de|da|le|la|of|von|van|av|af|for|für"
    r"|на|для)"
)
_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿа-я]"
_FULL_NAME: Final = re.compile(rf"{_CAPITAL}[\w'’-]+(?: {_CAPITAL}[\w'’.-]*){{1,3}}")
_PLAIN_GAP: Final = re.compile(r"\t| {3,}| [·|•–-] ")
_SALUTATION: Final = re.compile(
    r"(?:firma|eheleute|familie|herrn?(?: und frau)?|frau|an|exmo\.?\(?s?\)?\.? sr\.?\(?s?\)?\.?"
    r"|exm[oa]s?\.? (?:sr|srs|senhor|senhora|senhores)[ae]?s?\.?|spett(?:\.le|abile)"
    r"|gent(?:ile|\.mo)"
    r"|sehr geehrte.*|mme|m|mr|mrs|ms|monsieur|madame|sayin|pan|pani|sz\. p\.)\.?"
)
_TO: Final = frozenset({"to", "an", "til", "till", "para", "al", "alla", "aan", "dla", "pour", "ao",
                        "aos", "для"})  # fmt: skip
_FOR: Final = frozenset({"for", "fur", "voor", "per"})
_BEFORE: Final = _TO | _FOR
_MOST_LABEL: Final = 30  # characters
_ARTICLES: Final = frozenset({"the", "die", "den", "der", "das", "la", "le", "les", "l", "el",
                              "los", "las", "de", "het", "o", "a", "os", "as"})  # fmt: skip
# Those that are called by their address: Condominio Via Mazzini 14.
_BY_ADDRESS: Final = re.compile(
    r"(?:condominio|comunidad de propietarios|ejerforeningen|bostadsrattsforeningen|brf"
    r"|vve|wspolnota mieszkaniowa|тсж|weg|wohnungseigentumergemeinschaft) [^,:;\t]{3,50}"
)
_MOST_BODY_LINES: Final = 150
_MOST_AFTER_CLOSING: Final = 25  # lines
_SIGNATURE: Final = 3  # lines
_DOMAIN: Final = re.compile(r"(?:[\w.+-]+@|www\.)(?P<domain>[\w-]+(?:\.[\w-]+)*)\.\w+")
_STREET: Final = re.compile(r"[^\W\d_].*\d|\d+[a-z]?,? [^\W\d_]")
_MOST_LINES: Final = 400
_MOST_PLACES: Final = 80
_MOST_NAME: Final = 60
_MOST_WORDS: Final = 8
_HEIGHT: Final = 5  # lines of a block
_LABEL_WORDS: Final = 4
_LEAST_KEY: Final = 5  # letters of a name's beginning that a domain has
_HEAD: Final = 3  # lines
_WEIGHTS: Final[Mapping[str, tuple[float, float]]] = MappingProxyType(
    # What it says for the issuer, and for the customer.
    {
        "found as issuer": (1.5, -0.4),
        "found as customer": (-0.4, 1.5),
        "labelled as issuer": (2.5, -1.0),
        "labelled as customer": (-1.0, 2.9),
        "label of a seller": (2.5, -3.0),
        "label of a buyer": (-3.0, 2.5),
        "first line": (1.2, -0.3),
        "head": (0.4, 0.0),
        "like a sender": (0.7, -0.4),
        "polite": (-2.5, 1.5),
        "window": (-0.8, 1.4),
        "domain": (1.6, -1.6),
        "mail's sender": (2.2, -2.5),
        "signature": (1.6, -2.0),
        "person who signs": (0.0, -2.0),
        "legal form": (0.6, 0.4),
        "body": (0.3, 0.4),
        "addressed": (-2.0, 2.2),
        "again": (0.4, 0.0),
        "greeting": (-2.0, -2.0),
        "no name": (-3.0, -3.0),
        "bank": (-3.0, -4.0),
        "label in it": (-2.5, -2.5),
        "second line": (-1.5, -2.0),
        "in the foot": (0.0, -1.5),
    }
)
_LEAST: Final = 0.4
_TOP_SCORE: Final = 0.7  # what the first line has in the sender's score
_FOOT: Final = 4  # lines
_DEPARTMENT_AT_END: Final = re.compile(
    r".*(?:department|dept\.?|division|team|abteilung|eingang|buchhaltung|comptabilite|afdeling"
    r"|administratie|afdelning|bolumu|отдел|бухгалтерия)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A name in the text.

    Attributes:
        name: As written.
        start: Its position.
        line: The index of its line.
    """

    name: str
    start: int
    line: int


@dataclass(frozen=True, slots=True)
class _Scored:
    place: Place
    issuer: float
    customer: float


def choose_pair(
    page: Page,
    places: Iterable[Place],
    found: tuple[Place | None, Place | None],
    labelled: tuple[bool, bool],
    sender: str | None,
    language: str | None = None,
) -> tuple[Place | None, Place | None]:
    """Return issuer and customer, each None without enough evidence.

    Args:
        page: The text.
        places: The names that may be of both.
        found: What other rules say are issuer and customer.
        labelled: Whether a label says so.
        sender: The sender of the mail that the text is of, or None.
        language: ISO 639-1, or None.
    """
    signed = _signed(page)
    own = [*places, *_places(page), *_bodies(page, language), *signed[1:][-1:]]
    kept = [*(each for each in found if each is not None), *own]
    kept = list(dict.fromkeys(kept))[:_MOST_PLACES]
    scored = _scored(page, kept, found, labelled, sender, language, signed)
    best: tuple[float, Place | None, Place | None] = (0.0, None, None)
    for one in [*scored, None]:
        for other in [*scored, None]:
            if one is not None and other is not None and is_of(one.place.name, other.place.name):
                continue
            score = (one.issuer - _LEAST if one else 0.0) + (
                other.customer - _LEAST if other else 0.0
            )
            if score > best[0]:
                best = score, one.place if one else None, other.place if other else None
    return best[1], best[2]


def is_of(name: str, other: str) -> bool:
    """Return whether one of two names is a part of the other one."""
    one, second = key_of(name), key_of(other)
    return one in second or second in one


def key_of(name: str) -> str:
    """Return the letters and digits of a name, folded."""
    return "".join(character for character in fold(name) if character.isalnum())


def _places(page: Page) -> Iterator[Place]:
    """Yield the names of a letterhead, at the top of address blocks, and after words for roles."""
    for index in range(min(_HEAD, len(page.lines))):
        start, end = page.lines[index]
        cut = _PART.search(page.text, start, end)
        companies = next(find_companies(page.text[start:end]), None)
        whole = _PLAIN_GAP.split(page.text[start:end], maxsplit=1)[0].rstrip(", ")
        if has_form(whole) and len(whole) <= _MOST_NAME:
            yield Place(whole, start, index)  # also with commas: Roe & Doe, Architects, Ltd
        elif companies is not None and companies[0] == 0:
            yield Place(companies[1], start, index)
        elif index == 0 or cut:
            until = cut.start() if cut else end
            if _may_be_name(page, start, until):
                yield Place(page.text[start:until].strip(), start, index)
    roles = {"seller", "buyer"}
    lines = {
        page.line_at(token.start)
        for token in page.tokens
        if roles & page.labels.roles_of(token.text)
    }
    for index in range(min(_MOST_LINES, len(page.lines))):
        start, end = page.lines[index]
        if index in lines:
            yield from _after_role(page, index)
        if not any(map(str.isdigit, page.text[start:end])):
            continue
        for cell in page.cells[index]:
            if TOWN.fullmatch(page.text[cell.start : cell.end].strip().rstrip(".")):
                top = _top(page, index, cell.column)
                if top is not None:
                    yield top


def _bodies(page: Page, language: str | None) -> Iterator[Place]:
    """Yield bodies without a legal form, and those that a sentence addresses the invoice to."""
    for index, (start, end) in enumerate(page.lines[:_MOST_BODY_LINES]):
        line = page.text[start:end]
        for cell in page.cells[index]:
            named = _BY_ADDRESS.match(page.folded, cell.start, cell.end)
            if named is not None:
                yield Place(page.text[cell.start : named.end()].strip(), cell.start, index)
        if line[-1].isdigit() and len(line) <= _MOST_NAME:
            continue  # an amount, a day or a street
        bodies = list(find_bodies(line, language))
        is_addressing = any(token.text in _BEFORE for token in page.tokens_between(start, end))
        companies = list(find_companies(line)) if bodies or is_addressing else []
        for at, name in bodies:
            if any(name in company for _, company in companies):
                continue
            if len(name) <= _MOST_NAME and _is_at_beginning(page, index, start + at):
                yield Place(name, start + at, index)
        for at, name in companies:
            if at and _is_addressed(page, index, start + at):
                yield Place(name, start + at, index)


def _signed(page: Page) -> list[Place]:
    """Return the names below the last closing of a letter: a person, then a company.

    Those of a letter without a company have the person last.
    """
    for index in range(len(page.lines) - 1, max(-1, len(page.lines) - _MOST_AFTER_CLOSING), -1):
        start, end = page.lines[index]
        if end - start > _MOST_NAME:
            continue
        if not _is_closing(page, start, end):
            continue
        found: list[Place] = []
        for below in range(index + 1, min(index + 1 + _SIGNATURE, len(page.lines))):
            first, last = page.lines[below]
            cut = _PART.search(page.text, first, last)
            until = cut.start() if cut else last
            if not _may_be_name(page, first, until):
                break
            found.append(Place(page.text[first:until].strip(), first, below))
            if cut is not None:
                break
        return found
    return []


def _is_closing(page: Page, start: int, end: int) -> bool:
    return " ".join(page.labels.words_of(page.folded[start:end])) in page.labels.closings


def _is_at_beginning(page: Page, index: int, start: int) -> bool:
    """Return whether a name begins a cell, or stands behind a colon or a word such as "to"."""
    cell = max((cell.start for cell in page.cells[index] if cell.start <= start), default=start)
    before = page.text[cell:start].rstrip()
    if not before or before.endswith(":") or _is_addressed(page, index, start):
        return True
    roles = [page.labels.roles_of(word) for word in page.labels.words_of(page.folded[cell:start])]
    return len(roles) <= _LABEL_WORDS and any("buyer" in each for each in roles)


def _is_addressed(page: Page, index: int, start: int) -> bool:
    """Return whether a sentence about the invoice has a word such as "to" before a name."""
    line = page.lines[index][0]
    words = [token.text for token in page.tokens_between(max(line, start - _MOST_LABEL), start)]
    if words and words[-1] in _BEFORE:
        return True
    while words and words[-1] in _ARTICLES:
        words.pop()
    if words and words[-1] in _BEFORE:
        return True
    near = page.hits_between(max(line, start - _MOST_LABEL), start)
    return any(
        "customer" in hit.kinds
        and " " in page.text[hit.start : hit.end]
        and not page.text[hit.end : start].strip()
        for hit in near
    )


def _top(page: Page, town: int, column: int) -> Place | None:
    """Return the name at the top of the block that ends with a town."""
    best: Place | None = None
    has_street = False
    for index in range(town - 1, max(-1, town - 1 - _HEIGHT), -1):
        if page.text[page.lines[index][1] : page.lines[index + 1][0]].count("\n") > 1:
            break
        cell = next(
            (each for each in page.cells[index] if abs(each.column - column) <= 2),
            page.cells[index][0] if len(page.cells[index]) == 1 and column < 4 else None,
        )
        if cell is None:
            break
        text = page.text[cell.start : cell.end].strip()
        folded = page.folded[cell.start : cell.end].strip()
        if _SALUTATION.fullmatch(folded):
            break
        if TOWN.fullmatch(text):
            break
        if DEPARTMENT.match(folded):
            continue
        if not _may_be_name(page, cell.start, cell.end):
            if has_street or best is not None:
                break
            has_street = _STREET.match(text) is not None
            if not has_street:
                break
            continue
        best = Place(text, cell.start, index)
        if has_form(text):
            break
    return best


def _after_role(page: Page, index: int) -> Iterator[Place]:
    """Yield the name after words for a seller or a buyer in a line: Payer Jane Doe."""
    for cell in page.cells[index]:
        tokens = page.tokens_between(cell.start, cell.end)
        for number, token in enumerate(tokens[:_LABEL_WORDS]):
            if not {"seller", "buyer"} & page.labels.roles_of(token.text):
                continue
            for after in tokens[number + 1 : number + 3]:
                text = page.text[after.start : cell.end]
                company = next(find_companies(text), None)
                if company is not None and company[0] == 0:
                    yield Place(company[1], after.start, index)
                    return
                if not number and after is tokens[1] and _is_person(page, after.start, cell.end):
                    yield Place(text.strip(), after.start, index)
                    return


def _is_person(page: Page, start: int, end: int) -> bool:
    """Return whether a part of a line is words with capitals that say nothing."""
    text = page.text[start:end].strip()
    if any(map(str.isdigit, text)) or _FULL_NAME.fullmatch(text) is None:
        return False
    words = page.labels.words_of(page.folded[start:end])
    return not page.hits_between(start, end) and not any(map(page.labels.roles_of, words))


def _may_be_name(page: Page, start: int, end: int) -> bool:
    text = page.text[start:end].strip()
    folded = page.folded[start:end].strip()
    if has_form(text) and len(text) <= _MOST_NAME:
        return True
    return (
        3 < len(text) <= _MOST_NAME
        and text[0].isupper()
        and len(text.split()) <= _MOST_WORDS
        and not any(map(str.isdigit, text))
        and not text.endswith((":", ".", "!", "?", ","))
        and "@" not in text
        and ":" not in text
        and not _SALUTATION.fullmatch(folded)
        and DEPARTMENT.match(folded) is None
        and not page.hits_between(start, start + 1)
        and next(page.labels.find_titles(page.folded, page.tokens_between(start, end)), None)
        is None
        and len(page.labels.find_columns(page.folded, page.tokens_between(start, end))) < 2
    )


def _scored(
    page: Page,
    places: Sequence[Place],
    found: tuple[Place | None, Place | None],
    labelled: tuple[bool, bool],
    sender: str | None,
    language: str | None,
    signed: Sequence[Place],
) -> list[_Scored]:
    domains = {key_of(match["domain"]) for match in _DOMAIN.finditer(page.text)}
    who = key_of(sender.split("<", 1)[0]) if sender else ""
    best: dict[str, _Scored] = {}
    for place in places:
        features = _features(page, place, found, labelled, domains, who, language)
        is_signed = place in signed
        is_company = is_signed and (
            bool(features["legal form"] or features["body"]) or place in signed[1:][-1:]
        )
        features["signature"] = is_company
        features["person who signs"] = is_signed and not is_company
        issuer = sum(_WEIGHTS[name][0] * count for name, count in features.items())
        customer = sum(_WEIGHTS[name][1] * count for name, count in features.items())
        known = best.get(place.name)
        if known is None:
            best[place.name] = _Scored(place, issuer, customer)
        else:  # the best of what its places say
            best[place.name] = _Scored(
                known.place, max(known.issuer, issuer), max(known.customer, customer)
            )
    return list(best.values())


def _features(
    page: Page,
    place: Place,
    found: tuple[Place | None, Place | None],
    labelled: tuple[bool, bool],
    domains: Set[str],
    who: str,
    language: str | None,
) -> dict[str, float]:
    issuer, customer = found
    end = _end_of_block(page, place.line)
    line_start, line_end = page.lines[place.line]
    score = sender_score(page, place.start, place.line, end) - _TOP_SCORE * (place.line == 0)
    is_low = place.line >= len(page.lines) - _FOOT and place.line > _FOOT
    roles = _roles_before(page, place)
    line = page.line(place.line)
    key = key_of(place.name)
    is_issuer = issuer is not None and issuer.name == place.name
    is_customer = customer is not None and customer.name == place.name
    own = page.text[place.start : place.start + len(place.name)]
    has_label = (is_issuer and labelled[0]) or (is_customer and labelled[1])
    return {
        "found as issuer": is_issuer,
        "found as customer": is_customer,
        "labelled as issuer": is_issuer and labelled[0],
        "labelled as customer": is_customer and labelled[1],
        "label of a seller": "seller" in roles and "buyer" not in roles,
        "label of a buyer": "buyer" in roles and "seller" not in roles,
        "first line": place.line == 0,
        "head": place.line < _HEAD,
        "like a sender": max(min(score, 4.0), 0.0),
        "polite": _is_polite(page, place),
        "window": score <= 0 and _is_window(page, place.line, end),
        "domain": len(key) >= _LEAST_KEY
        and any(key.startswith(each[:8]) or each.startswith(key) for each in domains if
                len(each) >= _LEAST_KEY),
        "mail's sender": len(who) >= _LEAST_KEY and (who in key or key in who),
        "legal form": has_form(place.name),
        "body": not has_form(place.name) and is_body(place.name, language),
        "addressed": _is_addressed(page, place.line, place.start),
        "second line": _is_second_line(page, place, language),
        "in the foot": is_low
        and line_end - line_start > _MOST_NAME
        and not has_label
        and _ADDRESS_AFTER.match(page.text, place.start + len(place.name)) is None,
        "label in it": _begins_with_role(page, place),
        "again": page.text.count(place.name) > 1,
        "greeting": line.endswith((",", "!")) and len(line) <= _MOST_NAME,
        "bank": BANK_NAME.search(place.name) is not None and not has_label,
        "no name": not own or _is_closing(page, place.start, place.start + len(own))
        or _LABEL_AT_END.fullmatch(fold(place.name)) is not None
        or _SALUTATION.fullmatch(fold(place.name)) is not None
        or DEPARTMENT.match(fold(place.name)) is not None
        or _DEPARTMENT_AT_END.fullmatch(fold(place.name)) is not None,
    }  # fmt: skip


def _roles_before(page: Page, place: Place) -> frozenset[str]:
    """Return what the words before a name in its cell, or the short line above it, say."""
    _, number, cell = page.cell_of(place.start)
    before = page.folded[cell.start : place.start]
    if not any(map(str.isalpha, before)) and number:
        other = page.cells[place.line][number - 1]
        before = page.folded[other.start : other.end]
    if not any(map(str.isalpha, before)) and place.line:
        start, end = page.lines[place.line - 1]
        hits = page.hits_between(start, start + 1)
        if end - start <= _MOST_NAME and any(
            {"issuer", "customer"} & set(hit.kinds) for hit in hits
        ):
            before = page.folded[start:end]
    words = page.labels.words_of(before)
    if not words or len(words) > _MOST_WORDS:
        return frozenset()
    if words[-1] in _TO:
        return frozenset({"buyer"})  # the bill is issued to
    return frozenset().union(*map(page.labels.roles_of, words))


def _begins_with_role(page: Page, place: Place) -> bool:
    """Return whether the first word of a name is rather the label before it: Payer Jane Doe."""
    first = next(iter(page.tokens_between(place.start, place.start + len(place.name))), None)
    if first is None or first.end >= place.start + len(place.name):
        return False
    return bool({"seller", "buyer"} & page.labels.roles_of(first.text))


def _is_polite(page: Page, place: Place) -> bool:
    start, _ = page.lines[place.line]
    if HONORIFIC.match(page.folded, start, place.start + 1):
        return True
    if not place.line:
        return False
    above_start, above_end = page.lines[place.line - 1]
    is_near = page.text[above_end:start].count("\n") == 1
    return is_near and _SALUTATION.fullmatch(page.folded, above_start, above_end) is not None


def _is_second_line(page: Page, place: Place, language: str | None) -> bool:
    """Return whether a name without a legal form is directly below another one in its block."""
    if not place.line or has_form(place.name) or place.start != page.lines[place.line][0]:
        return False
    above_start, above_end = page.lines[place.line - 1]
    if page.text[above_end : place.start].count("\n") > 1:
        return False
    text = page.text[above_start:above_end]
    company = next(find_companies(text), None)
    if company is not None and company[0] == 0 and len(company[1]) == len(text):
        return True
    return is_body(text, language) and not is_body(place.name, language)


def _is_window(page: Page, index: int, end: int) -> bool:
    """Return whether the lines below a name are those of an address, and short."""
    for below in range(index + 1, min(index + _HEIGHT, len(page.lines))):
        start, stop = page.lines[below]
        if stop > end or stop - start > _MOST_NAME or ":" in page.text[start:stop]:
            return False
        if TOWN.fullmatch(page.text, start, stop):
            return True
    return False


def _end_of_block(page: Page, index: int) -> int:
    """Return the end of the lines that belong to a name: its address, and its numbers below."""
    end = page.lines[index][1]
    is_below = False
    for below in range(index + 1, min(index + _HEIGHT, len(page.lines))):
        start, stop = page.lines[below]
        if page.text[end:start].count("\n") > 1 or _is_next_block(page, below):
            break
        if is_below and not _has_details(page, start, stop):
            break
        is_below = is_below or TOWN.fullmatch(page.text, start, stop) is not None
        end = stop
    return end


def _has_details(page: Page, start: int, end: int) -> bool:
    """Return whether a line below a town begins with a number of a register, or has a contact."""
    return (
        bool(page.hits_between(start, start + 1))
        or CONTACT.search(page.text, start, end) is not None
    )


def _is_next_block(page: Page, index: int) -> bool:
    """Return whether another company begins at a line."""
    text = page.line(index)
    company = next(find_companies(text), None)
    return company is not None and company[0] == 0
