"""Find postal addresses: a street with its number, then a postal code with its town."""

# ruff: noqa: RUF001 - it has words in Russian

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from qtforge_builtin_plugins.pipelines.legal.spans import Span

__all__ = ["find_addresses"]

_REACH: Final = 90
_CAPITAL: Final = r"[^\W\d_a-zß-öø-ÿа-яё]"
_TOWN: Final = (
    rf"{_CAPITAL}[\w'’-]+(?:[ \n]+(?:(?:am|an|der|de|la|le|les|du|del|di|sur|sous|upon|den|aan|im)"
    rf"[ \n]+)?{_CAPITAL}[\w'’/-]*){{0,3}}(?:/{_CAPITAL}[\w-]+)?"
)
# A code before its town: 04109 Leipzig, 9711 AB Groningen, 1250-142 Lisboa, 753 20 Uppsala.
_CODE_FIRST: Final = re.compile(
    rf"(?<![\w/.-])(?:(?:[A-Z]{{1,2}}-)?(?:\d{{4}} ?[A-Z]{{2}}(?![\w])|\d{{4}}-\d{{3}}"
    rf"|\d{{2}}-\d{{3}}"
    rf"|\d{{3}} \d{{2}}|\d{{6}}|\d{{4,5}}))(?:,? г\.)? ?(?:(?<! )\n)?{_TOWN}"
    r"(?:[ \n]+[A-Z](?![\w]))?"
)
# A code after its town: Bristol BS1 5TR, Galway H91 E2K3, Portland, OR 97205.
_CODE_LAST: Final = re.compile(
    rf"{_TOWN},?[ \n]+(?:[A-Z]{{1,2}}\d[A-Z\d]?[ \n]\d[A-Z]{{2}}|[A-Z]\d[\dW][ \n]?[A-Z\d]{{4}}"
    r"|[A-Z]{2} \d{5}(?:-\d{4})?)(?!\w)"
)
_SMALL: Final = (
    r"(?:de|la|las|los|el|del|della|delle|dei|degli|di|da|das|dos|do|der|den|des|am|an|auf|im"
    r"|in den|zum|zur|van|von|op|ten|ter|of|the|le|les|du|och|og|på|dell'|d')"
)
_NUMBER: Final = (
    r"(?:(?:No|Nr|no|nr|n|N)[.:°º]{0,2} ?)?\d{1,4}(?:[ /-]?[a-zA-Z](?!\w))?(?:[/-]\d{1,4}[a-z]?)?"
)
_FLAT: Final = (
    r"(?:,? (?:\d{1,2}\.?[º°ª]?(?: ?[A-Z](?!\w)| ?tv\.?| ?th\.?| ?mf\.?)?|(?:Suite|Apt\.?|Flat|Unit"
    r"|Floor"
    r"|Etage|bus|bte\.?|lok\.?|m\.|kat|daire|D:|K:) ?\d{1,4}[a-zA-Z]?|Stock \d|Top \d{1,3}))?"
)
_NUMBER_LAST: Final = re.compile(
    rf"(?:(?:[Cc]/ ?|(?:ul|al|os|pl|[Aa]v|[Aa]vda|[Cc]|[Pp]za|[Pp]lz|[Ss]tr)\. ?)?"
    rf"{_CAPITAL}[\w'’./-]*|\d{{1,2}}\.)"
    rf"(?:[ \n]+(?:{_SMALL}|{_CAPITAL}[\w'’.-]*|\d{{1,2}}\.)){{0,6}}"
    rf",?[ \n]+{_NUMBER}{_FLAT}$"
)
_NUMBER_FIRST: Final = re.compile(
    r"(?<![\w.,/-])(?:\d{1,3}(?: ?(?:bis|ter|quater)|[a-dA-D])?,?|\d{4})(?<!\d{4},)[ \n]+"
    r"(?:[^\W\d_][\w'’.-]*|\d{1,3}(?:st|nd|rd|th))"
    rf"(?:[ \n]+(?:[^\W\d][\w'’.-]*|\d{{1,3}}(?:st|nd|rd|th))){{0,5}}{_FLAT}$"
)
_RUSSIAN: Final = re.compile(
    r"(?:\d{6},\s*)?(?:(?:г|город)\.?\s*[А-ЯЁ][а-яё-]+(?:[ -][А-ЯЁ][а-яё-]+)?,\s*)?"
    r"(?:ул|улица|пр-т|просп|проспект|наб|набережная|пер|переулок|пл|площадь|ш|шоссе|б-р|бул|бульвар"
    r"|пр|проезд|линия)\.?\s+[^\n,;]{2,40},\s*(?:д|дом)\.?\s*\d+[\w/]*"
    r"(?:,\s*(?:корп|к|стр|оф|офис|кв|пом|литер)\.?\s*[\w-]+)*"
    r"(?:,\s*\d{6})?(?:,?\s*(?:г|город|пос|с|дер)\.?\s*[А-ЯЁ][\w-]+(?:[ \n-][А-ЯЁ][\w-]+){0,2})?"
)
_NO_STREET: Final = re.compile(
    r"(?:section|clause|article|art\.|artikel|abschnitt|schedule|annex|anlage|annexe|anexo|allegato|bijlage"
    r"|chapter|part|act|rule|paragraph)(?!\w)",
    re.IGNORECASE,
)
_SEPARATOR: Final = re.compile(r"[,\s]+$")
# Words that are before an address, and not its beginning.
_INTRODUCTION: Final = re.compile(
    r"^(?:(?:Adresse|Address|Anschrift|Domicilio|Indirizzo|Adres|Adresi|Sitz|Seat)\W+)",
    re.IGNORECASE,
)


def find_addresses(text: str) -> Iterator[Span]:
    """Yield the addresses, in no order; a code and a town alone are none."""
    for match in _RUSSIAN.finditer(text):
        yield _span(text, match.start(), match.end())
    for pattern in (_CODE_FIRST, _CODE_LAST):
        for match in pattern.finditer(text):
            start = _street(text, match.start())
            if start is not None:
                yield _span(text, start, match.end())


def _street(text: str, end: int) -> int | None:
    """Return where the street begins that ends before a position, or None."""
    begin = max(0, end - _REACH)
    before = text[begin:end]
    separator = _SEPARATOR.search(before)
    # A comma or a new line is between the street and the town; in "4 June 2025" there is none.
    if separator is None or not {",", "\n"} & set(separator[0]) or "\n\n" in separator[0]:
        return None
    before = before[: separator.start()]
    places = [match.start() for match in _NUMBER_FIRST.finditer(before)][-1:]
    last = _NUMBER_LAST.search(before)
    if last is not None:
        places.append(last.start())
    if not places:
        return None
    at = min(places)
    if _NO_STREET.match(before, at):
        return None
    introduction = _INTRODUCTION.match(before[at:])
    return begin + at + (introduction.end() if introduction else 0)


def _span(text: str, start: int, end: int) -> Span:
    return Span(start=start, end=end, kind="address", key=" ".join(text[start:end].lower().split()))
