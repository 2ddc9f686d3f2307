"""Labels that are not in the lists: in two languages, or read by their words.

``Rechnungsnr. / Invoice no.`` is one label. ``Transfer reference`` and ``Ihre Bestellreferenz``
are labels because each of their words says something about the value after them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from qtforge_builtin_plugins.documents.facts.labels import Hit, Labels, Token

__all__ = ["guess_labels", "join_translations"]

_FIELDS: Final = frozenset({
    "number", "number_weak", "date", "date_weak", "due_date", "service_date", "order_reference",
    "payment_reference", "customer_number", "delivery_note", "original_number", "vat_id",
    "company_number",
})  # fmt: skip
# Labels that keep their words from being read in another way.
_OTHERS: Final = frozenset({
    "net", "tax", "tax_base", "total", "total_weak", "amount_due", "paid", "discount", "shipping",
    "iban", "bic", "bank", "account", "bank_code", "phone", "email", "ignored",
})  # fmt: skip
_ROLES: Final = frozenset({"issuer", "customer"})
_DIGIT_NEXT: Final = re.compile(r"[ .]{0,3}:?[ \t]{0,8}\d")
_SLASH: Final = re.compile(r"[. \u00a0]*[/|][ \u00a0]*(?=[^\W\d_])")
_BEFORE_SIGN: Final = re.compile(r"[ .]{1,3}")
_NUMBER_AFTER: Final = re.compile(r"[ .]{0,3}:|[ .:]{0,4}[^\s\d]{0,8}\d")
_TO_COLON: Final = re.compile(r"(?:[ ]?(?:[^\W\d_][\w.'°º-]*|[#№])){1,4}[ ]?(?=:)")
# Also after a value: Steuernummer: 5044433609 Registernummer: HRB 1767.
_SEGMENT: Final = re.compile(
    r"\s[/|\u2013-]\s|[;,]\s(?=[^\W\d_])"
    r"|(?<=\d)\s(?=[^\W\d_][^\d:\t]{2,40}:\s{0,3}[^\s:]{0,8}\d)"
)
_PHRASE: Final = re.compile(r"[^\W\d_][^\d:\t]{1,58}")
# A number or a day that is the whole next line, and no sum.
_VALUE_BELOW: Final = re.compile(
    r"[ ]*[\n\t][ ]*(?![^\w\s]?\d[\d., ']*[.,]\d\d[ ]*(?:\n|$))(?=[^\n]*\d{2})"
    r"(?:[^\s\d]{0,8}\d[\w/.&-]*|\d{1,2}[. ]{1,2}[^\W\d_]{3,12}\.? \d{4})[ ]*(?:\n|$)"
)
_LETTERS_OF_NUMBER: Final = re.compile(r"[ .:]{1,4}[^\W\d_]{1,4}")
_LAST_PART: Final = re.compile(r"[^\s]*$")
# The letters of a number, which are a part of it: HRB 1234, DE 123456789.
_PREFIX: Final = re.compile(
    r"(?<=\s)(?:hr ?[ab]|fn|hoja|che?|(?:atu|be|bg|cy|cz|dk|ee|el|fi|fr|gb|hr|hu|ie|lt|lu|lv|mt|nl"
    r"|pl|pt|ro|rf|si|sk|xi|de|es|it|se))\s*[a-z]?\s*-?\s*$"
)
_MONEY: Final = re.compile(
    r"[-−–]? ?(?:[^\w\s]|[a-z]{3} )? ?\d{1,3}(?:[., ']?\d{3})*[.,]\d\d(?![\d./-])|\d{1,2} ?%"  # noqa: RUF001
)
_MOST_LINE: Final = 300
_MOST_LABEL: Final = 60
_MOST_ROLE: Final = 4
_MOST_WORDS: Final = 7
_SMALL: Final = 3  # letters of words that say nothing, such as "of the"


def join_translations(
    folded: str, tokens: Sequence[Token], hits: Sequence[Hit], everything: Callable[[], Labels]
) -> list[Hit]:
    """Return the labels, with a label and its translation behind a slash as one.

    Args:
        folded: The text without case and accents.
        tokens: Its words.
        hits: The labels of its language and the English ones.
        everything: Returns the labels of all languages; is called for a text that needs them.
    """
    joined: list[Hit] = []
    starts = {hit.start: hit for hit in hits}
    places = {token.start: index for index, token in enumerate(tokens)}
    until = 0
    for hit in hits:
        if hit.start < until:
            continue
        slash = _SLASH.match(folded, hit.end)
        if slash is None:
            sign = _sign_after(folded, tokens, places, hit)
            until = sign
            joined.append(hit if sign == hit.end else Hit(hit.kinds, hit.start, sign, hit.strong))
            continue
        other = starts.get(slash.end())
        if other is None and slash.end() in places:
            at = places[slash.end()]
            foreign = next(everything().find(folded, tokens[at : at + 8]), None)
            if foreign is not None and foreign.start == slash.end():
                other = foreign
        kinds = hit.kinds
        end = hit.end
        if other is not None:
            common = tuple(kind for kind in hit.kinds if _is_like(kind, other.kinds))
            if common:
                # "Date / Issue date" is the date of issue, although the first may be any.
                kinds = tuple(_stronger(kind, other.kinds) for kind in common)
                end = other.end
        else:
            rest = _TO_COLON.match(folded, slash.end())
            if rest is not None:
                end = rest.end()
        until = end
        joined.append(Hit(kinds, hit.start, end, hit.strong))
    return joined


def _sign_after(
    folded: str, tokens: Sequence[Token], places: dict[int, int], hit: Hit
) -> int:  # fmt: skip
    """Return the end of the sign of a number after a label: VAT registration No."""
    gap = _BEFORE_SIGN.match(folded, hit.end)
    at = places.get(gap.end()) if gap else None
    if at is None or tokens[at].text != "#" or not _FIELDS & set(hit.kinds):
        return hit.end
    end = tokens[at].end
    return end if _NUMBER_AFTER.match(folded, end) else hit.end


def _is_like(kind: str, kinds: Sequence[str]) -> bool:
    return any(kind.removesuffix("_weak") == other.removesuffix("_weak") for other in kinds)


def _stronger(kind: str, kinds: Sequence[str]) -> str:
    strong = kind.removesuffix("_weak")
    return strong if strong in kinds else kind


def guess_labels(
    folded: str, cells: Sequence[tuple[int, int]], hits: Sequence[Hit], labels: Labels
) -> list[Hit]:
    """Return the labels together with those that are read by their words.

    Args:
        folded: The text without case and accents.
        cells: The parts of its lines, in order.
        hits: The labels that are known, in order.
        labels: The labels of its language.
    """
    if not labels.words:
        return list(hits)
    guesses: list[Hit] = []
    at = 0
    for start, end in cells:
        if end - start > _MOST_LINE:
            continue
        while at < len(hits) and hits[at].end <= start:
            at += 1
        known = []
        for hit in hits[at:]:
            if hit.start >= end:
                break
            known.append(hit)
        guesses += _in_cell(folded, start, end, known, labels)
    if not guesses:
        return list(hits)
    replaced = [(guess.start, guess.end) for guess in guesses]
    kept: list[Hit] = []
    index = 0
    for hit in hits:
        while index < len(replaced) and replaced[index][1] <= hit.start:
            index += 1
        if index == len(replaced) or hit.end <= replaced[index][0]:
            kept.append(hit)
    return sorted([*kept, *guesses], key=lambda hit: hit.start)


def _in_cell(
    folded: str, start: int, end: int, known: Sequence[Hit], labels: Labels
) -> Iterator[Hit]:
    text = folded[start:end]
    begin = 0
    for gap in (*_SEGMENT.finditer(text), None):
        until = gap.start() if gap else len(text)
        segment_start, segment_end = start + begin, start + until
        begin = gap.end() if gap else until
        found = _guess(folded, segment_start, segment_end, known, labels)
        if found is not None:
            yield found


def _guess(
    folded: str, start: int, end: int, known: Sequence[Hit], labels: Labels
) -> Hit | None:  # fmt: skip
    phrase = _PHRASE.match(folded, start, end)
    if phrase is None:
        return None
    label_end = phrase.end()
    follower = folded[label_end : label_end + 1] if label_end < end else ""
    if not follower and _VALUE_BELOW.match(folded, label_end):
        follower = ":"  # alone above its value a label is as good as with a colon
    if follower.isdigit():
        # A number's letters are a part of it: PO-7312.
        part = _LAST_PART.search(folded, start, label_end)
        label_end = part.start() if part else label_end
        if _MONEY.match(folded, label_end, end):
            return None
        prefix = _PREFIX.search(folded, start, label_end)
        label_end = prefix.start() if prefix else label_end
    label_end = start + len(folded[start:label_end].rstrip(" .-–(/"))  # noqa: RUF001
    if label_end <= start:
        return None
    inside = [hit for hit in known if hit.start < label_end and hit.end > start]
    is_valued = follower.isdigit() or (follower == ":" and _DIGIT_NEXT.match(folded, label_end))
    if any(
        hit.start <= start and hit.end >= label_end
        and not (is_valued and set(hit.kinds) <= _ROLES)  # "emitida a" is followed by a day
        for hit in inside
    ):  # fmt: skip
        return None
    if any(
        hit.start == start and _FIELDS & set(hit.kinds)
        and _LETTERS_OF_NUMBER.fullmatch(folded, hit.end, label_end)
        for hit in inside
    ) and follower.isdigit():  # fmt: skip
        return None  # Invoice no. INV 118
    if any(_OTHERS & set(hit.kinds) and not _FIELDS & set(hit.kinds) for hit in inside):
        return None
    if any(hit.end > label_end for hit in inside):
        return None
    if not follower and sum(bool(_FIELDS & set(hit.kinds)) for hit in inside) > 1:
        return None  # a row of labels
    if label_end - start > _MOST_LABEL:
        return None
    words = labels.words_of(folded[start:label_end])
    if not words or len(words) > _MOST_WORDS:
        return None
    roles = [labels.roles_of(word) for word in words]
    unknown = sum(
        not role and len(word) > _SMALL for word, role in zip(words, roles, strict=True)
    )  # fmt: skip
    known_words = sum(bool(role) for role in roles)
    allowed = known_words if follower == ":" else (1 if follower or known_words > 1 else 0)
    if not known_words or unknown > min(allowed, known_words):
        return None
    either = frozenset().union(*roles)
    if not is_valued and len(words) <= _MOST_ROLE and not unknown:
        # "Your customer:" and "Coordonnées du client" are before a name.
        sides = either & {"buyer", "seller"}
        if len(sides) == 1 and not either & {"number", "date", "terms", "order"}:
            kind = "customer" if "buyer" in sides else "issuer"
            return Hit((kind,), start, label_end, strong=False, guessed=True)
    kinds = _kinds(either, len(words))
    return Hit(kinds, start, label_end, strong=False, guessed=True) if kinds else None


def _kinds(roles: frozenset[str], count: int) -> tuple[str, ...]:
    """Return the kinds of a label that has words of some roles: a date's, and a number's."""
    if "terms" in roles:
        return ()
    kinds: list[str] = []
    if "due" in roles:
        kinds.append("due_date")
    elif roles & {"service", "order", "delivery"}:
        kinds.append("service_date")
    elif "date" in roles:
        kinds.append("date" if "document" in roles else "date_weak")
    number = _number_kind(roles, count)
    if number is not None:
        kinds.append(number)
    return tuple(kinds)


def _number_kind(roles: frozenset[str], count: int) -> str | None:
    if "vat" in roles and "document" not in roles:
        return "vat_id"
    if "register" in roles and not roles & {"order", "customer", "document", "pay"}:
        return "company_number"
    if "original" in roles and "document" in roles and count > 1:
        return "original_number"
    if "pay" in roles and roles & {"number", "pay"}:
        return "payment_reference"
    if "order" in roles:
        return "order_reference"
    if "delivery" in roles:
        return "delivery_note"
    if "number" not in roles:
        return None
    if "customer" in roles:
        return "customer_number"
    if "document" in roles:
        return "number"
    return "order_reference" if "your" in roles else "number_weak"
