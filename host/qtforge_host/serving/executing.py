"""The runs that this process executes, each in a task of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, Final

from qtforge_host.runs.definitions import Workflow
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.outcome import RunView
from qtforge_host.serving.errors import RefusedError
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import Journal
from qtforge_sdk.journal_errors import RunOwnedError

__all__ = ["Executing"]

_LOG: Final = logging.getLogger("qtforge.serve")
_LOOK_S: Final = 1.0  # how long a run that another process left may wait to be taken up
_PARK_S: Final = 1.0
_PARK_TRIES: Final = 5
_TAKE_UP_S: Final = 10.0
_STEP_S: Final = 0.005


class Executing:
    """Starts runs, takes up those that nobody executes, and leaves them at the end.

    Args:
        engine: Executes them.
        journal: Holds them.
        limit: How many at once; more are refused, or wait.
    """

    def __init__(self, engine: Engine, journal: Journal, limit: int) -> None:
        self._engine = engine
        self._journal = journal
        self._limit = limit
        self._tasks: dict[str, asyncio.Task[RunView | None]] = {}
        self._starting: set[asyncio.Task[RunView | None]] = set()
        self._left: set[str] = set()  # those that can't be taken up by this host as it is
        self._reserved: dict[str, asyncio.Event] = {}

    def __len__(self) -> int:
        """How many runs are executed now."""
        return len(self._tasks) + len(self._starting)

    def has(self, run_id: str) -> bool:
        """Whether this process executes a run."""
        return run_id in self._tasks

    async def start(
        self, workflow: Workflow, given: Mapping[str, Any], *, run_id: str | None = None
    ) -> str:
        """Start a run, and return its name once the journal has it.

        Raises:
            RefusedError: There are too many already.
            RunExistsError: There is a run of that name.
            RunError: The journal refused it.
        """
        if len(self) >= self._limit:
            raise RefusedError(
                503,
                "http.busy",
                "too many runs are executed at once",
                f"there are {len(self)}",
                "try again later",
                {"Retry-After": "1"},
            )
        loop = asyncio.get_running_loop()
        named: asyncio.Future[str] = loop.create_future()

        async def started(name: str) -> None:
            named.set_result(name)

        executed = self._engine.execute(workflow, given, run_id=run_id, on_started=started)
        task = loop.create_task(self._quietly(run_id or workflow.definition.name, executed))
        self._starting.add(task)
        try:
            either: set[asyncio.Future[Any]] = {task, named}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._starting.discard(task)
        if not named.done():
            named.cancel()
            task.result()  # raises what the journal said
        self._keep(named.result(), task)
        return named.result()

    def wake(self, run_id: str) -> None:
        """Take a run up, unless it is executed here already."""
        if run_id not in self._tasks:
            resumed = self._engine.resume(run_id)
            task = asyncio.get_running_loop().create_task(self._quietly(run_id, resumed))
            self._keep(run_id, task)

    async def take_up_now(self, run_id: str) -> None:
        """Take a run up because somebody asked for it, unless it is executed here already.

        Raises:
            RunNotFoundError: There is none.
            RunOwnedError: Another live process executes it.
            WorkflowError: Its workflow can't be run here.
        """
        await self._free(run_id)
        if run_id in self._tasks:
            return
        self._left.discard(run_id)
        self.wake(run_id)
        task = self._tasks[run_id]
        deadline = asyncio.get_running_loop().time() + _TAKE_UP_S
        # It is taken up when its ownership is this process's: `engine.has` tells.
        while not task.done() and not self._engine.has(run_id):
            if asyncio.get_running_loop().time() >= deadline:
                return
            await asyncio.sleep(_STEP_S)
        if task.done() and not task.cancelled():
            task.result()

    @contextlib.asynccontextmanager
    async def reserve(self, run_id: str) -> AsyncIterator[None]:
        """Keep a run that is not executed here from being taken up meanwhile.

        Raises:
            RunOwnedError: It is executed here.
        """
        await self._free(run_id)
        if run_id in self._tasks:
            raise RunOwnedError(run_id, "this process")
        self._reserved[run_id] = freed = asyncio.Event()
        try:
            yield
        finally:
            del self._reserved[run_id]
            freed.set()

    async def ended(self, run_id: str, within_s: float) -> None:
        """Wait until a run that is executed here ends or rests, or the time is over."""
        task = self._tasks.get(run_id)
        if task is not None:
            await asyncio.wait({task}, timeout=within_s)

    async def take_up(self) -> None:
        """Take up what nobody executes, again and again, until cancelled."""
        while True:
            try:
                for run_id in await self._journal.unfinished():
                    if len(self) >= self._limit:
                        break
                    if run_id not in self._left and run_id not in self._reserved:
                        self.wake(run_id)
            except QtForgeError as error:
                _LOG.error("the runs that nobody executes can't be looked for: %s", error)
            await asyncio.sleep(_LOOK_S)

    async def close(self, grace_s: float) -> int:
        """Wait for the runs, then leave those that are not done to the next process.

        Args:
            grace_s: How long to wait, in seconds.

        Returns:
            How many were left.
        """
        tasks = {*self._tasks.values(), *self._starting}
        if not tasks:
            return 0
        _, busy = await asyncio.wait(tasks, timeout=grace_s)
        left = len(busy)
        if busy:
            self._engine.park()
            _, busy = await asyncio.wait(busy, timeout=_PARK_S)
        for _ in range(_PARK_TRIES):  # those that were being created, or undone
            for task in busy:
                task.cancel()
            if busy:
                _, busy = await asyncio.wait(busy, timeout=_PARK_S)
        if busy:
            _LOG.error("%d runs did not stop; the next process goes on with them", len(busy))
        return left

    async def _free(self, run_id: str) -> None:
        while (freed := self._reserved.get(run_id)) is not None:
            await freed.wait()  # for as long as a few writes to the journal take

    def _keep(self, run_id: str, task: asyncio.Task[RunView | None]) -> None:
        if task.done():
            self._over(run_id, task)
            return
        self._tasks[run_id] = task
        task.add_done_callback(lambda done: self._over(run_id, done))

    def _over(self, run_id: str, task: asyncio.Task[RunView | None]) -> None:
        self._tasks.pop(run_id, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, RunOwnedError):
            self._left.add(run_id)
            _LOG.error("the run %s is left as it is: %s", run_id, error)
        view = None if error else task.result()
        if view is not None and view.status == "blocked":
            self._left.add(run_id)

    async def _quietly(self, what: str, executed: Coroutine[Any, Any, RunView]) -> RunView | None:
        try:
            return await executed
        except asyncio.CancelledError:
            _LOG.info("%s is left to the next process", what)
            return None
