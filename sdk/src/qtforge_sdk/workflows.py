"""Workflows in Python: async functions over the same `Run` that TOML workflows use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from qtforge_sdk.durations import Duration, seconds
from qtforge_sdk.inputs import InputSpec
from qtforge_sdk.run_keys import ConcurrencyKey, UniqueKey
from qtforge_sdk.runs import Definition

__all__ = ["PythonWorkflow", "workflow"]

WorkflowFunction = Callable[..., Awaitable[Any]]
"""Takes the `Run` and, as an optional second parameter, its input; returns the result."""


class PythonWorkflow(msgspec.Struct, frozen=True):
    """A function that `workflow` has marked; contribute it by the hook ``qtforge_workflows``.

    Attributes:
        definition: The workflow's name, version and so on; its kind is ``python``.
        function: The function.
        resumes: The versions whose runs it continues, as PEP 440 specifiers; "" for those of its
            own major version.
    """

    definition: Definition
    function: WorkflowFunction
    resumes: str = ""


def workflow(
    name: str,
    *,
    version: str = "1.0.0",
    description: str = "",
    requires: tuple[str, ...] = (),
    defaults: dict[str, Any] | None = None,
    timeout: Duration | None = None,
    on_cancel: Literal["stop", "compensate"] = "stop",
    secret_inputs: tuple[str, ...] = (),
    inputs: Sequence[str] | Mapping[str, InputSpec] | None = None,
    resumes: str = "",
    tags: Mapping[str, str] | None = None,
    title: str = "",
    priority: int | str = 0,
    unique: UniqueKey | None = None,
    concurrency_key: ConcurrencyKey | None = None,
) -> Callable[[WorkflowFunction], PythonWorkflow]:
    """Make an async function a workflow.

    When a run is resumed, the function is called again, and a step that the journal holds
    returns the recorded result. So the function must request the same steps again: it must read
    the time, random numbers and the outside world only in steps.

    Args:
        name: The workflow's name, unique in the host.
        version: The workflow's version, as in PEP 440.
        description: One line for ``workflows list``.
        requires: Required plugins, with PEP 440 specifiers.
        defaults: Values of the input that the caller need not give.
        timeout: The longest time of a run in all: seconds, a `datetime.timedelta` or text such
            as ``1h30m``. None for no limit.
        on_cancel: ``compensate`` undoes completed steps when the run is cancelled.
        secret_inputs: Keys of the input whose values are secret. The function receives
            references, and the requests that contain them the values.
        inputs: The keys that the input may have, or what is accepted for each of them; None for
            any.
        resumes: The versions whose runs this function continues, as PEP 440 specifiers such as
            ``>=1.3``; "" for those of its own major version. A plugin may contribute several
            functions of one name with different versions: a new run gets the newest, and a run
            that waits the one of its own version, else the newest that resumes it.
        tags: Names and templates over ``input`` by which runs are found.
        title: A template over ``input``: one line for people.
        priority: From -100 to 100, or a template over ``input``, for runs that wait in the queue.
        unique: One run for each value of a key.
        concurrency_key: How many runs may be in progress at once.

    Returns:
        A decorator.

    Raises:
        ValueError: The timeout is not a duration.

    >>> @workflow("greet")
    ... async def greet(run, given):
    ...     return await run.request("make", "greeting.make", {"name": given["name"]})
    >>> greet.definition.kind
    'python'
    """
    timeout_s = None if timeout is None else seconds(timeout)
    definition = Definition(
        name=name,
        kind="python",
        version=version,
        description=description,
        requires=requires,
        defaults=defaults or {},
        timeout=timeout if isinstance(timeout, str) else timeout_s,
        on_cancel=on_cancel,
        secret_inputs=secret_inputs,
        inputs=_inputs(inputs),
        tags=dict(tags or {}),
        title=title,
        priority=priority,
        unique=unique,
        concurrency_key=concurrency_key,
    )

    def mark(function: WorkflowFunction) -> PythonWorkflow:
        return PythonWorkflow(definition, function, resumes)

    return mark


def _inputs(
    given: Sequence[str] | Mapping[str, InputSpec] | None,
) -> tuple[str, ...] | dict[str, InputSpec] | None:
    if given is None:
        return None
    return dict(given) if isinstance(given, Mapping) else tuple(given)
