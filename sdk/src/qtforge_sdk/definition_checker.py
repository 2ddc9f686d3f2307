"""What an orchestrator reports a definition's problems to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

__all__ = ["DefinitionChecker"]


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
