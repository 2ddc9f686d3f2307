"""Lengths of time as text."""

from __future__ import annotations

__all__ = ["Duration"]

Duration = str
"""A length of time as text, such as ``30s``, ``500ms`` or ``1h30m`` (Go's notation)."""
