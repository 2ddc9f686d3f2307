"""Do a step: request its topic, retry, fall back; record each attempt as it ends."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import msgspec

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.plugin_code import (
    PluginCodeError,
    description_of,
    is_interruption,
    place_of,
    traceback_of,
)
from qtforge_host.policies.cache import ResultCache, cache_key
from qtforge_host.policies.retry import next_attempt, seeded
from qtforge_host.runs.amendments import Amendments
from qtforge_host.runs.context import ATTEMPT
from qtforge_host.runs.deaths import Deaths, killed_its_process
from qtforge_host.runs.log import RunLog
from qtforge_host.runs.recorded_messages import RecordedMessage
from qtforge_host.runs.run_secrets import RunSecrets
from qtforge_host.runs.serialization import normalize
from qtforge_host.runs.tracing import within
from qtforge_host.runs.waiting import Until
from qtforge_sdk import ErrorInfo
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import check_keys, to_plain
from qtforge_sdk.errors import (
    BusError,
    BusUnavailableError,
    HandlerFailedError,
    NodeGoneError,
    NodeLostError,
    NoHandlerError,
    OperationError,
    OverloadedError,
    QtForgeError,
    RequestTimeoutError,
    StageFailedError,
    StorageError,
)
from qtforge_sdk.journal_errors import RecordNotStorableError, RecordTooLargeError, StaleOwnerError
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.policies import Cache, Fallback, Retry
from qtforge_sdk.records import CompensationFailed, StepFailed, StepStarted, StepSucceeded
from qtforge_sdk.runs import AmendingAnswer, Amendment
from qtforge_sdk.transport import Envelope

__all__ = [
    "Answer",
    "Attempts",
    "RecordedFailureError",
    "StepCall",
    "StepMaker",
    "StepRequest",
    "StepRequester",
    "StepRunner",
    "error_info",
    "retry",
]


T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


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
    said = description_of(error)
    code, message = said.code or "run.orchestrator_failed", said.text
    if not isinstance(error, QtForgeError):
        return ErrorInfo(
            code=code,
            message=message,
            stage=stage,
            place=place_of(error) or None,
            traceback=traceback_of(error),
        )
    plugin = version = place = None
    raised: BaseException = error
    if isinstance(error, HandlerFailedError | PluginCodeError) and error.__cause__ is not None:
        raised = error.__cause__
    elsewhere = error.traceback if isinstance(error, HandlerFailedError) else ""
    if isinstance(error, _ATTRIBUTED):
        plugin, version = error.plugin or None, error.version or None
    if isinstance(error, HandlerFailedError | PluginCodeError):
        place = error.place or None
    if isinstance(error, HandlerFailedError):
        code = error.cause_code or code
        message = error.why if error.cause_code else message
    return ErrorInfo(
        code=code,
        message=message,
        stage=stage,
        plugin=plugin,
        plugin_version=version,
        fix=said.fix or None,
        retryable=said.retryable,
        retry_after_s=said.retry_after_s,
        place=place,
        traceback=elsewhere or traceback_of(raised),
    )


_ATTRIBUTED = HandlerFailedError | RequestTimeoutError | OverloadedError | PluginCodeError
_LOG = logging.getLogger("qtforge.runs")
_NOTHING_DONE = (BusUnavailableError, NodeGoneError, NoHandlerError)
_AFTER_LOSS_S = 0.1  # between two requests of which the first was lost with its node
_LOOK_AGAIN_S = 0.25  # for another node
_ALONE: ContextVar[bool] = ContextVar("qtforge_step_is_alone", default=False)

Answer = tuple[Any, tuple[str, str] | None]
"""What was answered, and by which plugin and version."""


class StepRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request in the name of a run's step."""

    run_id: str
    step: str
    topic: str
    message: Any
    timeout_s: float
    plugin: str | None
    attempt: int
    cache: Cache | None
    secrets: RunSecrets
    versions: Mapping[str, str]


class StepCall(msgspec.Struct, frozen=True, kw_only=True):
    """What a step does.

    Attributes:
        step: Its name.
        topic: What it requests, or "".
        plugin: The only plugin that may answer, or None.
        is_work: Whether it calls a plugin's code, rather than waits or publishes.
        send: Makes the attempt of the number that it is given.
        message: Gives the message that the next attempt sends; None for a step without one.
        required: Whether its failure fails the run.
        retry: When it is attempted again; None for never.
        fallback: What answers when the attempts are used up, or None.
        fall_back: Makes the fallback's answer.
        undoable: Whether it has a compensation; its start is then durable before the request,
            so that it is known after a crash whether there may be something to undo.
        author: The plugin whose own code does it; empty for a request.
    """

    step: str
    topic: str
    send: Callable[[int], Awaitable[Answer]]
    message: Callable[[], Awaitable[Any]] | None = None
    plugin: str | None = None
    is_work: bool = False
    required: bool = True
    retry: Retry | None = None
    fallback: Fallback | None = None
    fall_back: Callable[[Fallback], Awaitable[Answer]] | None = None
    undoable: bool = False
    author: tuple[str, str] = ("", "")


class Attempts(Protocol[T_co]):
    """Work that may fail and be attempted again: a step, or a compensation."""

    async def attempt(self, number: int) -> T_co:
        """Make one attempt, numbered from 1."""

    async def failed(self, number: int, error: QtForgeError, delay_s: float | None) -> T_co:
        """Record that an attempt failed.

        Args:
            number: Of the attempt.
            error: Why it failed.
            delay_s: Seconds until the next attempt; None when there is none.

        Returns:
            The outcome of the work, when there is no further attempt.
        """


async def retry(
    work: Attempts[T],
    policy: Retry | None,
    key: str,
    earlier: StepFailed | CompensationFailed | None,
    clock: Clock,
    sleep: Callable[[float], Awaitable[None]],
) -> T:
    """Attempt work until it succeeds or its policy allows no further attempt.

    Args:
        work: What is attempted.
        policy: When it is attempted again; None for never.
        key: The idempotency key of the work, which makes its waits the same in every process.
        earlier: The last failed attempt of a run that was resumed between two attempts.
        clock: The time.
        sleep: Waits between two attempts.

    Returns:
        The outcome of the last attempt.

    Raises:
        StaleOwnerError: Another process has taken the run over.
        StorageError: The journal failed, not the work.
    """
    number = 1
    if earlier is not None:
        number = earlier.attempt + (earlier.error.code != NodeLostError.code)
        if earlier.next_at is not None:
            longest_s = (earlier.next_at - earlier.at).total_seconds()
            await sleep(max(0.0, Until(earlier.next_at, longest_s, clock).left_s))
    while True:
        try:
            return await work.attempt(number)
        except (StaleOwnerError, StorageError):
            raise
        except NodeLostError as error:
            # As when the own process dies: not an attempt, but one of the deaths of which so many
            # end the step.
            await work.failed(number, error, _AFTER_LOSS_S)
            await sleep(_AFTER_LOSS_S)
            continue
        except QtForgeError as error:
            delay_s = None
            if policy is not None:
                delay_s = next_attempt(policy, number, error, random=seeded(key, number))
            outcome = await work.failed(number, error, delay_s)
            if delay_s is None:
                return outcome
        await sleep(delay_s)
        number += 1


class StepMaker(Protocol):
    """Does the steps of one run."""

    def make(
        self, call: StepCall, sleep: Callable[[float], Awaitable[None]]
    ) -> Coroutine[Any, Any, StepSucceeded | QtForgeError]:
        """Do a step; see `StepRunner.make`."""


class StepRunner:
    """Does the steps of one run, for real.

    Args:
        log: Records the attempts.
        clock: The time.
        amendments: Makes the amendments that an answer brings.
        requester: Finds the handlers of a topic.
    """

    def __init__(
        self, log: RunLog, clock: Clock, amendments: Amendments, requester: StepRequester
    ) -> None:
        self._log = log
        self._clock = clock
        self._amendments = amendments
        self._requester = requester

    def make(
        self, call: StepCall, sleep: Callable[[float], Awaitable[None]]
    ) -> Coroutine[Any, Any, StepSucceeded | QtForgeError]:
        """Do a step until it has succeeded or failed for good; the journal holds that then.

        Args:
            call: The step.
            sleep: Waits between its attempts, unless the run is to rest. It is not stored: it
                leads to the run, and a run that no cycle holds is freed when it ends.

        Returns:
            The record of its success, or the error of its last attempt.
        """
        state = self._log.state
        return retry(
            _StepAttempts(self._log, self._clock, self._amendments, self._requester, call),
            call.retry,
            f"{state.run_id}/{call.step}",
            state.failed_attempts.get(call.step),
            self._clock,
            sleep,
        )


class _StepAttempts:
    """The attempts of one step; implements `Attempts`."""

    __slots__ = (
        "_amendments", "_call", "_clock", "_deaths", "_log", "_requester", "_sent", "_started_s"
    )  # fmt: skip

    def __init__(
        self,
        log: RunLog,
        clock: Clock,
        amendments: Amendments,
        requester: StepRequester,
        call: StepCall,
    ) -> None:
        self._log = log
        self._clock = clock
        self._amendments = amendments
        self._requester = requester
        self._call = call
        self._started_s = 0.0
        self._deaths = 0
        self._sent: RecordedMessage | None = None

    async def attempt(self, number: int) -> StepSucceeded | QtForgeError:
        """Request the step's topic, and record the answer."""
        call = self._call
        ATTEMPT.set(number)
        self._started_s = self._clock.monotonic()
        started = await self._begun(number)
        if self._log.state.deaths is not None and call.is_work:
            return await self._attempt_again(started, self._log.state.deaths)
        if call.undoable:
            await self._log.append(started)
        else:
            self._log.note(started)
        self._started_s = self._clock.monotonic()
        return await self._succeeded(await self._send(number), number, None)

    def _send(self, number: int) -> Awaitable[Answer]:
        return self._traced(self._call.send(number), number)

    def _traced(self, work: Awaitable[Answer], number: int) -> Awaitable[Answer]:
        if self._log.tracer is None:
            return work
        call = self._call
        return within(self._log.tracer.attempt(call.step, call.topic, number), work)

    async def _attempt_again(
        self, started: StepStarted, deaths: Deaths
    ) -> StepSucceeded | QtForgeError:
        """Attempt a step of a run whose owners before may have died in it."""
        call, number = self._call, started.attempt
        self._started_s = self._clock.monotonic()
        self._deaths = deaths.of(call.step)
        what = f"the step '{call.step}'"
        async with self._requester.after_deaths(what, self._deaths, call.topic, call.plugin):
            self._started_s = self._clock.monotonic()
            if call.undoable or deaths.needs_record(self._log.state.outcomes):
                await self._log.append(started)
            else:
                self._log.note(started)
            return await self._succeeded(await self._send(number), number, None)

    async def failed(
        self, number: int, error: QtForgeError, delay_s: float | None
    ) -> StepSucceeded | QtForgeError:
        """Record the failure, unless there is a fallback, and it succeeds."""
        call, run_id, now = self._call, self._log.state.run_id, self._clock.now
        _LOG.debug("%s: %s failed", run_id, call.step, exc_info=error)
        info = error_info(error, call.step)
        if delay_s is None and call.fallback is not None and call.fall_back is not None:
            try:
                if self._deaths >= self._requester.crash_limit and call.fallback.topic is not None:
                    answer = await self._fall_back_after_deaths(number, error)
                else:
                    answer = await self._traced(call.fall_back(call.fallback), number)
            except QtForgeError as second:
                error.add_note(f"and its fallback failed: {second}")
                _LOG.debug("%s: the fallback failed too", call.step, exc_info=second)
            else:
                return await self._succeeded(answer, number, f"{info.code}: {info.message}")
        at = now()
        await self._log.append(
            StepFailed(
                run_id=run_id,
                at=at,
                step=call.step,
                error=info,
                required=call.required,
                duration_s=self._clock.monotonic() - self._started_s,
                attempt=number,
                will_retry=delay_s is not None,
                next_at=None if delay_s is None else at + datetime.timedelta(seconds=delay_s),
            )
        )
        return error

    async def _fall_back_after_deaths(self, number: int, error: QtForgeError) -> Answer:
        """Request the fallback's topic, in which processes may die as well."""
        call = self._call
        if self._deaths >= 2 * self._requester.crash_limit:
            raise error
        assert call.fallback is not None  # noqa: S101 - only then it is called
        assert call.fall_back is not None  # noqa: S101
        async with self._requester.alone():
            await self._log.append(self._started(number))
            return await self._traced(call.fall_back(call.fallback), number)

    async def _begun(self, number: int) -> StepStarted:
        """Return the record of an attempt with its message, where the one before had another."""
        started = self._started(number)
        if self._call.message is None:
            return started
        try:
            message = await self._call.message()
        except QtForgeError:  # it can't be made, and the attempt fails
            self._log.note(started)
            raise
        recorded = RecordedMessage.of(message, self._log.secrets)
        if recorded == self._sent:
            return started
        self._sent = recorded
        return msgspec.structs.replace(started, message=recorded.plain, message_note=recorded.note)

    def _started(self, number: int) -> StepStarted:
        return StepStarted(
            run_id=self._log.state.run_id,
            at=self._clock.now(),
            step=self._call.step,
            topic=self._call.topic,
            attempt=number,
        )

    async def _succeeded(self, answer: Answer, number: int, degraded: str | None) -> StepSucceeded:
        step = self._call.step
        data, by = answer
        if not self._call.topic and self._log.secrets.known.any_hidden:  # else the request did it
            data = await self._log.secrets.conceal(data)
        amendments: Sequence[Amendment] = ()
        if isinstance(data, AmendingAnswer):
            data, amendments = data.answer, data.amendments
        record = StepSucceeded(
            run_id=self._log.state.run_id,
            at=self._clock.now(),
            step=step,
            data=_plain(data, self._call, by),
            plugin=by[0] if by else None,
            plugin_version=by[1] if by else None,
            duration_s=self._clock.monotonic() - self._started_s,
            attempt=number,
            degraded=degraded,
        )
        try:
            if amendments:
                author = f"{by[0]} {by[1]} in {step}" if by else step
                await self._amendments.append(amendments, by=author, before=record)
            else:
                await self._log.append(record)
        except RecordNotStorableError as error:  # such as an integer of more than 64 bits
            raise _not_storable(
                self._call.topic, self._call.step, by or self._call.author, error
            ) from error
        return record


def _plain(data: Any, call: StepCall, by: tuple[str, str] | None) -> Any:
    try:
        return normalize(data)
    except BaseException as error:  # a plugin's class may raise anything when it is read
        if is_interruption(error):
            raise
        raise _not_storable(call.topic, call.step, by or call.author, error) from error


def _not_storable(
    topic: str, step: str, author: tuple[str, str], error: BaseException
) -> QtForgeError:
    """Return the error for an answer that the journal can't hold."""
    plugin, version = author
    said = description_of(error)
    why = said.why if isinstance(error, RecordNotStorableError) else said.what
    what = f"the answer of the step '{step}' can't be stored: {why}"
    code, fix = "run.not_storable", "answer with text, numbers, lists, mappings, dates or Structs"
    if isinstance(error, RecordTooLargeError):
        code, fix = error.code, error.fix
    return HandlerFailedError(topic, plugin, version, what, code, fix, retryable=False)


class StepRequester:
    """Requests the topics of steps on the bus, and publishes.

    Args:
        bus: The message bus.
        cache: Holds the answers of steps that ask for it, or None.
        crash_limit: How many processes may die in a step before it fails.
    """

    def __init__(self, bus: MessageBus, cache: ResultCache | None, crash_limit: int) -> None:
        self.crash_limit = crash_limit
        self._bus = bus
        self._cache = cache
        self._lock = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Do a step in which processes may have died, when no other such step is done."""
        if _ALONE.get():  # a step of this one, or of its child
            yield
            return
        async with self._lock:
            token = _ALONE.set(True)
            try:
                yield
            finally:
                _ALONE.reset(token)

    @contextlib.asynccontextmanager
    async def after_deaths(
        self, what: str, count: int, topic: str, plugin: str | None = None
    ) -> AsyncIterator[None]:
        """Do work in which processes have died: alone if the next death would be the last.

        Args:
            what: The work, for the error.
            count: How many processes have died in it.
            topic: The topic that it requests.
            plugin: The only plugin that may answer, or None.

        Raises:
            QtForgeError: As many have died as may: ``run.step_killed_its_process``.
        """
        if count >= self.crash_limit:
            raise killed_its_process(what, count, topic, self.answerer(topic, plugin))
        if count < self.crash_limit - 1:
            yield
            return
        async with self.alone():
            yield

    def answerer(self, topic: str, plugin: str | None) -> tuple[str, str] | None:
        """Return the plugin that is asked first for a topic, and its version; None for none."""
        for handler in self._bus.topics().get(topic, ()):
            if not handler.wrapper and plugin in (None, handler.plugin):
                return handler.plugin, handler.version
        return None

    async def publish(self, run_id: str, step: str, topic: str, message: object) -> None:
        """Publish a message of a run's step; see `MessageBus.publish`."""
        await self._bus.publish(topic, message, message_id=f"{run_id}/{step}")

    def topics(self) -> frozenset[str]:
        """Return the topics that a handler answers now; wrappers alone don't."""
        found = self._bus.topics()
        answered = {
            topic for topic, handlers in found.items() if not all(each.wrapper for each in handlers)
        }
        return self._bus.expected_topics().union(answered)

    async def request(self, request: StepRequest, listener: ProgressListener, /) -> Answer:
        """Return the answer, and the plugin and version that gave it.

        Raises:
            QtForgeError: As `MessageBus.send`.
        """
        await self._bus.start_for(request.topic)  # which takes none of the step's time
        secrets = request.secrets
        message = secrets.fill(request.message) if secrets.any_referred else request.message
        envelope = Envelope(
            request.topic,
            message,
            request.timeout_s,
            time.monotonic() + request.timeout_s,
            request.plugin,
            run_id=request.run_id,
            step=request.step,
            attempt=request.attempt,
            idempotency_key=f"{request.run_id}/{request.step}",
            versions=request.versions,
        )
        if request.cache is None or self._cache is None:
            try:
                answer = await self._bus.send(envelope, listener)
            except _NOTHING_DONE as error:
                answer = await self._when_answered(envelope, listener, error)
            if secrets.known.any_hidden or envelope.secrets is not None:
                answer = await secrets.conceal(answer, envelope.secrets)
            return answer, envelope.served_by
        return await self._cached(request.cache, self._cache, request, envelope, listener)

    async def _when_answered(
        self, envelope: Envelope, listener: ProgressListener, error: BusError
    ) -> Any:
        """Send a request again once a node answers its topic, until the deadline.

        Args:
            envelope: The request; nothing was done for it.
            listener: Receives progress.
            error: Why not.

        Raises:
            BusError: That error, where no other node has ever answered the topic, or none
                does before the deadline.
        """
        while self._bus.may_be_answered(envelope.topic, envelope.plugin, error):
            left_s = envelope.deadline - time.monotonic()
            if left_s <= 0:
                break
            await self._bus.until_nodes_change(min(left_s, _LOOK_AGAIN_S))
            try:
                return await self._bus.send(envelope, listener)
            except _NOTHING_DONE as again:
                error = again
        raise error

    async def _cached(
        self,
        policy: Cache,
        cache: ResultCache,
        request: StepRequest,
        envelope: Envelope,
        listener: ProgressListener,
    ) -> Answer:
        # Which handler will answer is not known before: a wrapper may change the message. So
        # the versions of all that might are part of the key.
        identity = repr(self._bus.identities(request.topic))

        async def ask() -> Any:
            try:
                value = await self._bus.send(envelope, listener)
            except _NOTHING_DONE as error:
                value = await self._when_answered(envelope, listener, error)
            try:
                check_keys(value)
                concealed = await request.secrets.conceal(value, envelope.secrets)
                if concealed is not value or envelope.secrets is not None:
                    raise _SecretAnswer(request.run_id, concealed)
                return {"value": to_plain(value), "by": envelope.served_by}
            except TypeError as error:
                author = envelope.served_by or ("", "")
                raise _not_storable(request.topic, request.step, author, error) from error

        try:
            key = cache_key(request.topic, identity, "", envelope.payload)
        except TypeError as error:
            what = f"the message of '{request.topic}' can't be looked up in the cache"
            raise OperationError("run.not_storable", what, str(error)) from error
        try:
            answer = (await cache.answer(policy, request.topic, key, ask)).value
        except _SecretAnswer as found:
            if found.run_id == request.run_id:
                return found.answer, envelope.served_by
            return await self.request(msgspec.structs.replace(request, cache=None), listener)
        by = answer["by"]
        value = await request.secrets.conceal(answer["value"])
        return value, None if by is None else (by[0], by[1])


class _SecretAnswer(Exception):
    """An answer with references of one run, which is not cached.

    Args:
        run_id: The run.
        answer: The answer.
    """

    def __init__(self, run_id: str, answer: Any) -> None:
        super().__init__(run_id)
        self.run_id = run_id
        self.answer = answer
