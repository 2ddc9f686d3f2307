"""The interface between runs and what traces them."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from qtforge_host.runs.run_keys import Start
from qtforge_host.runs.state import RunState
from qtforge_sdk import Record
from qtforge_sdk.records import TraceContext

__all__ = ["RunTracer", "Tracing", "within"]

T = TypeVar("T")


class RunTracer(Protocol):
    """Traces one run for as long as this process executes it; must not raise."""

    def on_record(self, record: Record) -> None:
        """Handle a new record, which the journal holds or will hold with the next one."""

    def attempt(self, step: str, topic: str, number: int) -> AbstractContextManager[None]:
        """Return a context in which an attempt of a step is the current span."""

    def rested(self) -> None:
        """Handle that the run is no longer executed here, and may go on later."""


class Tracing(Protocol):
    """Traces the runs of a process; must not raise."""

    def started(self, run_id: str, start: Start, *, is_child: bool) -> TraceContext | None:
        """Return the trace of a new run; None for one that is not recorded.

        Args:
            run_id: The run.
            start: What starts it.
            is_child: Whether another run does.
        """

    def tracer(self, state: RunState, records: Sequence[Record]) -> RunTracer | None:
        """Return what traces a run that this process executes from now on.

        Args:
            state: What its records add up to.
            records: Its records from the last checkpoint on.
        """

    def executing(self, tracer: RunTracer | None) -> AbstractContextManager[None]:
        """Return a context in which a run is the current span; None for one not recorded."""


async def within(context: AbstractContextManager[None], work: Awaitable[T]) -> T:
    """Await something in a context."""
    with context:
        return await work
