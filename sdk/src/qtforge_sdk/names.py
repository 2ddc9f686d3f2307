"""`Names`: names and their values, for conditions."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Names"]


class Names(Protocol):
    """Names and their values, made ready once for many conditions; see `Run.prepare`."""

    def holds(self, condition: str) -> bool:
        """Return whether a CEL condition holds.

        Raises:
            ExpressionError: It failed, or gave something else than true or false; it names the
                smallest part of the condition that fails by itself.
        """

    def used_by(self, condition: str) -> frozenset[str]:
        """Return which of the names given to `Run.prepare` a condition uses."""
