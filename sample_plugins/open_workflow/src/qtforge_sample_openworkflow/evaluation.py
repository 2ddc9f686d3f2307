"""The evaluation of expressions in a worker process, whose time and memory are limited."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from qtforge_sample_openworkflow import expressions
from qtforge_sample_openworkflow.expressions import ExpressionFault
from qtforge_sdk import OperationError

__all__ = ["CPU_S", "EVALUATE", "EXPRESSION_FAILED", "WAIT_S", "Evaluation", "evaluate"]

EVALUATE: Final = "open_workflow.evaluate"
"""The topic."""
EXPRESSION_FAILED: Final = "open_workflow.expression"
"""The code of the error of an expression that is not jq, or failed."""
CPU_S: Final = 5.0
"""How much processor time the expressions of one request may take, in seconds."""
WAIT_S: Final = 120.0
"""How long a request may take with the time that it waits for a worker process, in seconds."""

_LARGEST_BYTES: Final = 16 << 20  # of a value as MessagePack, which the run keeps


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """A template to evaluate.

    Attributes:
        template: A value with texts ``${ ... }`` within it.
        data: What ``.`` is.
        names: What ``$name`` is.
    """

    template: Any
    data: Any = None
    names: dict[str, Any] = {}


def evaluate(request: Evaluation) -> Any:
    """Return the template's value.

    Raises:
        OperationError: ``open_workflow.expression``: an expression is not jq, or failed, or the
            value has more than 16 MiB.
    """
    try:
        with _limited_time():
            value = expressions.render(request.template, request.data, request.names)
        size = len(msgspec.msgpack.encode(value))
        if size > _LARGEST_BYTES:
            asked = expressions.title(*expressions.expressions_of(request.template))
            raise ExpressionFault(f"{asked}: its value has {size >> 20} MiB, at most 16 MiB may be")
    except ExpressionFault as error:
        raise OperationError(EXPRESSION_FAILED, str(error), retryable=False) from error
    return value


@contextlib.contextmanager
def _limited_time() -> Iterator[None]:
    """Let the kernel end the process when the time is over: jq can't be interrupted.

    In a thread, as where the test kit calls process operations, only the request's time holds.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
