"""The engine under every orchestrator: starts runs, records them, compensates, ends them."""

from __future__ import annotations

import asyncio
import datetime
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.bus.transport import Envelope
from qtforge_host.expressions import Expressions
from qtforge_host.runs.active import ActiveRun, Recorder
from qtforge_host.runs.clock import Clock, SystemClock
from qtforge_host.runs.definitions import Workflow
from qtforge_host.runs.failures import error_info
from qtforge_host.runs.outcome import RunView
from qtforge_sdk import ErrorInfo, Record, RunStatus
from qtforge_sdk.journal import Journal, Ownership
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.records import RunFinished, RunStarted

__all__ = ["Engine", "RunListener", "new_run_id"]


class RunListener(Protocol):
    """Hears what happens in a run, as it happens; must be quick and must not raise."""

    def on_record(self, view: RunView, record: Record) -> None:
        """A record was kept; the view has taken it in."""

    def on_progress(
        self, view: RunView, step: str, done: float, total: float | None, text: str
    ) -> None:
        """A step came further."""


class _Silent:
    def on_record(self, view: RunView, record: Record) -> None:
        """Nobody listens."""

    def on_progress(
        self, view: RunView, step: str, done: float, total: float | None, text: str
    ) -> None:
        """Nobody listens."""


def new_run_id(now: datetime.datetime) -> str:
    """Return a run's name: sortable by time, unique, and short enough to type.

    >>> new_run_id(datetime.datetime(2026, 1, 2, 3, 4, 5)).rpartition("-")[0]
    '20260102-030405'
    """
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(5)}"


class Engine:
    """Executes workflows.

    Args:
        bus: Where steps ask.
        expressions: For templates and conditions.
        journal: Where records are kept.
        observe: Told of every record, after it is kept; None for nobody.
        plugins: Gives the active plugins' versions by name, for the journal.
        clock: The time.
    """

    def __init__(
        self,
        bus: MessageBus,
        expressions: Expressions,
        journal: Journal,
        *,
        observe: Callable[[Record], None] | None = None,
        plugins: Callable[[], dict[str, str]] = dict,
        clock: Clock | None = None,
    ) -> None:
        self._bus = bus
        self._expressions = expressions
        self._journal = journal
        self._observe = observe
        self._plugins = plugins
        self._clock = clock or SystemClock()

    async def execute(
        self,
        workflow: Workflow,
        given: Mapping[str, Any],
        listener: RunListener | None = None,
    ) -> RunView:
        """Run a workflow to its end.

        Args:
            workflow: A valid one.
            given: Its input, over the definition's defaults.
            listener: Hears what happens.

        Returns:
            What became of it, also when it failed.

        Raises:
            asyncio.CancelledError: It was cancelled; the journal says so.
        """
        heard = listener or _Silent()
        definition = workflow.definition
        view = RunView(new_run_id(self._clock.now()))

        ownership: Ownership | None = None

        async def record(entry: Record) -> None:
            nonlocal ownership
            if isinstance(entry, RunStarted):
                ownership = await self._journal.create(entry)
            elif ownership is not None:
                await self._journal.append(ownership, [entry])
            view.apply(entry)
            if self._observe is not None:
                self._observe(entry)
            heard.on_record(view, entry)

        run = ActiveRun(
            view,
            definition,
            record=record,
            ask=self._ask,
            evaluator=self,
            clock=self._clock,
            on_progress=heard.on_progress,
        )
        await record(
            RunStarted(
                run_id=view.run_id,
                at=self._clock.now(),
                workflow=definition.name,
                kind=definition.kind,
                workflow_version=definition.version,
                input={**definition.defaults, **given},
                plugins=self._plugins(),
            )
        )
        await self._drive(workflow, run, view, record)
        return view

    def render(self, template: object, names: Mapping[str, Any]) -> Any:
        """Return a template's value; see `ActiveRun`."""
        return self._expressions.template(template).render(names)

    def evaluate(self, condition: str, names: Mapping[str, Any]) -> bool:
        """Return whether a condition holds; see `ActiveRun`."""
        return self._expressions.compile(condition).holds(names)

    async def _drive(
        self, workflow: Workflow, run: ActiveRun, view: RunView, record: Recorder
    ) -> None:
        finish = _Finish(record, view, self._clock)
        try:
            returned = await workflow.orchestrator.execute(run)
            result, summary = self._result(workflow, run, returned)
        except asyncio.CancelledError:
            await finish("cancelled", error=ErrorInfo(code="run.cancelled", message="cancelled"))
            raise
        except Exception as error:  # noqa: BLE001 - an orchestrator is a plugin's code
            info = error_info(error)
            try:
                undone, sound = await run.compensate()
            except asyncio.CancelledError:
                await finish("cancelled", error=info)
                raise
            await finish("compensated" if undone and sound else "failed", error=info)
        else:
            await finish("succeeded", result=result, summary=summary)

    def _result(self, workflow: Workflow, run: ActiveRun, returned: Any) -> tuple[Any, str]:
        definition = workflow.definition
        result = returned if definition.result is None else run.render(definition.result)
        return result, str(run.render(definition.summary)) if definition.summary else ""

    async def _ask(
        self,
        run_id: str,
        step: str,
        topic: str,
        message: object,
        timeout_s: float,
        plugin: str | None,
        listener: ProgressListener,
    ) -> tuple[Any, tuple[str, str] | None]:
        envelope = Envelope(
            topic,
            message,
            timeout_s,
            time.monotonic() + timeout_s,
            plugin,
            run_id=run_id,
            step=step,
            idempotency_key=f"{run_id}/{step}",
        )
        return await self._bus.send(envelope, listener), envelope.served_by


class _Finish:
    """Records how a run ended."""

    def __init__(self, record: Recorder, view: RunView, clock: Clock) -> None:
        self._record = record
        self._view = view
        self._clock = clock

    async def __call__(
        self,
        status: RunStatus,
        *,
        result: Any = None,
        summary: str = "",
        error: ErrorInfo | None = None,
    ) -> None:
        await self._record(
            RunFinished(
                run_id=self._view.run_id,
                at=self._clock.now(),
                status=status,
                degraded=self._view.degraded,
                result=result,
                summary=summary,
                error=error,
            )
        )
