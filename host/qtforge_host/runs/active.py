"""`ActiveRun`: the `Run` that an orchestrator drives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from qtforge_host.runs.clock import Clock
from qtforge_host.runs.failures import error_info
from qtforge_host.runs.outcome import RunView
from qtforge_sdk import Compensation, ErrorInfo, Record, StepResult, Template
from qtforge_sdk.errors import DuplicateStepError, QtForgeError, StageFailedError
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.records import (
    CompensationFailed,
    CompensationStarted,
    CompensationSucceeded,
    StepFailed,
    StepSkipped,
    StepStarted,
    StepSucceeded,
)

__all__ = ["ActiveRun", "Ask", "Evaluator", "Recorder"]

_LOG = logging.getLogger("qtforge.runs")
_STEP_TIMEOUT_S = 30.0


class Evaluator(Protocol):
    """Renders templates and evaluates conditions."""

    def render(self, template: object, names: Mapping[str, Any]) -> Any:
        """Return a template's value."""

    def evaluate(self, condition: str, names: Mapping[str, Any]) -> bool:
        """Return whether a condition holds."""


class Recorder(Protocol):
    """Keeps a record, then lets everybody know."""

    async def __call__(self, record: Record, /) -> None: ...


class Ask(Protocol):
    """Asks a topic in the name of a run's step; the second value is who answered."""

    async def __call__(
        self,
        run_id: str,
        step: str,
        topic: str,
        message: object,
        timeout_s: float,
        plugin: str | None,
        listener: ProgressListener,
    ) -> tuple[Any, tuple[str, str] | None]: ...


class ActiveRun:
    """A run in progress; implements `qtforge_sdk.Run`.

    Args:
        view: What its records tell so far.
        definition: The workflow's.
        record: Keeps records.
        ask: Asks the bus.
        evaluator: For templates and conditions.
        clock: The time.
        on_progress: Told of a step's progress.
    """

    def __init__(
        self,
        view: RunView,
        definition: Any,
        *,
        record: Recorder,
        ask: Ask,
        evaluator: Evaluator,
        clock: Clock,
        on_progress: Any,
    ) -> None:
        self.id = view.run_id
        self.definition = definition
        self._view = view
        self._record = record
        self._ask = ask
        self._evaluator = evaluator
        self._clock = clock
        self._on_progress = on_progress
        self._claimed: set[str] = set()
        self._undo: list[tuple[str, Compensation]] = []

    @property
    def input(self) -> Mapping[str, Any]:
        """What the run was started with."""
        found: Mapping[str, Any] = self._view.input
        return found

    @property
    def steps(self) -> Mapping[str, StepResult]:
        """The steps so far."""
        return self._view.steps

    @property
    def names(self) -> Mapping[str, Any]:
        """What expressions may use."""
        started_at = self._view.started_at
        about = {
            "id": self.id,
            "workflow": self._view.workflow,
            "started_at": None if started_at is None else started_at.isoformat(),
        }
        return {"input": self.input, "run": about, "stages": self._view.steps}

    def render(self, template: object) -> Any:
        """Return a template's value now; see `qtforge_sdk.Run`."""
        return self._evaluator.render(template, self.names)

    def evaluate(self, condition: str) -> bool:
        """Return whether a condition holds now; see `qtforge_sdk.Run`."""
        return self._evaluator.evaluate(condition, self.names)

    async def request(
        self,
        step: str,
        topic: str,
        message: object,
        *,
        timeout: float | None = None,
        plugin: str | None = None,
        required: bool = True,
        compensation: Compensation | None = None,
    ) -> Any:
        """Do a step; see `qtforge_sdk.Run`."""
        self._claim(step)
        timeout_s = _STEP_TIMEOUT_S if timeout is None else timeout
        await self._record(
            StepStarted(run_id=self.id, at=self._clock.now(), step=step, topic=topic)
        )
        started = self._clock.monotonic()
        try:
            data, by = await self._send(step, topic, message, timeout_s, plugin)
        except asyncio.CancelledError:
            cancelled = ErrorInfo(code="run.cancelled", message="cancelled", stage=step)
            await self._step_failed(step, cancelled, True, started)
            raise
        except QtForgeError as error:
            _LOG.debug("%s: %s failed", self.id, step, exc_info=error)
            await self._step_failed(step, error_info(error, step), required, started)
            if compensation is not None and compensation.on_failure:
                self._undo.append((step, compensation))
            if required:
                raise StageFailedError(step, str(error)) from error
            return None
        await self._record(
            StepSucceeded(
                run_id=self.id,
                at=self._clock.now(),
                step=step,
                data=data,
                plugin=by[0] if by else None,
                plugin_version=by[1] if by else None,
                duration_s=self._clock.monotonic() - started,
            )
        )
        if compensation is not None:
            self._undo.append((step, compensation))
        return data

    async def skip(self, step: str, reason: str) -> None:
        """Record a step that is left out; see `qtforge_sdk.Run`."""
        self._claim(step)
        await self._record(
            StepSkipped(run_id=self.id, at=self._clock.now(), step=step, reason=reason)
        )

    async def gather(self, *steps: Awaitable[Any]) -> list[Any]:
        """Do steps at once; see `qtforge_sdk.Run`."""
        tasks = [asyncio.ensure_future(step) for step in steps]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def sleep(self, seconds: float) -> None:
        """Wait on the run's clock."""
        await self._clock.sleep(seconds)

    async def compensate(self) -> tuple[bool, bool]:
        """Undo what was done, last first; a failure does not keep the others from it.

        Returns:
            Whether there was anything to undo, and whether all of it was undone.
        """
        undo, self._undo = self._undo[::-1], []
        sound = True
        for step, compensation in undo:
            sound = await self._compensate_one(step, compensation) and sound
        return bool(undo), sound

    async def _compensate_one(self, step: str, compensation: Compensation) -> bool:
        await self._record(
            CompensationStarted(
                run_id=self.id, at=self._clock.now(), step=step, topic=compensation.topic
            )
        )
        started = self._clock.monotonic()
        try:
            data, by = await self._send(
                f"{step}/compensation",
                compensation.topic,
                compensation.message,
                compensation.timeout_s,
                None,
            )
        except QtForgeError as error:
            await self._record(
                CompensationFailed(
                    run_id=self.id,
                    at=self._clock.now(),
                    step=step,
                    error=error_info(error, step),
                    duration_s=self._clock.monotonic() - started,
                )
            )
            return False
        await self._record(
            CompensationSucceeded(
                run_id=self.id,
                at=self._clock.now(),
                step=step,
                data=data,
                plugin=by[0] if by else None,
                plugin_version=by[1] if by else None,
                duration_s=self._clock.monotonic() - started,
            )
        )
        return True

    async def _send(
        self, step: str, topic: str, message: object, timeout_s: float, plugin: str | None
    ) -> tuple[Any, tuple[str, str] | None]:
        if isinstance(message, Template):
            message = self.render(message.value)

        def listen(done: float, total: float | None, text: str) -> None:
            self._on_progress(self._view, step, done, total, text)

        return await self._ask(self.id, step, topic, message, timeout_s, plugin, listen)

    async def _step_failed(
        self, step: str, error: ErrorInfo, required: bool, started: float
    ) -> None:
        await self._record(
            StepFailed(
                run_id=self.id,
                at=self._clock.now(),
                step=step,
                error=error,
                required=required,
                duration_s=self._clock.monotonic() - started,
            )
        )

    def _claim(self, step: str) -> None:
        if step in self._claimed:
            raise DuplicateStepError(step)
        self._claimed.add(step)
