"""How a journal's contract test gets its journals, and the records that it keeps in them."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from qtforge_sdk.journal import InboxMessage, Journal, MessageKind, Ownership
from qtforge_sdk.records import ErrorInfo, Record, RunFinished, RunStarted, StepSucceeded

__all__ = [
    "NOW",
    "Journals",
    "MakeJournal",
    "event",
    "finished",
    "keep",
    "names",
    "scenario",
    "started",
    "step",
    "steps_of",
]

_SCENARIO_TIMEOUT_S: Final = 120.0  # against hanging alone
NOW: Final = datetime.datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=datetime.UTC)

MakeJournal = Callable[[], Journal]
"""What the fixture ``make_journal`` gives: another journal, not yet open, over the same runs.

Each stands for a process of its own.
"""


class Journals:
    """Opens journals over the same runs, and closes them at the end."""

    def __init__(self, make: MakeJournal) -> None:
        self._make = make
        self._opened: list[Journal] = []

    async def open(self) -> Journal:
        """Return one more."""
        journal = self._make()
        await journal.open()
        self._opened.append(journal)
        return journal

    async def close(self) -> None:
        """Close those that are still open."""
        for journal in self._opened:
            await journal.close()

    async def assert_sound(self) -> None:
        """Check that the runs are without damage.

        Raises:
            AssertionError: They are damaged, or a repair changed them.
        """
        journal = self._make()
        await journal.open()
        try:
            if damages := await journal.check():
                raise AssertionError(f"the test has left damage: {damages}")
            if repairs := await journal.repair():
                raise AssertionError(f"there was nothing to repair: {repairs}")
        finally:
            await journal.close()


@contextlib.asynccontextmanager
async def _journals(make: MakeJournal) -> AsyncIterator[Journals]:
    journals = Journals(make)
    try:
        yield journals
        await journals.assert_sound()
    finally:
        await journals.close()


def scenario(
    test: Callable[[Any, Journals], Awaitable[None]],
) -> Callable[[Any, MakeJournal], None]:
    """Make a coroutine a test over ``make_journal`` that needs no async pytest plugin."""

    # Not functools.wraps: pytest would look through it, and ask for the inner arguments.
    def run(self: Any, make_journal: MakeJournal) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(_SCENARIO_TIMEOUT_S), _journals(make_journal) as journals:
                await test(self, journals)

        asyncio.run(bounded())

    run.__name__ = test.__name__
    run.__qualname__ = test.__qualname__
    run.__doc__ = test.__doc__
    return run


def started(run_id: str = "run", **fields: Any) -> RunStarted:
    """Return a run's first record."""
    given: dict[str, Any] = {
        "at": NOW,
        "workflow": "letters",
        "kind": "sequential",
        "workflow_version": "1.0.0",
        "input": {"document": "a.txt"},
        "plugins": {"parser": "1.2.0"},
    }
    return RunStarted(run_id=run_id, **(given | fields))


def step(run_id: str = "run", name: str = "parse", data: Any = None) -> StepSucceeded:
    """Return the record of a step that was answered."""
    return StepSucceeded(
        run_id=run_id,
        at=NOW,
        step=name,
        data=data,
        plugin="parser",
        plugin_version="1.2.0",
        duration_s=0.25,
    )


def finished(
    run_id: str = "run",
    status: str = "succeeded",
    *,
    after_s: float = 1.0,
    result: Any = None,
    error: ErrorInfo | None = None,
) -> RunFinished:
    """Return a run's last record."""
    return RunFinished(
        run_id=run_id,
        at=NOW + datetime.timedelta(seconds=after_s),
        status=status,
        degraded=False,
        result=result,
        summary="",
        error=error,
    )


def event(message_id: str, data: Any = None, kind: MessageKind = "event") -> InboxMessage:
    """Return a message to a run."""
    return InboxMessage(
        message_id=message_id, kind=kind, at=NOW, name="approved", data=data, by="a test"
    )


async def keep(journal: Journal, *records: Record) -> Ownership:
    """Create a run from its first record and append the others."""
    first, *others = records
    if not isinstance(first, RunStarted):
        raise TypeError("a run begins with RunStarted")
    ownership = await journal.create(first)
    await journal.append(ownership, others)
    return ownership


def steps_of(records: Sequence[Record]) -> list[str]:
    """Return the names of the steps that were answered, in order."""
    return [record.step for record in records if isinstance(record, StepSucceeded)]


def names(count: int) -> list[str]:
    """Return that many run ids."""
    return [f"run-{number:03d}" for number in range(count)]
