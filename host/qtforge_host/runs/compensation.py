"""Undo what a run has done, last first; resumable, and each step with its own attempts."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Awaitable, Callable

import msgspec

from qtforge_host.runs.abandoned_calls import AbandonedCalls
from qtforge_host.runs.deaths import compensation_key
from qtforge_host.runs.errors import CallNotEndedError
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.recorded_messages import RecordedMessage
from qtforge_host.runs.steps import Answer, StepRequester, error_info, retry
from qtforge_host.runs.tracing import within
from qtforge_sdk import Compensation
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.durations import seconds
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal_errors import RecordNotStorableError
from qtforge_sdk.records import CompensationFailed, CompensationStarted, CompensationSucceeded

__all__ = ["Compensator"]

_LOG = logging.getLogger("qtforge.runs")

Undo = Callable[[str, Compensation, int], Awaitable[Answer]]
"""Makes one attempt at undoing a step; the compensation's message is rendered."""

Render = Callable[[Compensation], Awaitable[Compensation]]
"""Returns a compensation with its message as an attempt sends it."""


class Compensator:
    """The steps of a run that are to be undone if it fails.

    Args:
        log: Records the attempts.
        clock: The time.
        requester: Finds the handlers of a topic.
        calls: The calls that were cut off; each has to end before it is undone.
    """

    def __init__(
        self, log: RunLog, clock: Clock, requester: StepRequester, calls: AbandonedCalls
    ) -> None:
        self._log = log
        self._clock = clock
        self._requester = requester
        self._calls = calls
        self._done: dict[str, Compensation] = {}
        self._left: set[str] = set()  # cut off, and not undone because that was not asked for

    def add(self, step: str, compensation: Compensation | None) -> None:
        """Add a step, and how it is undone; None for a step that is not undone."""
        if compensation is not None:
            self._done[step] = compensation

    def add_unknown(self, step: str, compensation: Compensation | None) -> None:
        """Add a step that was cut off, so that its effect is unknown.

        It is undone where its compensation has ``on_failure``. Otherwise it is left as it is,
        and `compensate` does not say that everything was undone.
        """
        if compensation is not None and compensation.on_failure:
            self._done[step] = compensation
        elif compensation is not None:
            self._left.add(step)

    def discard(self, step: str) -> None:
        """Remove a step that is done again."""
        self._done.pop(step, None)
        self._left.discard(step)

    async def compensate(self, undo: Undo, render: Render) -> tuple[bool, bool]:
        """Undo every step; a failure does not keep the others from being undone.

        Steps that the journal says were undone, or could not be, are not tried again. The order
        is that of the journal: a resumed run does parallel steps in another order than they
        ended in.

        Args:
            undo: Requests the compensation's topic. It is not stored: it leads to the run, and
                a run that no cycle holds is freed when it ends, without a collection.
            render: Renders the message before each attempt.

        Returns:
            Whether there was anything to undo, and whether all of it was undone.
        """
        state = self._log.state
        ended = {step: place for place, step in enumerate(state.outcomes)}
        done = sorted(self._done.items(), key=lambda each: -ended[each[0]])
        self._done = {}
        sound = not self._left
        for step, compensation in done:
            if step in state.not_compensated:
                sound = False
            elif step not in state.compensated:
                work = _CompensationAttempts(
                    self._log,
                    self._clock,
                    self._requester,
                    self._calls,
                    step,
                    compensation,
                    undo,
                    render,
                )
                sound = await self._attempt(work, step, compensation) and sound
        return bool(done), sound

    async def _attempt(
        self, work: _CompensationAttempts, step: str, compensation: Compensation
    ) -> bool:
        state = self._log.state
        return await retry(
            work,
            compensation.retry,
            f"{state.run_id}/{step}/compensation",
            state.failed_compensations.get(step),
            self._clock,
            self._clock.sleep,
        )


class _CompensationAttempts:
    """The attempts to undo one step; implements `Attempts`."""

    def __init__(
        self,
        log: RunLog,
        clock: Clock,
        requester: StepRequester,
        calls: AbandonedCalls,
        step: str,
        compensation: Compensation,
        undo: Undo,
        render: Render,
    ) -> None:
        self._log = log
        self._clock = clock
        self._requester = requester
        self._calls = calls
        self._step = step
        self._compensation = compensation
        self._undo = undo
        self._render = render
        self._started_s = 0.0
        self._sent: RecordedMessage | None = None  # the message of the attempt before

    async def attempt(self, number: int) -> bool:
        """Undo the step, once its own call has really ended, and record that."""
        self._started_s = self._clock.monotonic()
        timeout_s = seconds(self._compensation.timeout)
        if not await self._calls.until_ended(self._step, timeout_s):
            raise CallNotEndedError(self._step, timeout_s)
        deaths = self._log.state.deaths
        count = 0 if deaths is None else deaths.of(compensation_key(self._step))
        what = f"the compensation of the step '{self._step}'"
        async with self._requester.after_deaths(what, count, self._compensation.topic):
            return await self._request(number)

    async def _request(self, number: int) -> bool:
        started = CompensationStarted(
            run_id=self._log.state.run_id,
            at=self._clock.now(),
            step=self._step,
            topic=self._compensation.topic,
            attempt=number,
        )
        # Durable before the request is made: from here on, only compensations may follow.
        try:
            compensation = await self._render(self._compensation)
        except QtForgeError:  # the message can't be made, and the attempt fails
            await self._log.append(started)
            raise
        sent = RecordedMessage.of(compensation.message, self._log.secrets)
        if sent != self._sent:
            self._sent = sent
            started = msgspec.structs.replace(started, message=sent.plain, message_note=sent.note)
        await self._log.append(started)
        self._started_s = self._clock.monotonic()
        undo = self._undo(self._step, compensation, number)
        if self._log.tracer is not None:
            step, topic = f"{self._step}/compensation", compensation.topic
            undo = within(self._log.tracer.attempt(step, topic, number), undo)
        data, by = await undo
        await self._succeeded(
            data,
            CompensationSucceeded(
                run_id=self._log.state.run_id,
                at=self._clock.now(),
                step=self._step,
                data=None,
                plugin=by[0] if by else None,
                plugin_version=by[1] if by else None,
                duration_s=self._clock.monotonic() - self._started_s,
                attempt=number,
            ),
        )
        return True

    async def failed(self, number: int, error: QtForgeError, delay_s: float | None) -> bool:
        """Record the failure."""
        now = self._clock.now()
        await self._log.append(
            CompensationFailed(
                run_id=self._log.state.run_id,
                at=now,
                step=self._step,
                error=error_info(error, self._step),
                duration_s=self._clock.monotonic() - self._started_s,
                attempt=number,
                will_retry=delay_s is not None,
                next_at=None if delay_s is None else now + datetime.timedelta(seconds=delay_s),
            )
        )
        return False

    async def _succeeded(self, data: object, record: CompensationSucceeded) -> None:
        try:
            await self._log.append(msgspec.structs.replace(record, data=to_plain(data)))
        except (TypeError, RecordNotStorableError) as error:
            # The answer is not used; that it can't be stored must not undo the step again.
            _LOG.debug("%s: the answer is not stored: %s", record.step, error)
            await self._log.append(record)
