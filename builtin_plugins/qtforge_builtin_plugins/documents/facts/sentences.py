"""The date, number and sums of an invoice that stand in running sentences.

A value belongs to the noun or verb that governs it: in ``for the delivery of 2 March we invoice
you 119 EUR`` the day is the delivery's and the sum the invoice's. A value without such a word,
or with that of an order or of another invoice, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice, pairwise
from typing import Final

from qtforge_builtin_plugins.documents.facts.balances import USUAL_RATES, explain_amounts
from qtforge_builtin_plugins.documents.facts.dates import date_order, iterate_dates
from qtforge_builtin_plugins.documents.facts.page import Page
from qtforge_builtin_plugins.documents.facts.sum_lines import Money, SumLine, Sums
from qtforge_builtin_plugins.documents.facts.sums import (
    decimal_mark,
    find_money,
    find_rates,
)

__all__ = ["PlacedValue", "find_sentence_values", "with_sentence_sums"]

_END: Final = re.compile(r"\n[ \t]*\n|(?<=[\w)%]{3})[.!?](?=\s+[^\W\d_a-z])|[!?]\s")
# The end of a sentence: no ordinal number, and no abbreviation with a capital letter.
_BREAK: Final = re.compile(
    r"\n[ \t]*\n"
    r"|(?:(?<=[\w)%]{3})|(?<=[^\W\d_A-Z]{2})|(?<=[€$£₽₺])|(?<= kr)|(?<= zł)|(?<= TL)|(?<=\)))"
    r"[.!?]\)?(?=\s+[^\W\d_a-z])"
)
_REQUEST_WORDS: Final = 10  # in which a request says what to pay
_VALUE: Final = re.compile(r"[^\W_][\w/.&-]{1,40}")
_BROKEN: Final = re.compile(r"\d[ ]?\n[ ]?\Z")  # 1 / 450,50: a number over two lines
_OWNERS: Final = frozenset({"invoice", "bills", "issued", "order", "service", "due", "other"})
_OURS: Final = frozenset({"invoice", "bills", "issued"})
_MOST_SENTENCES: Final = 400
_MOST_CHARACTERS: Final = 1_000
_LEAST_WORDS: Final = 5
_LEAST_WRAPPED: Final = 45  # characters of a line that continues in the next one
_NEAR: Final = 4  # words between a sum and the words that say what it is
_VERB_REACH: Final = 8  # words between a verb and its sum
_DAY_REACH: Final = 7  # words between an invoice's name and its day
_NUMBER_REACH: Final = 5  # words between an invoice's name and its number
_LEAST_DIGITS: Final = 3
_LEAST_ORDER: Final = 5  # digits of an order's number
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n")
_MOST_AMOUNTS: Final = 8  # of a paragraph, in whose arithmetic its sums are looked for
_NEAR_CHARACTERS: Final = 40


@dataclass(frozen=True, slots=True)
class PlacedValue:
    """A value of a sentence.

    Attributes:
        kind: ``number``, ``date``, ``due_date`` or ``order_reference``; ``other`` for the day of
            another thing, and ``earlier`` for the number or day of an earlier invoice.
        value: As written, or ISO 8601 for a date.
        start: The position of the sentence's first word that belongs to it.
        end: The position after the value.
    """

    kind: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Word:
    """A word, a date or an amount of a sentence with what it says."""

    text: str
    start: int
    end: int
    roles: frozenset[str]
    date: str | None = None
    money: Money | None = None

    @property
    def is_word(self) -> bool:
        return self.date is None and self.money is None and not any(map(str.isdigit, self.text))


def find_sentence_values(page: Page, language: str | None) -> list[PlacedValue]:
    """Return the numbers and days of the sentences, in order.

    Args:
        page: The text.
        language: ISO 639-1, or None.
    """
    found: list[PlacedValue] = []
    for words in _sentences(page, language):
        owners = _owners(words)
        found += _days(page, words, owners)
        found += _numbers(page, words, owners)
    return found


def _sentences(page: Page, language: str | None) -> Sequence[Sequence[_Word]]:
    """Return the words of each sentence, which are read once; a line of a table is none."""
    if page.sentences is None:
        page.sentences = list(_read_sentences(page, language))
    return page.sentences


def _read_sentences(page: Page, language: str | None) -> Iterator[list[_Word]]:
    if not page.labels.sentences:
        return
    order = date_order(page.text, language)
    mark = decimal_mark(page.text)
    breaks = {0, len(page.text)}
    for match in _END.finditer(page.text):
        breaks.add(match.end())
    for cells in page.cells:
        # A sentence continues in the next line only after a long one.
        start, end = cells[0].start, cells[-1].end
        is_heading = len(page.hits_between(start, end)) > 2 and not any(
            map(str.isdigit, page.text[start:end])
        )
        if len(cells) > 1 or is_heading or end - start < _LEAST_WRAPPED:
            breaks.add(cells[-1].end)
        if len(cells) > 1:
            breaks.add(cells[0].start)
    places = sorted(breaks)
    for start, end in islice(pairwise(places), _MOST_SENTENCES):
        if end - start > _MOST_CHARACTERS or not any(map(str.isdigit, page.text[start:end])):
            continue
        tokens = [
            _Word(token.text, token.start, token.end, page.labels.says_of(token.text))
            for token in page.tokens_between(start, end)
        ]
        # Before its values are looked for: most sentences say nothing about them.
        if not any(token.roles for token in tokens) or not _has_words(tokens):
            continue
        words = _with_values(page, tokens, start, end, language, order, mark)
        if _has_words(words):
            yield words


def _has_words(words: Sequence[_Word]) -> bool:
    return sum(word.is_word for word in words) >= _LEAST_WORDS


def _with_values(
    page: Page,
    tokens: Sequence[_Word],
    start: int,
    end: int,
    language: str | None,
    order: str,
    mark: str | None,
) -> list[_Word]:
    """Return the words of a sentence with its dates and amounts, each in place of its words."""
    text = page.text[start:end].replace("\n", " ")
    days = [
        _Word(placed.date.text, start + placed.start, start + placed.end, frozenset(),
              date=placed.date.date)
        for placed in iterate_dates(text, language, order=order, is_labelled=True)
    ]  # fmt: skip
    sums = [
        _Word(money.text, money.start, money.end, frozenset(), money=money)
        for money in find_money(page, start, end, mark, language)
        if money.currency is not None
        and not _BROKEN.search(page.text, max(0, money.start - 3), money.start)
        and not any(day.start < money.end and money.start < day.end for day in days)
    ]
    taken = [*days, *sums]
    others = [
        token
        for token in tokens
        if not any(each.start < token.end and token.start < each.end for each in taken)
    ]
    return sorted([*taken, *others], key=lambda word: word.start)


def _owners(words: Sequence[_Word]) -> list[int]:
    """Return the places of the words that values belong to."""
    found: list[int] = []
    for index, word in enumerate(words):
        if not word.roles & _OWNERS:
            continue
        if word.roles & _OWNERS == {"issued"} and found:
            # "Your order issued on 3 March" is about the order.
            earlier = found[-1]
            if "order" in words[earlier].roles and not any(
                each.date for each in words[earlier:index]
            ):
                continue
        found.append(index)
    return found


def _owner(words: Sequence[_Word], owners: Sequence[int], index: int) -> int | None:
    """Return the word that a value belongs to: the last before it, else the next after it."""
    after = next((each for each in owners if each > index), None)
    if index + 1 < len(words) and "dated" in words[index + 1].roles:
        return after
    before = next((each for each in reversed(owners) if each < index), after)
    if (
        before is not None and after is not None and before < index
        and words[before].roles & {"order", "service"} and words[after].roles & _OURS
        and (any(each.date for each in words[before:index]) or _is_verbs(words, before, index))
    ):  # fmt: skip
        return after  # the other thing has its day already, or is far from this one
    return before


def _is_verbs(words: Sequence[_Word], before: int, index: int) -> bool:
    """Return whether a day far from another thing is followed by "we issued" at once."""
    return index - before > _NEAR and any(
        each.roles & {"issued", "bills"} for each in words[index + 1 : index + 3]
    )


def _days(page: Page, words: Sequence[_Word], owners: Sequence[int]) -> Iterator[PlacedValue]:
    for index, word in enumerate(words):
        if word.date is None:
            continue
        since = max((at + 1 for at in range(index) if words[at].date), default=0)
        near = [each for each in words[max(since, index - 3) : index] if each.is_word]
        behind = [each for each in words[index + 1 : index + 3] if each.is_word]
        following = words[index + 1] if index + 1 < len(words) else None
        is_dated = following is not None and "dated" in following.roles
        is_directly_due = (
            following is not None and "due" in following.roles
            and following.start - word.end <= 1
        )  # fmt: skip
        owner = _owner(words, owners, index)
        roles = words[owner].roles if owner is not None else frozenset()
        kind = "other"
        if (
            any("due" in each.roles or "until" in each.roles for each in near)
            or any("until_after" in each.roles for each in behind)
            or is_directly_due
            or ("due" in roles and (is_dated or (owner is not None and owner < index)))
        ):
            kind = "due_date"
        elif "due" in roles:
            continue
        elif roles & _OURS and not roles & {"order", "service", "other"}:
            kind = "date"
        elif not roles:
            continue
        if kind == "date" and owner is not None:
            if _is_others(words, owner):
                kind = "earlier"
            elif not _is_near(page, words, owner, index, is_dated=is_dated):
                kind = "other"
        first = min(index, owner) if owner is not None else index
        yield PlacedValue(kind, word.date, words[first].start, word.end)


def _is_near(page: Page, words: Sequence[_Word], owner: int, index: int, *, is_dated: bool) -> bool:
    """Return whether a day is so near to an invoice's name or verb that it may be its day."""
    first, last = min(owner, index), max(owner, index)
    count = sum(each.is_word for each in words[first + 1 : last])
    if owner < index or is_dated:
        return count <= _DAY_REACH
    return count <= _NEAR and ";" not in page.text[words[index].end : words[owner].start]


def _is_others(words: Sequence[_Word], owner: int) -> bool:
    """Return whether an invoice is an earlier one: our last invoice."""
    return any("earlier" in each.roles for each in words[max(0, owner - 2) : owner + 1])


def _numbers(page: Page, words: Sequence[_Word], owners: Sequence[int]) -> Iterator[PlacedValue]:
    """Yield the number after an invoice's name, or before the word for numbered."""
    for index, word in enumerate(words):
        if word.date or word.money or not any(map(str.isdigit, word.text)):
            continue
        if index and any(map(str.isdigit, words[index - 1].text)) and (
            words[index - 1].end == word.start - 1 and page.text[word.start - 1] in "-/."
        ):  # fmt: skip
            continue  # the rest of a number
        start = word.start
        # INV-0815: its letters are a word of their own.
        while index and words[index - 1].end == start - 1 and page.text[start - 1] in "-/":
            index -= 1
            start = words[index].start
        match = _VALUE.match(page.text, start)
        if match is None:
            continue
        value = match[0].rstrip(".-/&")
        digits = sum(map(str.isdigit, value))
        is_named = index > 0 and bool({"numbering"} & words[index - 1].roles
                                      or words[index - 1].text == "#")  # fmt: skip
        if digits < (1 if is_named else _LEAST_DIGITS) or len(value) > 36:
            continue
        end = start + len(value)
        after = [each for each in words if each.start >= end][:2]
        if after and after[0].text == "#":
            after = after[1:]  # no'lu
        if after and "numbered" in after[0].roles:
            owner = next((each for each in owners if words[each].start >= end), None)
        else:
            owner = next((each for each in reversed(owners) if each < index), None)
            if owner is None:
                continue
            between = [each for each in words[owner + 1 : index] if each.is_word]
            if len(between) > (_NUMBER_REACH if is_named else 0) or not (
                is_named or "order" in words[owner].roles or "invoice" in words[owner].roles
            ):
                continue
        if owner is None:
            continue
        if "order" in words[owner].roles and digits >= _LEAST_ORDER and abs(owner - index) <= 2:
            yield PlacedValue("order_reference", value, min(start, words[owner].start), end)
            continue
        if not words[owner].roles & _OURS:
            continue
        kind = "earlier" if _is_others(words, owner) else "number"
        yield PlacedValue(kind, value, min(start, words[owner].start), end)


def with_sentence_sums(page: Page, language: str | None, sums: Sums, number: str | None) -> Sums:
    """Return the sums, with those of sentences where no label has a total.

    Args:
        page: The text.
        language: ISO 639-1, or None.
        sums: What the labels give.
        number: The invoice's number; sums of an invoice with another one are left out.
    """
    explained = None if sums.agrees else _explained(page, language, sums)
    if explained is not None:
        return explained
    if sums.total is not None or sums.due is not None:
        return sums
    meant = _meant(page, language)
    if meant is not None:
        return replace(sums, total=meant, currency=meant.amount.currency)
    found: dict[str, list[SumLine]] = {"total": [], "net": [], "tax": []}
    for words in _sentences(page, language):
        owners = _owners(words)
        for index, word in enumerate(words):
            kind = _sum_kind(page, words, owners, index, number) if word.money else None
            if kind is None or word.money is None:
                continue
            first = words[max(0, index - _NEAR)].start
            last = words[min(len(words) - 1, index + 2)].end
            found[kind].append(SumLine(
                kind=kind, label=page.folded[first : word.start], amount=word.money, rate=None,
                base=None, line=page.line_at(word.start), evidence=page.spans([(first, last)]),
                plain=False,
            ))  # fmt: skip
    total, net, tax = (_only(found[kind]) for kind in ("total", "net", "tax"))
    if total is None and net is None:
        return sums
    agrees = (
        total is not None and net is not None and tax is not None
        and total.amount.value == net.amount.value + tax.amount.value
    )  # fmt: skip
    named = total or net
    return replace(
        sums, total=total, net=sums.net or net, agrees=agrees,
        taxes=sums.taxes or ((tax,) if tax else ()),
        currency=named.amount.currency if named else sums.currency,
    )  # fmt: skip


def _meant(page: Page, language: str | None) -> SumLine | None:
    """Return the amount that the sentence after it asks to pay: 300 EUR. Please pay this sum by.

    It is the only one of its sentence, and the only one in the text that is asked for so.
    """
    mark = decimal_mark(page.text)
    breaks = [0, *(match.end() for match in _BREAK.finditer(page.text)), len(page.text)]
    found: dict[Decimal, SumLine] = {}
    for start, end in islice(pairwise(breaks), _MOST_SENTENCES):
        following = page.tokens_between(end, end + _MOST_CHARACTERS)[:_REQUEST_WORDS]
        stop = _BREAK.search(page.text, end)
        until = stop.end() if stop else len(page.text)
        said = [page.labels.says_of(each.text) for each in following if each.start < until]
        roles: frozenset[str] = frozenset().union(*said)
        if "sum" not in roles or not roles & {"due", "until"} or "other" in roles:
            continue
        own = [page.labels.says_of(each.text) for each in page.tokens_between(start, end)]
        if any(each & {"order", "carried"} for each in own):
            continue
        if any("other" in each for each in own) and not _is_only_amount(page, mark, language):
            continue
        if end - start > _MOST_CHARACTERS or _amounts(page, end, until, mark, language):
            continue
        amounts = _amounts(page, start, end, mark, language)
        if len(amounts) == 1:
            money = amounts[0]
            found[money.value] = SumLine(
                kind="total", label=page.folded[start : money.start].strip(), amount=money,
                rate=None, base=None, line=page.line_at(money.start), plain=False,
                evidence=page.spans([(start, end)]),
            )  # fmt: skip
    return next(iter(found.values())) if len(found) == 1 else None


def _is_only_amount(page: Page, mark: str | None, language: str | None) -> bool:
    """Return whether all amounts of a text are the same one."""
    lines = page.lines[:_MOST_SENTENCES]
    values = {each.value for line in lines for each in _amounts(page, *line, mark, language)}
    return len(values) == 1


def _amounts(
    page: Page, start: int, end: int, mark: str | None, language: str | None
) -> list[Money]:
    return [each for each in find_money(page, start, end, mark, language) if each.currency]


def _explained(page: Page, language: str | None, sums: Sums) -> Sums | None:
    """Return the sums of the paragraph in which a net sum and its taxes make a total."""
    mark = decimal_mark(page.text)
    start = 0
    for gap in (*_PARAGRAPH.finditer(page.text), None):
        begin, end = start, gap.start() if gap else len(page.text)
        start = gap.end() if gap else end
        if end - begin > _MOST_CHARACTERS:
            continue
        rates = find_rates(page, begin, end) or _rates_of_words(page, begin, end)
        if not rates:
            continue
        amounts = {
            money.value: money
            for money in find_money(page, begin, end, mark, language)
            if money.looks_like_money
        }
        known = sums.total.amount.value if sums.total else None
        made = explain_amounts(list(amounts.values())[:_MOST_AMOUNTS], rates)
        if made is None or (known is not None and made[0].value != known):
            continue
        total, net, *taxes = (
            SumLine(
                kind=kind, label="", amount=money, rate=None, base=None,
                line=page.line_at(money.start), plain=False,
                evidence=page.spans([(max(begin, money.start - _NEAR_CHARACTERS), money.end)]),
            )
            for kind, money in (
                ("total", made[0]), ("net", made[1]), *(("tax", each) for each in made[2])
            )
        )  # fmt: skip
        return replace(
            sums, total=total, net=net, taxes=tuple(taxes), agrees=True,
            currency=total.amount.currency or net.amount.currency or sums.currency,
        )  # fmt: skip
    return None


def _rates_of_words(page: Page, start: int, end: int) -> Sequence[Decimal]:
    """Return the usual rates for a paragraph that names a tax: VAT at 22 per cent."""
    says = (page.labels.says_of(token.text) for token in page.tokens_between(start, end))
    return USUAL_RATES if any("tax" in roles for roles in says) else ()


def _only(lines: Sequence[SumLine]) -> SumLine | None:
    """Return the sum if all sentences have the same; None rather than one of several."""
    return lines[0] if len({abs(line.amount.value) for line in lines}) == 1 else None


def _sum_kind(
    page: Page, words: Sequence[_Word], owners: Sequence[int], index: int, number: str | None
) -> str | None:
    """Return what a sum is: ``total``, ``net`` or ``tax``; None for another one."""
    start = next((at + 1 for at in range(index - 1, -1, -1) if words[at].money), 0)
    before = [each for each in words[max(start, index - _NEAR) : index] if each.is_word]
    last = next((at for at in range(index + 1, len(words)) if words[at].money), len(words))
    after = _directly_after(page, words, index, last)
    owner = _sum_owner(page, words, owners, index)
    roles = words[owner].roles if owner is not None else frozenset()
    if roles & {"order", "service", "other"} or any("other" in each.roles for each in after):
        return None
    if owner is not None and (
        _is_others(words, owner) or _other_number(page, words, owner, number)
    ):
        return None
    said = [each.roles for each in before]
    said_after = [each.roles for each in after]
    follows = {role for each in said_after for role in each}
    leads = {role for each in said for role in each}
    inclusive = "including" in follows
    # VAT included, and without VAT, are said of the whole sum.
    is_whole = bool({"including", "excluding"} & (follows | _from_tax(said)))
    if not is_whole and (
        any("tax" in each for each in said_after[:1])
        or (any("tax" in each for each in said[-2:]) and "sum" not in said[-1])
    ):
        return "tax"
    if {"excluding", "tax"} <= follows or {"excluding", "tax"} <= leads:
        return "net"
    if "net" in leads or any("net" in each for each in said_after[:1]):
        return "net"
    is_before_sum = index + len(after) + 1 == last < len(words)
    if "plus" in follows and ("tax" in follows or is_before_sum):
        return "net"
    if owner is None:
        following = next((words[each].roles for each in owners if each > index), frozenset())
        is_sum = any("sum" in each for each in said)
        return "total" if is_sum and not following & {"order", "service", "other"} else None
    if not roles & (_OURS | {"due"}):
        return None
    between = [each for each in words[owner + 1 : index] if each.is_word] if owner < index else []
    has_sum = any(each & {"sum", "over", "amounts"} for each in said)
    is_verb = bool(roles & {"bills", "due"}) and len(between) <= _VERB_REACH
    if has_sum or inclusive or (is_verb and owner < index):
        return "total"
    linked = owner < index and len(between) <= 2 and all(
        each.text in page.labels.links or each.text == "#" for each in between
    )  # fmt: skip
    return "total" if linked and between else None


def _from_tax(said: Sequence[frozenset[str]]) -> frozenset[str]:
    """Return what the words from that for tax on say, before a sum."""
    first = next((at for at, roles in enumerate(said) if "tax" in roles), len(said))
    return frozenset().union(*said[first:])


def _directly_after(
    page: Page, words: Sequence[_Word], index: int, last: int
) -> list[_Word]:  # fmt: skip
    """Return the few words after a sum, up to a comma that ends what is said about it."""
    found: list[_Word] = []
    for at in range(index + 1, min(index + 4, last)):
        gap = page.text[words[at - 1].end : words[at].start]
        says = words[at].roles & {"including", "excluding", "plus", "net", "tax"}
        if not words[at].is_word or (("," in gap or ";" in gap) and not says):
            break
        found.append(words[at])
    return found


def _sum_owner(
    page: Page, words: Sequence[_Word], owners: Sequence[int], index: int
) -> int | None:  # fmt: skip
    """Return the word that a sum belongs to.

    The subject of ``amounts to`` is the sentence's first one, and a total after a comma too.
    """
    if index + 1 < len(words) and "dated" in words[index + 1].roles:
        return next((each for each in owners if each > index), None)
    earlier = [each for each in owners if each < index and words[each].roles - {"until"}]
    if not earlier or words[earlier[-1]].roles & (_OURS | {"other"}):
        return earlier[-1] if earlier else None
    between = words[earlier[-1] + 1 : index]
    comma = "," in page.text[words[earlier[-1]].end : words[index].start]
    said = {role for each in between for role in each.roles}
    if "amounts" in said or (comma and "sum" in said):
        return earlier[0]
    return earlier[-1]


def _other_number(page: Page, words: Sequence[_Word], owner: int, number: str | None) -> bool:
    """Return whether an invoice's name is followed by the number of another invoice."""
    if number is None or "invoice" not in words[owner].roles:
        return False
    for word in words[owner + 1 : owner + 4]:
        if word.date or word.money:
            return False
        match = _VALUE.match(page.text, word.start)
        if match and sum(map(str.isdigit, match[0])) >= _LEAST_DIGITS:
            return match[0].rstrip(".-/&") not in number and number not in match[0]
    return False
