"""The sums of an invoice: net, taxes, total, paid and due, decided by its own arithmetic."""

# ruff: noqa: RUF001 - it has typographic marks and a Russian abbreviation

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from price_parser import Price

from qtforge_builtin_plugins.documents.facts.amounts import CODES, SIGNS
from qtforge_builtin_plugins.documents.facts.dates import iterate_dates
from qtforge_builtin_plugins.documents.facts.page import Page

__all__ = [
    "RATE_AFTER",
    "Money",
    "SumLine",
    "Sums",
    "explain_amounts",
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
    rf"(?P<number>{_NUMBER})(?:[.,][-–]{{1,2}}(?!\d))?(?P<minus3>-(?!\d))?"
    rf"(?:[ \n]?(?P<after>{_CURRENCY})(?!\.? ?\d))?(?P<close>\))?(?![\w/]|[.,:]\d|-\w)"
)
# 20 %, and %20 as in Turkish; in "19%2.975,00" and "20 %374 723,38" a sum follows the rate.
_RATE_BEHIND: Final = r"\d{1,2}(?:[.,]\d{1,2})?(?![.,]?\d)"
RATE_AFTER: Final = rf"(?<![\d.,])(\d{{1,2}}(?:[.,]\d{{1,3}})?)(?:%| %(?!{_RATE_BEHIND}))"
"""A rate before its sign; its number is the group."""

_PERCENT: Final = re.compile(rf"\(?[-–]?{RATE_AFTER}\)?|% ?{_RATE_BEHIND}")
_RATE: Final = re.compile(rf"(?P<minus>[-–]?)(?:{RATE_AFTER}|% ?({_RATE_BEHIND}))")
_ENDING: Final = re.compile(r"[\s|;.*)]{0,6}(?:[a-z]{1,2}(?![a-z]))?[\s|*.]*")
_DATE: Final = re.compile(r"(?<!\d)\d{1,4}[./-]\d{1,2}[./-]\d{2,4}(?!\d)")
# One dollar with a code says which one they all are.
_OTHER_DOLLAR: Final = re.compile(
    r"\$ ?[\d.,]+ ?(MXN|CAD|AUD|NZD|SGD|HKD|ARS|CLP|COP)\b"
    r"|\b(MXN|CAD|AUD|NZD|SGD|HKD|ARS|CLP|COP) ?\$"
)
_DECIMALS: Final = re.compile(r"\d([.,])\d\d(?![\d.,]*\d)")
_PLACES: Final = re.compile(r"[.,](\d+)$")
_TOLERANCE: Final = Decimal("0.06")
_OF_BASE: Final = Decimal(1)  # a rounded tax of a few per cent is that far from its base
# What a sum without tax is called, apart from its own labels.
_NETS: Final = frozenset({"net", "tax_base", "total", "total_weak"})
_SURE_NETS: Final = frozenset({"net", "tax_base"})
_CENT: Final = Decimal("0.01")
_HALF_CENT: Final = Decimal("0.0051")
_MOST_RATE: Final = 30  # per cent
_MOST_RATE_ROW: Final = 80
_MOST_OF_RATE_ROW: Final = 4
_RATE_AND_BASE: Final = re.compile(r"(\d{1,2})[ \u00a0\u202f](\d{3}[.,]\d\d)")
_LONG_WORD: Final = re.compile(r"[^\W\d_]{5,}")
_MOST_LABEL: Final = 80
_CODE_LENGTH: Final = 3
_MOST_LINES: Final = 4_000
_OTHER_SIGNS: Final[Mapping[str, str]] = MappingProxyType(
    {"tl": "TRY", "zl": "PLN", "р.": "RUB", "kc": "CZK", "zlotych": "PLN", "zlote": "PLN"}
)
_CROWNS: Final[Mapping[str, str]] = MappingProxyType({"da": "DKK", "sv": "SEK", "no": "NOK",
                                                      "nb": "NOK", "is": "ISK"})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """A number in a line, which may be an amount.

    Attributes:
        start: Its position in the text.
        end: The position after it.
        text: As written.
        value: The number.
        currency: ISO 4217, or None when there is none beside it.
        places: Its decimal places.
    """

    start: int
    end: int
    text: str
    value: Decimal
    currency: str | None
    places: int

    @property
    def looks_like_money(self) -> bool:
        """Whether it has a currency or two decimal places."""
        return self.currency is not None or self.places == 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SumLine:
    """A line that ends in an amount.

    Attributes:
        kind: Such as ``net``; None for a label that is not known.
        label: The words before the amount.
        amount: Its amount.
        rate: The per cent in it, or None.
        base: Another amount before it, such as the base of a tax, or None.
        line: The index of its line.
        evidence: The line.
        plain: Whether nothing but a label is beside the amount.
        either: Whether its label is one of sums with tax as well as of sums without.
    """

    kind: str | None
    label: str
    amount: Money
    rate: Decimal | None
    base: Money | None
    line: int
    evidence: str
    plain: bool
    either: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The sums of an invoice; each is None when it was not found.

    Attributes:
        net: The sum without tax.
        taxes: Each tax.
        total: The sum with tax.
        due: What is still to pay, if it is stated.
        paid: What was paid before, if it is stated.
        currency: ISO 4217, or None.
        agrees: Whether net and taxes make the total.
    """

    net: SumLine | None = None
    taxes: tuple[SumLine, ...] = ()
    total: SumLine | None = None
    due: SumLine | None = None
    paid: SumLine | None = None
    currency: str | None = None
    agrees: bool = False
    lines: tuple[SumLine, ...] = field(default=(), repr=False)


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
    if "%" in line:
        line = _PERCENT.sub(_blank, line)
    found: list[Money] = []
    for match in _MONEY.finditer(line):
        number = match["number"]
        value = _value(number, mark)
        if value is None:
            continue
        bracketed = bool(match["open"] and match["close"] and (match["before"] or match["after"]))
        if match["minus"] or match["minus2"] or match["minus3"] or bracketed:
            value = -value
        sign = match["before"] or match["after"]
        if sign == "$" and match["after"]:
            sign = match["after"]  # $145.00 MXN
        if sign is not None and _is_word(page.text, start + match.start(), sign):
            sign = None
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
                currency=_currency(sign, language),
                places=decimals,
            )
        )
    page.money[start, end] = found
    return found


# A tax number or tax that only one country has, and its currency.
_TILLS: Final = (
    (r"(?<!\w)инн[ :№]*\d{10}", "RUB"),
    (r"(?<!\w)(?:top)?kdv(?!\w)", "TRY"),
    (r"(?<!\w)nip[ :]*\d{3}-?\d{3}-?\d{2}-?\d{2}", "PLN"),
)


def _is_word(text: str, start: int, sign: str) -> bool:
    """Return whether letters like those of a currency are a word: Cad. in a Turkish address."""
    if len(sign) != _CODE_LENGTH or not sign.isalpha():
        return False
    near = text[start : start + _MOST_LABEL]
    at = near.lower().find(sign)
    written = near[at : at + len(sign)] if at >= 0 else ""
    return written.istitle() and sign != "eur"


def _blank(match: re.Match[str]) -> str:
    return "\0" * len(match[0])


@lru_cache(maxsize=4096)  # several extractors read the same lines
def _value(number: str, mark: str | None) -> Decimal | None:
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


def find_sums(page: Page, language: str | None, items: Sequence[Decimal]) -> Sums:
    """Return the sums that fit each other best.

    Args:
        page: The text.
        language: ISO 639-1, or None.
        items: The amounts of its items, or none.
    """
    lines = read_lines(page, language)
    currency = _main_currency(page, lines, language)
    best = _best(lines, sum(items, Decimal(0)) if items else None)
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
        made = _read_line(page, index, first, end, mark, language)
        if made is not None:
            found.append(made)
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
        if len(amounts) != len(hits) or find_money(page, start, end, mark, language):
            continue
        for hit, amount in zip(hits, amounts, strict=True):
            kinds = tuple(kind for kind in hit.kinds if kind in _KINDS)
            rates = [_rate(match) for match in _RATE.finditer(page.folded[hit.start : hit.end + 8])]
            yield SumLine(
                kind=_kind(kinds, rates), label=page.folded[hit.start : hit.end], amount=amount,
                rate=rates[0] if rates else None, base=None, line=index,
                evidence=page.spans([(hit.start, hit.end), (amount.start, amount.end)]), plain=True,
            )  # fmt: skip


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
        if amounts or not kinds or kinds == ("other",):
            return None
        return _below(page, index, start, end, kinds, rates, mark, language)
    amount = amounts[-1]
    if _is_year(page, start, end, amount, language):
        return None
    label = page.folded[start : amounts[0].start]
    if len(label) > _MOST_LABEL or not re.search(r"[^\W\d_]", label):
        return None
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
        either="net" in kinds and bool({"total", "total_weak"} & set(kinds)),
    )


def _says_net(page: Page, start: int, end: int) -> bool:
    """Return whether the words of a label that is not listed are those of a sum without tax."""
    says = {
        role
        for token in page.tokens_between(start, end)
        for role in page.labels.says_of(token.text)
    }
    return {"excluding", "tax"} <= says or ("net" in says and "tax" not in says)


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
    if index + 1 >= len(page.lines) or not _only_label(page, start, end):
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
    )  # fmt: skip


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
        found = counts.most_common(1)[0][0]
        other = _OTHER_DOLLAR.search(page.text) if found == "USD" else None
        return other[1] or other[2] if other else found
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
    # A till prints none where everybody knows it.
    return next((code for word, code in _TILLS if re.search(word, page.folded)), None)


def _taxes_by_rate(lines: Sequence[SumLine]) -> list[SumLine]:
    """Return the lines, with those as taxes that are their rate of a sum and its rest.

    Whatever its words are: in ``incl. VAT 10% 144.10`` the words are those of a total.
    """
    values = {line.amount.value for line in lines}
    read: list[SumLine] = []
    for line in lines:
        tax, rate = line.amount.value, line.rate
        is_tax = (
            line.kind in ("total", "total_weak", "net", "other")
            and rate is not None and rate > 0 and line.base is None
            and any(
                value - tax in values and abs((value - tax) * rate / 100 - tax) <= _TOLERANCE
                for value in values if abs(value) > abs(tax) > 0
            )
        )  # fmt: skip
        read.append(replace(line, kind="tax") if is_tax else line)
    return read


def _best(lines: Sequence[SumLine], items: Decimal | None) -> Sums:
    """Return the total, and the net sum and taxes that make it."""
    lines = _taxes_by_rate(lines)
    totals = _candidates(lines, ("total",)) or _candidates(lines, ("total_weak",))
    weak = _candidates(lines, ("total_weak",)) if totals else []
    dues = _candidates(lines, ("amount_due",))
    paid = next((line for line in reversed(lines) if line.kind == "paid"), None)
    due = dues[-1] if dues else None
    unknown = [each for each in lines if each.kind is None and each.plain]
    # The words for a sum may be the same ones for that with tax and that without.
    last_tax = max((each.line for each in lines if each.kind == "tax"), default=len(lines))
    after = [each for each in lines if each.kind == "net" and each.line > last_tax]
    others = [each for each in lines if each.kind == "other" and each.line > last_tax]
    either = [each for each in lines if each.either]
    whole_paid = _candidates(lines, ("paid",)) if not totals else []
    for group in (totals, weak, dues, unknown, after, others, either, whole_paid):
        best: Sums | None = None
        for total in group:
            made = _explained(total, lines, items)
            if made is not None and (best is None or _rank(made, paid) >= _rank(best, paid)):
                best = made
        if best is not None:
            return _with_due(best, due, paid)
    if items is not None and not (totals or weak or dues):
        # Whatever it is called, the amount of all items is the total if there is no tax.
        whole = [each for each in lines if abs(each.amount.value - items) <= _TOLERANCE]
        if whole and not any(each.kind == "tax" for each in lines):
            return _with_due(Sums(total=whole[-1], agrees=True), due, None)
    chosen = _unexplained(totals or weak, dues)
    net = next((line for line in reversed(lines) if line.kind == "net"), None)
    taxes = tuple(_unique(line for line in lines if line.kind == "tax"))
    return _with_due(Sums(net=net, taxes=taxes, total=chosen), due, paid)


def _candidates(lines: Sequence[SumLine], kinds: Sequence[str]) -> list[SumLine]:
    return [line for line in lines if line.kind in kinds]


def _rank(sums: Sums, paid: SumLine | None) -> tuple[bool, Decimal]:
    return bool(sums.taxes), abs(sums.total.amount.value) if sums.total else Decimal(0)


def _with_due(sums: Sums, due: SumLine | None, paid: SumLine | None) -> Sums:
    return replace(sums, due=due, paid=paid)


def _unexplained(totals: Sequence[SumLine], dues: Sequence[SumLine]) -> SumLine | None:
    """Return the greatest total; one that is zero was paid, and the sum has a weaker label."""
    for group in (totals, dues):
        nonzero = [each for each in group if each.amount.value]
        if nonzero:
            return max(nonzero, key=lambda each: abs(each.amount.value))
    return next(iter([*totals, *dues]), None)


def _explained(total: SumLine, lines: Sequence[SumLine], items: Decimal | None) -> Sums | None:
    """Return a total with the net sum and the taxes that make it; None when nothing does."""
    value = total.amount.value
    taxes = _unique(line for line in lines if line.kind == "tax" or (
        line.kind is None and line.rate is not None and line.plain
    ))  # fmt: skip
    for some in _subsets(taxes):
        tax = sum((line.amount.value for line in some), Decimal(0))
        nets = [
            line for line in lines
            if line.line != total.line and line.kind not in ("tax", "paid", "amount_due", "ignored")
            and abs(line.amount.value + tax - value) <= _TOLERANCE and (some or line.kind == "net")
        ]  # fmt: skip
        nets.sort(key=lambda line: (line.kind != "net", line.kind != "tax_base",
                                    line.kind not in _NETS, -line.line))  # fmt: skip
        if nets and (nets[0].kind in _NETS or (nets[0].plain and _rates_fit(nets[0], some))):
            return Sums(net=nets[0], taxes=tuple(some), total=total, agrees=True)
    if items is not None and abs(items - value) <= _TOLERANCE and not taxes:
        return Sums(total=total, agrees=True)
    return None


def _rates_fit(net: SumLine, taxes: Sequence[SumLine]) -> bool:
    """Return whether the tax is its rate of the net sum; of several, whether all may be."""
    if not taxes or any(tax.rate is None for tax in taxes):
        return False
    sums = [tax.amount.value * 100 / tax.rate for tax in taxes if tax.rate]
    return abs(sum(sums, Decimal(0)) - net.amount.value) <= _OF_BASE * len(taxes) ** 2


def explain_amounts(
    amounts: Sequence[Money], rates: Sequence[Decimal]
) -> tuple[Money, Money, list[Money]] | None:
    """Return total, net sum and taxes among amounts, by their arithmetic alone.

    Args:
        amounts: Each value once.
        rates: The per cent beside them; each tax is its rate of the net sum or, of two taxes,
            of a part of it.
    """
    found: list[tuple[Money, Money, list[Money]]] = []
    for net, total in itertools.permutations(amounts, 2):
        rest = total.value - net.value
        if not 0 < rest < net.value * _MOST_RATE / 100:
            continue
        others = [each for each in amounts if each is not net and each is not total]
        single = [each for each in others if abs(each.value - rest) <= _CENT]
        if single and any(abs(net.value * rate / 100 - rest) <= 2 * _CENT for rate in rates):
            found.append((total, net, single[:1]))
            continue
        if len(rates) > 1:
            found += [
                (total, net, [one, other])
                for one, other in itertools.combinations(others, 2)
                if abs(one.value + other.value - rest) <= _CENT
                and any(
                    abs(100 * (one.value / first + other.value / second) - net.value) <= _OF_BASE
                    for first, second in itertools.permutations(rates, 2)
                )
            ]  # fmt: skip
    return found[0] if len({total.value for total, _, _ in found}) == 1 else None


def _subsets(taxes: Sequence[SumLine]) -> Iterator[tuple[SumLine, ...]]:
    """Yield all taxes, then those with a rate, then each alone, then none."""
    yield tuple(taxes)
    rated = tuple(line for line in taxes if line.rate is not None)
    if len(rated) != len(taxes):
        yield rated
    if len(taxes) <= 6:
        for size in range(len(taxes) - 1, 0, -1):
            yield from itertools.combinations(taxes, size)
    yield ()


def _unique(lines: Iterator[SumLine]) -> list[SumLine]:
    """Return the taxes, each once: an invoice of several pages repeats them."""
    seen: dict[tuple[Decimal | None, Decimal], SumLine] = {}
    for line in lines:
        seen.setdefault((line.rate, line.amount.value), line)
    return list(seen.values())
