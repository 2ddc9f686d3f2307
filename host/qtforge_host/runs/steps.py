"""One step's attempts: ask, wait, ask again, fall back; each journaled as it ends."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.bus.transport import Envelope
from qtforge_host.policies.cache import ResultCache, cache_key
from qtforge_host.policies.retry import next_attempt, seeded
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.serialization import normalize
from qtforge_sdk import Definition, ErrorInfo
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import (
    HandlerFailedError,
    OperationError,
    OverloadedError,
    QtForgeError,
    RequestTimeoutError,
    StageFailedError,
    StateDirectoryError,
)
from qtforge_sdk.journal_errors import StaleOwnerError
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.policies import Cache, Fallback, Retry
from qtforge_sdk.records import (
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from qtforge_sdk.runs import AmendingAnswer, Amendment

__all__ = [
    "Amends",
    "Ask",
    "AskCall",
    "Publish",
    "RecordedFailureError",
    "StepCall",
    "StepRequester",
    "StepRunner",
    "error_info",
]


class RecordedFailureError(QtForgeError):
    """A failure that the journal holds, raised again when the run is resumed."""

    def __init__(self, info: ErrorInfo, /) -> None:
        super().__init__(info.message, "", info.fix or "")
        self.code = info.code
        self.info = info


def error_info(error: BaseException, stage: str | None = None) -> ErrorInfo:
    """Return an exception in the form that can be stored.

    The code is the plugin's own where it named one: ``document.encrypted`` says more than
    ``bus.handler_failed``, and the plugin stands beside it.
    """
    if isinstance(error, StageFailedError) and error.__cause__ is not None:
        return error_info(error.__cause__, error.stage)
    if isinstance(error, RecordedFailureError):
        return error.info
    if not isinstance(error, QtForgeError):
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return ErrorInfo(code="run.orchestrator_failed", message=text, stage=stage)
    plugin = version = None
    code, message = error.code, f"{error.what}: {error.why}" if error.why else error.what
    if isinstance(error, HandlerFailedError | RequestTimeoutError | OverloadedError):
        plugin, version = error.plugin or None, error.version or None
    if isinstance(error, HandlerFailedError):
        code = error.cause_code or code
        message = error.why if error.cause_code else message
    return ErrorInfo(
        code=code,
        message=message,
        stage=stage,
        plugin=plugin,
        plugin_version=version,
        fix=error.fix or None,
        retryable=error.retryable,
        retry_after_s=error.retry_after_s,
    )


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


class StepRunner:
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
        run_id, earlier = self._log.state.run_id, self._log.state.failed_attempts.get(call.step)
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
        key = f"{self._log.state.run_id}/{call.step}"
        return next_attempt(call.retry, attempt, error, random=seeded(key, attempt))

    async def _succeeded(
        self, call: StepCall, answer: Answer, attempt: int, started: float, degraded: str | None
    ) -> StepSucceeded:
        data, by = answer
        amendments: Sequence[Amendment] = ()
        if isinstance(data, AmendingAnswer):
            data, amendments = data.answer, data.amendments
        record = StepSucceeded(
            run_id=self._log.state.run_id,
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
            run_id=self._log.state.run_id,
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
        return normalize(data)
    except TypeError as error:
        raise OperationError(
            "run.not_storable",
            f"the answer of the step '{step}' can't be kept",
            str(error),
            "answer with text, numbers, lists, mappings, dates, dataclasses or Structs",
            retryable=False,
        ) from error


class StepRequester:
    """Implements `qtforge_host.runs.steps.Ask`.

    Args:
        bus: What is asked.
        cache: Where answers are kept; None where there is none.
    """

    def __init__(self, bus: MessageBus, cache: ResultCache | None) -> None:
        self._bus = bus
        self._cache = cache

    async def publish(self, topic: str, message: object) -> None:
        """Publish a message; see `MessageBus.publish`."""
        await self._bus.publish(topic, message)

    def topics(self) -> frozenset[str]:
        """Return the topics that somebody answers now, not only stands around."""
        found = self._bus.topics()
        return frozenset(
            topic for topic, handlers in found.items() if not all(each.wrapper for each in handlers)
        )

    async def __call__(self, call: AskCall, listener: ProgressListener, /) -> Answer:
        """Return the answer, and who gave it.

        Raises:
            QtForgeError: As `MessageBus.send`.
        """
        envelope = Envelope(
            call.topic,
            call.message,
            call.timeout_s,
            time.monotonic() + call.timeout_s,
            call.plugin,
            run_id=call.run_id,
            step=call.step,
            attempt=call.attempt,
            idempotency_key=f"{call.run_id}/{call.step}",
        )
        if call.cache is None or self._cache is None:
            return await self._bus.send(envelope, listener), envelope.served_by
        # Who will answer is not known before: a wrapper may change the message. So the versions
        # of all who might are part of the question.
        identity = repr(self._bus.answerers(call.topic))

        async def ask() -> Any:
            value = await self._bus.send(envelope, listener)
            return {"value": to_plain(value), "by": envelope.served_by}

        try:
            key = cache_key(call.topic, identity, "", call.message)
        except TypeError as error:
            what = f"the message of '{call.topic}' can't be looked up in the cache"
            raise OperationError("run.not_storable", what, str(error)) from error
        answer = (await self._cache.answer(call.cache, call.topic, key, ask)).value
        by = answer["by"]
        return answer["value"], None if by is None else (by[0], by[1])
