"""Start runs in the background, wake them, and send them events."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from qtforge_host.policies.cache import ResultCache
from qtforge_host.runs.active_runs import ActiveRuns
from qtforge_host.runs.children import unfinished_children
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.log_capture import LogCapture
from qtforge_host.runs.run_keys import NO_START, Start
from qtforge_host.runs.state import RunState
from qtforge_host.runs.store_clock import StoreClock
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.checkpoints import ReceivedEvent
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import RunError, StorageError, WorkflowError
from qtforge_sdk.journal import InboxMessage, Journal, Ownership
from qtforge_sdk.journal_errors import RunOwnedError, StaleOwnerError
from qtforge_sdk.records import CheckpointSaved

__all__ = ["Durable", "Supervisor"]

_LOG = logging.getLogger("qtforge.runs")
_POLL_REST_S: Final = 0.02
_LEAST_S: Final = 5.0  # between two attempts to resume a run that is refused
_LONGEST_S: Final = 60.0
_POLL_OUTCOME_S: Final = 0.1
_PAGE: Final = 100  # records that are read at once


class Supervisor:
    """Executes runs in background tasks, and reaches those that execute.

    Args:
        engine: Executes runs.

    Attributes:
        engine: Executes runs.
        refused: Why runs that were to be resumed could not be, by run id.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.refused: dict[str, str] = {}
        self._rests_s: dict[str, float] = {}  # how long these rest before they are tried again
        engine.on_ended = self._wake_parent

    @property
    def active_runs(self) -> ActiveRuns:
        """The runs that execute in this process."""
        return self.engine.active_runs

    async def start(
        self,
        workflow: Workflow,
        given: Mapping[str, Any],
        *,
        run_id: str | None = None,
        start: Start = NO_START,
    ) -> str:
        """Start a run that executes in the background; return its id.

        The journal holds the run then. See `Engine.execute` for the arguments and errors.
        """
        return await self.active_runs.start(
            lambda on_started: self.engine.execute(
                workflow, given, run_id=run_id, on_started=on_started, start=start
            )
        )

    def executes(self, run_id: str) -> bool:
        """Return whether this process executes a run, or is about to."""
        return self.active_runs.handle(run_id) is not None

    def count(self) -> int:
        """Return how many runs execute here, those that wait for events included."""
        return self.active_runs.count()

    async def until_resting(self, run_id: str, timeout_s: float) -> None:
        """Wait until a run that executes here has ended or waits for an event.

        Args:
            run_id: The run.
            timeout_s: Seconds after which it returns all the same.
        """
        handle = self.active_runs.handle(run_id)
        if handle is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.active_runs.handle(run_id) is handle:
                    control = self.active_runs.get(run_id)
                    if control is not None and control.idle_since is not None:
                        return  # it stays in memory for a while
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_POLL_REST_S):
                            await handle.until_ended()

    @contextlib.contextmanager
    def reserved(self, run_id: str) -> Iterator[None]:
        """Keep this process from resuming a run while other code writes its journal.

        Raises:
            RunOwnedError: This process executes the run.
        """
        if self.executes(run_id):
            raise RunOwnedError(run_id, "this process")
        with self.active_runs.executing(run_id) as handle:
            yield
        if handle.wanted_again:
            self.wake(run_id)

    def wake(self, run_id: str, ownership: Ownership | None = None) -> None:
        """Resume a run in a background task unless this process executes it, or it is paused.

        Args:
            run_id: The run.
            ownership: Of the run, where this process has taken it; it is released where the run
                is not resumed with it.
        """
        active_runs = self.active_runs
        handle = active_runs.handle(run_id)
        if handle is not None:
            handle.wanted_again = True
        elif not active_runs.closing and active_runs.mark_waking(run_id):
            active_runs.spawn(self._resume(run_id, ownership))
            return
        if ownership is not None:
            active_runs.spawn(self._give_back(ownership, 0.0))

    async def settle(self, run_id: str, timeout_s: float) -> None:
        """Resume a family of runs, and wait until nothing is left for it to do here.

        The family are the run and the unfinished runs that it has started, those that these have
        started included: one that was interrupted, or waits although it was sent something, is
        resumed. One that another process executes is not waited for.

        Args:
            run_id: The run, which does not execute any more.
            timeout_s: Seconds after which it returns all the same.
        """
        until = time.monotonic() + timeout_s
        while (left_s := until - time.monotonic()) > 0:
            family = await self._family(run_id)
            for each in family:
                if await self._is_left(each):
                    self.wake(each)
            handles = [self.active_runs.handle(each) for each in family]
            executing = [each for each in handles if each is not None]
            waking = any(self.active_runs.is_waking(each) for each in family)
            if not executing and not waking:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, _POLL_REST_S)):
                    for handle in executing:
                        await handle.until_ended()
                    await asyncio.sleep(_POLL_REST_S)  # those that wake begin to execute

    async def _family(self, run_id: str) -> list[str]:
        family = [run_id]
        for each in family:  # it grows meanwhile
            family += [
                child.run_id for child in await unfinished_children(self.engine.journal, each)
            ]
        return family

    async def _is_left(self, run_id: str) -> bool:
        """Return whether no process executes a run although there is something to do."""
        if self.executes(run_id) or run_id in self.refused:
            return False
        run = await self.engine.journal.summary(run_id)
        if run.owner_alive:
            return False
        if run.status == "waiting":
            return bool(await self.engine.journal.pending(run_id))
        return run.status == "running"

    def _wake_parent(self, state: RunState) -> None:
        """Let the run that has started a run, and does not await it, handle the end of it."""
        started = state.started
        if started is not None and started.parent is not None and started.awaited_by is None:
            self.wake(started.parent)

    async def send(
        self, run_id: str, message: InboxMessage, *, timeout_s: float = 30.0
    ) -> CheckpointSaved | None:
        """Send an event to a stateful run, and wait until the run has handled it.

        The event is posted to the run's inbox first, so it is not lost; sending the same
        message again does not repeat the event.

        Returns:
            The checkpoint that the event led to; None when the time was over or the run ended
            without handling it.

        Raises:
            RunNotFoundError: There is no such run.
        """
        outcome = self.active_runs.outcome(message.message_id)
        try:
            position = (await self.engine.journal.post(run_id, message)).position
            if self.active_runs.get(run_id) is not None:
                # It may be coming to rest just now; the message is in its inbox all the same.
                with contextlib.suppress(RunError):
                    await self.active_runs.deliver_pending(run_id)
            else:
                self.wake(run_id)
            return await self._checkpoint_of(
                outcome, run_id, message.message_id, position, timeout_s
            )
        finally:
            self.active_runs.forget_outcome(message.message_id)

    async def deliver(
        self, run_id: str, event: ReceivedEvent, *, timeout_s: float = 30.0
    ) -> CheckpointSaved:
        """Give an event to a stateful run, and wait until the run has handled it.

        The event does not pass through the inbox: the journal holds it with the checkpoint
        that it led to, which is one write instead of two.

        Raises:
            TimeoutError: It took longer.
        """
        outcome = self.active_runs.outcome(event.event_id)
        if not self.active_runs.push_event(run_id, event):
            self.wake(run_id)
        try:
            async with asyncio.timeout(timeout_s):
                return await outcome
        finally:
            self.active_runs.forget_outcome(event.event_id)

    async def close(self, grace_s: float = 0.0) -> None:
        """End every run; see `Engine.close`."""
        await self.engine.close(grace_s)

    async def _resume(self, run_id: str, ownership: Ownership | None) -> None:
        try:
            if not self.executes(run_id):
                await self.engine.resume(run_id, unpause=False, ownership=ownership)
            elif ownership is not None:
                await self._give_back(ownership, 0.0)
        except RunOwnedError:
            pass  # the owner's watch of the inboxes sees the reason
        except StorageError as error:  # the recovery loop tries it again by time
            _LOG.debug("%s is left for a while: %s", run_id, error)
        except (RunError, WorkflowError) as error:
            if self.refused.get(run_id) != str(error):  # it is tried often
                self.refused[run_id] = str(error)
                _LOG.warning("%s can't be resumed: %s", run_id, error)
            if ownership is not None and isinstance(error, WorkflowError):
                rest_s = self._rests_s.get(run_id, 0.0)
                self._rests_s[run_id] = rest_s = min(_LONGEST_S, max(_LEAST_S, 2 * rest_s))
                await self._give_back(ownership, rest_s)
        else:
            self.refused.pop(run_id, None)
            self._rests_s.pop(run_id, None)
        finally:
            self.active_runs.mark_awake(run_id)

    async def _give_back(self, ownership: Ownership, rest_s: float) -> None:
        """Release a run that is not executed here, and leave it alone for a while.

        Where the store fails meanwhile, the recovery loop tries the run again, as its owner.
        """
        rest_until = self.engine.now() + datetime.timedelta(seconds=rest_s)
        try:
            await self.engine.journal.release(ownership, rest_until=rest_until, unused=True)
        except StaleOwnerError:
            pass  # it was released, or claimed anew
        except StorageError as error:
            self.active_runs.left[ownership.run_id] = error

    async def _checkpoint_of(
        self,
        outcome: asyncio.Future[CheckpointSaved],
        run_id: str,
        event_id: str,
        position: int,
        timeout_s: float,
    ) -> CheckpointSaved | None:
        """Wait for the checkpoint of a posted event, in this process or another.

        Args:
            outcome: Set when this process handles the event.
            run_id: The run.
            event_id: The event.
            position: Its position in the run's inbox.
            timeout_s: How long to wait.

        Returns:
            The checkpoint; None when the time was over or the run ended without it.
        """
        until = time.monotonic() + timeout_s
        while True:
            # The first look comes before any wait: the event may have been handled already.
            pending = await self.engine.journal.pending(run_id, position - 1)
            if not pending or pending[0].position != position:
                return outcome.result() if outcome.done() else await self._find(run_id, event_id)
            wait_s = min(_POLL_OUTCOME_S, until - time.monotonic())
            if wait_s <= 0:
                return None
            done, _ = await asyncio.wait({outcome}, timeout=wait_s)
            if done:
                return outcome.result()

    async def _find(self, run_id: str, event_id: str) -> CheckpointSaved | None:
        journal = self.engine.journal
        last = (await journal.summary(run_id)).records
        while last:  # the newest first: the event was mostly handled a moment ago
            first = max(last - _PAGE, 0)
            for record in reversed(await journal.records(run_id, first, last - first)):
                if isinstance(record, CheckpointSaved) and record.event_id == event_id:
                    return record
            last = first
        return None


class Durable(msgspec.Struct, frozen=True, kw_only=True):
    """An open journal, the parts that execute runs on it, and the cache of step answers.

    Attributes:
        clock: The time of runs; that of the store where other machines share the journal.
        logs: Keeps what runs log and print.
    """

    journal: Journal
    clock: Clock
    engine: Engine
    supervisor: Supervisor
    cache: ResultCache
    logs: LogCapture

    async def close(self) -> None:
        """Close them, the supervisor first."""
        await self.supervisor.close()
        await self.logs.end()
        if isinstance(self.clock, StoreClock):
            await self.clock.close()
        await self.journal.close()
        await self.cache.close()
