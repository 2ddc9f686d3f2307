"""A text without what identifies people, accounts and parties, and the report of it."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from qtforge_builtin_plugins.pipelines.legal import contact_numbers, identity_numbers, names
from qtforge_builtin_plugins.pipelines.legal.messages import (
    Place,
    RedactedDocument,
    Redaction,
    RedactRequest,
)
from qtforge_builtin_plugins.pipelines.legal.spans import Span, settle
from qtforge_sdk.messages import DocumentMetadata

__all__ = ["redact"]

_MOST_PLACES: Final = 100
_REDACTED_TYPE: Final = "text/plain"
_PLACEHOLDER: Final = re.compile(r"\[(EMAIL|IBAN|NATIONAL ID|CARD|PHONE|PARTY|PERSON) (\d{1,6})\]")


@dataclass(slots=True, kw_only=True)
class _Value:
    """A value that was taken out, and where."""

    placeholder: str
    span: Span
    masked: str
    places: list[Place] = field(default_factory=list)
    count: int = 0


class _Placeholders:
    """Gives each value its placeholder, the same wherever it stands.

    Numbers follow those that the text has already, so that a text may be redacted again.
    """

    def __init__(self, text: str) -> None:
        self.values: dict[tuple[str, str], _Value] = {}
        self._last: Counter[str] = Counter()
        for kind, number in _PLACEHOLDER.findall(text):
            self._last[kind] = max(self._last[kind], int(number))

    def value(self, span: Span, written: str) -> _Value:
        """Return the value at a place, a new one if it has not been seen."""
        known = self.values.get((span.kind, span.key))
        if known is None:
            name = span.kind.replace("_", " ").upper()
            self._last[name] += 1
            known = self.values[span.kind, span.key] = _Value(
                placeholder=f"[{name} {self._last[name]}]", span=span, masked=_mask(written)
            )
        return known


def redact(request: RedactRequest, progress: Callable[[int, int, str], None]) -> RedactedDocument:
    """Return the text with placeholders, and what was taken out; never a value itself.

    Args:
        request: The text; every character of it is looked at.
        progress: Told how far it is.
    """
    text = request.parsed_content
    progress(0, 2, "finding")
    spans = settle(_find(text, request))
    progress(1, 2, "replacing")
    placeholders = _Placeholders(text)
    redacted = _replace(text, spans, placeholders, record=True)
    metadata = request.metadata
    if metadata is not None:
        metadata = _redact_metadata(metadata, redacted, request, placeholders)
    values = placeholders.values.values()
    counts: Counter[str] = Counter()
    for value in values:
        counts[value.span.kind] += value.count
    return RedactedDocument(
        redacted_content=redacted,
        metadata=metadata,
        redactions=[_report(value) for value in values],
        counts={kind: count for kind, count in sorted(counts.items()) if count},
    )


def _find(text: str, request: RedactRequest) -> list[Span]:
    contract = request.parsed_content
    # What has been redacted before is no value; the places of the others stay.
    text = _PLACEHOLDER.sub(lambda match: "\0" * len(match[0]), text)
    return [
        *contact_numbers.find_emails(text),
        *contact_numbers.find_ibans(text),
        *contact_numbers.find_cards(text),
        *contact_numbers.find_phones(text, request.language),
        *identity_numbers.find_identity_numbers(text),
        *names.find_parties(text, contract, request.parties),
        *names.find_people(text, contract),
    ]


def _replace(text: str, spans: list[Span], placeholders: _Placeholders, *, record: bool) -> str:
    pieces: list[str] = []
    at, line, line_start = 0, 1, 0
    for span in spans:
        between, written = text[at : span.start], text[span.start : span.end]
        line += between.count("\n")
        line_start = max(line_start, text.rfind("\n", 0, span.start) + 1)
        value = placeholders.value(span, written)
        if record:
            value.count += 1
            if len(value.places) < _MOST_PLACES:
                value.places.append(Place(line=line, column=span.start - line_start + 1))
        # A value over two lines keeps its line ends: the lines stay those of the original.
        breaks = written.count("\n")
        pieces += [between, value.placeholder, "\n" * breaks]
        line += breaks
        at = span.end
    return "".join([*pieces, text[at:]])


def _redact_metadata(
    metadata: DocumentMetadata, redacted: str, request: RedactRequest, placeholders: _Placeholders
) -> DocumentMetadata:
    """Return metadata of the redacted text: the original's check sum would find the original."""

    def without_values(text: str) -> str:
        spans = settle(_find(text, request))
        return _replace(text, spans, placeholders, record=False)

    encoded = redacted.encode()
    return msgspec.structs.replace(
        metadata,
        name=without_values(metadata.name),
        title=None if metadata.title is None else without_values(metadata.title),
        author=None,
        media_type=_REDACTED_TYPE,
        encoding="utf-8",
        size_bytes=len(encoded),
        sha256=hashlib.sha256(encoded).hexdigest(),
        words=len(redacted.split()),
    )


def _report(value: _Value) -> Redaction:
    return Redaction(
        placeholder=value.placeholder,
        kind=value.span.kind,
        subkind=value.span.subkind,
        count=value.count,
        places=value.places,
        masked=value.masked,
        checked=value.span.checked,
    )


def _mask(written: str) -> str:
    """Return the value's form alone; a hash of so short a value could be found by trying."""
    masked = re.sub(r"\d", "#", written)
    masked = "".join(
        ("X" if each.isupper() else "x") if each.isalpha() else each for each in masked
    )
    return " ".join(masked.split())
