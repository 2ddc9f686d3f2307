"""The sums of an invoice: net, taxes, total, paid and due, decided by its own arithmetic."""

# ruff: noqa: RUF001 - it has typographic marks and a Russian abbreviation

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from qtforge_builtin_plugins.documents.facts.amounts import CODES, SIGNS
from qtforge_builtin_plugins.documents.facts.balances import choose_sums
from qtforge_builtin_plugins.documents.facts.dates import iterate_dates
from qtforge_builtin_plugins.documents.facts.home_currencies import find_home_currency
from qtforge_builtin_plugins.documents.facts.labels import Hit
from qtforge_builtin_plugins.documents.facts.page import Page
from qtforge_builtin_plugins.documents.facts.sum_lines import Money, SumLine, Sums

__all__ = [
    "RATE_AFTER",
    "find_money",
    "find_rates",
    "find_sums",
    "read_lines",
]

_KINDS: Final = frozenset(
    {"net", "tax", "tax_base", "total", "total_weak", "amount_due", "paid", "discount", "shipping"}
)
_CURRENCY: Final = (
    rf"(?:\b(?:us|r|mx)\$|[$€£¥₽₹₴₺₩]|\b(?:{CODES.lower()})(?![a-z])|\brs\.?(?![a-z])|\bkr\b\.?|\btl\b|\bzl\b"
    r"|\b(?:francs? suisses?|schweizer franken|franchi svizzeri|swiss francs?)\b"
    r"|\bkron(?:or|er)\b|\bруб(?:л[а-я]{1,3})?\b\.?|\bр\.|\beuros?\b|\bkc\b|\blira\b|\bzlot(?:ych|e)\b|\bfr\.)"
)
_NUMBER: Final = (
    r"\d{1,3}(?:[.,' ]\d{3}){1,5}(?:[.,]\d{1,2})?(?!\d)"
    r"|\d{1,12}(?:[.,]\d{1,4})?(?!\d)|[.,]\d\d(?!\d)"
)
_EXACT: Final = r"\d{1,3}(?:[.,' ]?\d{3})*[.,]\d\d(?![\d.,]*\d)"
_MONEY: Final = re.compile(
    # A sum of two places may touch the word or rate before it, as in a narrow table.
    rf"(?:(?<![\w.,/:№#])|(?<=[^\W\d_]{{2}})(?={_EXACT})|(?<=[^\W\d_]\.)(?={_EXACT}))"
    rf"(?P<open>\()?(?P<minus>[-−–] ?)?(?:(?P<before>{_CURRENCY})[ \n]?)?"
    r"(?P<minus2>[-−–] ?)?"
    rf"(?P<number>{_NUMBER})(?:[.,:][-–]{{1,2}}(?!\d))?(?P<minus3>-(?!\d))?"
    rf"(?:[ \n]?(?P<after>{_CURRENCY})(?!\.? ?\d))?(?P<close>\))?(?![\w/]|[.,:]\d|-\w)"
)
# 20 %, and %20 as in Turkish; in "19%2.975,00" and "20 %374 723,38" a sum follows the rate.
_RATE_BEHIND: Final = r"\d{1,2}(?:[.,]\d{1,2})?(?![.,]?\d)"
RATE_AFTER: Final = rf"(?<![\d.,])(\d{{1,2}}(?:[.,]\d{{1,3}})?)(?:%| %(?!{_RATE_BEHIND}))"
"""A rate before its sign; its number is the group."""

_PERCENT: Final = re.compile(rf"\(?[-–]?{RATE_AFTER}\)?|% ?{_RATE_BEHIND}")
# 4 500:00, as amounts are written in Sweden; a time has fewer digits before its colon.
_COLON: Final = re.compile(r"(?<=\d{3}):(?=\d\d(?![\d:]))")
_RATE: Final = re.compile(rf"(?P<minus>[-–]?)(?:{RATE_AFTER}|% ?({_RATE_BEHIND}))")
_ENDING: Final = re.compile(r"[\s|;.*)]{0,6}(?:[a-z]{1,2}(?![a-z]))?[\s|*.]*")
# 18 000-00, as roubles and kopecks are written.
_HYPHEN: Final = re.compile(r"(?<![\d-])((?:\d{1,3}(?: \d{3})+|\d{2,6}))-(?=\d\d(?![\d-]))")
# Roubles with kopecks, and 100 zł 50 gr.
_SMALL_COIN: Final = re.compile(
    r"(?<=\d)(?P<sign> ?(?:руб[а-я]{0,3}\.?|р\.|zl(?:ot[a-z]{1,2})?)) (?P<coins>\d\d)"
    r" ?(?:коп[а-я]{0,4}\.?|к\.|gr(?:osz[a-z]{1,2})?\b)"
)
_DATE: Final = re.compile(r"(?<!\d)\d{1,4}[./-]\d{1,2}[./-]\d{2,4}(?!\d)")
# One dollar with a code says which one they all are.
_OTHER_DOLLAR: Final = re.compile(
    r"\$ ?[\d.,]+ ?(MXN|CAD|AUD|NZD|SGD|HKD|ARS|CLP|COP)\b"
    r"|\b(MXN|CAD|AUD|NZD|SGD|HKD|ARS|CLP|COP) ?\$"
)
_DOLLARS: Final = frozenset({"ARS", "AUD", "CAD", "CLP", "COP", "MXN", "NZD", "SGD"})
_DECIMALS: Final = re.compile(r"\d([.,])\d\d(?![\d.,]*\d)")
_PLACES: Final = re.compile(r"[.,](\d+)$")
_TOLERANCE: Final = Decimal("0.06")
# The kinds of lines whose other words matter, too.
_SAYING: Final = frozenset({None, "other", "total", "total_weak"})
_HALF_CENT: Final = Decimal("0.0051")
_MOST_RATE: Final = 30  # per cent
_MOST_RATE_ROW: Final = 80
_MOST_OF_RATE_ROW: Final = 4
_RATE_AND_BASE: Final = re.compile(r"(\d{1,2})[ \u00a0\u202f](\d{3}[.,]\d\d)")
# A bracket is a minus sign at the end of a cell; in a sentence it is a bracket.
_AFTER_BRACKET: Final = re.compile(r"[ .*]?(?:$|\t| {2,}|\|)")
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
_LONG_WORD: Final = re.compile(r"[^\W\d_]{5,}")
_MOST_LABEL: Final = 80
_LEADER: Final = re.compile(r"(?:[.·_-] ?){4,}| {3,}")  # between a label and its amount
_MOST_ABOVE: Final = 40  # characters of a label above its amount, when it is of no list
_MOST_LABEL_WORDS: Final = 4
_CODE_LENGTH: Final = 3
_MOST_LINES: Final = 4_000
_OTHER_SIGNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tl": "TRY",
        "zl": "PLN",
        "р.": "RUB",
        "kc": "CZK",
        "zlotych": "PLN",
        "zlote": "PLN",
        "francs suisses": "CHF",
        "franc suisse": "CHF",
        "schweizer franken": "CHF",
        "franchi svizzeri": "CHF",
        "swiss francs": "CHF",
        "swiss franc": "CHF",
    }
)
_CROWNS: Final[Mapping[str, str]] = MappingProxyType({"da": "DKK", "sv": "SEK", "no": "NOK",
                                                      "nb": "NOK", "is": "ISK"})  # fmt: skip


def decimal_mark(text: str) -> str | None:
    """Return the decimal mark of most of the numbers with two decimals, or None."""
    counts = Counter(match[1] for match in itertools.islice(_DECIMALS.finditer(text), 500))
    return counts.most_common(1)[0][0] if counts else None


def find_money(
    page: Page, start: int, end: int, mark: str | None, language: str | None
) -> list[Money]:
    """Return the numbers in a part of one line, without dates and percentages.

    Args:
        page: The text.
        start: The position of its first character.
        end: The position after it.
        mark: The text's decimal mark, or None.
        language: ISO 639-1, or None; decides whose crowns ``kr`` are.
    """
    line = page.folded[start:end]
    if not any(map(str.isdigit, line)):
        return []
    known = page.money.get((start, end))
    if known is not None:
        return known
    line = _DATE.sub(_blank, line)
    if ":" in line:
        line = _COLON.sub(",", line)
    if language == "ru" and "-" in line:
        line = _HYPHEN.sub(r"\1,", line)
    if language in ("ru", "pl"):
        line = _SMALL_COIN.sub(_with_coins, line)
    if "%" in line:
        line = _PERCENT.sub(_blank, line)
    found: list[Money] = []
    for match in _MONEY.finditer(line):
        number = match["number"]
        value = _value(number, mark)
        if value is None:
            continue
        bracketed = bool(match["open"] and match["close"] and (match["before"] or match["after"]))
        bracketed = bracketed and _AFTER_BRACKET.match(line, match.end()) is not None
        if match["minus"] or match["minus2"] or match["minus3"] or bracketed:
            value = -value
        sign = match["before"] or match["after"]
        if sign == "$" and match["after"]:
            sign = match["after"]  # $145.00 MXN
        if sign is not None and _is_word(page.text, start + match.start(), sign):
            sign = None
        currency = _currency(sign, language)
        if currency == "USD" and sign == "$":
            currency = _dollar(page.text)
        places = _PLACES.search(number)
        decimals = len(places[1]) if places and value != value.to_integral_value() else (
            2 if places and len(places[1]) == 2 else 0
        )  # fmt: skip
        found.append(
            Money(
                start=start + match.start(),
                end=start + match.end(),
                text=page.text[start + match.start() : start + match.end()].strip("() "),
                value=value,
                currency=currency,
                places=decimals,
            )
        )
    page.money[start, end] = found
    return found


@lru_cache(maxsize=4)  # a text's amounts are read line by line
def _dollar(text: str) -> str:
    """Return which dollar the sign alone is in a text: one with a code, else the country's."""
    other = _OTHER_DOLLAR.search(text)
    if other is not None:
        return str(other[1] or other[2])
    home = find_home_currency(text)
    return home if home in _DOLLARS else "USD"


def _is_word(text: str, start: int, sign: str) -> bool:
    """Return whether letters like those of a currency are a word: Cad. in a Turkish address."""
    if len(sign) != _CODE_LENGTH or not sign.isalpha():
        return False
    near = text[start : start + _MOST_LABEL]
    at = near.lower().find(sign)
    written = near[at : at + len(sign)] if at >= 0 else ""
    return written.istitle() and sign != "eur"


def _with_coins(match: re.Match[str]) -> str:
    """Return a currency and its small coins as places of the number before them, as long as it."""
    return f",{match['coins']}{match['sign']}".ljust(len(match[0]))


def _blank(match: re.Match[str]) -> str:
    return "\0" * len(match[0])


@lru_cache(maxsize=4096)  # several extractors read the same lines
def _value(number: str, mark: str | None) -> Decimal | None:
    from price_parser import Price  # slow to import, and many texts have no sums

    separated = re.fullmatch(r"\d{1,3}([.,])\d{3}", number)
    if separated is not None:
        # 1.188 is a thousand where the decimal mark is a comma, and where it is not known.
        decimal = mark if mark == separated[1] else ("," if separated[1] == "." else ".")
        return Price.fromstring(number, decimal_separator=decimal).amount
    return Price.fromstring(number).amount


def _currency(sign: str | None, language: str | None) -> str | None:
    if sign is None:
        return None
    sign = sign.strip()
    if sign.startswith("kr"):
        return _CROWNS.get(language or "", "SEK" if language is None else "DKK")
    return _OTHER_SIGNS.get(sign) or SIGNS.get(sign) or SIGNS.get(sign.rstrip(".")) or sign.upper()


def find_sums(
    page: Page,
    language: str | None,
    items: Sequence[Decimal],
    item_lines: Set[int] = frozenset(),
) -> Sums:
    """Return the sums that fit each other best.

    Args:
        page: The text.
        language: ISO 639-1, or None.
        items: The amounts of its items, or none.
        item_lines: The indices of the lines of the items.
    """
    lines = read_lines(page, language)
    currency = _main_currency(page, lines, language)
    best = choose_sums(lines, sum(items, Decimal(0)) if items else None, item_lines)
    return replace(best, currency=currency, lines=tuple(lines))


def read_lines(page: Page, language: str | None) -> list[SumLine]:
    """Return the lines that have a label and end in an amount."""
    mark = decimal_mark(page.text)
    found: list[SumLine] = []
    for index, (start, end) in enumerate(page.lines[:_MOST_LINES]):
        cells = page.cells[index]
        # In a text with two columns a sum is in the cells from its label on.
        first = next(
            (cell.start for cell in cells if _label_kinds(page, cell.start, cell.end)), start
        )
        pairs = _pairs(page, index, first, end, mark, language)
        if pairs:
            found += pairs
            continue
        made = _read_line(page, index, first, end, mark, language)
        if made is not None:
            found.append(made)
            found += _net_and_tax(page, made, first, end, mark, language)
    found += _drawn_before(page, mark, language)
    found += _in_rows(page, mark, language)
    found += _of_rate_table(page, mark, language)
    return found


def _of_rate_table(page: Page, mark: str | None, language: str | None) -> list[SumLine]:
    """Return the taxes of a table of rates: rows of nothing but a rate, a base and its tax.

    The columns have any order, and the amount with tax may be one of them. A row whose base and
    tax are the sums of the others is the table's last one.
    """
    found: list[SumLine] = []
    for index, (start, end) in enumerate(page.lines[:_MOST_LINES]):
        line = page.folded[start:end]
        if len(line) > _MOST_RATE_ROW or not line[-1].isdigit() or _LONG_WORD.search(line):
            continue
        amounts = find_money(page, start, end, mark, language)
        rates = [_rate(match) for match in _RATE.finditer(line)]
        row = _rate_row(amounts, rates) or _rate_row(*_without_rate(amounts, rates))
        if row is not None:
            rate, base, tax = row
            found.append(SumLine(
                kind="tax", label=line, amount=tax, rate=rate, base=base, line=index,
                evidence=" ".join(page.text[start:end].split()), plain=True,
            ))  # fmt: skip
    return found


def _without_rate(
    amounts: Sequence[Money], rates: Sequence[Decimal]
) -> tuple[Sequence[Money], Sequence[Decimal]]:
    """Return the amounts with the first one read as a rate and a base: 9 224,76 as 9 and 224,76."""
    from price_parser import Price

    match = _RATE_AND_BASE.fullmatch(amounts[0].text) if amounts else None
    base = Price.fromstring(match[2]).amount if match else None
    if match is None or base is None:
        return (), ()
    first = replace(amounts[0], start=amounts[0].start + match.start(2), text=match[2], value=base)
    return [first, *amounts[1:]], [*rates, Decimal(match[1])]


def _rate_row(
    amounts: Sequence[Money], rates: Sequence[Decimal]
) -> tuple[Decimal, Money, Money] | None:
    """Return rate, base and tax of a row of a table of rates."""
    if not 2 <= len(amounts) <= _MOST_OF_RATE_ROW:
        return None
    for base, tax in itertools.permutations(amounts, 2):
        if not base.looks_like_money or not tax.looks_like_money or not base.value:
            continue
        others = [each.value for each in amounts if each is not base and each is not tax]
        for rate in (*rates, *(other for other in others if 0 < other <= _MOST_RATE)):
            rest = [other for other in others if other != rate]
            whole = base.value + tax.value
            if any(abs(other - whole) > _TOLERANCE for other in rest) or rate <= 0:
                continue
            if abs(base.value * rate / 100 - tax.value) <= _HALF_CENT:
                return rate, base, tax
    return None


def _in_rows(page: Page, mark: str | None, language: str | None) -> Iterator[SumLine]:
    """Yield the sums of a row of amounts below a row of their labels."""
    last = min(_MOST_LINES, len(page.lines)) - 1  # it has no row below
    for index, (start, end) in enumerate(page.lines[:last]):
        hits = [hit for hit in page.hits_between(start, end) if _KINDS & set(hit.kinds)]
        if len(hits) < 2 or hits[-1].end > end or not _only_label(page, start, end):
            continue
        below_start, below_end = page.lines[index + 1]
        amounts = find_money(page, below_start, below_end, mark, language)
        if find_money(page, start, end, mark, language):
            continue
        if len(amounts) != len(hits):
            # The net sum's label may be of no list: Goods, VAT, Total.
            yield from _net_and_tax_below(page, index, hits, amounts)
            continue
        for hit, amount in zip(hits, amounts, strict=True):
            kinds = tuple(kind for kind in hit.kinds if kind in _KINDS)
            rates = [_rate(match) for match in _RATE.finditer(page.folded[hit.start : hit.end + 8])]
            yield SumLine(
                kind=_kind(kinds, rates), label=page.folded[hit.start : hit.end], amount=amount,
                rate=rates[0] if rates else None, base=None, line=index,
                evidence=page.spans([(hit.start, hit.end), (amount.start, amount.end)]), plain=True,
            )  # fmt: skip


def _net_and_tax_below(
    page: Page, index: int, hits: Sequence[Hit], amounts: Sequence[Money]
) -> Iterator[SumLine]:
    """Yield the sums of a row whose columns are a net sum, its tax and, at last, the total."""
    if not {"total", "total_weak", "amount_due"} & set(hits[-1].kinds):
        return
    if not any("tax" in hit.kinds for hit in hits[:-1]):
        return
    start, end = page.lines[index + 1]
    if not amounts or re.search(r"\w", page.folded[start : amounts[0].start]):
        return
    total = SumLine(
        kind="total", label=page.folded[hits[-1].start : hits[-1].end], amount=amounts[-1],
        rate=None, base=None, line=index, plain=True,
        evidence=page.spans([page.lines[index], (start, end)]),
    )  # fmt: skip
    parts = _of_columns(total, amounts)
    if parts:
        yield from (total, *parts)


def _pairs(
    page: Page, index: int, start: int, end: int, mark: str | None, language: str | None
) -> list[SumLine]:
    """Return the sums of a line with several, each behind its label: Net 100.00 VAT 20.00."""
    amounts = find_money(page, start, end, mark, language)
    if len(amounts) < 2 or not all(each.looks_like_money for each in amounts):
        return []
    found: list[SumLine] = []
    at = start
    for amount in amounts:
        first = next((hit.start for hit in page.hits_between(at, amount.start)), amount.start)
        between = page.folded[at:first]
        kinds = tuple(kind for kind in _label_kinds(page, first, amount.start) if kind in _KINDS)
        if not kinds or _WORD.search(between) or not _only_label(page, first, amount.start):
            return []
        rates = [_rate(match) for match in _RATE.finditer(page.folded[at : amount.start])]
        found.append(SumLine(
            kind=_kind(kinds, rates), label=page.folded[first : amount.start], amount=amount,
            rate=rates[0] if rates else None, base=None, line=index,
            evidence=page.spans([(first, amount.end)]), plain=True,
            says=_said(page, first, amount.start),
        ))  # fmt: skip
        at = amount.end
    return found if _ENDING.fullmatch(page.folded[at:end]) else []


def _net_and_tax(
    page: Page, total: SumLine, start: int, end: int, mark: str | None, language: str | None
) -> list[SumLine]:
    """Return net sum and tax of a row whose last column is the total: Total 100.00 20.00 120.00."""
    if total.kind not in ("total", "total_weak", "amount_due"):
        return []
    return _of_columns(total, find_money(page, start, end, mark, language))


def _of_columns(total: SumLine, columns: Sequence[Money]) -> list[SumLine]:
    """Return the two amounts before a total as its net sum and tax, if they make it."""
    amounts = [each for each in columns if each.looks_like_money][-3:]
    if len(amounts) != 3 or amounts[-1].start != total.amount.start:
        return []
    net, tax, whole = amounts
    if net.value + tax.value != whole.value or abs(tax.value) * 100 > abs(net.value) * _MOST_RATE:
        return []
    return [
        replace(total, kind=kind, amount=amount, rate=None, base=None, plain=True, says=frozenset())
        for kind, amount in (("net", net), ("tax", tax))
    ]


def _label_kinds(page: Page, start: int, end: int) -> tuple[str, ...]:
    """Return the kinds of the label at the beginning of a cell; a rate may be before it."""
    for hit in page.hits_between(start, min(end, start + 24)):
        before = page.folded[start : hit.start]
        if re.fullmatch(r"[\W\d]*(?:% ?)?", before):
            return tuple(kind for kind in hit.kinds if kind in _KINDS or kind == "ignored") or (
                "other",
            )
    return ()


def _read_line(
    page: Page, index: int, start: int, end: int, mark: str | None, language: str | None
) -> SumLine | None:
    line = page.folded[start:end]
    amounts = find_money(page, start, end, mark, language)
    kinds = _label_kinds(page, start, end)
    rates = [_rate(match) for match in _RATE.finditer(line)]
    evidence = " ".join(page.text[start:end].split())
    if not amounts or not _ENDING.fullmatch(page.folded[amounts[-1].end : end]):
        if amounts or not (_KINDS & set(kinds) or _may_be_label(line)):
            return None
        return _below(page, index, start, end, kinds, rates, mark, language)
    amount = amounts[-1]
    if _is_year(page, start, end, amount, language):
        return None
    label = page.folded[start : amounts[0].start]
    if len(_LEADER.sub(" ", label)) > _MOST_LABEL:
        return None
    if not re.search(r"[^\W\d_]", label):
        return _bare(index, amounts, label, evidence)
    if not amount.looks_like_money and not (kinds and _only_label(page, start, amounts[0].start)):
        return None
    others = [each for each in amounts[:-1] if each.looks_like_money]
    kind = _kind(kinds, rates)
    if kind in (None, "other") and _says_net(page, start, amounts[0].start):
        kind = "net"
    return SumLine(
        kind=kind,
        label=label,
        amount=amount,
        rate=rates[0] if rates else None,
        base=others[0] if len(others) == 1 else None,
        line=index,
        evidence=evidence,
        plain=len(amounts) == 1 or (bool(kinds) and kinds != ("other",)),
        says=_said(page, start, amounts[0].start) if kind in _SAYING else frozenset(),
        either="net" in kinds and bool({"total", "total_weak"} & set(kinds)),
        is_carried=_is_carried(page, start, amounts[0].start),
    )


def _bare(index: int, amounts: Sequence[Money], label: str, evidence: str) -> SumLine | None:
    """Return the sum of a line that has nothing but an amount, as below a drawn line."""
    if len(amounts) != 1 or not amounts[0].looks_like_money or re.search(r"\d", label):
        return None
    return SumLine(
        kind="bare", label="", amount=amounts[0], rate=None, base=None, line=index,
        evidence=evidence, plain=True,
    )  # fmt: skip


def _says_net(page: Page, start: int, end: int) -> bool:
    """Return whether the words of a label that is not listed are those of a sum without tax."""
    says = _said(page, start, end)
    return {"excluding", "tax"} <= says or ("net" in says and "tax" not in says)


def _is_carried(page: Page, start: int, end: int) -> bool:
    """Return whether a label says that its amount is of earlier bills."""
    return "carried" in _said(page, start, end)


def _said(page: Page, start: int, end: int) -> frozenset[str]:
    """Return what the words of a label say."""
    words = page.tokens_between(start, end)
    return frozenset().union(*(page.labels.says_of(word.text) for word in words))


def _is_year(page: Page, start: int, end: int, amount: Money, language: str | None) -> bool:
    """Return whether a number is the year of a day with the name of its month."""
    if amount.looks_like_money or not 1900 <= amount.value <= 2100:
        return False
    return any(
        placed.start < amount.end - start and amount.start - start < placed.end
        for placed in iterate_dates(page.text[start:end], language)
    )


def _below(
    page: Page, index: int, start: int, end: int, kinds: tuple[str, ...],
    rates: Sequence[Decimal], mark: str | None, language: str | None,
) -> SumLine | None:  # fmt: skip
    """Return a sum whose amount alone is on the line below its label."""
    if index + 1 >= len(page.lines) or (_KINDS & set(kinds) and not _only_label(page, start, end)):
        return None
    below_start, below_end = page.lines[index + 1]
    amounts = find_money(page, below_start, below_end, mark, language)
    if len(amounts) != 1 or not amounts[0].looks_like_money:
        return None
    around = page.folded[below_start : amounts[0].start] + page.folded[amounts[0].end : below_end]
    if re.search(r"\w", around):
        return None
    return SumLine(
        kind=_kind(kinds, rates), label=page.folded[start:end], amount=amounts[0],
        rate=rates[0] if rates else None, base=None, line=index,
        evidence=page.spans([(start, end), (below_start, below_end)]), plain=True,
        says=_said(page, start, end),
    )  # fmt: skip


def _may_be_label(line: str) -> bool:
    """Return whether a line of a few words may be the label of the amount below it."""
    if len(line) > _MOST_ABOVE or not line[:1].isalpha() or line[-1:] in ".,!?":
        return False
    words = _PERCENT.sub("", line)
    return len(words.split()) <= _MOST_LABEL_WORDS and not any(map(str.isdigit, words))


def _only_label(page: Page, start: int, end: int) -> bool:
    """Return whether nothing but labels, currencies, rates and small words is in a part."""
    rest = list(page.folded[start:end])
    for hit in page.hits_between(start, end):
        rest[hit.start - start : hit.end - start] = " " * (hit.end - hit.start)
    words = re.findall(r"[^\W\d_]{3,}", re.sub(_CURRENCY, " ", "".join(rest)))
    return len(words) <= 1


def find_rates(page: Page, start: int, end: int) -> list[Decimal]:
    """Return the rates above zero in a part of the text, each once."""
    found = (_rate(match) for match in _RATE.finditer(page.folded[start:end]))
    return list(dict.fromkeys(rate for rate in found if rate > 0))


def _rate(match: re.Match[str]) -> Decimal:
    value = Decimal((match[2] or match[3]).replace(",", "."))
    return -value if match["minus"] else value


def _kind(kinds: tuple[str, ...], rates: Sequence[Decimal]) -> str | None:
    if not kinds or kinds == ("other",):
        return "other" if kinds else None
    if rates and "tax_base" in kinds:
        return "tax_base"
    return kinds[0]


def _drawn_before(page: Page, mark: str | None, language: str | None) -> Iterator[SumLine]:
    """Yield the sums whose amounts were drawn in a column before the column of their labels."""
    column: list[tuple[int, int, int]] = []
    for index, (start, end) in enumerate([*page.lines, (0, 0)]):
        line = page.folded[start:end]
        kinds = _label_kinds(page, start, end) if line.endswith(":") else ()
        is_sum = line.endswith(":") and (
            bool(set(kinds) & _KINDS) or (bool(column) and not kinds) or "%" in line
        )
        if is_sum:
            column.append((index, start, end))
            continue
        if len(column) >= 2:
            yield from _match_column(page, column, mark, language)
        column = []


def _match_column(
    page: Page, column: Sequence[tuple[int, int, int]], mark: str | None, language: str | None
) -> Iterator[SumLine]:
    run: list[Money] = []
    for start, end in [*page.lines[: column[0][0]], (0, 0)]:
        amounts = find_money(page, start, end, mark, language) if end - start < 30 else []
        rest = page.folded[start:end]
        if len(amounts) == 1 and amounts[0].looks_like_money and not re.search(
            r"\w", rest[: amounts[0].start - start] + rest[amounts[0].end - start :]
        ):  # fmt: skip
            run.append(amounts[0])
            continue
        if len(run) == len(column):
            break
        run = []
    if len(run) != len(column):
        return
    for (index, start, end), amount in zip(column, run, strict=True):
        rates = [_rate(match) for match in _RATE.finditer(page.folded[start:end])]
        yield SumLine(
            kind=_kind(_label_kinds(page, start, end), rates), label=page.folded[start:end],
            amount=amount, rate=rates[0] if rates else None, base=None, line=index,
            evidence=f"{page.text[start:end]} {amount.text}", plain=True,
        )  # fmt: skip


def _main_currency(page: Page, lines: Sequence[SumLine], language: str | None) -> str | None:
    """Return the currency of the sums, else of all amounts, else one that the text names."""
    sums = [each for each in lines if each.kind in _KINDS]
    counts = Counter(each.amount.currency for each in sums if each.amount.currency)
    if counts:
        return counts.most_common(1)[0][0]
    # Total (EUR) 100.00
    for each in reversed(sums):
        named = re.search(_CURRENCY, each.label)
        if named is not None:
            return _currency(named[0], language)
    counts = Counter(each.amount.currency for each in lines if each.amount.currency)
    if counts:
        return counts.most_common(1)[0][0]
    codes = Counter(
        match[0].upper() for match in re.finditer(rf"(?<!\w)(?:{CODES})(?!\w)", page.text)
    )
    if codes:
        return codes.most_common(1)[0][0]
    signs = Counter(
        match[0]
        for match in re.finditer(_CURRENCY, page.folded)
        if not _is_word(page.text, match.start(), match[0])
    )
    if signs:
        return _currency(signs.most_common(1)[0][0], language)
    return find_home_currency(page.text, language)
