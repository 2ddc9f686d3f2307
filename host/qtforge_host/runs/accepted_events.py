"""The events that a waiting run accepts now, with example data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qtforge_sdk.checkpoints import AcceptedEvent
from qtforge_sdk.records import CheckpointSaved

if TYPE_CHECKING:  # heavy, and most runs are shown without their workflow
    from qtforge_host.workflows.definitions import Workflow

__all__ = ["Offer", "accepted_events", "example_data", "offers_of"]

# Compiled when they are first used, which most commands never do.
_EQUALS: Final = r"""\bevent\.data\.(\w+(?:\.\w+)*)\s*==\s*
    ('[^'\\]*'|"[^"\\]*"|-?\d+(?:\.\d+)?|true\b|false\b)(?!\s*[-+*/%.\w])"""
_TEXT: Final = r"'[^']*'|\"[^\"]*\""
_CHOICES: Final = ("||", "?", "!")


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a run accepts, with example data.

    Attributes:
        accepted: The event, as the orchestrator describes it.
        data: Data with which the condition may hold, as far as its text tells.
    """

    accepted: AcceptedEvent
    data: dict[str, Any]


def offers_of(workflow: Workflow, checkpoint: CheckpointSaved | None) -> tuple[Offer, ...]:
    """Return the events that a run accepts after its last checkpoint; empty if unknown.

    Args:
        workflow: The run's.
        checkpoint: Its last checkpoint, or None.
    """
    if checkpoint is None:
        return ()
    found = workflow.orchestrator.accepts(workflow.definition, checkpoint.state) or ()
    return tuple(Offer(accepted=each, data=example_data(each.condition or "")) for each in found)


def accepted_events(workflow: Workflow, state: Any) -> tuple[str, ...] | None:
    """Return the names of the events that a checkpoint's state accepts; None if unknown.

    Args:
        workflow: The run's, with its definition as it is now.
        state: The state of the checkpoint.
    """
    found = workflow.orchestrator.accepts(workflow.definition, state)
    return None if found is None else tuple(sorted({each.event for each in found}))


def example_data(condition: str) -> dict[str, Any]:
    """Return the data that a condition compares with, if it is a conjunction.

    >>> example_data("event.data.action == 'approve' && data.open")
    {'action': 'approve'}
    >>> example_data("event.data.action == 'a' || event.data.action == 'b'")
    {}
    """
    if any(sign in re.sub(_TEXT, "", condition).replace("!=", "") for sign in _CHOICES):
        return {}
    data: dict[str, Any] = {}
    for path, literal in re.findall(_EQUALS, condition, re.X):
        *outer, last = path.split(".")
        table = data
        for key in outer:
            inner = table.setdefault(key, {})
            table = inner if isinstance(inner, dict) else {}
        is_text = literal[0] in "'\""
        table[last] = literal[1:-1] if is_text else msgspec.json.decode(literal)
    return data
