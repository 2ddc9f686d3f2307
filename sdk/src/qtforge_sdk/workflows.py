"""Workflows in Python: an async function over the same `Run` that TOML workflows use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from qtforge_sdk.durations import Duration, seconds
from qtforge_sdk.runs import Definition

__all__ = ["PythonWorkflow", "workflow"]

WorkflowFunction = Callable[..., Awaitable[Any]]
"""Takes the `Run`, and its input if it wants it; what it returns is the result."""


@dataclass(frozen=True, slots=True)
class PythonWorkflow:
    """What `workflow` makes of a function; offer it by the hook ``qtforge_workflows``.

    Attributes:
        definition: Its name, version and so on; the kind is ``python``.
        function: The function.
    """

    definition: Definition
    function: WorkflowFunction


def workflow(
    name: str,
    *,
    version: str = "1.0.0",
    description: str = "",
    requires: tuple[str, ...] = (),
    defaults: dict[str, Any] | None = None,
    timeout: Duration | None = None,
    on_cancel: Literal["stop", "compensate"] = "stop",
) -> Callable[[WorkflowFunction], PythonWorkflow]:
    """Make an async function a workflow.

    The function is called again when the run is resumed, and its steps answer from the
    journal; so it must ask for the same steps again, and take time, chance and the outside
    world in through steps alone.

    Args:
        name: Unique in the host.
        version: PEP 440.
        description: A line for ``workflows list``.
        requires: Plugins with PEP 440 specifiers.
        defaults: What the input holds where the caller gives nothing.
        timeout: How long a run may take in all; None for no limit.
        on_cancel: ``compensate`` undoes what was done when the run is cancelled.

    >>> @workflow("greet")
    ... async def greet(run, given):
    ...     return await run.request("make", "greeting.make", {"name": given["name"]})
    >>> greet.definition.kind
    'python'
    """
    definition = Definition(
        name=name,
        kind="python",
        version=version,
        description=description,
        requires=requires,
        defaults=defaults or {},
        timeout=timeout if timeout is None or isinstance(timeout, str) else seconds(timeout),
        on_cancel=on_cancel,
    )

    def mark(function: WorkflowFunction) -> PythonWorkflow:
        return PythonWorkflow(definition, function)

    return mark
