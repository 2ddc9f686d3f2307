"""The `Run` that an orchestrator drives, and what it is told of."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from qtforge_sdk.checkpoints import Checkpoint, ReceivedEvent
from qtforge_sdk.durations import Duration
from qtforge_sdk.input_checks import InputCheck
from qtforge_sdk.names import Names
from qtforge_sdk.policies import Cache, Fallback, Retry
from qtforge_sdk.records import ErrorInfo

__all__ = [
    "AmendingAnswer",
    "Amendment",
    "Compensation",
    "Definition",
    "Duration",
    "Names",
    "Run",
    "RunStatus",
    "StepResult",
    "StepStatus",
    "Template",
]

T = TypeVar("T")
RunStatus = Literal[
    "running", "waiting", "paused", "blocked", "succeeded", "failed", "compensated", "cancelled"
]
StepStatus = Literal["running", "succeeded", "failed", "skipped", "warning"]


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every workflow definition has; each kind's ``definition_type`` adds to it.

    Attributes:
        name: Unique in the host.
        kind: Which orchestrator runs it.
        version: PEP 440.
        description: A line for ``workflows list``.
        requires: Plugins with PEP 440 specifiers.
        defaults: What ``input`` holds where the caller gives nothing.
        inputs: The keys that ``input`` may have; None for any.
        checks: What has to hold of ``input``, defaults included, before a run starts.
        timeout: How long a run may take in all, a duration; None for no limit.
        on_cancel: ``compensate`` undoes what was done when the run is cancelled.
        result: A template of the run's result; None means every stage's data by name.
        summary: A template of one line for people, rendered when the run has succeeded.
    """

    name: str
    kind: str
    version: str = "1.0.0"
    description: str = ""
    requires: tuple[str, ...] = ()
    defaults: dict[str, Any] = {}
    inputs: tuple[str, ...] | None = None
    checks: tuple[InputCheck, ...] = ()
    timeout: Duration | None = None
    on_cancel: Literal["stop", "compensate"] = "stop"
    result: Any = None
    summary: str = ""


class Template(msgspec.Struct, frozen=True):
    """A message whose ``${...}`` are computed when it is sent.

    Attributes:
        value: Text, or mappings and lists that hold such text. A text that is one
            ``${...}`` becomes that value, untouched; within other text it is put in.
    """

    value: Any


class Compensation(msgspec.Struct, frozen=True, kw_only=True):
    """How a completed step is undone; it must be idempotent, for it may run more than once.

    Attributes:
        topic: What to ask.
        message: With what; a `Template` is rendered when the compensation runs.
        timeout_s: Seconds.
        on_failure: Run it also when the step itself failed, since what it did is unknown.
        retry: How often it is tried; None means once.
    """

    topic: str
    message: Any
    timeout_s: float = 30.0
    on_failure: bool = False
    retry: Retry | None = None


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a run's definition, for what is still to come.

    Attributes:
        patch: The operations of a JSON Patch (RFC 6902), in order.
        reason: Why, for the run's history.
    """

    patch: list[dict[str, Any]]
    reason: str = ""


class AmendingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation returns that changes the run that asked it.

    The step's result is ``answer``; the amendments are in the journal together with it. One
    that is not possible is recorded as refused, and changes nothing.

    Attributes:
        answer: The answer itself.
        amendments: In order.
    """

    answer: Any
    amendments: list[Amendment]


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a step.

    Attributes:
        name: Unique in the run.
        status: ``warning`` is a failure that the run could do without.
        data: The answer; None unless succeeded.
        attempts: How often it was tried; 0 when skipped.
        duration_s: In seconds, of the last attempt.
        plugin: Who answered or failed, or None.
        plugin_version: Their version, or None.
        warning: Why, for ``warning`` and ``skipped``; else None.
        error: For ``failed`` and ``warning``; else None.
    """

    name: str
    status: StepStatus
    data: Any = None
    attempts: int = 0
    duration_s: float = 0.0
    plugin: str | None = None
    plugin_version: str | None = None
    warning: str | None = None
    error: ErrorInfo | None = None


class Run(Protocol):
    """One execution of a workflow, as its orchestrator sees it.

    Every method that does something is a step with a name, unique in the run. Its result is
    in the journal before the next step sees it; when the run is resumed, the orchestrator's
    code runs again, and a step that the journal holds answers from there. So the code must
    ask for the same steps again: take time, chance and the outside world in through steps.

    Expressions in templates and conditions know ``input``, ``run`` (``id``, ``workflow``,
    ``started_at``) and ``stages`` (by name, each a `StepResult`).
    """

    @property
    def id(self) -> str:
        """Unique and sortable by time."""

    @property
    def definition(self) -> Any:
        """An instance of the orchestrator's ``definition_type``, as amended until now."""

    @property
    def input(self) -> Mapping[str, Any]:
        """What the run was started with, as plain values."""

    @property
    def steps(self) -> Mapping[str, StepResult]:
        """The steps so far, in the order in which they began; their data are plain values."""

    def render(self, template: object, names: Mapping[str, Any] | None = None) -> Any:
        """Return the template's value now.

        Args:
            template: A template's value.
            names: What it may use beside ``input``, ``run`` and ``stages``.

        Raises:
            ExpressionError: ``expression.failed``.
        """

    def evaluate(self, condition: str, names: Mapping[str, Any] | None = None) -> bool:
        """Return whether a CEL condition holds now.

        Args:
            condition: CEL.
            names: What it may use beside ``input``, ``run`` and ``stages``.

        Raises:
            ExpressionError: It failed, or gave something else than true or false.
        """

    def prepare(self, names: Mapping[str, Any]) -> Names:
        """Make names ready, with ``input``, ``run`` and ``stages``, for many conditions.

        Raises:
            ExpressionError: A value has no form that CEL knows.
        """

    async def request(
        self,
        step: str,
        topic: str,
        message: object,
        *,
        timeout: float | None = None,
        plugin: str | None = None,
        required: bool = True,
        retry: Retry | None = None,
        cache: Cache | None = None,
        fallback: Fallback | None = None,
        compensation: Compensation | None = None,
        response_type: Any = None,
    ) -> Any:
        """Do a step: ask a topic, and record what came of it.

        Args:
            step: The step's name, unique in the run.
            topic: What to ask.
            message: With what; a `Template` is rendered first.
            timeout: Seconds for each attempt; None means 30.
            plugin: Ask only this plugin.
            required: When False, a failure is a ``warning``, the run is degraded, and the
                answer is None.
            retry: When to try again; None means never.
            cache: Answer from an earlier answer to the same question; None means never.
            fallback: What to answer when it failed for good; the run is degraded.
            compensation: How to undo it if the run fails later.
            response_type: Convert the answer to this type; without it, the answer is plain
                values, whether it comes from a plugin or from the journal.

        Raises:
            DuplicateStepError: The run has a step of that name.
            StageFailedError: The required step failed; the ``__cause__`` says why.
            RunDivergedError: The journal holds other steps than the code asks for.
        """

    async def step(
        self, name: str, function: Callable[[], Any], *, response_type: Any = None
    ) -> Any:
        """Do a step of the orchestrator's own: what the function returns is journaled.

        Raises:
            DuplicateStepError: The run has a step of that name.
            StageFailedError: The function raised.
            RunDivergedError: The journal holds other steps than the code asks for.
        """

    async def skip(self, step: str, reason: str) -> None:
        """Record a step that is left out.

        Raises:
            DuplicateStepError: The run has a step of that name.
        """

    def topics(self) -> Collection[str]:
        """Return the topics that somebody answers now.

        For errors that name what is known: when the run is resumed, it may be others.
        """

    async def gather(
        self,
        *steps: Awaitable[Any],
        deadline: float | None = None,
        first: int | None = None,
        concurrency: int | None = None,
        name: str | None = None,
    ) -> list[Any]:
        """Do steps at once; when one fails, the others are cancelled and awaited first.

        What ended which step is in the journal: a resumed run asks none of them again, and
        has the deadline that it had.

        Args:
            steps: Such as ``run.request("a", ..., required=False)``; a step that may be late
                is one that is not required.
            deadline: Seconds for all of them together. A step that is not done by then is
                cancelled and fails with ``run.late``; it is not retried.
            first: As soon as so many have succeeded, the others are cancelled and skipped,
                with the reason ``run.not_needed``.
            concurrency: How many are asked at once; the others wait for their turn, in the
                order given. None for all.
            name: The deadline's name, unique in the run; None counts them.

        Returns:
            Their answers, in the order given; None for a step that failed and is not
            required, and for one that was skipped.
        """

    async def sleep(self, seconds: float, *, name: str | None = None) -> None:
        """Wait on the run's clock; a resumed run waits only for what is left.

        Args:
            seconds: How long.
            name: The timer's name, unique in the run; None counts them.
        """

    async def wait_event(
        self, name: str, *, timeout: float | None = None, step: str | None = None
    ) -> Any:
        """Wait for an event that somebody sends to the run; each event is taken once.

        Args:
            name: The event's name.
            timeout: Seconds; None waits for as long as it takes.
            step: The step's name, unique in the run; None means ``event <name>``.

        Returns:
            The event's data, as plain values.

        Raises:
            StageFailedError: It did not come in time.
        """

    async def run_workflow(
        self,
        name: str,
        given: Mapping[str, Any],
        *,
        step: str | None = None,
        required: bool = True,
    ) -> Any:
        """Run another workflow as a child of this run, and wait for its end.

        Args:
            name: The workflow.
            given: Its input.
            step: The step's name, unique in the run; None means the workflow's name.
            required: When False, a failure is a ``warning``, and the result is None.

        Returns:
            Its result, as plain values.

        Raises:
            StageFailedError: It did not succeed.
        """

    def now(self) -> datetime.datetime:
        """Return the time on the run's clock, in UTC; a resumed run sees another one."""

    async def publish(self, step: str, topic: str, message: object) -> None:
        """Do a step: publish a message on the bus.

        Raises:
            DuplicateStepError: The run has a step of that name.
            StageFailedError: The message can't be published.
        """

    async def start_workflow(
        self, name: str, given: Mapping[str, Any], *, step: str, event: str
    ) -> str:
        """Start another workflow as a run of its own, and go on.

        Its end comes to this run as an event, with the data ``run_id``, ``workflow``,
        ``status``, ``result`` and ``error`` (a message, or None).

        Args:
            name: The workflow.
            given: Its input.
            step: The step's name, unique in the run.
            event: The event's name.

        Returns:
            The new run's id; the same one when the run is resumed.

        Raises:
            StageFailedError: It can't be started.
        """

    @property
    def checkpoint_state(self) -> Any:
        """State of the last `checkpoint`, as plain values; None before the first."""

    async def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Record the run's state. From then on, a resumed run goes on from here.

        Steps done before may be forgotten by the run; their names must not be used again.
        """

    async def next_event(self) -> ReceivedEvent:
        """Return the next event: one that was sent, or a timer of `Checkpoint` that is due.

        Where there is none, the run rests as ``waiting``, and this does not return: it is
        resumed, from what it kept, when an event or a timer comes. Keep what you have first.
        An event is given again until something is kept with it.
        """
