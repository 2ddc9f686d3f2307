"""What has to hold of a run's input before the run starts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from qtforge_host.runs.definitions import Workflow
from qtforge_host.runs.evaluating import Evaluator
from qtforge_sdk import InputCheck
from qtforge_sdk.errors import ExpressionError, RunInputError

__all__ = ["checked_input"]

_SHOWN: Final = 200  # characters of a value


def checked_input(
    workflow: Workflow, given: Mapping[str, Any], evaluator: Evaluator
) -> dict[str, Any]:
    """Return what a run is started with: what is given, over the definition's defaults.

    Args:
        workflow: The run's.
        given: By the caller.
        evaluator: Tells whether conditions hold.

    Raises:
        RunInputError: It is not what the definition wants; the first that is wrong is named.
    """
    definition = workflow.definition
    whole = {**definition.defaults, **given}
    if definition.inputs is not None:
        for key in whole:
            if key not in definition.inputs:
                raise _unknown(definition.name, key, definition.inputs)
    for check in definition.checks:
        if not _holds(check, whole, evaluator):
            value = _value(check.input, whole)
            found = f"can't be {value}" if value else "is missing"
            what = f"the input '{check.input}' of '{definition.name}' {found}"
            raise RunInputError(definition.name, check.input, what, f"give {check.wants}")
    return whole


def _unknown(workflow: str, key: str, known: Sequence[str]) -> RunInputError:
    near = difflib.get_close_matches(str(key), known, n=1)
    fix = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known) or 'none'}"
    return RunInputError(workflow, str(key), f"'{workflow}' has no input '{key}'", fix)


def _holds(check: InputCheck, given: Mapping[str, Any], evaluator: Evaluator) -> bool:
    try:
        return evaluator.evaluate(check.condition, {"input": given})
    except ExpressionError:
        return False  # such as: the text is none that can be read as a date


def _value(path: str, given: Mapping[str, Any]) -> str:
    value: Any = given
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return ""
        value = value[key]
    return repr(value)[:_SHOWN]
