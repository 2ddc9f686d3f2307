"""`Run`, the run that an orchestrator or a workflow function executes, and its parts."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, Literal, Protocol, TypeVar, overload

import msgspec

from qtforge_sdk.checkpoints import Checkpoint, ReceivedEvent
from qtforge_sdk.durations import Duration, seconds
from qtforge_sdk.inputs import InputSpec
from qtforge_sdk.policies import Cache, Fallback, Retry
from qtforge_sdk.records import ErrorInfo
from qtforge_sdk.run_keys import ConcurrencyKey, UniqueKey
from qtforge_sdk.run_status import RunStatus

__all__ = [
    "CONCLUSION",
    "AmendingAnswer",
    "Amendment",
    "Compensation",
    "Definition",
    "EvaluationScope",
    "InputCheck",
    "Run",
    "RunStatus",
    "StepResult",
    "StepStatus",
    "Template",
]

CONCLUSION: Final = "finally/"
"""What the names of the steps begin with that `Orchestrator.conclude` does, and no others."""

T = TypeVar("T")
StepStatus = Literal["running", "succeeded", "failed", "skipped", "warning"]


class InputCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A condition that a run's input must meet before the run starts.

    Attributes:
        input: The key that is checked; within tables its path, such as ``submitter.email``.
        condition: CEL over ``input``; a condition that fails to evaluate counts as false.
        wants: What is accepted, as the object of "give", such as ``a date``.
    """

    input: str
    condition: str
    wants: str


class Definition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys that every workflow definition has; a kind's ``definition_type`` adds its own.

    Attributes:
        name: The workflow's name, unique in the host.
        kind: The kind of the orchestrator that executes it.
        version: The workflow's version, as in PEP 440.
        description: One line for ``workflows list``.
        requires: Required plugins, with PEP 440 specifiers.
        defaults: Values of ``input`` that the caller need not give.
        inputs: The keys that ``input`` may have, or what is accepted for each of them; None for
            any.
        checks: Conditions that ``input``, defaults included, must meet before a run starts.
        secret_inputs: The keys of ``input``, or paths of keys such as ``auth.password``, whose
            values are secret: runs keep them apart, and
            show a reference in their place.
        timeout: The longest time of a run in all, a duration; None for no limit.
        on_cancel: ``compensate`` undoes completed steps when the run is cancelled.
        result: A template of the run's result; None means every stage's data by name.
        summary: A template of one line for people, rendered when the run has succeeded.
        tags: Names and templates over ``input`` by which runs are found.
        title: A template over ``input``: one line for people, by which they know the run.
        priority: From -100 to 100, or a template over ``input``: of runs that wait in the queue,
            those of a higher one are first.
        unique: One run for each value of a key.
        concurrency_key: How many runs may be in progress at once.
    """

    name: str
    kind: str
    version: str = "1.0.0"
    description: str = ""
    requires: tuple[str, ...] = ()
    defaults: dict[str, Any] = {}
    inputs: tuple[str, ...] | dict[str, InputSpec] | None = None
    checks: tuple[InputCheck, ...] = ()
    secret_inputs: tuple[str, ...] = ()
    timeout: Duration | None = None
    on_cancel: Literal["stop", "compensate"] = "stop"
    result: Any = None
    summary: str = ""
    tags: dict[str, str] = {}
    title: str = ""
    priority: int | str = 0
    unique: UniqueKey | None = None
    concurrency_key: ConcurrencyKey | None = None

    @property
    def secret_names(self) -> tuple[str, ...]:
        """The keys of ``input``, or paths of keys, whose values are secret."""
        if not isinstance(self.inputs, dict):
            return self.secret_inputs
        secret = (name for name, spec in self.inputs.items() if spec.secret)
        return tuple(dict.fromkeys((*self.secret_inputs, *secret)))


class Template(msgspec.Struct, frozen=True):
    """A message whose ``${...}`` expressions are evaluated when it is sent.

    Attributes:
        value: Text, or mappings and lists that contain text. A text that is one ``${...}``
            becomes that value, with its type; within other text, the value is inserted.
        names: Values that the expressions can use besides ``input``, ``run`` and ``stages``,
            or in their place; None for no others.
    """

    value: Any
    names: Mapping[str, Any] | None = None


class Compensation(msgspec.Struct, frozen=True, kw_only=True):
    """The request that undoes a step; it must be idempotent, since it may run more than once.

    Attributes:
        topic: The topic to request.
        message: The message; a `Template` is rendered when the compensation runs.
        timeout: The time for each attempt, a duration; default 30 s.
        on_failure: Whether to run it also when the step itself failed, since its effect is then
            unknown.
        retry: When to try it again; None means never.
    """

    topic: str
    message: Any
    timeout: Duration = 30.0
    on_failure: bool = False
    retry: Retry | None = None

    def __post_init__(self) -> None:
        seconds(self.timeout)


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a run's definition; it applies to what has not begun.

    Attributes:
        patch: The operations of a JSON Patch (RFC 6902), in order.
        reason: The reason, for the run's history.
    """

    patch: list[dict[str, Any]]
    reason: str = ""


class AmendingAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A response of an operation that also amends the run that requested it.

    The step's result is ``answer``; the amendments are journaled together with it. An
    amendment that is not possible is recorded as refused, and changes nothing.

    Attributes:
        answer: The response itself.
        amendments: The amendments, in order.
    """

    answer: Any
    amendments: list[Amendment]


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """The state and the result of a step.

    Attributes:
        name: The step's name, unique in the run.
        status: ``warning`` is the failure of a step that was not required.
        data: The response; None unless the step succeeded.
        attempts: The number of attempts; 0 when the step was skipped.
        duration_s: The time of the last attempt, in seconds.
        plugin: The plugin that responded or failed, or None.
        plugin_version: That plugin's version, or None.
        warning: The reason, for ``warning`` and ``skipped``; else None.
        error: The error, for ``failed`` and ``warning``; else None.
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


class EvaluationScope(Protocol):
    """Names and their values, converted once, in which conditions are evaluated.

    `Run.prepare` returns one.
    """

    def holds(self, condition: str) -> bool:
        """Return whether a CEL condition holds.

        Raises:
            ExpressionError: It failed, or its value is not a boolean; the error names the
                smallest part of the condition that fails by itself.
        """

    def used_by(self, condition: str) -> frozenset[str]:
        """Return the names given to `Run.prepare` that a condition uses."""


class Run(Protocol):
    """One execution of a workflow, as its orchestrator or its function sees it.

    Every method with an effect is a step, and its name is unique in the run. A step's result is
    in the journal before the next step begins. When a run is resumed, the code is executed again
    from its beginning, and a step that the journal holds returns the recorded result. So the
    code must request the same steps again: it must read the time, random numbers and the outside
    world only in steps.

    Expressions in templates and conditions can use ``input``, ``run`` (``id``, ``workflow``,
    ``started_at``) and ``stages`` (a `StepResult` by name).

    A length of time is a `Duration`: seconds, a `datetime.timedelta` or text such as ``1h30m``.
    A wait or a timeout that is zero or negative is over at once. Each method that takes one
    raises ``ValueError`` for anything else.

    Where ``response_type`` is given, the result is converted to that type, so that type checkers
    know its fields; without it, the result is plain values: mappings, lists and scalars.
    """

    @property
    def id(self) -> str:
        """The run's id: unique, and sortable by the time of its start."""

    @property
    def parent_id(self) -> str | None:
        """The id of the run that has started this one; None for none."""

    @property
    def definition(self) -> Any:
        """An instance of the orchestrator's ``definition_type``, with all amendments so far."""

    @property
    def input(self) -> Mapping[str, Any]:
        """The run's input, as plain values, defaults included."""

    @property
    def steps(self) -> Mapping[str, StepResult]:
        """The steps so far, in the order in which they began; their data are plain values."""

    def render(self, template: object, names: Mapping[str, Any] | None = None) -> Any:
        """Return a template's value.

        Args:
            template: Text, or mappings and lists that contain text.
            names: Values that it can use besides ``input``, ``run`` and ``stages``.

        Raises:
            ExpressionError: ``expression.failed``: an expression in it failed.
        """

    def evaluate(self, condition: str, names: Mapping[str, Any] | None = None) -> bool:
        """Return whether a condition holds.

        Args:
            condition: CEL.
            names: Values that it can use besides ``input``, ``run`` and ``stages``.

        Raises:
            ExpressionError: It failed, or its value is not a boolean.
        """

    async def compute(self, function: Callable[[], T]) -> T:
        """Return what a function returns, which may evaluate costly expressions.

        `render`, `evaluate` and a scope's `holds` evaluate at once, on the event loop. An
        expression that may take long is refused there, except in this function: it is then
        evaluated in a worker process, and the function is called again and given its value.

        Args:
            function: It evaluates, and has no other effects.

        Raises:
            ExpressionError: ``expression.too_costly``, or what the function raised.

        ::

            items = await run.compute(lambda: run.render(stage.foreach))
        """

    def prepare(self, names: Mapping[str, Any]) -> EvaluationScope:
        """Convert names, and ``input``, ``run`` and ``stages``, once for many conditions.

        Args:
            names: Values that conditions can use besides ``input``, ``run`` and ``stages``.

        Raises:
            ExpressionError: A value has no representation in CEL.
        """

    @overload
    async def request(
        self,
        step: str,
        topic: str,
        message: object,
        *,
        timeout: Duration | None = None,
        plugin: str | None = None,
        required: Literal[True] = True,
        retry: Retry | None = None,
        cache: Cache | None = None,
        fallback: Fallback | None = None,
        compensation: Compensation | None = None,
        response_type: type[T],
    ) -> T: ...

    @overload
    async def request(
        self,
        step: str,
        topic: str,
        message: object,
        *,
        timeout: Duration | None = None,
        plugin: str | None = None,
        required: bool,
        retry: Retry | None = None,
        cache: Cache | None = None,
        fallback: Fallback | None = None,
        compensation: Compensation | None = None,
        response_type: type[T],
    ) -> T | None: ...

    @overload
    async def request(
        self,
        step: str,
        topic: str,
        message: object,
        *,
        timeout: Duration | None = None,
        plugin: str | None = None,
        required: bool = True,
        retry: Retry | None = None,
        cache: Cache | None = None,
        fallback: Fallback | None = None,
        compensation: Compensation | None = None,
        response_type: None = None,
    ) -> Any: ...

    async def request(
        self,
        step: str,
        topic: str,
        message: object,
        *,
        timeout: Duration | None = None,
        plugin: str | None = None,
        required: bool = True,
        retry: Retry | None = None,
        cache: Cache | None = None,
        fallback: Fallback | None = None,
        compensation: Compensation | None = None,
        response_type: Any = None,
    ) -> Any:
        """Send a request on the bus as a step, and journal the response.

        Args:
            step: The step's name, unique in the run.
            topic: The topic to request.
            message: The message; a `Template` is rendered first.
            timeout: The time for each attempt, a duration; None means 30 s.
            plugin: Send it only to this plugin; None for any that handles the topic.
            required: When False, a failure is a ``warning``, the run is degraded, and the
                result is None.
            retry: When to try again; None means never.
            cache: Reuse the response to an earlier, equal request; None means never.
            fallback: The response when the last attempt failed; the run is then degraded.
            compensation: The request that undoes the step if the run fails later.
            response_type: Convert the response to this type.

        Returns:
            The response; None where the step failed and is not required, or was skipped.

        Raises:
            DuplicateStepError: The run has a step of that name.
            StageFailedError: The required step failed; the ``__cause__`` is the reason.
            RunDivergedError: The journal holds other steps than the code requests.
            ValueError: The timeout is not a duration.
        """

    @overload
    async def step(
        self,
        name: str,
        function: Callable[[], Any],
        *,
        required: Literal[True] = True,
        response_type: type[T],
    ) -> T: ...

    @overload
    async def step(
        self,
        name: str,
        function: Callable[[], Any],
        *,
        required: bool,
        response_type: type[T],
    ) -> T | None: ...

    @overload
    async def step(
        self,
        name: str,
        function: Callable[[], Any],
        *,
        required: bool = True,
        response_type: None = None,
    ) -> Any: ...

    async def step(
        self,
        name: str,
        function: Callable[[], Any],
        *,
        required: bool = True,
        response_type: Any = None,
    ) -> Any:
        """Call a function as a step, and journal its return value.

        Args:
            name: The step's name, unique in the run.
            function: Called without arguments; may be async. It is not called again when the
                journal holds the step.
            required: When False, a failure is a ``warning``, the run is degraded, and the
                result is None.
            response_type: Convert the journaled value to this type.

        Returns:
            The journaled value; None where the step failed and is not required.

        Raises:
            DuplicateStepError: The run has a step of that name.
            StageFailedError: The function raised, and the step is required.
            RunDivergedError: The journal holds other steps than the code requests.
        """

    async def patched(self, name: str) -> bool:
        """Tell whether the run does what a change of its code has added.

        For workflows in Python, which change while runs wait: the old code stays in the ``else``
        of ``if await run.patched("name")`` for the runs that have passed the place already. The
        first answer is in the journal, so that every later one, wherever in the code, is the
        same. It is true where the journal holds nothing that is still to come: in a new run, and
        in one that has not got there yet. A patch that the code no longer asks for is no
        divergence. ``qtforge-host workflows patches`` shows when the old code can go.

        Args:
            name: The change's name, unique in the workflow.

        Raises:
            DuplicateStepError: A step of the run has the name ``patch NAME``.
            ValueError: The name is empty.
        """

    async def skip(self, step: str, reason: str) -> None:
        """Record a step that is left out.

        Args:
            step: The step's name, unique in the run.
            reason: The reason, for people.

        Raises:
            DuplicateStepError: The run has a step of that name.
        """

    def topics(self) -> Collection[str]:
        """Return the topics that a plugin handles now.

        For errors that list what is available: a resumed run may see other topics.
        """

    @overload
    async def gather(
        self,
        *steps: Awaitable[T],
        deadline: None = None,
        first: None = None,
        concurrency: int | None = None,
        name: str | None = None,
    ) -> list[T]: ...

    @overload
    async def gather(
        self,
        *steps: Awaitable[T],
        deadline: Duration | None = None,
        first: int | None = None,
        concurrency: int | None = None,
        name: str | None = None,
    ) -> list[T | None]: ...

    async def gather(
        self,
        *steps: Awaitable[Any],
        deadline: Duration | None = None,
        first: int | None = None,
        concurrency: int | None = None,
        name: str | None = None,
    ) -> list[Any]:
        """Execute branches concurrently; when one fails, cancel the others and wait for their end.

        A branch is anything of this run that is awaited: a step, a wait, a sleep, a child
        run, another `gather`, or a coroutine that does several of them. How each step and each
        sleep ended is in the journal: a resumed run repeats none of them, cuts off what was cut
        off, and keeps its original deadline.

        A step that is cut off while its request is in progress has an unknown effect. Where
        its compensation has ``on_failure``, it is undone if the run fails later.

        Args:
            steps: The branches, such as ``run.request("a", ..., required=False)``; a step that
                may exceed the deadline must not be required.
            deadline: The time for all of them together, a duration. A step that has not ended
                by then is cancelled, fails with ``run.late``, and is not retried; later steps of
                its branch fail in the same way, without a request. A branch that sleeps then
                is cut off.
            first: As soon as this many branches have succeeded, the others are cut off: the step
                in progress is cancelled and skipped, with the reason ``run.not_needed``, and the
                rest of the branch is not executed. A branch has succeeded when it has returned,
                unless it did steps and none of them succeeded.
            concurrency: How many steps are executed at once; the others wait for their turn, in
                the order given. None for all.
            name: The deadline's name, unique in the run; by default they are numbered.

        Returns:
            Their results, in the order given; None for a step that failed and is not
            required, and for a branch that was cut off.
        """

    async def sleep(self, duration: Duration, *, name: str | None = None) -> None:
        """Wait on the run's clock; a resumed run waits only for the remaining time.

        Args:
            duration: How long.
            name: The timer's name, unique in the run; by default they are numbered.

        Raises:
            ValueError: It is not a duration.
        """

    @overload
    async def wait_event(
        self,
        name: str,
        *,
        timeout: Duration | None = None,
        step: str | None = None,
        response_type: type[T],
    ) -> T: ...

    @overload
    async def wait_event(
        self,
        name: str,
        *,
        timeout: Duration | None = None,
        step: str | None = None,
        response_type: None = None,
    ) -> Any: ...

    async def wait_event(
        self,
        name: str,
        *,
        timeout: Duration | None = None,
        step: str | None = None,
        response_type: Any = None,
    ) -> Any:
        """Wait for an event that is sent to the run; each event is consumed once.

        Args:
            name: The event's name.
            timeout: The longest wait, a duration; None for no limit.
            step: The step's name, unique in the run; None means ``event <name>``.
            response_type: Convert the event's data to this type.

        Returns:
            The event's data.

        Raises:
            StageFailedError: No such event arrived in time.
            ValueError: The timeout is not a duration.
        """

    @overload
    async def run_workflow(
        self,
        name: str,
        given: Mapping[str, Any],
        *,
        step: str | None = None,
        required: Literal[True] = True,
        pool: str | None = None,
        priority: int = 0,
        response_type: type[T],
    ) -> T: ...

    @overload
    async def run_workflow(
        self,
        name: str,
        given: Mapping[str, Any],
        *,
        step: str | None = None,
        required: bool,
        pool: str | None = None,
        priority: int = 0,
        response_type: type[T],
    ) -> T | None: ...

    @overload
    async def run_workflow(
        self,
        name: str,
        given: Mapping[str, Any],
        *,
        step: str | None = None,
        required: bool = True,
        pool: str | None = None,
        priority: int = 0,
        response_type: None = None,
    ) -> Any: ...

    async def run_workflow(
        self,
        name: str,
        given: Mapping[str, Any],
        *,
        step: str | None = None,
        required: bool = True,
        pool: str | None = None,
        priority: int = 0,
        response_type: Any = None,
    ) -> Any:
        """Execute another workflow as a child run, and wait for its end.

        Args:
            name: The workflow.
            given: Its input.
            step: The step's name, unique in the run; None means the workflow's name.
            required: When False, a failure is a ``warning``, and the result is None.
            pool: The pool whose processes may execute it; None for this process, unless plugins
                that the workflow requires are missing here: then it waits in the queue too.
            priority: From -100 to 100; of the runs of a pool, those of a higher one are first.
            response_type: Convert the child's result to this type.

        Returns:
            The child's result.

        Raises:
            StageFailedError: It did not succeed.
        """

    def now(self) -> datetime.datetime:
        """Return the time on the run's clock, in UTC; a resumed run gets a later one."""

    async def publish(self, step: str, topic: str, message: object) -> None:
        """Publish a message on the bus, as a step.

        Args:
            step: The step's name, unique in the run.
            topic: The topic.
            message: The message; a `Template` is rendered first.

        Raises:
            DuplicateStepError: The run has a step of that name.
            StageFailedError: The message can't be published.
        """

    async def start_workflow(
        self,
        name: str,
        given: Mapping[str, Any],
        *,
        step: str,
        event: str,
        independent: bool = True,
        pool: str | None = None,
        priority: int = 0,
    ) -> str:
        """Start another workflow as an independent run, without waiting for its end.

        Its end reaches this run as an event, with the data ``run_id``, ``workflow``, ``status``,
        ``result`` and ``error`` (a message, or None).

        Args:
            name: The workflow.
            given: Its input.
            step: The step's name, unique in the run.
            event: The event's name.
            independent: Whether it continues when this run fails or is cancelled; else it is
                cancelled then.
            pool: As of `run_workflow`.
            priority: As of `run_workflow`.

        Returns:
            The new run's id; the same one when this run is resumed.

        Raises:
            StageFailedError: It can't be started.
        """

    async def cancel_workflows(self, run_ids: Sequence[str], *, step: str) -> None:
        """Request that workflows end which this run has started, without waiting for their ends.

        What they have done is undone as their definitions say.

        Args:
            run_ids: The runs; those that have ended stay as they are.
            step: The step's name, unique in the run.
        """

    async def send_event(
        self, run_ids: Sequence[str], event: str, data: Any = None, *, step: str
    ) -> None:
        """Send an event to other runs, as a step; each receives it once.

        A run that has ended keeps it unhandled. Runs that handle events are state machines, and
        functions that await `wait_event`.

        Args:
            run_ids: The runs.
            event: The event's name.
            data: Its data.
            step: The step's name, unique in the run.

        Raises:
            DuplicateStepError: The run has a step of that name.
            StageFailedError: There is no such run.
        """

    @property
    def checkpoint_state(self) -> Any:
        """The state of the last `checkpoint`, as plain values; None before the first."""

    @property
    def checkpoint_definition(self) -> Any:
        """The definition with which the work after the last `checkpoint` was begun.

        It is another one than ``definition`` where the run was amended in the middle of that work.
        After a retry, which may do the work in another way, it is ``definition``.
        """

    async def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Journal the run's state; a resumed run then continues from this state.

        The journal may drop the steps before a checkpoint, so their names must not be used again.

        Args:
            checkpoint: The state, and how the run reached it.
        """

    async def next_event(self) -> ReceivedEvent:
        """Return the next event: one that was sent, or a timer of a `Checkpoint` that is due.

        Where there is none, the run's status becomes ``waiting`` and this call does not return:
        when an event or a timer arrives, the run is resumed from its last checkpoint. So write a
        checkpoint first. An event is delivered again until a checkpoint names it.
        """
