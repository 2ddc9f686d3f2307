"""Undoing what a run has done, last first; resumable, and each with its own attempts."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Awaitable, Callable

import msgspec

from qtforge_host.policies.retry import next_attempt, seeded
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.steps import Answer, error_info
from qtforge_sdk import Compensation
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal_errors import RecordNotStorableError
from qtforge_sdk.records import CompensationFailed, CompensationStarted, CompensationSucceeded

__all__ = ["Compensator"]

_LOG = logging.getLogger("qtforge.runs")

Undo = Callable[[str, Compensation, int], Awaitable[Answer]]
"""Makes one attempt at undoing a step."""


class Compensator:
    """What is to be undone if the run fails.

    Args:
        log: Where it is recorded.
        clock: The time.
    """

    def __init__(self, log: RunLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._done: list[tuple[str, Compensation]] = []

    def add(self, step: str, compensation: Compensation | None) -> None:
        """Remember how a step is undone."""
        if compensation is not None:
            self._done.append((step, compensation))

    async def compensate(self, undo: Undo) -> tuple[bool, bool]:
        """Undo everything; a failure does not keep the others from being undone.

        What the journal says was undone, or could not be, is not tried again. The order is
        that of the journal: a resumed run asks for parallel steps in another order than they
        ended in.

        Args:
            undo: Asks the compensation's topic. It is given here, and not kept: it leads to the
                run, and a run that no cycle holds is freed when it ends, without a collection.

        Returns:
            Whether there was anything to undo, and whether all of it was undone.
        """
        state = self._log.state
        ended = {step: place for place, step in enumerate(state.outcomes)}
        done, self._done = sorted(self._done, key=lambda each: -ended[each[0]]), []
        sound = True
        for step, compensation in done:
            if step in state.not_compensated:
                sound = False
            elif step not in state.compensated:
                sound = await self._compensate_one(step, compensation, undo) and sound
        return bool(done), sound

    async def _compensate_one(self, step: str, compensation: Compensation, undo: Undo) -> bool:
        run_id = self._log.state.run_id
        attempt = 1
        earlier = self._log.state.failed_compensations.get(step)
        if earlier is not None:  # the run was resumed between two attempts
            attempt = earlier.attempt + 1
            if earlier.next_at is not None:
                left = (earlier.next_at - self._clock.now()).total_seconds()
                await self._clock.sleep(max(0.0, left))
        while True:
            # Checkpoint before it is asked: from here on, nothing but undoing may follow.
            await self._log.append(
                CompensationStarted(
                    run_id=run_id,
                    at=self._clock.now(),
                    step=step,
                    topic=compensation.topic,
                    attempt=attempt,
                )
            )
            started = self._clock.monotonic()
            try:
                data, by = await undo(step, compensation, attempt)
            except QtForgeError as error:
                delay_s = self._delay(step, compensation, attempt, error)
                await self._log.append(self._failure(step, error, attempt, started, delay_s))
                if delay_s is None:
                    return False
                await self._clock.sleep(delay_s)
                attempt += 1
                continue
            record = CompensationSucceeded(
                run_id=run_id,
                at=self._clock.now(),
                step=step,
                data=None,
                plugin=by[0] if by else None,
                plugin_version=by[1] if by else None,
                duration_s=self._clock.monotonic() - started,
                attempt=attempt,
            )
            await self._undone(record, data)
            return True

    async def _undone(self, record: CompensationSucceeded, data: object) -> None:
        try:
            await self._log.append(msgspec.structs.replace(record, data=to_plain(data)))
        except (TypeError, RecordNotStorableError) as error:
            # Nobody uses the answer; that it can't be kept must not undo the step again.
            _LOG.debug("%s: the answer is not kept: %s", record.step, error)
            await self._log.append(record)

    def _failure(
        self, step: str, error: QtForgeError, attempt: int, started: float, delay_s: float | None
    ) -> CompensationFailed:
        now = self._clock.now()
        return CompensationFailed(
            run_id=self._log.state.run_id,
            at=now,
            step=step,
            error=error_info(error, step),
            duration_s=self._clock.monotonic() - started,
            attempt=attempt,
            will_retry=delay_s is not None,
            next_at=None if delay_s is None else now + datetime.timedelta(seconds=delay_s),
        )

    def _delay(
        self, step: str, compensation: Compensation, attempt: int, error: QtForgeError
    ) -> float | None:
        if compensation.retry is None:
            return None
        key = f"{self._log.state.run_id}/{step}/compensation"
        return next_attempt(compensation.retry, attempt, error, random=seeded(key, attempt))
