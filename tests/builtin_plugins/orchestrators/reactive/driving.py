"""A machine that is driven by hand, for the tests of this folder."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from qtforge_builtin_plugins.orchestrators.reactive.actions_runner import Call
from qtforge_builtin_plugins.orchestrators.reactive.definition import ReactiveDefinition
from qtforge_builtin_plugins.orchestrators.reactive.machine import Machine
from qtforge_builtin_plugins.orchestrators.reactive.snapshot import Event, Snapshot, Trace
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.expressions.prepared import PreparedNames

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


class Evaluator:
    """The host's expressions, as a run gives them to a machine."""

    def __init__(self) -> None:
        self._expressions = Expressions()

    def prepare(self, names: Mapping[str, Any]) -> PreparedNames:
        return PreparedNames(self._expressions, names, {})

    def render(self, template: object, names: Mapping[str, Any] | None = None) -> Any:
        return self._expressions.template(template).render(names or {})


class Driven:
    """An instance; every call is answered with ``answer``, or fails when its name is in ``bad``."""

    def __init__(
        self, definition: ReactiveDefinition, bad: tuple[str, ...] = (), **data: Any
    ) -> None:
        self.now = NOW
        self.bad = bad
        self.calls: list[Call] = []
        self.machine = Machine(definition, Evaluator(), {"id": "r1"}, lambda: self.now)
        self.trace = Trace()
        self.snapshot: Snapshot = self.machine.start(data, self.trace)
        self._settle()

    def send(self, name: str, **data: Any) -> bool:
        """Send an event; return whether it was taken."""
        self.trace = Trace()
        taken = self.machine.take(self.snapshot, Event(name=name, data=data), self.trace)
        self._settle()
        return taken

    @property
    def active(self) -> tuple[str, ...]:
        return self.snapshot.active

    @property
    def called(self) -> list[str]:
        return [call.name for call in self.calls]

    def _settle(self) -> None:
        while (call := self.machine.advance(self.snapshot, self.trace)) is not None:
            self.calls.append(call)
            if call.name in self.bad:
                error = {"code": "x.bad", "message": "it was bad"}
                self.machine.failed(self.snapshot, call, error, self.trace)
            else:
                self.machine.answered(self.snapshot, call, "answer")
