"""Who issues an invoice and who is to pay it, with the numbers under which each is registered."""

# ruff: noqa: RUF001 - it has words in Russian

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from qtforge_builtin_plugins.documents.facts.blocks import (
    DEPARTMENT,
    HONORIFIC,
    TOWN,
    Block,
    find_blocks,
)
from qtforge_builtin_plugins.documents.facts.companies import (
    CAMEL_WORD,
    FORMS,
    find_companies,
    has_form,
    without_form,
)
from qtforge_builtin_plugins.documents.facts.correspondents import Mention, find_mentions
from qtforge_builtin_plugins.documents.facts.counterparties import Place, choose_pair
from qtforge_builtin_plugins.documents.facts.labels import fold
from qtforge_builtin_plugins.documents.facts.page import Cell, Page
from qtforge_builtin_plugins.documents.facts.registers import (
    PLAIN_VAT,
    REGISTERED,
    labelled_numbers,
)

__all__ = ["Business", "Businesses", "find_businesses", "find_recipient"]

_PERSON: Final = re.compile(
    r"[^\W\d_a-zß-öø-ÿа-я][\w'’-]+(?: (?:de|da|dos|del|della|van|von|der|den|di)){0,2}"
    r"(?: [^\W\d_a-zß-öø-ÿа-я][\w'’.-]*){1,3}"
)
_TITLES: Final = re.compile(
    r"(?:(?:Herrn?|Frau|Mr|Mrs|Ms|Miss|Mme|Mlle|Monsieur|Madame|Dhr|Mevr|Mw|Sig|Sig\.ra|Sr|Sra|Srta"
    r"|Don|Doña|Dña|Pan|Pani|Sayın|Sn)\.? |(?:M|D)\. |D[ªº]\.? )+(?=[^\W\d_a-zß-öø-ÿа-я])"
    r"|(?:An|To|Aan|Til|Till|Ao|Aos|Alla|Spett\.le) (?=[^\W\d_a-zß-öø-ÿа-я][^\n]*"
    r" (?:GmbH|AG|KG|OHG|Ltd|B\.?V\.?|N\.?V\.?|A/S|ApS|AB|Lda|S\.?r\.?l|S\.?p\.?A)\b)"
)
_DATIVE: Final = re.compile(r"['’][ny]?[ea]$")  # the Turkish ending for "to"
_DESCRIPTION: Final = re.compile(r" [–—·|] ")  # Jane Doe, Photography, with a dash
_DIGITS: Final = re.compile(r"\d{3}")
_MONEY: Final = re.compile(r"\d[.,]\d\d(?!\d)|[$€£]")
_MAIL: Final = re.compile(r"[\w.+-]+@(?P<domain>[\w.-]+)")
_POSTAL: Final = re.compile(
    r"\b(?:[A-Z]{1,2}-)?\d{2,6}(?:[- ]\d{2,4})?\b|\b[A-Z]{1,2}\d{1,2}[A-Z]? ?\d[A-Z]{2}\b"
    r"|\b[A-Z]\d[\dW] ?[A-Z\d]{4}\b"
)
_ANY_LABEL: Final = re.compile(r"[^\W\d_][^\d:,\t]{1,40}:\s+")
_STREET: Final = re.compile(r"(?=[^\n]{3,60}$)[^\n]*\d[^\n]*")
_PARTICLE: Final = re.compile(
    r"(?:von der|von|vom|van der|van den|van|zum|zur|de la|de|di|da|ter|'t|af|av) "
)
# What may be before "Ltd. Şti." on a line of its own.
_FORM_PARTS: Final = frozenset({"", "tic", "ticaret", "sanvetic", "vetic", "sanayi", "san"})
_MOST_ADDRESS: Final = 9  # lines below a customer's name that are about the customer
_CAMEL: Final = re.compile(CAMEL_WORD)
_BAND: Final = frozenset({"issuer", "customer"})
_MOST_BAND: Final = 90
_ONLY_FORM: Final = re.compile(FORMS)
_OVER_LINE: Final = 24  # characters of a number in the next line
_MOST_ONE_LINE: Final = 120
# The last words before the name in "The invoice is issued to Jane Doe".
_TO: Final = re.compile(
    r"(?:[^\W\d_][^\d,:]{0,50} )?(?:[Tt]il"
    r"|[Tt]o|[Aa]n|[Aa]o|[Aa]an|[Tt]ill|[Dd]la|[Pp]ara|[Pp]our|[Àà]|[Aa])"
    r" (?=[^\W\d_a-z])"
)
_LEAST_DOMAIN: Final = 4
_MOST_DOMAIN: Final = 8
# Those that are called by their address: Condominio Via Mazzini 14.
_NAMED_BY_ADDRESS: Final = re.compile(
    r"(?:condominio|comunidad de propietarios|copropriete|syndicat|weg |wspolnota|ejerforening"
    r"|bostadsratt|brf |vve |residence|тсж|wohnungseigentum|stockwerkeigentum|hausgemeinschaft)"
)
# Szkoła Podstawowa nr 4
_NUMBERED: Final = re.compile(r"[^\W\d_][^\d]{3,50} (?:[Nn][rº°o]\.?|№|[Nn]\.) ?\d{1,4}")
_INDENT: Final = 12  # characters; more is a column of its own
_SHIFT: Final = 2
_MOST_BLOCKS: Final = 60
_MOST_NAME: Final = 60
_MOST_NAMES: Final = 200
_SHORT_LABELS: Final = frozenset({"a", "to", "de", "da", "di", "an", "von", "van", "aan", "til",
                                  "fra", "from", "till", "fran", "per", "pour", "para", "od", "do",
                                  "dla",
                                  "doit", "frau", "firma", "ditta", "for"})  # fmt: skip
_MOST_LINES: Final = 2_000
_MARGIN: Final = 2.0  # by which a name is more like the sender's than another one
_LIKELY: Final = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Business:
    """A company or a person.

    Attributes:
        name: As written.
        start: The position of the name.
        evidence: The line.
        confidence: 0 to 1.
        vat_id: Without spaces, or None.
        company_number: As written, or None.
    """

    name: str
    start: int
    evidence: str
    confidence: float
    vat_id: str | None = None
    vat_evidence: str = ""
    company_number: str | None = None
    company_evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Businesses:
    """Issuer and customer; each is None when it was not found."""

    issuer: Business | None = None
    customer: Business | None = None


@dataclass(frozen=True, slots=True)
class _Name:
    text: str
    start: int
    column: int
    line: int


def find_businesses(
    page: Page, sender: str | None = None, language: str | None = None
) -> Businesses:
    """Return issuer and customer with their numbers.

    Args:
        page: The text.
        sender: The sender of the mail that the text is of, as in its header; None for others.
        language: ISO 639-1, or None; tells names of bodies without a legal form.
    """
    names = list(_names(page))
    labelled = {kind: _labelled(page, kind) for kind in ("issuer", "customer")}
    beside = _side_by_side(page)
    if beside is not None:
        labelled = {**labelled, **beside}
    issuer, customer = labelled["issuer"], labelled["customer"]
    first = _first_of_bands(page) if beside is None else None
    is_banded = first is not None
    if first is not None:
        # Blocks that were columns follow each other below the row of their labels.
        issuer, customer = first, _addressee(page, names, first)
    if (
        issuer
        and customer
        and (
            issuer.text == customer.text
            or (issuer.line == customer.line and _is_of(issuer.text, customer.text))
        )
    ):
        issuer = labelled["issuer"] = None
    if sender is not None and beside is None:
        first, addressed = _in_mail(page, names, sender)
        customer = addressed if customer is None or _is_greeting(page, customer) else customer
        if issuer is None and (
            customer is None or first is None or not _is_of(first.text, customer.text)
        ):
            issuer = first
    if beside is None and issuer is None and (customer is None or _is_attention(page, customer)):
        blocks = _by_blocks(page)
        if blocks is not None:
            issuer, customer = blocks
    if issuer is None:
        issuer = _by_evidence(page, names, customer)
    if customer is None:
        customer = (
            _in_block(page, issuer)
            or _addressee(page, names, issuer)
            or _on_one_line(page, issuer)
            or _other(page, names, issuer)
        )
    if beside is None:
        issuer, customer = _by_surroundings(
            page, labelled, issuer, customer, is_mail=sender is not None
        )
        if not (is_banded or all(labelled.values())):
            issuer, customer = _likeliest(
                page, names, labelled, (issuer, customer), sender, language
            )
    issuer, customer = _without_titles(issuer), _without_titles(customer)
    numbers = _numbers(page, issuer, customer, names)
    if beside is not None:
        _share(page, list(beside), numbers)
    return Businesses(
        issuer=_business(page, issuer, numbers["issuer"], labelled["issuer"] is not None),
        customer=_business(page, customer, numbers["customer"], labelled["customer"] is not None),
    )


def _likeliest(
    page: Page,
    names: Sequence[_Name],
    labelled: Mapping[str, _Name | None],
    found: tuple[_Name | None, _Name | None],
    sender: str | None,
    language: str | None,
) -> tuple[_Name | None, _Name | None]:
    """Return the pair of all names for which most speaks, with what was found as evidence."""
    known = {each.start: each for each in (*names, *found) if each is not None}
    first, second = (None if each is None else _place_of(each) for each in found)
    issuer, customer = choose_pair(
        page,
        map(_place_of, names),
        (first, second),
        (labelled["issuer"] is not None, labelled["customer"] is not None),
        sender,
        language,
    )

    def name(place: Place | None) -> _Name | None:
        if place is None:
            return None
        same = known.get(place.start)
        if same is not None and same.text == place.name:
            return same
        return _Name(place.name, place.start, 0, place.line)

    return name(issuer), name(customer)


def _without_titles(name: _Name | None) -> _Name | None:
    """Return a name without a form of address before it, and without what is no part of it."""
    if name is None:
        return None
    title = _TITLES.match(name.text)
    at = title.end() if title else 0
    text = _DATIVE.sub("", name.text[at:])
    if not has_form(text):
        text = _DESCRIPTION.split(text, maxsplit=1)[0]
    return replace(name, text=text, start=name.start + at) if text != name.text else name


def _place_of(name: _Name) -> Place:
    return Place(name.text, name.start, name.line)


def _by_surroundings(
    page: Page,
    labelled: Mapping[str, _Name | None],
    issuer: _Name | None,
    customer: _Name | None,
    *,
    is_mail: bool,
) -> tuple[_Name | None, _Name | None]:
    """Return issuer and customer after a look at what stands near each name."""
    mentions = find_mentions(page)
    if not mentions:
        return issuer, customer

    def score(name: _Name | None) -> float | None:
        scores = [each.score for each in mentions if name and _is_of(each.name, name.text)]
        return max(scores, default=None)

    best = max(mentions, key=lambda each: each.score)
    own, other = score(issuer), score(customer)
    is_labelled = labelled["issuer"] is not None
    if not any(labelled.values()) and own is not None and other is not None:
        if other >= own + _MARGIN:
            issuer, customer = customer, issuer
    elif (
        own is None
        and not is_labelled
        and best.score >= _LIKELY
        and (issuer is None or not (is_mail or has_form(issuer.text)))
    ):
        is_customer = customer is not None and _is_of(best.name, customer.text)
        if is_customer and labelled["customer"] is None and issuer is None:
            customer = None
        if not is_customer or customer is None:
            issuer = _placed(best)
    others = [each for each in mentions if issuer is None or not _is_of(each.name, issuer.text)]
    if customer is not None:
        # The name may be a part of what was taken, or above a further line of the block.
        better = next((each for each in others if _is_better(each, customer)), None)
        if better is not None:
            return issuer, _placed(better)
    is_beside = is_mail and labelled["customer"] is None
    if customer is None or _is_doubtful(page, customer, issuer, is_beside=is_beside):
        # In a mail the names without a label are the sender's.
        most = -1.0 if is_mail else 0.0
        likely = [each for each in others if each.score < most]
        customer = _placed(min(likely, key=lambda each: each.score)) if likely else None
    return issuer, customer


def _is_better(mention: Mention, name: _Name) -> bool:
    longer, shorter = name.text, mention.name
    before = longer.removesuffix(f" {shorter}")
    is_end = before != longer and any(map(str.islower, before.split()[-1:]))
    return (is_end and has_form(shorter)) or (
        mention.line == name.line - 1 and has_form(shorter) and not has_form(longer)
    )


def _is_doubtful(page: Page, name: _Name, issuer: _Name | None, *, is_beside: bool) -> bool:
    """Return whether a customer's name is the issuer's, a greeting, a title or a label."""
    end = name.start + len(name.text)
    return (
        (issuer is not None and _is_of(name.text, issuer.text))
        or (is_beside and issuer is not None and name.line == issuer.line + 1)
        or any("date" in hit.kinds for hit in page.hits_between(name.start, end))
        or HONORIFIC.fullmatch(fold(name.text)) is not None
        or _is_greeting(page, name)
    )


def _placed(mention: Mention) -> _Name:
    return _Name(mention.name, mention.start, 0, mention.line)


def _by_blocks(page: Page) -> tuple[_Name, _Name] | None:
    """Return issuer and customer of the first two blocks of addresses, or None."""
    blocks = find_blocks(page)
    first = next(iter(blocks), None)
    other = next((each for each in blocks if first and not _is_of(each.name, first.name)), None)
    if first is None or other is None:
        return None
    # The same name may be whole in another line.
    first = max(
        (each for each in blocks if _is_of(each.name, first.name)),
        key=lambda each: (has_form(each.name), -each.start),
    )
    if other.score > first.score:
        first, other = other, first
    return _name_of(first), _name_of(other)


def _in_block(page: Page, issuer: _Name | None) -> _Name | None:
    """Return the name of the first block of an address that is not the issuer's."""
    others = (
        each for each in find_blocks(page) if issuer is None or not _is_of(each.name, issuer.text)
    )
    block = next(others, None)
    return _name_of(block) if block else None


def _in_mail(page: Page, names: Sequence[_Name], sender: str) -> tuple[_Name | None, _Name | None]:
    """Return the name that signs a mail, and the one after a label with its address."""
    signing: list[_Name] = []
    addressed: _Name | None = None
    for index, (line_start, end) in enumerate(page.lines[:_MOST_LINES]):
        text = page.text[line_start:end].rstrip(".")
        label = _ANY_LABEL.match(text) or _TO.match(text)
        own = text[label.end() :] if label else text
        name, *address = [part.strip() for part in own.split(",")]
        start = line_start + (label.end() if label else 0)
        is_addressed = bool(address) and _has_address(address) and name[:1].isupper()
        is_association = bool(address) and name.startswith(("vzw ", "asbl ", "stichting "))
        if not is_addressed and not is_association:
            continue
        company = _company_at(page, start, end, index)
        placed = _Name(company or name, start, 0, index)
        if len(placed.text) > _MOST_NAME:
            continue
        if label is not None:
            addressed = addressed or placed
        else:
            signing.append(placed)
    words, domain = _sender(sender)
    best = next((each for each in signing if _is_senders(each.text, words, domain)), None)
    if best is None:
        best = next((each for each in names if _is_senders(each.text, words, domain)), None)
    if best is None and all(addressed and _is_of(each.text, addressed.text) for each in names):
        best = _line_of(page, words, domain)
        best = best or next(iter(signing), None)
    return best, addressed


def _sender(sender: str) -> tuple[str, str]:
    """Return the folded name of a sender, and the letters of the domain of the address."""
    match = _MAIL.search(sender)
    domain = match["domain"].rsplit(".", 1)[0] if match else ""
    return fold(sender.split("<", 1)[0].strip(' "')), _key(domain)


def _is_senders(name: str, words: str, domain: str) -> bool:
    """Return whether a name is the sender's, or has the letters of its domain."""
    key = _key(name)
    return bool(words) and (
        _key(words) in key
        or (len(domain) >= _LEAST_DOMAIN and domain[:_MOST_DOMAIN] in key)
        or (len(domain) >= _LEAST_DOMAIN and all(part in key for part in _long_words(words)))
    )


def _long_words(words: str) -> list[str]:
    return [word for word in words.split() if len(word) > _LEAST_DOMAIN] or ["\0"]


def _line_of(page: Page, words: str, domain: str) -> _Name | None:
    """Return a line with the letters of the domain, or that begins with the sender's name."""
    lines = [
        (index, start, page.text[start:end])
        for index, (start, end) in enumerate(page.lines[:_MOST_LINES])
        if end - start <= _MOST_NAME and not any(map(str.isdigit, page.text[start:end]))
    ]
    for index, start, line in lines:
        if len(domain) > _LEAST_DOMAIN and domain in _key(line) and "@" not in line:
            return _Name(line, start, 0, index)
    for index, start, line in lines:
        if len(words) > _LEAST_DOMAIN and fold(line).startswith(words):
            return _Name(line.rstrip(",. "), start, 0, index)
    return None


def _has_address(parts: Sequence[str]) -> bool:
    """Return whether the parts after a name are a street and a town."""
    return len(parts) > 1 and any(map(str.isdigit, "".join(parts[:2]))) and (
        TOWN.fullmatch(parts[-1]) is not None or parts[-1].isalpha()
    )  # fmt: skip


def _is_greeting(page: Page, name: _Name) -> bool:
    """Return whether a name is in a greeting, which is on a line of its own with a comma."""
    line = page.line(name.line)
    return line.endswith((",", "!")) and len(line) <= _MOST_NAME


def _name_of(block: Block) -> _Name:
    return _Name(block.name, block.start, 0, block.line)


def _is_attention(page: Page, name: _Name) -> bool:
    """Return whether a name follows words such as "for the attention of"."""
    start, _ = page.lines[name.line]
    return DEPARTMENT.match(page.folded, start, name.start) is not None


def find_recipient(recipients: Sequence[str], issuer: Business | None) -> str | None:
    """Return the first recipient of a mail that is not the issuer.

    Args:
        recipients: Names.
        issuer: Of the invoice in the mail, or None.
    """
    return next(
        (each for each in recipients if issuer is None or not _is_of(each, issuer.name)), None
    )


def _business(
    page: Page, name: _Name | None, numbers: dict[str, tuple[str, str]], is_labelled: bool
) -> Business | None:
    if name is None:
        return None
    vat, company = numbers.get("vat_id"), numbers.get("company_number")
    return Business(
        name=name.text,
        start=name.start,
        evidence=page.line(name.line)[:200],
        confidence=0.9 if is_labelled else 0.7,
        vat_id=vat[0] if vat else None,
        vat_evidence=vat[1] if vat else "",
        company_number=company[0] if company else None,
        company_evidence=company[1] if company else "",
    )


def _names(page: Page) -> Iterator[_Name]:
    """Yield the companies at the beginnings of cells, and after labels."""
    count = 0
    for index, cells in enumerate(page.cells[:_MOST_LINES]):
        for cell in cells:
            name = _company_at(page, cell.start, cell.end, index)
            if name is not None:
                yield _Name(name, cell.start, cell.column, index)
                count += 1
                if count == _MOST_NAMES:
                    return


def _company_at(page: Page, start: int, end: int, index: int) -> str | None:
    """Return the company that a part of a line begins with; its form may be on the next line."""
    text = page.text[start:end].rstrip()
    found = next(find_companies(text), None)
    if found is not None and found[0] == 0 and not _is_bank(page, start):
        return found[1]
    particle = _PARTICLE.match(text)
    if particle is not None:
        own = next(find_companies(text[particle.end() :]), None)
        if own is not None and own[0] == 0:
            return f"{particle[0]}{own[1]}"
    if found is None and end == page.lines[index][1] and len(text) < 60 and text[:1].isupper():
        # De Vries & Dochters Advies / V.O.F.
        following = page.line(index + 1).split("\t")[0]
        is_label = bool(page.hits_between(start, start + 1))
        own = next(find_companies(following), None)
        is_rest = own is None or own[0] > 0 or text.endswith(("&", "+", " y", " e", " et", " und"))
        is_rest = is_rest or _key(without_form(own[1])) in _FORM_PARTS if own else is_rest
        is_rest = is_rest or _has_mail(page, f"{text} {without_form(own[1])}" if own else text)
        if 0 < len(following) <= 24 and not is_label and is_rest:
            joined = f"{text} {following}"
            both = next(find_companies(joined), None)
            if both is not None and both[0] == 0 and len(both[1]) == len(joined):
                return both[1] if has_form(both[1]) and not any(map(str.isdigit, text)) else None
    return None


def _has_mail(page: Page, name: str) -> bool:
    """Return whether the text has a mail address with all letters of a name as its domain."""
    key = _key(name)
    domains = (_key(match["domain"].rpartition(".")[0]) for match in _MAIL.finditer(page.text))
    return any(domain == key for domain in domains)


def _is_bank(page: Page, start: int) -> bool:
    """Return whether a name is that of a bank, which follows its label."""
    line = page.line_at(start)
    before = page.hits_between(max(0, start - 40), start + 1)
    near = [hit for hit in before if "bank" in hit.kinds and page.line_at(hit.end) == line]
    return bool(near)


def _labelled(page: Page, kind: str) -> _Name | None:
    """Return the name after or below a label such as ``Bill to``."""
    candidates: list[tuple[int, _Name]] = []
    for hit in page.hits:
        if kind not in hit.kinds or not page.is_anchored(hit):
            continue
        index, number, cell = page.cell_of(hit.start)
        if page.text[cell.start : hit.start].strip(" -–*•#"):
            continue
        after = page.text[hit.end : cell.end]
        cells = page.cells[index]
        if number + 1 < len(cells) and page.text[cells[number + 1].start].isdigit():
            continue  # "Emitida a" is followed by a day
        colon = after.lstrip()[:1] == ":"
        words = page.folded[hit.start : hit.end].strip(".")
        rest = after.lstrip(" :\t.,")
        at = cell.end - len(rest)
        if rest:
            if not colon and (words in _SHORT_LABELS or not has_name(rest)):
                continue
            name = _name_in(page, at, cell.end, index)
            if name:
                candidates.append((3 if colon else 2, _Name(name, at, cell.column, index)))
            continue
        if not colon and words in _SHORT_LABELS and len(page.text[cell.start : cell.end]) > 12:
            continue
        if number + 1 < len(cells) and len(cells) == 2 and cells[1].column - cell.column < 40:
            beside = cells[number + 1]
            name = _name_in(page, beside.start, beside.end, index)
            if name and not page.hits_between(beside.start, beside.start + 1):
                candidates.append((2, _Name(name, beside.start, beside.column, index)))
                continue
        below = _below(page, index, number, cell)
        if below is not None:
            line, under = below
            name = _name_in(page, under.start, under.end, line)
            if name:
                candidates.append((3, _Name(name, under.start, under.column, line)))
    if not candidates:
        return None
    # Names with a legal form are surer than others.
    return max(candidates, key=lambda each: (has_form(each[1].text), each[0], -each[1].start))[1]


def _side_by_side(page: Page) -> dict[str, _Name | None] | None:
    """Return both names of two columns whose lines were joined: From To / Acme Ltd Blue Ltd."""
    for index, (start, end) in enumerate(page.lines[:_MOST_LINES]):
        roles = [
            role for hit in page.hits_between(start, end)
            for role in ("issuer", "customer") if role in hit.kinds
        ]  # fmt: skip
        if sorted(roles) != ["customer", "issuer"] or index + 1 >= len(page.lines):
            continue
        below_start, below_end = page.lines[index + 1]
        companies = list(find_companies(page.text[below_start:below_end]))
        if len(companies) == 2 and len(page.cells[index + 1]) == 1:
            return {
                role: _Name(name, below_start + at, at, index + 1)
                for role, (at, name) in zip(roles, companies, strict=True)
            }
    return None


def _first_of_bands(page: Page) -> _Name | None:
    """Return the issuer, whose block is the first one below a row such as Seller Buyer Ship to."""
    for index, (start, end) in enumerate(page.lines[: min(_MOST_LINES, len(page.lines) - 1)]):
        hits = [hit for hit in page.hits_between(start, end) if _BAND & set(hit.kinds)]
        if len(hits) < 2 or "issuer" not in hits[0].kinds or hits[0].start != start:
            continue
        if not any("customer" in hit.kinds for hit in hits[1:]) or len(page.cells[index]) > 1:
            continue
        if end - start > _MOST_BAND or any(map(str.isdigit, page.text[start:end])):
            continue
        below_start, below_end = page.lines[index + 1]
        name = _company_at(page, below_start, below_end, index + 1)
        if name is None:
            name = _name_in(page, below_start, below_end, index + 1)
        if name is not None:
            return _Name(name, below_start, 0, index + 1)
    return None


def _share(
    page: Page, roles: Sequence[str], numbers: dict[str, dict[str, tuple[str, str]]]
) -> None:
    """Give the two numbers of a line to the columns that they are in."""
    for kind in ("vat_id", "company_number"):
        found = [
            (page.line_at(hit.start), value, shown)
            for hit, each, value, shown in labelled_numbers(page)
            if each == kind
        ]
        for one, other in itertools.pairwise(found):
            if one[0] == other[0]:
                numbers[roles[0]][kind] = (one[1], one[2])
                numbers[roles[1]][kind] = (other[1], other[2])
                break


def _below(page: Page, index: int, number: int, cell: Cell) -> tuple[int, Cell] | None:
    """Return the cell under a label, in one of the next two lines."""
    for line in (index + 1, index + 2):
        if line >= len(page.lines):
            return None
        cells = page.cells[line]
        if len(page.cells[index]) == 1 and cell.column < 12:
            under: Cell | None = cells[0]
        else:
            under = next((each for each in cells if abs(each.column - cell.column) <= 3), None)
        if under is not None and re.search(r"[^\W\d_]", page.text[under.start : under.end]):
            first = page.text[under.start : under.end].strip("():")
            if first == page.text[under.start : under.end]:
                return line, under
    return None


def has_name(text: str) -> bool:
    """Return whether a text begins with a company or a person."""
    found = next(find_companies(text[:100]), None)
    return (found is not None and found[0] == 0) or _PERSON.match(text) is not None


def _name_in(page: Page, start: int, end: int, index: int) -> str | None:
    text = page.text[start:end]
    if page.hits_between(start, start + 1) and not has_name(text):
        return None
    company = _company_at(page, start, end, index)
    if company is not None:
        return company
    label = next(
        (
            hit for hit in page.hits_between(start + 1, end)
            if page.folded[hit.end : hit.end + 2].lstrip()[:1] == ":"
        ),
        None,
    )  # fmt: skip
    if label is not None and not any(map(str.isdigit, text[: label.start - start])):
        text = text[: label.start - start]  # Guest Name: Jane Doe Date: 31/12/2017
    own = _ANY_LABEL.match(text)
    if own is not None and has_name(text[own.end() :]):
        return _name_in(page, start + own.end(), end, index)  # Nome: Jane Doe
    first = text.split(",", 1)[0].strip()
    if _NAMED_BY_ADDRESS.match(fold(first)) and len(first) <= _MOST_NAME:
        return first
    is_long = len(first.split()) > 8 or len(first) > _MOST_NAME
    if _NUMBERED.fullmatch(first) and not is_long:
        return first
    if any(map(str.isdigit, first)) or is_long:
        # Ida Skov Havnegade 32: the name is the first two words, or those before a small one.
        person = _PERSON.match(first)
        if person is None:
            return None
        words = person[0].split()
        return " ".join(words[: 3 if _is_patronymic(words) else 2])
    is_name = first[:1].isupper() or _CAMEL.match(first) is not None
    return first if is_name and not first.endswith(":") else None


def _is_patronymic(words: Sequence[str]) -> bool:
    return len(words) > 2 and words[2].endswith(("вич", "вна", "ична"))


def _by_evidence(page: Page, names: Sequence[_Name], customer: _Name | None) -> _Name | None:
    """Return the company with the address of the mail, or that is named most, or first."""
    others = [
        name for name in names
        if customer is None
        or not (
            _same(name.text, customer.text)
            or (name.line == customer.line and _is_of(name.text, customer.text))
        )
    ]  # fmt: skip
    if not others:
        return _first_line(page, customer.text if customer else None)
    domains = ["".join(filter(str.isalnum, fold(match["domain"])))
               for match in _MAIL.finditer(page.text[:60_000])]  # fmt: skip
    counts = Counter(_key(name.text) for name in others)

    def rank(name: _Name) -> tuple[bool, int, int]:
        key = _key(without_form(name.text))
        is_mail = any(_alike(key, domain) for domain in domains)
        return (is_mail, counts[_key(name.text)], -name.start)

    return max(others, key=rank)


def _is_heading(page: Page, start: int, end: int) -> bool:
    """Return whether a line is the heading of a table."""
    tokens = page.tokens_between(start, end)
    return len(page.labels.find_columns(page.folded, tokens)) > 1


def _first_line(page: Page, customer: str | None) -> _Name | None:
    """Return the first line, which is the issuer's name on a till receipt."""
    for index in range(min(3, len(page.lines))):
        start, end = page.lines[index]
        text = page.text[start:end]
        if text.endswith((",", "!", ":")):
            return None  # a greeting
        is_label = bool(page.hits_between(start, start + 1)) or _is_heading(page, start, end)
        title = next(page.labels.find_titles(page.folded, page.tokens_between(start, end)), None)
        if title is not None and title[2] == end and title[1] - start > 3:
            # Northwind Paper INVOICE
            text = page.text[start : title[1]].strip(" -–|")
            title = None
        is_plain = title is None and not is_label and text.strip()[:1].isalpha()
        is_plain = is_plain and not any(map(str.isdigit, text))
        if is_plain and len(text) < 60 and (customer is None or not _same(text, customer)):
            return _Name(text.strip(), start, 0, index)
    return None


def _alike(name: str, domain: str) -> bool:
    """Return whether the name's letters are the beginning of a mail's domain."""
    short = "".join(character for character in name if character.isalnum())
    if len(short) < 4:
        return False
    return (
        short[:8] in domain or domain[: max(6, len(short) - 3)] == short[: max(6, len(short) - 3)]
    )


def _key(name: str) -> str:
    return "".join(character for character in fold(name) if character.isalnum())


def _same(one: str, other: str) -> bool:
    return _key(one) == _key(other)


def _other(page: Page, names: Sequence[_Name], issuer: _Name | None) -> _Name | None:
    """Return the first company that is not the issuer, else a person above an address."""
    for name in names:
        if issuer is None or not (
            _key(issuer.text) in _key(name.text) or _key(issuer.text).startswith(_key(name.text))
        ):
            return name
    for index in range(min(len(page.lines) - 2, _MOST_LINES)):
        for number, cell in enumerate(page.cells[index]):
            person = page.text[cell.start : cell.end].strip()
            if not _PERSON.fullmatch(person) or (issuer and _same(person, issuer.text)):
                continue
            street, town = _under(page, index, number, cell)
            is_street = re.search(r"\d", street) and not _MONEY.search(street) and len(street) < 60
            is_label = page.hits_between(cell.start, cell.start + 1)
            if (
                is_street
                and _POSTAL.search(town)
                and not _MONEY.search(town)
                and not is_label
                and not _is_heading(page, cell.start, cell.end)
            ):
                return _Name(person, cell.start, cell.column, index)
    return None


def _addressee(page: Page, names: Sequence[_Name], issuer: _Name | None) -> _Name | None:
    """Return the name above the first address that is not the issuer's."""
    companies = {name.start: name for name in names}
    count = 0
    for index in range(2, min(_MOST_LINES, len(page.lines))):
        for cell in page.cells[index]:
            if cell.end - cell.start > _MOST_NAME or not _DIGITS.search(
                page.text, cell.start, cell.end
            ):
                continue
            text = page.text[cell.start : cell.end].strip()
            if not TOWN.fullmatch(text) or page.hits_between(cell.start, cell.start + 1):
                continue
            count += 1
            if count > _MOST_BLOCKS:
                return None
            name = _above(page, index, cell, companies)
            if name is not None and (issuer is None or not _is_of(name.text, issuer.text)):
                return name
    return None


def _on_one_line(page: Page, issuer: _Name | None) -> _Name | None:
    """Return the name that is before its address: Jane Doe, 24 Mill Lane, Leeds LS1 4DY.

    A label that is not known may be before it.
    """
    for index, (start, end) in enumerate(page.lines[:_MOST_LINES]):
        label = _ANY_LABEL.match(page.text, start, end)
        start = label.end() if label else start
        text = page.text[start:end]
        if len(text) > _MOST_ONE_LINE or "," not in text:
            continue
        name, *address = [part.strip() for part in text.split(",")]
        if len(address) < 2 or not TOWN.fullmatch(address[-1]) or _MONEY.search(text):
            continue
        if not any(map(str.isdigit, "".join(address[:-1]))) or any(map(str.isdigit, name)):
            continue
        is_other = issuer is None or not _is_of(name, issuer.text)
        if is_other and _is_name(page, start, start + len(name)):
            return _Name(name, start, 0, index)
    return None


def _is_of(name: str, issuer: str) -> bool:
    one, other = _key(name), _key(issuer)
    return one in other or other in one


def _above(page: Page, town: int, cell: Cell, companies: dict[int, _Name]) -> _Name | None:
    """Return the name that is above the street above a town."""
    street = _cell_above(page, town, cell)
    if street is None:
        return None
    text = page.text[street.start : street.end]
    if not _STREET.match(text) or _MONEY.search(text) or TOWN.fullmatch(text):
        return None
    place = street
    for index in range(town - 1, max(0, town - 4), -1):
        above = _cell_above(page, index, place)
        if above is None:
            return None
        place = above
        start, end = above.start, above.end
        text = page.text[start:end]
        mail = next(reversed(list(_MAIL.finditer(text))), None)
        if mail is not None:
            # The issuer's last line was joined with the first one of the window beside it.
            start += mail.end()
            start += len(page.text[start:end]) - len(page.text[start:end].lstrip())
            text = page.text[start:end]
            if not text:
                return None
        if _ONLY_FORM.fullmatch(text) or _key(without_form(text)) in _FORM_PARTS:
            continue  # the rest of a name
        own = companies.get(start)
        if own is not None:
            return own
        if DEPARTMENT.match(page.folded, start, end) is not None and mail is None:
            continue
        if not _is_name(page, start, end):
            return None
        return _Name(text.split(",", 1)[0].strip(), start, 0, index - 1)
    return None


def _is_name(page: Page, start: int, end: int) -> bool:
    """Return whether a line above an address may be a name, and is no label and no title."""
    text = page.text[start:end]
    return not (
        (not text[:1].isupper() and not text[:2].islower())
        or len(text) > _MOST_NAME
        or (len(text.split()) == 1 and any(map(str.isdigit, text)))
        or text.endswith(":")
        or TOWN.search(text)
        or any(
            page.folded[hit.start : hit.end] not in _SHORT_LABELS
            for hit in page.hits_between(start, start + 1)
        )
        or next(page.labels.find_titles(page.folded, page.tokens_between(start, end)), None)
    )


def _cell_above(page: Page, index: int, cell: Cell) -> Cell | None:
    """Return the cell over another one in the line directly above."""
    if index < 1 or not _joins(page, index - 1):
        return None
    cells = page.cells[index - 1]
    if len(cells) == 1 and len(page.cells[index]) == 1 and cell.column < _INDENT:
        return cells[0]
    return next((each for each in cells if abs(each.column - cell.column) <= _SHIFT), None)


def _joins(page: Page, index: int) -> bool:
    """Return whether a line is directly above the next one, with no empty line between."""
    if index + 1 >= len(page.lines):
        return False
    between = page.text[page.lines[index][1] : page.lines[index + 1][0]]
    return between.count("\n") == 1


def _under(page: Page, index: int, number: int, cell: Cell) -> tuple[str, str]:
    """Return the two cells under another one; empty when there are none."""
    texts = []
    for line in (index, index + 1):
        below = page.below(line, cell.column, number, len(page.cells[line]))
        texts.append(page.text[below.start : below.end] if below else "")
    return texts[0], texts[1]


def _numbers(
    page: Page, issuer: _Name | None, customer: _Name | None, names: Sequence[_Name]
) -> dict[str, dict[str, tuple[str, str]]]:
    """Return the numbers of each: those nearest after one of its names, in the same column."""
    owners = [
        (name, role)
        for role, name in (("issuer", issuer), ("customer", customer))
        if name is not None
    ]
    places: list[tuple[_Name, str]] = []
    for name in names:
        role = next((role for own, role in owners if _same(own.text, name.text)), None)
        if role is not None:
            places.append((name, role))
    places += owners
    found: dict[str, dict[str, tuple[str, str]]] = {"issuer": {}, "customer": {}}
    for start, end in page.lines[:_MOST_LINES]:
        if not _DIGITS.search(page.text, start, end + _OVER_LINE):
            continue
        for match in REGISTERED.finditer(page.text, start, end + _OVER_LINE):
            role = _owner(page, match.start(), places)
            if role is not None and match.start() < end:
                value = " ".join(next(filter(None, match.groups())).split())
                found[role].setdefault("company_number", (value, " ".join(match[0].split())))
    for hit, kind, value, evidence in labelled_numbers(page):
        role = _owner(page, hit.start, places)
        if role is not None:
            known = found[role].setdefault(kind, (value, evidence))
            # A tax number may be beside the number for VAT, which has its country's letters.
            if kind == "vat_id" and value[:2].isalpha() and not known[0][:1].isalpha():
                found[role][kind] = (value, evidence)
    for match in PLAIN_VAT.finditer(page.text[:60_000]):
        value = re.sub(r"[ .-]", "", match[0])
        role = _owner(page, match.start(), places)
        taken = {numbers["vat_id"][0] for numbers in found.values() if "vat_id" in numbers}
        if role is not None and value not in taken:
            found[role].setdefault("vat_id", (value, match[0]))
    return found


def _owner(page: Page, position: int, places: Sequence[tuple[_Name, str]]) -> str | None:
    _, _, cell = page.cell_of(position)
    before = [
        (name, role) for name, role in places
        if name.start <= position and abs(name.column - cell.column) <= 4
    ] or [(name, role) for name, role in places if name.start <= position]  # fmt: skip
    if before:
        name, role = max(before, key=lambda each: each[0].start)
        # Far below the customer's address the numbers are the issuer's again.
        is_far = page.line_at(position) - name.line > _MOST_ADDRESS
        is_later = is_far or _is_after_number(page, name, position)
        if role == "customer" and is_later and any(other == "issuer" for _, other in places):
            return "issuer"
        return role
    return min(places, key=lambda each: each[0].start)[1] if places else None


def _is_after_number(page: Page, name: _Name, position: int) -> bool:
    """Return whether the invoice's number or day is between a name and a position below it."""
    _, end = page.lines[name.line]
    return any(
        {"number", "date"} & set(hit.kinds) and page.line_at(hit.start) < page.line_at(position)
        for hit in page.hits_between(end, position)
    )
