"""Execute one run to its end, and record how it ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import Any

import msgspec

from qtforge_host.cancellation import (
    LET_CANCELLATION_OUT,
    ON_ABANDONED,
    CoroutineLeft,
    attend,
)
from qtforge_host.plugin_code import (
    PluginCodeError,
    discard_awaitable,
    place_of,
    place_of_function,
)
from qtforge_host.runs.children import end_notice
from qtforge_host.runs.context import RUN, STEP
from qtforge_host.runs.control import (
    Control,
    HandedOver,
    PauseRequested,
    Rested,
    TimeOver,
    reason_of,
)
from qtforge_host.runs.late_amendments import refused_at_the_end
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.serialization import normalize
from qtforge_host.runs.stateful_run import StatefulRun
from qtforge_host.runs.steps import error_info
from qtforge_host.runs.versions import majors
from qtforge_host.runs.waiting import Until
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk import ErrorInfo, RunStatus
from qtforge_sdk.checkpoints import Ended
from qtforge_sdk.clock import Clock
from qtforge_sdk.durations import seconds
from qtforge_sdk.errors import OperationError, QtForgeError, RunDivergedError, StorageError
from qtforge_sdk.journal import Journal
from qtforge_sdk.journal_errors import RecordNotStorableError, RecordTooLargeError, StaleOwnerError
from qtforge_sdk.records import (
    RunBlocked,
    RunCancelRequested,
    RunFinished,
    RunPaused,
)
from qtforge_sdk.shielding import wait_shielded

__all__ = ["RunExecution"]

_LOG = logging.getLogger("qtforge.runs")
_CANCELLED = ErrorInfo(code="run.cancelled", message="cancelled")
_REPLAY_S = 30.0  # within which a run resumed after its time limit reaches where it was


class RunExecution:
    """Executes a run's orchestrator.

    Args:
        workflow: The run's workflow.
        run: The run.
        log: Appends its records.
        control: The requests to it.
        journal: Releases a run that rests.
        clock: The time.
        plugins: The versions of the active plugins, by name.
        has_rested: See `end_notice`.
    """

    def __init__(
        self,
        workflow: Workflow,
        run: StatefulRun,
        log: RunLog,
        control: Control,
        journal: Journal,
        clock: Clock,
        *,
        plugins: dict[str, str],
        has_rested: bool,
    ) -> None:
        self._plugins = plugins
        self._has_rested = has_rested
        self._workflow = workflow
        self._run = run
        self._log = log
        self._control = control
        self._journal = journal
        self._clock = clock
        self._released = False

    async def drive(self) -> None:
        """Execute the run in the caller's task until it ends or rests.

        A caller that is cancelled cancels the run, and waits for its compensation. A caller
        that is cancelled again leaves the run as it is; the next process resumes the
        compensation.

        Raises:
            asyncio.CancelledError: The caller was cancelled; the run is ``cancelled``, unless
                it was ending otherwise.
            StaleOwnerError: Another process has taken the run over; nothing was recorded.
            StorageError: The journal can't be written; the run may be resumed later.
        """
        run, step = RUN.set(self._run.id), STEP.set("")
        on_abandoned = ON_ABANDONED.set(self._run.abandoned_calls.add)
        self._control.attach()
        failure: BaseException | None = None
        try:
            await self._work()
        except asyncio.CancelledError:
            if not self._control.was_interrupted:
                raise
        except BaseException as error:
            failure = error
            raise
        finally:
            RUN.reset(run)
            STEP.reset(step)
            ON_ABANDONED.reset(on_abandoned)
            if await self._control.release():  # a cancelled caller gets nothing else
                raise asyncio.CancelledError from failure

    async def _work(self) -> None:
        ending: Coroutine[Any, Any, None]
        try:
            returned = await self._execute()
            self._run.check_replayed()
            result, summary = await self._result(returned)
        except HandedOver:
            ending = self._release() if self._control.rests is None else self._wait()
        except PauseRequested as pause:
            ending = self._rest(pause) if self._control.rests is None else self._wait()
        except Rested:  # its last checkpoint says that it waits
            ending = self._release()
        except (StaleOwnerError, StorageError):
            raise  # nothing can be recorded, so nothing may be undone
        except BaseException as error:
            if self._control.rests is not None:
                ending = self._wait()
            elif self._control.is_cancellation(error):
                ending = self._cancelled(error.why if isinstance(error, CoroutineLeft) else "")
            elif self._control.is_interruption(error):
                raise
            else:
                ending = self._broken(error)
        else:
            self._control.detach()
            if self._control.rests is not None:  # its code swallowed the interruption
                ending = self._wait()
            else:
                if self._concludes:
                    await self._end(self._conclude("succeeded"))
                    if self._released:
                        return
                failure = await self._succeeded(result, summary)
                if failure is None:
                    return
                ending = self._failed(failure)
        self._control.detach()
        await self._end(ending)

    async def _end(self, ending: Coroutine[Any, Any, None]) -> None:
        """Await the end of the run, in a task that the caller's second cancellation cancels."""
        task = asyncio.ensure_future(ending)

        def stop() -> None:
            if self._control.is_to_stop():
                task.cancel()

        await wait_shielded(task, stop)
        if not task.cancelled():
            task.result()
        elif self._log.state.finished is None:
            await self._release()

    async def _execute(self) -> Any:
        await self._control.amend()
        limit = self._workflow.definition.timeout
        timed_from = self._log.state.timed_from
        if limit is None or timed_from is None:
            return await self._code()
        limit_s = seconds(limit)
        until = Until(timed_from + timedelta(seconds=limit_s), limit_s, self._clock)
        left_s = until.left_s
        if left_s <= 0:  # no new step begins, but the code replays to where it was, to be undone
            self._control.is_over = True
            left_s = _REPLAY_S
        try:
            with (
                self._control.time_limit(left_s, self._clock),
                self._control.waits.ending_by(until),
            ):
                return await self._code()
        except TimeOver as over:
            what = f"the run did not end within {limit}"
            fix = LET_CANCELLATION_OUT if over.why else "give it a longer timeout"
            raise OperationError("run.timeout", what, over.why, fix) from None

    def _code(self) -> Coroutine[Any, Any, Any]:
        workflow = self._workflow
        work = workflow.orchestrator.execute(self._run)
        function = workflow.function or workflow.orchestrator.execute
        return attend(work, workflow.author, workflow.definition.name, function)

    async def _result(self, returned: Any) -> tuple[Any, str]:
        definition = self._run.definition
        names: Mapping[str, Any] = {}
        template = definition.result
        if isinstance(returned, Ended):
            if returned.goes_first:
                template = None
            returned, names = returned.result, returned.names
        if discard_awaitable(returned):
            raise self._bad_result("run.missing_await", f"is a {type(returned).__name__}")

        def render() -> tuple[Any, str]:
            text = definition.summary
            result = returned if template is None else self._run.render(template, names)
            return result, str(self._run.render(text, names)) if text else ""

        if template is None and not definition.summary:
            result, summary = returned, ""
        else:
            result, summary = await self._run.compute(render)
        try:
            return normalize(result), summary
        except TypeError as error:
            raise self._bad_result("run.not_storable", f"can't be stored: {error}") from error

    def _bad_result(self, code: str, what: str) -> PluginCodeError:
        workflow = self._workflow
        place = place_of_function(workflow.function)
        fix = "await it" if code == "run.missing_await" else "return plain data"
        return PluginCodeError(
            code, workflow.author, f"the result of '{workflow.definition.name}' {what}", place, fix
        )

    async def _succeeded(self, result: Any, summary: str) -> ErrorInfo | None:
        """Record the success; return why that is not possible, or None."""
        try:
            await self._finish("succeeded", result=result, summary=summary)
        except RecordNotStorableError as error:  # such as an integer of more than 64 bits
            refused = self._bad_result(error.code, f"can't be stored: {error.why}")
            if isinstance(error, RecordTooLargeError):
                refused.fix = error.fix
            return error_info(refused)
        return None

    async def _broken(self, error: BaseException) -> None:
        _LOG.debug("%s: its code failed", self._run.id, exc_info=error)
        if isinstance(error, RunDivergedError) and not self._log.state.compensating:
            await self._diverged(error)
        else:
            await self._failed(self._explain(error))

    async def _diverged(self, error: RunDivergedError) -> None:
        """Leave what was done as it is, until there is code that fits it.

        Only a cancellation ends the run: what undoes its steps is named by the code.
        """
        info = error_info(error, error.step)
        if self._control.cancel_requested is not None:
            undoes = self._run.definition.on_cancel == "compensate"
            await self._finish("failed" if undoes else "cancelled", error=info)
            return
        await self._log.append(
            RunBlocked(
                run_id=self._run.id,
                at=self._clock.now(),
                reason=info.message,
                plugins=self._plugins,
                code=info.code,
                step=error.step,
            )
        )
        await self._release()

    def _explain(self, error: BaseException) -> ErrorInfo:
        """Return why the run's code failed, with the plugin where the error is none of ours."""
        info = error_info(error)
        if isinstance(error, QtForgeError):
            return info
        plugin, version = self._workflow.author
        place = place_of(error, self._workflow.function or self._workflow.orchestrator)
        return msgspec.structs.replace(
            info, plugin=plugin or None, plugin_version=version or None, place=place or None
        )

    async def _failed(self, error: ErrorInfo) -> None:
        await self._run.cancel_children()
        undone, sound = await self._run.compensate()
        status: RunStatus = "compensated" if undone and sound else "failed"
        await self._conclude(status, error)
        if not self._released:
            await self._finish(status, error=error)

    async def _cancelled(self, why: str) -> None:
        """End the run, which was cancelled.

        Args:
            why: Whose code did not end when it was cancelled, or "".
        """
        if self._control.is_stopped:
            await self._release()
            return
        asked = self._control.cancel_requested
        error = _CANCELLED
        if asked is not None and asked.by:
            error = ErrorInfo(code="run.cancelled", message=f"cancelled by {asked.by}")
        if why:
            message = f"{error.message}; {why}, and was abandoned"
            error = ErrorInfo(code=error.code, message=message, fix=LET_CANCELLATION_OUT)
        await self._run.cancel_children()
        undoes = self._run.definition.on_cancel == "compensate"
        if asked is None and (undoes or self._concludes):
            # So that a process that resumes it here continues the compensation and the end.
            await self._log.append(RunCancelRequested(run_id=self._run.id, at=self._clock.now()))
        if undoes:
            await self._run.compensate()
        await self._conclude("cancelled", error)
        if not self._released:
            await self._finish("cancelled", error=error)

    @property
    def _concludes(self) -> bool:
        return self._workflow.orchestrator.concludes(self._run.definition)

    async def _conclude(self, status: RunStatus, error: ErrorInfo | None = None) -> None:
        """Do the run's last steps; their failures do not change how it ends.

        Where a workflow rests that one of them awaits, the run does, too, and is released.
        """
        if not self._concludes:
            return
        self._run.begin_conclusion()
        try:
            await self._workflow.orchestrator.conclude(self._run, status, error)
        except PauseRequested as pause:
            await self._rest(pause)
        except (StaleOwnerError, StorageError):
            raise
        except Exception as failure:  # noqa: BLE001 - a plugin's code
            _LOG.warning("%s: its last steps failed: %s", self._run.id, failure)

    async def _rest(self, pause: PauseRequested) -> None:
        await self._log.append(
            RunPaused(
                run_id=self._run.id,
                at=self._clock.now(),
                by=pause.message.by,
                reason=reason_of(pause.message),
                message_id=pause.message.message_id,
            )
        )
        await self._release()

    async def _wait(self) -> None:
        """Record that the run rests until something wakes it."""
        rests = self._control.rests
        assert rests is not None  # noqa: S101 - only then it is called
        await self._log.rest(rests)
        await self._release()

    async def _release(self) -> None:
        if not self._released:
            self._released = True
            needs = majors(self._log.state.served_by)
            await self._journal.release(self._log.ownership, needs=needs or None)

    async def _finish(
        self,
        status: RunStatus,
        *,
        result: Any = None,
        summary: str = "",
        error: ErrorInfo | None = None,
    ) -> None:
        if error is not None and error.stage is not None:  # the step's record has it
            error = msgspec.structs.replace(error, traceback=None)
        finished = RunFinished(
            run_id=self._run.id,
            at=self._clock.now(),
            status=status,
            degraded=self._log.state.degraded,
            result=result,
            summary=summary,
            error=error,
        )
        posts = end_notice(self._log.state.started, finished, has_rested=self._has_rested)
        late = [
            refused_at_the_end(self._run.id, message, finished.at)
            for message in self._control.amendments
        ]
        await self._log.append(*late, finished, posts=posts)
