"""The numbers under which a company is registered: for tax, and in its register."""

# ruff: noqa: RUF001 - it has words in Russian

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from qtforge_builtin_plugins.documents.facts.labels import Hit
from qtforge_builtin_plugins.documents.facts.page import Page

__all__ = ["PLAIN_VAT", "REGISTERED", "labelled_numbers"]

_VAT_FORM: Final = re.compile(
    r"(?P<swiss>CHE[- ]?\d{3}[. ]?\d{3}[. ]?\d{3}(?: ?(?:MWST|TVA|IVA))?)"
    r"|(?P<eu>(?:AT ?U|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|GB|GR|HR|HU|IE|IT|LT|LU|LV|MT|NL|NO|PL"
    r"|PT|RO|SE|SI|SK|XI|TR|RU) ?[\dA-Z](?:[ .-]?[\dA-Z]){6,13}(?![\dA-Za-z]))"
    r"|(?P<letter>[A-Z]-?\d{7,8}[A-Z]?|[A-Z]\d{7}[A-Z]|\d{8}[A-Z])(?![\dA-Za-z])"
    r"|(?P<brazil>\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2})"
    r"|(?P<mexico>[A-ZÑ&]{3,4}\d{6}[A-Z\d]{3})(?![A-Za-z\d])"
    r"|(?P<whole>\d{8,11})(?= \d)|(?P<digits>\d(?:[ .-]?\d){7,13})(?!\d)"
    r"|(?P<other>\d{2}[A-Z]{5}\d{4}[A-Z][\dA-Z]{3})"
)
_COUNTRY: Final = re.compile(
    r"(?<!\w)(?:AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|GB|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK)$"
)
_SWISS_END: Final = re.compile(r"CHE[- ]?\d{3}[. ]?\d{3}[. ]?\d{3} ?$")
# Forms that only the VAT numbers of a country have, so that they need no label.
PLAIN_VAT: Final = re.compile(
    r"(?<![\w-])(?:ATU ?\d{8}|BE ?[01]\d{3}[. ]?\d{3}[. ]?\d{3}|DE ?\d{3} ?\d{3} ?\d{3}|DK ?\d{8}"
    r"|ES ?[A-Z]\d{7}[A-Z\d]|FR ?[A-Z\d]{2} ?\d{3} ?\d{3} ?\d{3}|GB ?\d{3} ?\d{3,4} ?\d{2,3}"
    r"|IE ?\d{7}[A-Z]{1,2}|IT ?\d{11}|NL ?\d{9} ?B\d{2}|PL ?\d{10}|PT ?\d{9}|SE ?\d{10}01"
    r"|CHE[- ]?\d{3}[. ]?\d{3}[. ]?\d{3}(?: (?:MWST|TVA|IVA))?)(?![\w-])"
)
_COMPANY_NUMBER: Final = re.compile(
    r"(?P<value>(?:HR ?[AB]|FN|Hoja|hoja|CHE?|REA|[A-Z]{1,3})?[ .:-]{0,2}"
    r"(?:[A-Z]{1,2}-)?\d[\d.]*(?:[ .-]\d+){0,5}[a-z]?(?![\w]))"
)
# The forms of numbers in registers, which name the register themselves.
REGISTERED: Final = re.compile(
    r"(?<!\w)(?:(?P<de>HR ?[AB] ?\d{2,6}(?: ?[A-Z]{1,2}(?!\w))?)|(?P<at>FN ?\d{3,6} ?[a-z])"
    r"|(?P<ch>CH-?\d{3}\.\d\.\d{3}\.\d{3}-\d)|(?P<es>(?i:hoja) ?[A-Z]{1,2} ?-?\d{3,7})"
    r"|(?P<fr2>\d{3} \d{3} \d{3})(?= R\.?C\.?S\.?(?!\w))"
    r"|(?:R\.?C\.?S\.?|SIREN|SIRET)[^\d\n]{0,32}\n?[^\d\n]{0,12}(?P<fr>\d{3}[ .]?\d{3}\s?\d{3})"
    r"|(?i:kvk|kamer van koophandel)[^\d\n]{0,36}(?P<nl>\d{8})"
    r"|(?:R\.?E\.?A\.?)[^\d\n]{0,8}?(?P<it>[A-Z]{2} ?-? ?\d{5,7})"
    r"|(?i:krs)[^\d\n]{0,16}(?P<pl>\d{10})|(?i:cvr)[^\d\n]{0,16}(?P<da>\d{2} ?\d{2} ?\d{2} ?\d{2})"
    r"|(?i:mers[iİı]s)[^\d\n]{0,14}(?P<tr>\d{16})|ОГРН(?:ИП)?[^\d\n]{0,8}\n?(?P<ru>\d{13}(?:\d\d)?)"
    r"|(?:C\.?R\.?C\.?|[Cc]onservat[óo]ria|[Rr]egisto [Cc]omercial)[^\d\n]{0,44}(?P<pt>\d{3,9})"
    r"|(?i:org)(?:anisations)?[ .-]{0,2}(?i:nr|nummer)[^\d\n]{0,6}(?P<sv>\d{6}-?\d{4})"
    r"|(?i:registered (?:in|no|number|company)|incorporated in)[^\d\n]{0,40}"
    r"(?P<en>(?:[A-Z]{2})?\d{5,8})"
    r"|(?:EIN\)?|Employer Identification Number)[^\d\n]{0,10}(?P<us>\d\d-\d{7}))(?![\w])"
)
_LEAD: Final = re.compile(r"[\s:.#№·–-]{0,6}")
_OTHER: Final = frozenset({"vat_id", "company_number", "phone", "email", "iban", "bic", "bank"})


def labelled_numbers(page: Page) -> Iterator[tuple[Hit, str, str, str]]:
    """Yield each number after its label, with the kind, the value and the text that it is from.

    Args:
        page: The text.
    """
    for hit in page.hits:
        kinds = [kind for kind in ("vat_id", "company_number") if kind in hit.kinds]
        if not kinds:
            continue
        _, end = page.lines[page.line_at(hit.end - 1)]
        start = hit.end
        text = page.text[start:end]
        index, number, cell = page.cell_of(hit.end - 1)
        if not re.search(r"\w", page.text[start : cell.end]) and len(page.cells[index]) > 1:
            below = page.below(index, cell.column, number, len(page.cells[index]))
            beside = page.cells[index][number + 1] if number + 1 < len(page.cells[index]) else None
            for place in (beside, below):
                if place is not None and re.search(r"\d", page.text[place.start : place.end]):
                    start, end = place.start, place.end
                    text = page.text[start:end]
                    break
        if not re.search(r"\w", text):
            following = index + 1
            if following < len(page.lines):
                start, end = page.lines[following]
                text = page.text[start:end]
        elif page.text[end : end + 1] == "\n" and len(text) < 6:
            text = f"{text} {page.line(page.line_at(end) + 1)}"
        following_hits = page.hits_between(start, start + len(text))
        cut = next((other.start for other in following_hits if _OTHER & set(other.kinds)), None)
        # In CHE-255.488.379 MWST the label is a part of the number.
        if cut is not None and not _SWISS_END.search(page.text, start, cut):
            text = text[: cut - start]
        evidence = f"{page.spans([(hit.start, hit.end)])} {' '.join(text.split())}"[:160]
        for kind in kinds:
            value = _vat(text) if kind == "vat_id" else _company_number(text)
            country = _COUNTRY.search(page.text, hit.start, hit.end)
            if kind == "vat_id" and value and value.isdigit() and country is not None:
                value = f"{country[0]}{value}"  # of the label "TVA BE"
            if value is not None:
                yield hit, kind, value, evidence


def _vat(text: str) -> str | None:
    lead = _LEAD.match(text)
    at = lead.end() if lead else 0
    match = _VAT_FORM.match(text, at)
    return None if match is None else re.sub(r"[ ./-]", "", match[0])


def _company_number(text: str) -> str | None:
    lead = re.match(
        r"[\s:.#№·–(-]{0,6}(?:(?:de|di|of|in|zu|von|do|da|et|ved)\s)?(?:[^\W\d_]{3,20}\s){0,2}",
        text,
    )
    for at in dict.fromkeys((_LEAD.match(text).end(), lead.end() if lead else 0)):  # type: ignore[union-attr]
        match = _COMPANY_NUMBER.match(text, at)
        if match is not None and sum(map(str.isdigit, match["value"])) >= 4:
            return match["value"].strip(" .:-")
    return None
