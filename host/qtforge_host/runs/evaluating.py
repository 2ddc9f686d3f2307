"""What templates and conditions of a run may use, and their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtforge_host.expressions.evaluator import Evaluator
from qtforge_host.runs.log import RunLog
from qtforge_sdk.runs import EvaluationScope

__all__ = ["Evaluates"]


class Evaluates:
    """What `ActiveRun` inherits; its own file, because evaluating is an idea of its own."""

    id: str
    _log: RunLog
    _evaluator: Evaluator

    @property
    def names(self) -> Mapping[str, Any]:
        """What expressions may use."""
        state = self._log.state
        started_at = state.started_at
        about = {
            "id": self.id,
            "workflow": state.workflow,
            "started_at": None if started_at is None else started_at.isoformat(),
        }
        return {"input": state.input, "run": about, "stages": state.steps}

    def render(self, template: object, names: Mapping[str, Any] | None = None) -> Any:
        """Return a template's value now; see `qtforge_sdk.Run`."""
        return self._evaluator.render(template, {**self.names, **(names or {})})

    def evaluate(self, condition: str, names: Mapping[str, Any] | None = None) -> bool:
        """Return whether a condition holds now; see `qtforge_sdk.Run`."""
        return self._evaluator.evaluate(condition, {**self.names, **(names or {})})

    def prepare(self, names: Mapping[str, Any]) -> EvaluationScope:
        """Make names ready for many conditions; see `qtforge_sdk.Run`."""
        return self._evaluator.prepare(names, self.names)
