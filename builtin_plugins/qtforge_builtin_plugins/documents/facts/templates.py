"""Templates of single suppliers, in the YAML form of invoice2data.

A template applies when all of its keywords are in the text and none of its excluded ones. Its
fields are read by regular expressions, or given; they come before what is found by labels.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.documents.facts.amounts import value_of
from qtforge_builtin_plugins.documents.facts.dates import iterate_dates
from qtforge_builtin_plugins.documents.messages import Amount, FactEvidence, Invoice

__all__ = ["Template", "TemplateError", "apply_templates", "load_templates"]

_MOST_BYTES: Final = 1_000_000
_MOST_CHARACTERS: Final = 300_000
_AMOUNTS: Final[Mapping[str, str]] = {
    "amount": "total", "amount_untaxed": "net", "amount_paid": "paid", "amount_due": "amount_due",
}  # fmt: skip
_DATES: Final[Mapping[str, str]] = {"date": "date", "date_due": "due_date", "due_date": "due_date"}
_TEXTS: Final[Mapping[str, str]] = {
    "invoice_number": "number", "vat": "vat_id", "iban": "iban", "bic": "bic", "issuer": "issuer",
    "partner_name": "issuer", "partner_coc": "company_number", "payment_reference":
    "payment_reference", "purchase_order_id": "order_reference", "customer_order_number":
    "order_reference", "customer": "customer", "customer_name": "customer",
}  # fmt: skip


class TemplateError(ValueError):
    """A template's file can't be used."""


class _Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a template; others of invoice2data have no meaning here."""

    currency: str | None = None
    date_formats: list[str] = []
    languages: list[str] = []
    decimal_separator: str | None = None
    remove_whitespace: bool = False
    remove_accents: bool = False
    lowercase: bool = False
    replace: list[list[str]] = []


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """A template's file; ``tables``, ``lines`` and the like are not read."""

    keywords: str | list[str]
    fields: dict[str, Any]
    issuer: str | None = None
    exclude_keywords: str | list[str] = []
    options: _Options = _Options()
    priority: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    patterns: tuple[re.Pattern[str], ...] = ()
    value: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A supplier's template.

    Attributes:
        name: Its file's name.
        keywords: All are in the supplier's invoices.
        excluded: None is in them.
        fields: How each value is read.
        issuer: The supplier's name, or None.
        options: Currency, forms of dates and replacements.
        priority: Higher ones are tried first.
    """

    name: str
    keywords: tuple[re.Pattern[str], ...]
    excluded: tuple[re.Pattern[str], ...]
    fields: tuple[_Field, ...]
    issuer: str | None
    options: _Options
    priority: int


@lru_cache(maxsize=8)
def load_templates(folder: str) -> tuple[Template, ...]:
    """Load the templates of a folder and its subfolders, those with a high priority first.

    Args:
        folder: Its ``.yml`` and ``.yaml`` files are templates.

    Raises:
        TemplateError: The folder is missing, or a file is no template; it says which and why.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise TemplateError(f"the folder {root} with templates does not exist")
    paths = sorted(path for path in root.rglob("*") if path.suffix in (".yml", ".yaml"))
    loaded = [_load(path) for path in paths]
    return tuple(sorted(loaded, key=lambda each: (-each.priority, each.name)))


def _load(path: Path) -> Template:
    import yaml  # when the first template is there

    try:
        if path.stat().st_size > _MOST_BYTES:
            raise TemplateError(f"{path} has more than {_MOST_BYTES} bytes")
        data = yaml.safe_load(path.read_text("utf-8"))
        file = msgspec.convert(data, _File)
        fields = tuple(_field(name, given) for name, given in file.fields.items())
        return Template(
            name=path.name,
            keywords=_patterns(file.keywords),
            excluded=_patterns(file.exclude_keywords),
            fields=fields,
            issuer=file.issuer,
            options=file.options,
            priority=file.priority,
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError, re.error,
            KeyError, TypeError) as error:  # fmt: skip
        raise TemplateError(f"{path} is not a template: {error}") from error


def _field(name: str, given: Any) -> _Field:
    """Return a field in any of invoice2data's forms: pattern, patterns, or parser."""
    if isinstance(given, Mapping):
        if given.get("parser") == "static":
            return _Field(name=name, value=str(given["value"]))
        return _Field(name=name, patterns=_patterns(given["regex"]), group=given.get("group"))
    if name.startswith("static_"):
        return _Field(name=name.removeprefix("static_"), value=str(given))
    if name.startswith("sum_"):
        return _Field(name=name.removeprefix("sum_"), patterns=_patterns(given), group="sum")
    return _Field(name=name, patterns=_patterns(given))


def _patterns(given: str | Sequence[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(str(each)) for each in ([given] if isinstance(given, str) else given))


def apply_templates(
    templates: Sequence[Template], text: str, language: str | None, invoice: Invoice | None
) -> Invoice | None:
    """Return an invoice with the values of the first template that applies.

    Args:
        templates: See `load_templates`.
        text: The invoice's text; its first 300,000 characters are used.
        language: ISO 639-1, or None.
        invoice: What was found by labels; None for no invoice.
    """
    text = text[:_MOST_CHARACTERS]
    for template in templates:
        prepared = _prepared(text, template.options)
        if all(each.search(prepared) for each in template.keywords) and not any(
            each.search(prepared) for each in template.excluded
        ):
            return _with_values(template, prepared, language, invoice or Invoice())
    return invoice


def _prepared(text: str, options: _Options) -> str:
    if options.remove_whitespace:
        text = re.sub(r" +", "", text)
    if options.lowercase:
        text = text.lower()
    for pair in options.replace:
        if len(pair) == 2:
            text = text.replace(pair[0], pair[1])
    return text


def _with_values(template: Template, text: str, language: str | None, invoice: Invoice) -> Invoice:
    values: dict[str, Any] = {"template": template.name}
    evidence = dict(invoice.evidence)
    if template.issuer:
        values["issuer"] = template.issuer
    for field in template.fields:
        found = _read(field, text)
        if not found:
            continue
        made = _made(field, found, template, language)
        if made is not None:
            name, value, shown, position = made
            values[name] = value
            evidence[name] = FactEvidence(
                text=shown, line=text.count("\n", 0, position) + 1, confidence=0.95
            )
    return msgspec.structs.replace(invoice, **values, evidence=evidence)


def _read(field: _Field, text: str) -> list[tuple[str, str, int]]:
    """Return each value with the text and the position that it was read from."""
    if field.value is not None:
        return [(field.value, field.value, 0)]
    found: list[tuple[str, str, int]] = []
    for pattern in field.patterns:
        for match in pattern.finditer(text):
            value = next((group for group in match.groups() if group), match[0])
            found.append((value, " ".join(match[0].split())[:200], match.start()))
        if found and field.group is None:
            break
    return found


def _made(
    field: _Field, found: Sequence[tuple[str, str, int]], template: Template, language: str | None
) -> tuple[str, Any, str, int] | None:
    name = field.name
    written, shown, position = found[0]
    if name in _AMOUNTS:
        numbers = [value_of(each) for each, _, _ in found]
        known = [number for number in numbers if number is not None]
        if not known:
            return None
        value = sum(known, Decimal(0)) if field.group == "sum" else known[0]
        amount = Amount(text=written, value=format(value, "f"), currency=template.options.currency)
        return _AMOUNTS[name], amount, shown, position
    if name in _DATES:
        day = _day(written, template.options.date_formats, language)
        return None if day is None else (_DATES[name], day, shown, position)
    if name in _TEXTS:
        return _TEXTS[name], " ".join(written.split()), shown, position
    return None


def _day(written: str, formats: Sequence[str], language: str | None) -> str | None:
    for form in formats:
        try:
            return datetime.datetime.strptime(written.strip(), form).date().isoformat()
        except ValueError:
            continue
    return next((placed.date.date for placed in iterate_dates(written, language)), None)
