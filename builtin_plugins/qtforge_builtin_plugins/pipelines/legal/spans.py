"""Places of sensitive values in a text, and how overlapping ones are settled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

__all__ = ["KINDS", "Span", "settle"]

KINDS: Final = ("email", "iban", "national_id", "card", "phone", "party", "person")
"""Strongest first: where two overlap, the stronger one names the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A place of a sensitive value.

    Attributes:
        start: Index of its first character.
        end: Index after its last character.
        kind: One of `KINDS`.
        key: The same for every way to write the same value.
        subkind: Which number it is, or None.
        checked: Whether a check sum or number plan confirms it; None where there is none.
    """

    start: int
    end: int
    kind: str
    key: str
    subkind: str | None = None
    checked: bool | None = None


def settle(spans: Iterable[Span]) -> list[Span]:
    """Return spans that do not overlap, in the text's order, over all characters given.

    Of overlapping spans one remains: the confirmed one, then the stronger kind, then the
    longer. It grows over those that stick out, so that nothing of them stays readable.
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
