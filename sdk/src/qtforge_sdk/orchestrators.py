"""Orchestrators: kinds of workflow."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

from qtforge_sdk.definition_checker import DefinitionChecker
from qtforge_sdk.runs import Definition, Run

__all__ = ["Orchestrator"]


class Orchestrator(Protocol):
    """A kind of workflow: turns a definition into calls on a `Run`.

    Attributes:
        kind: The name that definitions give, such as ``sequential``.
        definition_type: A `Definition` with the kind's own keys.

    One whose runs keep their state (`Run.keep`) has ``stateful = True`` besides.
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
