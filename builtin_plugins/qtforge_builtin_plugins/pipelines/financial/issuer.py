"""Find an invoice's issuer: a labelled name, or the first company that is not the customer."""

# ruff: noqa: RUF001 - it has labels in Russian and typographic marks

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from qtforge_builtin_plugins.pipelines.financial.numbers import TextLine

__all__ = ["find_issuer", "issuer_key"]

_MOST_LINES: Final = 400
_LABELLED: Final = re.compile(
    r"^\W{0,3}(?:seller|vendor|supplier|from|issued by|issuer|invoiced by|lieferant|verkäufer"
    r"|rechnungssteller|fournisseur|vendeur|vendedor|fornitore|продавец|поставщик|исполнитель)"
    r"\s?[:\t]\s*(?P<name>[^\t\n]{2,80})",
    re.IGNORECASE,
)
_CUSTOMER: Final = re.compile(
    r"(?<!\w)(?:bill(?:ed)?[ -]to|ship(?:ped)?[ -]to|sold to|invoice(?:d)? to|deliver(?:ed)? to"
    r"|customer|client|buyer|purchaser|attn|attention|kunde|rechnung an|rechnungsempfänger"
    r"|empfänger|lieferadresse|facturé à|destinataire|cliente|покупатель|плательщик|заказчик"
    r"|грузополучатель)(?!\w)",
    re.IGNORECASE,
)
_CUSTOMER_LINES: Final = 3  # lines below the label that have the customer's address
_FORM: Final = (
    r"(?:Inc|LLC|L\.L\.C|Ltd|Limited|LLP|LP|PLC|plc|Corp|Corporation|GmbH(?: & Co\.? KG)?|gGmbH"
    r"|AG|KG"
    r"|OHG|UG|e\.\s?K|SE|S\.?A\.?S|SARL|S\.A|S\.?r\.?l|S\.?p\.?A|B\.V|BV|N\.V|NV|AB|ApS|Oy|Pty Ltd"
    r"|Pvt\.? Ltd|Sp\. z o\.o|S\.L)"
)
_WORD: Final = r"(?:[A-ZÀ-ÞА-Я0-9][\w&'’.+-]*|&)"
_COMPANY: Final = re.compile(
    rf"(?P<name>[A-ZÀ-ÞА-Я0-9][\w&'’.+-]*(?: (?:{_WORD}|and|of|und|de|für|for"
    rf"|the)){{0,6}}?,? {_FORM})"
    r"(?![\w&])\.?"
    r"|(?P<russian>(?<!\w)(?:ООО|ОАО|ПАО|ЗАО|АО|ИП)\s?[«\"“]?[^«»\"“”\n\t,;]{2,60})"
)
_NO_LETTER: Final = re.compile(r"[\W_]+")


def find_issuer(lines: Sequence[TextLine]) -> str | None:
    """Return the issuer's name as written, or None when none can be identified."""
    lines = lines[:_MOST_LINES]
    for line in lines:
        labelled = _LABELLED.match(line.text)
        if labelled:
            return labelled["name"].strip(" .,;")
    since_customer = _CUSTOMER_LINES + 1
    for line in lines:
        since_customer = 0 if _CUSTOMER.search(line.text) else since_customer + 1
        company = _COMPANY.search(line.text)
        if company and since_customer > _CUSTOMER_LINES:
            return (company["name"] or company["russian"]).strip(' .,;«»"“”')
    return None


def issuer_key(name: str) -> str:
    """Return a name without punctuation and case, so that its spellings are equal.

    >>> issuer_key("Amazon Web Services, Inc.") == issuer_key("AMAZON WEB SERVICES INC")
    True
    """
    return _NO_LETTER.sub("", name).casefold()
