"""An orchestrator of a plugin, whose failures are that plugin's alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from qtforge_host.plugin_code import (
    Author,
    PluginCodeError,
    clean_text,
    describe,
    discard_awaitable,
    is_interruption,
    place_of,
    place_of_function,
)
from qtforge_host.workflows.definitions import AttributedOrchestrator
from qtforge_sdk import Definition, DefinitionChecker, ErrorInfo, Orchestrator, Run, StepResult
from qtforge_sdk.checkpoints import AcceptedEvent, EventTrigger
from qtforge_sdk.graphs import Graph
from qtforge_sdk.members import ListOf, Members, Scalar
from qtforge_sdk.records import CheckpointSaved

__all__ = ["PluginOrchestrator"]

T = TypeVar("T")

_LOG: Final = logging.getLogger("qtforge.host")
_MEMBERS: Final = Mapping | ListOf | Scalar | None
_FAILED: Final = "workflow.orchestrator_failed"


class PluginOrchestrator(AttributedOrchestrator[Any]):
    """Calls an orchestrator of a plugin.

    What `check` raises is a problem of the definition, and what `check_amendment` raises is a
    reason against the amendment. Without an answer of `accepts` and `triggers` the run accepts
    nothing that is known, and nothing starts it; that is logged. `execute` is passed through:
    its failures belong to the run.

    Args:
        orchestrator: The plugin's.
        author: The plugin.
    """

    def __init__(self, orchestrator: Orchestrator[Any], author: Author) -> None:
        self._inner: Final = orchestrator
        self.identity = author
        # They are the instance's here, and the class's in what it stands for.
        vars(self).update(
            kind=orchestrator.kind,
            definition_type=orchestrator.definition_type,
            stateful=orchestrator.stateful,
        )

    def check(self, definition: Definition, checker: DefinitionChecker) -> None:
        """Report the problems of a definition; that its check failed is one of them."""
        try:
            self._call(self._inner.check, type(None), definition, checker)
        except PluginCodeError as error:
            checker.problem("", str(error))

    def execute(self, run: Run) -> Coroutine[Any, Any, Any]:
        """Execute a run's steps."""
        return self._inner.execute(run)

    def result_members(self, definition: Definition, checker: DefinitionChecker) -> Members:
        """Return what is known of a run's result; None where the plugin failed."""
        try:
            method: Callable[..., Any] = self._inner.result_members
            found: Members = self._call(method, _MEMBERS, definition, checker)
        except PluginCodeError as error:
            _LOG.warning("%s", error)
            return None
        return found

    def graph(self, definition: Definition) -> Graph | None:
        """Return a definition's graph.

        Raises:
            PluginCodeError: The plugin failed.
        """
        drawn: Graph | None = self._call(self._inner.graph, Graph | None, definition)
        return drawn

    def graph_of_run(
        self, definition: Definition, checkpoints: Sequence[CheckpointSaved]
    ) -> Graph | None:
        """Return a definition's graph, marked with a run's path.

        Raises:
            PluginCodeError: The plugin failed.
        """
        method = self._inner.graph_of_run
        drawn: Graph | None = self._call(method, Graph | None, definition, checkpoints)
        return drawn

    def accepts(self, definition: Definition, state: Any) -> Sequence[AcceptedEvent] | None:
        """Return the events that a run accepts; None where the plugin failed."""
        try:
            found = self._call(self._inner.accepts, object, definition, state)
            return None if found is None else self._all_of(AcceptedEvent, found, "accepts")
        except PluginCodeError as error:
            _LOG.warning("%s", error)
            return None

    def triggers(self, definition: Definition) -> Sequence[EventTrigger]:
        """Return what starts a run; nothing where the plugin failed."""
        try:
            found = self._call(self._inner.triggers, object, definition)
            return self._all_of(EventTrigger, found, "triggers")
        except PluginCodeError as error:
            _LOG.warning("%s", error)
            return ()

    def check_amendment(
        self, before: Definition, after: Definition, steps: Mapping[str, StepResult]
    ) -> Sequence[str]:
        """Return the reasons against an amendment; that this failed is one of them."""
        try:
            check: Callable[..., Any] = self._inner.check_amendment
            found = self._call(check, object, before, after, steps)
            return [clean_text(each) for each in self._all_of(str, found, "check_amendment")]
        except PluginCodeError as error:
            return [str(error)]

    def repeated_with(
        self,
        definition: Definition,
        steps: Collection[str],
        ended: Sequence[str],
        failed: Collection[str],
    ) -> Collection[str] | None:
        """Return what is done again together with steps; None where the plugin failed."""
        try:
            method: Callable[..., Any] = self._inner.repeated_with
            found = self._call(method, object, definition, steps, ended, failed)
            if found is None:
                return None
            known = list(found) if isinstance(found, set | frozenset) else found
            return self._all_of(str, known, "repeated_with")
        except PluginCodeError as error:
            _LOG.warning("%s", error)
            return None

    def concludes(self, definition: Definition) -> bool:
        """Return whether `conclude` has something to do; not where the plugin failed."""
        try:
            return bool(self._call(self._inner.concludes, bool, definition))
        except PluginCodeError as error:
            _LOG.warning("%s", error)
            return False

    def conclude(self, run: Run, status: str, error: ErrorInfo | None) -> Coroutine[Any, Any, None]:
        """Do the last steps of a run."""
        return self._inner.conclude(run, status, error)

    def _call(self, method: Callable[..., Any], expected: Any, *arguments: Any) -> Any:
        name = method.__name__
        try:
            answer = method(*arguments)
        except BaseException as error:
            if is_interruption(error):
                raise
            place = place_of(error, self._inner)
            text = f"{self._described(name)} raised {describe(error)}"
            raise PluginCodeError(_FAILED, self.identity, _at(text, place), place) from error
        if discard_awaitable(answer):
            raise self._wrong(name, "returned a coroutine: it must not be async")
        if expected is not object and not isinstance(answer, expected):
            raise self._wrong(name, f"returned a {type(answer).__name__}")
        return answer

    def _all_of(self, kind: type[T], found: object, name: str) -> Sequence[T]:
        if isinstance(found, list | tuple) and all(isinstance(each, kind) for each in found):
            return found
        raise self._wrong(name, f"did not return a list of {kind.__name__}")

    def _wrong(self, name: str, what: str) -> PluginCodeError:
        place = place_of_function(getattr(self._inner, name))
        return PluginCodeError(
            _FAILED, self.identity, _at(f"{self._described(name)} {what}", place), place
        )

    def _described(self, name: str) -> str:
        return f"{self.identity}: {name} of the kind '{self.kind}'"


def _at(text: str, place: str) -> str:
    return f"{text} ({place})" if place else text
