"""Calls of a run's steps that were cut off, and that still run, in a thread or a task."""

from __future__ import annotations

import asyncio
from typing import Any

from qtforge_host.runs.context import STEP

__all__ = ["AbandonedCalls"]


class AbandonedCalls:
    """The calls that still execute although nothing waits for their answers, by step.

    A thread can't be stopped, and a task may swallow its cancellations. What they do must have
    ended before it is undone.
    """

    def __init__(self) -> None:
        self._ends: dict[str, list[asyncio.Future[Any]]] = {}

    def add(self, ended: asyncio.Future[Any]) -> None:
        """Add a call of the current step.

        Args:
            ended: Done when the call has really ended.
        """
        self._ends.setdefault(STEP.get(), []).append(ended)

    async def until_ended(self, step: str, timeout_s: float) -> bool:
        """Wait until every call of a step has ended; return whether that was in time."""
        ends = self._ends.get(step)
        if not ends:
            return True
        _, late = await asyncio.wait(ends, timeout=timeout_s)
        self._ends[step] = list(late)
        return not late
