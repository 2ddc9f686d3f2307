"""Positions of sensitive values in a text, and the merging of overlapping ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["KINDS", "Span", "settle"]

KINDS: Final = (
    "email", "iban", "national_id", "card", "account", "phone", "registration", "address", "party",
    "person",
)  # fmt: skip
"""Strongest first: when two overlap, the stronger one is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The position of a sensitive value.

    Attributes:
        start: Index of its first character.
        end: Index after its last character.
        kind: One of `KINDS`.
        key: The same for all spellings of the same value.
        subkind: The kind of number, or None.
        checked: Whether a checksum or numbering plan confirms it; None where none exists.
    """

    start: int
    end: int
    kind: str
    key: str
    subkind: str | None = None
    checked: bool | None = None


def settle(spans: Iterable[Span]) -> list[Span]:
    """Return spans that do not overlap, in the text's order, over all characters given.

    One of several overlapping spans is kept: the confirmed one, then the stronger kind, then
    the longer. It is extended to the others' ends, so that no part of them stays readable.
    """
    settled: list[Span] = []
    for span in sorted(spans, key=lambda each: (each.start, -each.end)):
        if settled and span.start < settled[-1].end:
            other = settled.pop()
            winner = min(other, span, key=_weakness)
            span = replace(winner, start=other.start, end=max(other.end, span.end))
        settled.append(span)
    return settled


def _weakness(span: Span) -> tuple[bool, int, int]:
    return (span.checked is False, KINDS.index(span.kind), span.start - span.end)
