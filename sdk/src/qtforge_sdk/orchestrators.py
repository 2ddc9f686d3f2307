"""`Orchestrator`, the base of a kind of workflow, and what it reports problems to."""

from __future__ import annotations

import abc
import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

import msgspec

from qtforge_sdk.durations import Duration
from qtforge_sdk.members import Members
from qtforge_sdk.runs import Definition, Run, StepResult

if TYPE_CHECKING:
    from qtforge_sdk.checkpoints import AcceptedEvent, EventTrigger
    from qtforge_sdk.graphs import Graph
    from qtforge_sdk.records import CheckpointSaved, ErrorInfo

__all__ = ["DefinitionChecker", "Orchestrator", "Unreachable"]

D = TypeVar("D", bound=Definition)


class Unreachable(msgspec.Struct, frozen=True):
    """A name that is known, and that an expression can't use where it stands.

    Attributes:
        why: Why it can't.
        fix: How to fix it, or "".
    """

    why: str
    fix: str


class DefinitionChecker(Protocol):
    """Collects the problems of a definition; a path is such as ``stages[2].when``."""

    @property
    def is_typed(self) -> bool:
        """Whether members of values are compared with what is declared of them.

        They are for an author, who validates a definition. A run is not refused because of them.
        """

    def problem(self, path: str, what: str, fix: str = "") -> None:
        """Record a problem.

        Args:
            path: The key's path.
            what: What is wrong.
            fix: How to fix it, or "".
        """

    def topic(self, path: str, topic: str) -> None:
        """Check that an active plugin handles a topic."""

    def plugin(self, path: str, plugin: str, topic: str) -> None:
        """Check that a plugin is among those that handle a topic."""

    def message(self, path: str, topic: str, message: object, plugin: str | None = None) -> None:
        """Check the keys and the literal values of a message against the type that a topic takes.

        What a template gives is not known, and no problem; neither is a topic without a type.
        `template` checks the expressions.

        Args:
            path: The key's path.
            topic: The topic.
            message: A template of the message.
            plugin: The only plugin that may answer, or None.
        """

    def answer(self, topic: str, plugin: str | None = None) -> Members:
        """Return what is known of what a topic's operation returns, for `condition`'s ``names``.

        Args:
            topic: The topic.
            plugin: The only plugin that may answer, or None.

        Returns:
            A mapping of a table's members, `ListOf` or `Scalar`; None where the operation does
            not say.
        """

    def result(self, workflow: str) -> Members:
        """Return what is known of another workflow's result, as `answer` of an operation's.

        Args:
            workflow: Its name.
        """

    def members(self, value: object, names: Mapping[str, Any]) -> Members:
        """Return what is known of what a template gives.

        Args:
            value: The template, as for `template`.
            names: What its expressions can use, as for `condition`.

        Returns:
            As `answer`; of a table the keys that it writes.
        """

    def duration(self, path: str, duration: Duration) -> None:
        """Check that a value is a duration above zero; see `qtforge_sdk.Duration`."""

    def workflow(
        self,
        path: str,
        name: str,
        given: Mapping[str, object] | None = None,
        given_path: str = "",
    ) -> None:
        """Check that a workflow of that name is known, and is not the one that is checked.

        Args:
            path: The path of the key that names it.
            name: Its name.
            given: A template of its input, which is compared with the inputs that it declares:
                keys that it does not have, inputs that it needs, and literal values. None for an
                input that is not known.
            given_path: The path of ``given``.
        """

    def condition(
        self,
        path: str,
        expression: str,
        stages: Iterable[str],
        names: Mapping[str, Any] | None = None,
    ) -> None:
        """Check a CEL condition.

        Args:
            path: The key's path.
            expression: CEL.
            stages: The names of the stages that it can use.
            names: What else it can use: each name with what is known of its value, such as a
                mapping of its members' names, None where nothing is, or with `Unreachable`.
        """

    def template(
        self,
        path: str,
        value: object,
        stages: Iterable[str],
        names: Mapping[str, Any] | None = None,
    ) -> None:
        """Check every ``${...}`` in a value.

        Args:
            path: The key's path.
            value: Text, or mappings and lists that contain text.
            stages: The names of the stages that its expressions can use.
            names: What else they can use, as for `condition`.
        """


class Orchestrator(abc.ABC, Generic[D]):
    """A kind of workflow: it turns a definition into calls on a `Run`.

    Derive from ``Orchestrator[MyDefinition]``, set ``kind``, and write `check` and `execute`.
    The other methods are optional; their defaults say that the kind does not have the feature.
    The host makes one instance without arguments, and uses it for all runs of the kind, so it
    keeps no state of a run.

    Attributes:
        kind: The name that definitions give, such as ``sequential``.
        definition_type: The type of a definition, with the kind's own keys; by default the type
            argument, `Definition` where there is none.
        stateful: Whether its runs write checkpoints (`Run.checkpoint`) and wait for events. Such
            a run is resumed from its last checkpoint instead of being executed again from its
            beginning.

    >>> class Pause(Definition, frozen=True, kw_only=True):
    ...     length: Duration = "1s"
    >>> class PauseOrchestrator(Orchestrator[Pause]):
    ...     kind = "pause"
    ...     def check(self, definition, checker):
    ...         checker.duration("length", definition.length)
    ...     async def execute(self, run):
    ...         await run.sleep(run.definition.length)
    >>> PauseOrchestrator.definition_type.__name__
    'Pause'
    """

    kind: ClassVar[str] = ""
    definition_type: ClassVar[type[Definition]] = Definition
    stateful: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "definition_type" in cls.__dict__:
            return
        for base in cls.__dict__.get("__orig_bases__", ()):
            for argument in typing.get_args(base):
                if isinstance(argument, type) and issubclass(argument, Definition):
                    cls.definition_type = argument

    @abc.abstractmethod
    def check(self, definition: D, checker: DefinitionChecker) -> None:
        """Report the problems of a definition that its types do not rule out.

        These are all topics, durations, conditions and templates of the kind's own keys, and
        the templates ``result`` and ``summary``. The host checks the other keys of `Definition`.

        Args:
            definition: An instance of ``definition_type``.
            checker: Checks values, and collects problems.
        """

    @abc.abstractmethod
    async def execute(self, run: Run) -> Any:
        """Execute a run's steps.

        Args:
            run: The run; its ``definition`` is an instance of ``definition_type``.

        Returns:
            The run's result, unless the definition has a template of its own; or
            `qtforge_sdk.checkpoints.Ended`, which adds names for that template.

        Raises:
            Exception: The run fails, and its completed steps are compensated in reverse order.
        """

    def result_members(self, definition: D, checker: DefinitionChecker) -> Members:
        """Return what is known of a run's result, for the workflows that run this one.

        Args:
            definition: An instance of ``definition_type``.
            checker: Knows the answers of operations, and what templates give.

        Returns:
            Such as a mapping of its members; None where it depends on the run. By default the
            keys of ``result``.
        """
        return checker.members(definition.result, {})

    def graph(self, definition: D) -> Graph | None:
        """Return a definition's graph; None where the kind has none."""
        return None

    def graph_of_run(self, definition: D, checkpoints: Sequence[CheckpointSaved]) -> Graph | None:
        """Return a definition's graph, marked with a run's path and its current position.

        Args:
            definition: The run's definition.
            checkpoints: All checkpoints of the run, oldest first.

        Returns:
            The graph; by default `graph`, without marks. None where the kind has none.
        """
        return self.graph(definition)

    def accepts(self, definition: D, state: Any) -> Sequence[AcceptedEvent] | None:
        """Return the events that a stateful run accepts in a state, in the order of evaluation.

        Args:
            definition: The run's definition.
            state: The state of its last checkpoint, as plain values; None before the first.

        Returns:
            The events; None, the default, where that is not known.
        """
        return None

    def triggers(self, definition: D) -> Sequence[EventTrigger]:
        """Return which publications on the bus start a run of the workflow, or reach one.

        Args:
            definition: The definition of a stateful kind.
        """
        return ()

    def check_amendment(
        self, before: D, after: D, steps: Mapping[str, StepResult]
    ) -> Sequence[str]:
        """Return the reasons why a run's definition can't be amended; none where it can.

        The host has checked ``after`` like every definition. What remains is whether it fits
        what the run has done.

        Args:
            before: The run's definition now.
            after: The definition with the amendment.
            steps: The run's steps so far.

        Returns:
            The reasons; by default one, that the kind does not support amendments.
        """
        return [f"a workflow of the kind '{before.kind}' can't be amended"]

    def repeated_with(
        self,
        definition: D,
        steps: Collection[str],
        ended: Sequence[str],
        failed: Collection[str],
    ) -> Collection[str] | None:
        """Return what is done again together with some steps, when a run is retried or forked.

        Args:
            definition: The run's definition.
            steps: The steps that are done again, among them those that were compensated; each
                may also be what the names of several begin with.
            ended: The run's steps and timers, in the order in which they ended.
            failed: Those of them that failed, also where they were not required.

        Returns:
            Some of ``ended``; None, the default, for all that ended after the first of the steps.
        """
        return None

    def concludes(self, definition: D) -> bool:
        """Return whether `conclude` has something to do; by default it has not."""
        return False

    async def conclude(self, run: Run, status: str, error: ErrorInfo | None) -> None:
        """Do the last steps of a run, after it has succeeded, or after what was done is undone.

        They are done once, also where processes die meanwhile; the names of the steps begin with
        `qtforge_sdk.runs.CONCLUSION`. A retried run does them again, and nothing undoes them. What
        they raise is logged, and does not change how the run ends.

        Args:
            run: The run.
            status: How it ends: ``succeeded``, ``failed``, ``compensated`` or ``cancelled``.
            error: Why it did not succeed, or None.
        """
