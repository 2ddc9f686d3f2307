"""The specification's errors: problem details with a type, a status and the place of the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from qtforge_sdk import QtForgeError

__all__ = ["Fault", "FaultedError", "same_type", "standard_fault"]

_STANDARD: Final = "https://serverlessworkflow.io/spec/1.0.0/errors/"
_KINDS: Final = {
    "configuration": (400, "Configuration Error"),
    "validation": (400, "Validation Error"),
    "expression": (400, "Expression Error"),
    "authentication": (401, "Authentication Error"),
    "authorization": (403, "Authorization Error"),
    "timeout": (408, "Timeout Error"),
    "communication": (500, "Communication Error"),
    "runtime": (500, "Runtime Error"),
}


class Fault(Exception):
    """An error that a workflow can catch.

    Args:
        error: The specification's error: ``type``, ``status``, ``title``, ``detail`` and
            ``instance``, the JSON pointer of the task.
    """

    def __init__(self, error: Mapping[str, Any], /) -> None:
        super().__init__(error)
        self.error = dict(error)


class FaultedError(QtForgeError):
    """A workflow ended with an error that it did not catch.

    Args:
        what: The error's title.
        why: Its status, place, type and detail.
    """

    code = "open_workflow.faulted"


def standard_fault(kind: str, instance: str, detail: str, status: int | None = None) -> Fault:
    """Return one of the specification's own errors.

    Args:
        kind: The last word of its type, such as ``communication``.
        instance: The JSON pointer of the task.
        detail: What happened.
        status: Another status than the type's own, such as that of an HTTP answer.
    """
    own, title = _KINDS[kind]
    return Fault(
        {
            "type": f"{_STANDARD}{kind}",
            "status": own if status is None else status,
            "title": title,
            "detail": detail,
            "instance": instance,
        }
    )


def same_type(wanted: str, found: str) -> bool:
    """Return whether two types are the same; the standard ones changed their host with the name.

    >>> same_type("https://serverlessworkflow.io/dsl/errors/types/timeout",
    ...           "https://serverlessworkflow.io/spec/1.0.0/errors/timeout")
    True
    """
    kind = wanted.rpartition("/")[2]
    if kind in _KINDS and found.rpartition("/")[2] == kind:
        return "/errors/" in wanted and "/errors/" in found
    return wanted == found
