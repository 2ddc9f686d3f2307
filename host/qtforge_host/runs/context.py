"""Which run and step the present code works for, so that its logs can say so.

A context variable goes with the task, and into the worker threads; two runs at once never
see each other's.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

__all__ = ["RUN", "STEP"]

RUN: Final[ContextVar[str]] = ContextVar("qtforge_run", default="")
"""The run's id; "" outside of runs."""

STEP: Final[ContextVar[str]] = ContextVar("qtforge_step", default="")
"""The step's name; "" between steps."""
