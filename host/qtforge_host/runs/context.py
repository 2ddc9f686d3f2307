"""The run and step of the current task, for log records.

Context variables follow a task into worker threads, and parallel runs have their own values.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

__all__ = ["ATTEMPT", "RUN", "STEP"]

RUN: Final[ContextVar[str]] = ContextVar("qtforge_run", default="")
"""The run's id; "" outside a run."""

STEP: Final[ContextVar[str]] = ContextVar("qtforge_step", default="")
"""The step's name; "" between steps."""

ATTEMPT: Final[ContextVar[int]] = ContextVar("qtforge_attempt", default=0)
"""The number of the step's attempt, from 1; of no meaning outside a step."""
