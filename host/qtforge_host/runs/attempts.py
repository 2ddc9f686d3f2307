"""One step's attempts: ask, wait, ask again, fall back; each journaled as it ends."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from qtforge_host.policies.retry import next_attempt, seeded
from qtforge_host.runs.failures import error_info
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.values import as_journaled
from qtforge_sdk import Definition, ErrorInfo
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import OperationError, QtForgeError, StateDirectoryError
from qtforge_sdk.journal_errors import StaleOwnerError
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.policies import Cache, Fallback, Retry
from qtforge_sdk.records import (
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from qtforge_sdk.runs import AmendingAnswer, Amendment

__all__ = ["Amends", "Ask", "AskCall", "Attempts", "Publish", "StepCall"]

_LOG = logging.getLogger("qtforge.runs")

Answer = tuple[Any, tuple[str, str] | None]
"""What was answered, and by which plugin and version."""


class AskCall(msgspec.Struct, frozen=True, kw_only=True):
    """One request in the name of a run's step."""

    run_id: str
    step: str
    topic: str
    message: Any
    timeout_s: float
    plugin: str | None
    attempt: int
    cache: Cache | None


class Ask(Protocol):
    """Asks the bus."""

    async def __call__(self, call: AskCall, listener: ProgressListener, /) -> Answer:
        """Return the answer, and who gave it."""

    def topics(self) -> frozenset[str]:
        """Return what is answered now."""


class Publish(Protocol):
    """Publishes on the bus."""

    async def __call__(self, topic: str, message: object, /) -> None: ...


class Amends(Protocol):
    """Makes amendments of a run."""

    async def append(
        self, amendments: Sequence[Amendment], *, by: str, before: StepSucceeded
    ) -> None:
        """Keep an answer with the amendments that it brings, and let the run go on with them."""

    @property
    def definition(self) -> Definition:
        """The definition as it is now."""

    def accepts(self, state: Any) -> tuple[str, ...] | None:
        """Return the events that a kept state accepts by it; None where it is not known."""


class StepCall(msgspec.Struct, frozen=True, kw_only=True):
    """What a step does: ``send`` makes one attempt of the number that it is given."""

    step: str
    topic: str
    send: Callable[[int], Awaitable[Answer]]
    required: bool = True
    retry: Retry | None = None
    fallback: Fallback | None = None
    fall_back: Callable[[Fallback], Awaitable[Answer]] | None = None


class Attempts:
    """Makes a step's attempts.

    Args:
        log: Where they are recorded.
        clock: The time.
        amending: Takes the amendments that an answer brings.
    """

    def __init__(self, log: RunLog, clock: Clock, amending: Amends) -> None:
        self._log = log
        self._clock = clock
        self._amending = amending

    async def make(
        self, call: StepCall, sleep: Callable[[float], Awaitable[None]]
    ) -> StepSucceeded | QtForgeError:
        """Do a step until it succeeded, or has failed for good; that is in the journal then.

        Args:
            call: The step.
            sleep: Waits between its attempts, unless the run is to rest. It is not kept: it
                leads to the run, and a run that no cycle holds is freed when it ends.

        Returns:
            The record of its success, or the error of its last attempt.
        """
        run_id, earlier = self._log.view.run_id, self._log.history.failed_attempts.get(call.step)
        attempt = 1
        if earlier is not None:  # the run was resumed between two attempts
            attempt = earlier.attempt + 1
            if earlier.next_at is not None:
                left = (earlier.next_at - self._clock.now()).total_seconds()
                await sleep(max(0.0, left))
        while True:
            self._log.note(
                StepStarted(
                    run_id=run_id,
                    at=self._clock.now(),
                    step=call.step,
                    topic=call.topic,
                    attempt=attempt,
                )
            )
            started = self._clock.monotonic()
            try:
                answer = await call.send(attempt)
                return await self._succeeded(call, answer, attempt, started, None)
            except (StaleOwnerError, StateDirectoryError):
                raise  # the journal failed, not the step
            except QtForgeError as error:
                _LOG.debug("%s: %s failed", run_id, call.step, exc_info=error)
                delay_s = self._delay(call, attempt, error)
                if delay_s is None:
                    return await self._failed(call, error, attempt, started)
                await self._will_retry(call, error, attempt, started, delay_s)
            await sleep(delay_s)
            attempt += 1

    def _delay(self, call: StepCall, attempt: int, error: QtForgeError) -> float | None:
        if call.retry is None:
            return None
        key = f"{self._log.view.run_id}/{call.step}"
        return next_attempt(call.retry, attempt, error, random=seeded(key, attempt))

    async def _succeeded(
        self, call: StepCall, answer: Answer, attempt: int, started: float, degraded: str | None
    ) -> StepSucceeded:
        data, by = answer
        amendments: Sequence[Amendment] = ()
        if isinstance(data, AmendingAnswer):
            data, amendments = data.answer, data.amendments
        record = StepSucceeded(
            run_id=self._log.view.run_id,
            at=self._clock.now(),
            step=call.step,
            data=_plain(data, call.step),
            plugin=by[0] if by else None,
            plugin_version=by[1] if by else None,
            duration_s=self._clock.monotonic() - started,
            attempt=attempt,
            degraded=degraded,
        )
        if amendments:
            who = f"{by[0]} {by[1]} in {call.step}" if by else call.step
            await self._amending.append(amendments, by=who, before=record)
        else:
            await self._log.append(record)
        return record

    async def _failed(
        self, call: StepCall, error: QtForgeError, attempt: int, started: float
    ) -> StepSucceeded | QtForgeError:
        info = error_info(error, call.step)
        if call.fallback is not None and call.fall_back is not None:
            try:
                answer = await call.fall_back(call.fallback)
            except QtForgeError as second:
                error.add_note(f"and its fallback failed: {second}")
                _LOG.debug("%s: the fallback failed too", call.step, exc_info=second)
            else:
                degraded = f"{info.code}: {info.message}"
                return await self._succeeded(call, answer, attempt, started, degraded)
        await self._log.append(self._failure(call, info, attempt, started))
        return error

    async def _will_retry(
        self, call: StepCall, error: QtForgeError, attempt: int, started: float, delay_s: float
    ) -> None:
        info = error_info(error, call.step)
        await self._log.append(self._failure(call, info, attempt, started, delay_s))

    def _failure(
        self,
        call: StepCall,
        info: ErrorInfo,
        attempt: int,
        started: float,
        delay_s: float | None = None,
    ) -> StepFailed:
        now = self._clock.now()
        return StepFailed(
            run_id=self._log.view.run_id,
            at=now,
            step=call.step,
            error=info,
            required=call.required,
            duration_s=self._clock.monotonic() - started,
            attempt=attempt,
            will_retry=delay_s is not None,
            next_at=None if delay_s is None else now + datetime.timedelta(seconds=delay_s),
        )


def _plain(data: Any, step: str) -> Any:
    try:
        return as_journaled(data)
    except TypeError as error:
        raise OperationError(
            "run.not_storable",
            f"the answer of the step '{step}' can't be kept",
            str(error),
            "answer with text, numbers, lists, mappings, dates, dataclasses or Structs",
            retryable=False,
        ) from error
