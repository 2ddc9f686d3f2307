"""How runs are started and reached without waiting for their end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

from qtforge_host.runs.active_runs import ActiveRuns
from qtforge_host.runs.log import RunListener
from qtforge_host.runs.outcomes import find_outcome
from qtforge_host.runs.state import RunState
from qtforge_host.runs.versions import VersionPolicy
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import RunError, WorkflowError
from qtforge_sdk.journal import InboxMessage, Journal
from qtforge_sdk.journal_errors import RunOwnedError
from qtforge_sdk.records import CheckpointSaved

__all__ = ["Going", "Reaches"]

_LOG = logging.getLogger("qtforge.runs")
_LOOK_S: Final = 0.02


class Going:
    """A run that the engine has not let go of; as a context manager, until it leaves it.

    Args:
        among: The others, by their ids.
        run_id: The run.

    Attributes:
        again: Whether somebody wanted it to be taken up meanwhile.
    """

    def __init__(self, among: dict[str, Going], run_id: str) -> None:
        self._among = among
        self._run_id = run_id
        self._ended: asyncio.Event | None = None  # made for the first who waits
        self.again = False

    def __enter__(self) -> Going:
        self._among[self._run_id] = self
        return self

    def __exit__(self, *exception: object) -> None:
        del self._among[self._run_id]
        if self._ended is not None:
            self._ended.set()

    async def until_ended(self) -> None:
        """Wait until the engine lets it go."""
        if self._ended is None:
            self._ended = asyncio.Event()
        await self._ended.wait()


class Reaches:
    """What `Engine` inherits; its own file, because reaching a run is an idea of its own.

    Args:
        journal: Where runs are kept.
        clock: The time.

    Attributes:
        refused: Why runs that were to be taken up could not be, by their ids.
    """

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._active_runs = ActiveRuns(journal, clock)
        self._going: dict[str, Going] = {}
        self._closing = False
        self.refused: dict[str, str] = {}

    @property
    def living(self) -> ActiveRuns:
        """The runs that it executes at this moment."""
        return self._active_runs

    async def start(
        self,
        workflow: Workflow,
        given: Mapping[str, Any],
        *,
        run_id: str | None = None,
        parent: str | None = None,
        parent_step: str | None = None,
        depth: int = 0,
        notify: str = "",
    ) -> str:
        """Start a run that goes on in a task of the engine's own; return its id.

        The journal has it then; see `execute` for the arguments and errors.
        """
        begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def started(run_id: str) -> None:
            begun.set_result(run_id)

        work = self.execute(
            workflow,
            given,
            run_id=run_id,
            parent=parent,
            parent_step=parent_step,
            depth=depth,
            notify=notify,
            on_started=started,
        )
        task = self._active_runs.spawn(work)
        await asyncio.wait({task, begun}, return_when=asyncio.FIRST_COMPLETED)
        if not begun.done():
            task.result()  # raises why
        return begun.result()

    def has(self, run_id: str) -> bool:
        """Whether this engine executes a run, or is about to."""
        return run_id in self._going

    def count(self) -> int:
        """Return how many runs it executes, those that wait here for events among them."""
        return len(self._going)

    async def rested(self, run_id: str, within_s: float) -> None:
        """Wait until a run has ended or waits for an event, or the time is over."""
        going = self._going.get(run_id)
        if going is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._going.get(run_id) is going:
                    control = self._active_runs.get(run_id)
                    if control is not None and control.idle_since is not None:
                        return  # it stays in memory for a while
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_S):
                            await going.until_ended()

    @contextlib.contextmanager
    def reserved(self, run_id: str) -> Iterator[None]:
        """Keep a run from being taken up here, while its journal is written by somebody else.

        Raises:
            RunOwnedError: This engine executes it.
        """
        if run_id in self._going:
            raise RunOwnedError(run_id, "this process")
        with self._going_on(run_id) as going:
            yield
        if going.again:
            self.wake(run_id)

    def wake(self, run_id: str) -> None:
        """Take up a run in a task of the engine's own; nothing where it goes on already."""
        going = self._going.get(run_id)
        if going is not None:
            going.again = True
        elif not self._closing and self._active_runs.rise(run_id):
            self._active_runs.spawn(self._awake(run_id))

    async def send(
        self, run_id: str, message: InboxMessage, *, timeout_s: float = 30.0
    ) -> CheckpointSaved | None:
        """Send an event to a run that keeps its state, and wait for what came of it.

        It is in the run's inbox before anything else, so it is not lost, and the same message
        once more is no other event.

        Returns:
            The record that tells; None where the time was over, or the run has ended.

        Raises:
            RunNotFoundError: There is none.
        """
        outcome = self._active_runs.outcome(message.message_id)
        try:
            position = await self._journal.post(run_id, message)
            if self._active_runs.get(run_id) is not None:
                await self._active_runs.look(run_id)
            else:
                self.wake(run_id)
            id_ = message.message_id
            return await find_outcome(self._journal, outcome, run_id, id_, position, timeout_s)
        finally:
            self._active_runs.forget_outcome(message.message_id)

    async def deliver(
        self, run_id: str, event: ReceivedEvent, *, timeout_s: float = 30.0
    ) -> CheckpointSaved:
        """Give an event to a run that keeps its state, and wait for what came of it.

        It is not in the journal before the run has handled it: one write, not two.

        Raises:
            TimeoutError: It took longer.
        """
        outcome = self._active_runs.outcome(event.event_id)
        if not self._active_runs.hand(run_id, event):
            self.wake(run_id)
        try:
            async with asyncio.timeout(timeout_s):
                return await outcome
        finally:
            self._active_runs.forget_outcome(event.event_id)

    async def close(self, grace_s: float = 0.0) -> None:
        """End everything; what is not done within the grace period is for the next process."""
        self._closing = True
        await self._active_runs.close(grace_s)

    async def _awake(self, run_id: str) -> None:
        try:
            if run_id not in self._going:
                await self.resume(run_id)
        except RunOwnedError:
            pass  # its owner hears of it
        except (RunError, WorkflowError) as error:
            if self.refused.get(run_id) != str(error):  # it is tried often
                self.refused[run_id] = str(error)
                _LOG.warning("%s is not taken up: %s", run_id, error)
        else:
            self.refused.pop(run_id, None)
        finally:
            self._active_runs.risen(run_id)

    async def _until_rest(
        self, view: RunState, listener: RunListener | None, stays: bool
    ) -> RunState:
        """Take up a run again that was sent something just as it went to rest."""
        going = self._going[view.run_id]
        while view.status == "waiting" and not self._closing:
            going.again = False
            sent = await self._journal.pending(view.run_id)
            if not (sent or going.again or self._active_runs.has_parcel(view.run_id)):
                break
            try:
                view = await self._take_up(view.run_id, listener, "same-major", "", stays)
            except RunOwnedError:
                break  # another process was quicker
        return view

    def _going_on(self, run_id: str) -> Going:
        return Going(self._going, run_id)

    @abstractmethod
    async def execute(
        self,
        workflow: Workflow,
        given: Mapping[str, Any],
        listener: RunListener | None = None,
        *,
        run_id: str | None = None,
        parent: str | None = None,
        parent_step: str | None = None,
        depth: int = 0,
        notify: str = "",
        stays: bool = False,
        on_started: Callable[[str], Awaitable[None]] | None = None,
    ) -> RunState:
        """Start a run, and go on until it ends or rests."""

    @abstractmethod
    async def resume(
        self,
        run_id: str,
        listener: RunListener | None = None,
        *,
        versions: VersionPolicy = "same-major",
        note: str = "",
        stays: bool = False,
    ) -> RunState:
        """Take up a run that has no live owner."""

    @abstractmethod
    async def _take_up(
        self,
        run_id: str,
        listener: RunListener | None,
        versions: VersionPolicy,
        note: str,
        stays: bool,
    ) -> RunState:
        """Take up a run that this engine does not execute, until it ends or rests."""
