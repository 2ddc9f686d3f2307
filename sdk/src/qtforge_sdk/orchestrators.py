"""Orchestrators: kinds of workflow, and how they check a definition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol

from qtforge_sdk.runs import Definition, Run

__all__ = ["DefinitionChecker", "Orchestrator"]


class DefinitionChecker(Protocol):
    """Collects what is wrong with a definition; paths are such as ``stages[2].when``."""

    def problem(self, path: str, what: str, fix: str = "") -> None:
        """Record a problem."""

    def topic(self, path: str, topic: str) -> None:
        """Check that an active plugin answers a topic."""

    def plugin(self, path: str, plugin: str, topic: str) -> None:
        """Check that a plugin is among those that answer a topic."""

    def duration(self, path: str, text: str) -> None:
        """Check a duration."""

    def workflow(self, path: str, name: str) -> None:
        """Check that a workflow of that name is known, and is not this one."""

    def condition(
        self,
        path: str,
        expression: str,
        stages: Iterable[str],
        names: Mapping[str, Any] | None = None,
    ) -> None:
        """Check a CEL condition that may use these stages.

        Args:
            path: Where it stands.
            expression: CEL.
            stages: Their names.
            names: What else it may use: each name with a mapping of its members' names, or
                None where they are not known.
        """

    def template(
        self,
        path: str,
        value: object,
        stages: Iterable[str],
        names: Mapping[str, Any] | None = None,
    ) -> None:
        """Check every ``${...}`` in a value; they may use these stages and `condition`'s names."""


class Orchestrator(Protocol):
    """A kind of workflow: turns a definition into calls on a `Run`.

    Attributes:
        kind: The name that definitions give, such as ``sequential``.
        definition_type: A `Definition` with the kind's own keys.

    One whose runs keep their state (`Run.keep`) has ``keeps_state = True`` besides.
    """

    kind: ClassVar[str]
    definition_type: ClassVar[type[Definition]]

    def check(self, definition: Any, checker: DefinitionChecker) -> None:
        """Report what is wrong with a definition beyond its types.

        That is every topic, duration, condition and template in it, ``result`` and
        ``summary`` among them.
        """

    async def execute(self, run: Run) -> Any:
        """Do the run's steps; the return value is the result unless the definition has one.

        When it raises, completed steps are compensated in reverse order.
        """
