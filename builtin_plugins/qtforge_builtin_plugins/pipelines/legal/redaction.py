"""Redact the values that identify people, accounts and parties, and report the redactions."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from qtforge_builtin_plugins.documents.facts.contracts import LANGUAGES, Contract
from qtforge_builtin_plugins.pipelines.legal import (
    addresses,
    contact_numbers,
    identity_numbers,
    names,
)
from qtforge_builtin_plugins.pipelines.legal.messages import (
    Place,
    RedactedDocument,
    Redaction,
    RedactRequest,
)
from qtforge_builtin_plugins.pipelines.legal.spans import KINDS, Span, settle
from qtforge_sdk.messages import DocumentMetadata

__all__ = ["redact"]

_UNKNOWN_LANGUAGE: Final = "names_not_searched"

_MOST_PLACES: Final = 100
_REDACTED_TYPE: Final = "text/plain"
_PLACEHOLDER: Final = re.compile(
    rf"\[({'|'.join(kind.replace('_', ' ').upper() for kind in KINDS)}) (\d{{1,6}})\]"
)


@dataclass(slots=True, kw_only=True)
class _Value:
    """A redacted value and its places."""

    placeholder: str
    span: Span
    masked: str
    places: list[Place] = field(default_factory=list)
    count: int = 0


class _Placeholders:
    """The placeholder of each value, the same at all of its places.

    Numbers continue those that the text has already, so that a text can be redacted again.
    """

    def __init__(self, text: str) -> None:
        self.values: dict[tuple[str, str], _Value] = {}
        self._last: Counter[str] = Counter()
        for kind, number in _PLACEHOLDER.findall(text):
            self._last[kind] = max(self._last[kind], int(number))

    def value(self, span: Span, written: str) -> _Value:
        """Return the value at a place, a new one at its first place."""
        known = self.values.get((span.kind, span.key))
        if known is None:
            name = span.kind.replace("_", " ").upper()
            self._last[name] += 1
            known = self.values[span.kind, span.key] = _Value(
                placeholder=f"[{name} {self._last[name]}]", span=span, masked=_mask(written)
            )
        return known


def redact(request: RedactRequest, progress: Callable[[int, int, str], None]) -> RedactedDocument:
    """Return the text with placeholders, and the redactions without the values themselves.

    Args:
        request: The text; every character of it is examined.
        progress: Called with the progress.
    """
    text = request.parsed_content
    progress(0, 2, "finding")
    contract = names.read_contract(text, request.language)
    spans = settle(_find(text, request, contract))
    progress(1, 2, "replacing")
    placeholders = _Placeholders(text)
    redacted = _replace(text, spans, placeholders, record=True)
    metadata = request.metadata
    if metadata is not None:
        metadata = _redact_metadata(metadata, redacted, request, contract, placeholders)
    values = placeholders.values.values()
    counts: Counter[str] = Counter()
    for value in values:
        counts[value.span.kind] += value.count
    return RedactedDocument(
        redacted_content=redacted,
        metadata=metadata,
        redactions=[_report(value) for value in values],
        counts={kind: count for kind, count in sorted(counts.items()) if count},
        complete=request.language in LANGUAGES,
        warnings=[] if request.language in LANGUAGES else [_UNKNOWN_LANGUAGE],
    )


def _find(text: str, request: RedactRequest, contract: Contract) -> list[Span]:
    # Placeholders of an earlier redaction are no values; all positions are kept.
    text = _PLACEHOLDER.sub(lambda match: "\0" * len(match[0]), text)
    identities = list(identity_numbers.find_identity_numbers(text))
    taken = {place for span in identities for place in range(span.start, span.end)}
    return [
        *contact_numbers.find_emails(text),
        *contact_numbers.find_ibans(text),
        *contact_numbers.find_cards(text),
        *contact_numbers.find_phones(text, request.language),
        *identities,
        *addresses.find_addresses(text),
        *(span for span in names.find_registrations(text, contract) if span.start not in taken),
        *names.find_names(text, request.parsed_content, contract, request.parties),
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
        # A value over two lines keeps its line breaks, so that line numbers are unchanged.
        breaks = written.count("\n")
        pieces += [between, value.placeholder, "\n" * breaks]
        line += breaks
        at = span.end
    return "".join([*pieces, text[at:]])


def _redact_metadata(
    metadata: DocumentMetadata,
    redacted: str,
    request: RedactRequest,
    contract: Contract,
    placeholders: _Placeholders,
) -> DocumentMetadata:
    """Return the redacted text's metadata: the original's checksum would identify the original."""

    def without_values(text: str) -> str:
        spans = settle(_find(text, request, contract))
        return _replace(text, spans, placeholders, record=False)

    encoded = redacted.encode()
    return msgspec.structs.replace(
        metadata,
        name=without_values(metadata.name),
        title=None if metadata.title is None else without_values(metadata.title),
        author=None,
        recipients=(),
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
    """Return the value's form; not a hash, since a hash of a short value can be reversed."""
    masked = re.sub(r"\d", "#", written)
    masked = "".join(
        ("X" if each.isupper() else "x") if each.isalpha() else each for each in masked
    )
    return " ".join(masked.split())
