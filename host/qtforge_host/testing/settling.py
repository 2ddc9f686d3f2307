"""Letting everything happen, and letting time pass, while a test waits."""

from __future__ import annotations

import asyncio
import datetime
import math
from collections.abc import Sequence
from types import CoroutineType
from typing import Any, Final, cast

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.runs.versions import majors
from qtforge_host.testing.mortal_journal import Crash, MortalJournal
from qtforge_host.testing.traffic import Traffic
from qtforge_sdk.journal import Journal, Ownership, RunQuery
from qtforge_sdk.testing import VirtualClock

__all__ = ["Settling"]

_LOOK_S: Final = 0.0005  # between two looks at work that takes real time
_AT_ONCE: Final = 100  # queued runs
_QUEUED: Final = RunQuery(statuses=frozenset({"queued"}), limit=1)
_WAITING: Final = RunQuery(statuses=frozenset({"waiting"}), limit=1)
# Functions of asyncio in which the engine waits for something to come, such as a message.
_IDLE: Final = frozenset({"wait", "_wait", "wait_for", "acquire", "get"})
_STEPS: Final = "qtforge_host.runs.steps"  # around everything that a step does


class Settling:
    """Lets runs go as far as they can without the test.

    Operations take their real time. The clock is moved only when nothing is being worked on:
    by itself to the next sleeper, as long as no run waits for an event.

    Args:
        clock: The time of the runs.
        bus: Where steps ask.
        traffic: What is being asked.
        supervisor: Executes the runs.
        journal: Holds the runs that rest.
    """

    def __init__(
        self,
        clock: VirtualClock,
        bus: MessageBus,
        traffic: Traffic,
        supervisor: Supervisor,
        journal: MortalJournal,
    ) -> None:
        self._clock = clock
        self._bus = bus
        self._traffic = traffic
        self._supervisor = supervisor
        self._mortal = journal
        self._journal = cast(Journal, journal)

    async def settle(self) -> None:
        """Let everything happen; time passes unless some run waits for an event.

        Raises:
            Crash: The process died.
        """
        while True:
            await self._work()
            if not self._supervisor.count() or await self._stands_still():
                return
            due_s = self._clock.next_due_s
            if due_s is None or due_s == math.inf:
                await asyncio.sleep(_LOOK_S)  # a run waits for what is neither time nor an event
            else:
                await self._clock.advance(due_s - self._clock.monotonic())

    async def advance(self, seconds: float) -> None:
        """Let time pass; sleepers, deadlines of events and timers of machines are due on the way.

        Args:
            seconds: How much, in virtual time.

        Raises:
            Crash: The process died.
        """
        until_s = self._clock.monotonic() + seconds
        while True:
            await self._work()
            now_s = self._clock.monotonic()
            next_s = min(await self._next_due_s(), until_s)
            await self._clock.advance(max(0.0, next_s - now_s))
            if next_s >= until_s:
                break
        await self.settle()

    def describe(self) -> str:
        """Return what is being worked on, for an error's text."""
        topics = ", ".join(f"'{topic}'" for topic, many in self._traffic.in_flight.items() if many)
        if topics:
            return f"the operations of {topics} have not answered"
        if self._bus.undelivered:
            return "some subscribers have not handled their messages"
        due_s = self._clock.next_due_s
        if due_s is not None:
            return f"time passed by itself to {self._clock.now()}, and the run has no end"
        return "a workflow's own code waits for something that is neither time nor an event"

    async def _work(self) -> None:
        """Wait until nothing more can happen at this moment, and nothing is being worked on."""
        while True:
            await self._clock.advance(0)
            if self._mortal.dead:
                raise Crash
            if self._is_busy():
                await asyncio.sleep(_LOOK_S)
            elif not await self._wake():
                return

    def _is_busy(self) -> bool:
        if self._traffic.in_flight.total() or self._bus.undelivered or self._mortal.in_progress:
            return True
        this = asyncio.current_task()
        return any(_waits_outside(task) for task in asyncio.all_tasks() if task is not this)

    async def _wake(self) -> bool:
        """Wake the runs that rest and have a message or a due timer; return whether any did."""
        found = [
            *await self._journal.runs_with_pending(),
            *await self._journal.due(self._clock.now()),
        ]
        woken = [
            run_id
            for run_id in found
            if not self._supervisor.executes(run_id) and run_id not in self._supervisor.refused
        ]
        for run_id in woken:
            self._supervisor.wake(run_id)
        taken: Sequence[Ownership] = ()
        if await self._journal.runs(_QUEUED):
            able = majors(self._supervisor.engine.plugins())
            taken = await self._journal.take(_AT_ONCE, now=self._clock.now(), able=able)
            for ownership in taken:
                self._supervisor.wake(ownership.run_id, ownership)
        return bool(woken or taken)

    async def _stands_still(self) -> bool:
        return self._supervisor.active_runs.any_awaits_event() or bool(
            await self._journal.runs(_WAITING)
        )

    async def _next_due_s(self) -> float:
        now = self._clock.now()
        due = await self._journal.next_due(now)
        timer_s = math.inf if due is None else (due - now) / datetime.timedelta(seconds=1)
        sleeper_s = self._clock.next_due_s
        return min(self._clock.monotonic() + timer_s, math.inf if sleeper_s is None else sleeper_s)


def _waits_outside(task: asyncio.Task[Any]) -> bool:
    """Tell whether a task waits for real time, a thread, a file or a socket.

    Such a wait is seen by the innermost function: ``asyncio.sleep`` or ``asyncio.to_thread``,
    a stream's, or another library's. Where the engine waits for an event or a message, it is
    one of its own, or one that waits for another task of this loop; so does a run's branch that
    waits for another branch.
    """
    awaited = getattr(task, "_fut_waiter", None)  # as VirtualClock does
    if isinstance(awaited, asyncio.Task) or hasattr(awaited, "_children"):
        return False  # another task, or several in a gather(), which are looked at themselves
    coroutine: Any = task.get_coro()
    innermost: CoroutineType[Any, Any, Any] | None = None
    modules = []
    while coroutine is not None:
        if isinstance(coroutine, CoroutineType):
            innermost = coroutine
            if innermost.cr_frame is not None:
                modules.append(str(innermost.cr_frame.f_globals.get("__name__", "")))
        coroutine = getattr(coroutine, "cr_await", None)  # of what stands around it, too
    if innermost is None or innermost.cr_frame is None:
        return False
    module = modules[-1]
    if module == "asyncio.taskgroups":
        return False
    if module.startswith("asyncio."):
        return innermost.cr_code.co_name not in _IDLE
    if module.startswith(("qtforge_host.", "qtforge_sdk.")):
        return False
    # A kind's or a workflow's own code that awaits a bare future outside of every step waits for
    # another branch of its run, as a graph's idle workers do: it may use the world only in steps.
    is_run = any(each.startswith("qtforge_host.runs.") for each in modules)
    return not is_run or _STEPS in modules
