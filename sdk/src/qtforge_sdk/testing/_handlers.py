"""An operation or a subscriber of one plugin, compiled once and called often."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qtforge_sdk.bus import HandlerInfo
from qtforge_sdk.errors import PluginError
from qtforge_sdk.operations import (
    OperationSpec,
    Signature,
    SubscriberSpec,
    handler_signature,
    operation_spec,
    subscriber_spec,
)
from qtforge_sdk.testing._conditions import Condition
from qtforge_sdk.testing._statistics import Counters

__all__ = ["Handler", "Listener", "compile_handler", "compile_listener"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Handler:
    """An operation, ready to be called.

    Attributes:
        plugin: Whose it is.
        version: That plugin's version.
        spec: What the decorator was told.
        method: The bound method.
        signature: What it takes and gives.
        condition: ``accepts``, compiled, or None.
        counters: What it has done.
    """

    plugin: str
    version: str
    spec: OperationSpec
    method: Callable[..., Any]
    signature: Signature
    condition: Condition | None
    counters: Counters = field(repr=False)

    def info(self) -> HandlerInfo:
        """Return it as `Bus.topics` shows it."""
        how = "async" if self.signature.is_async else "thread"
        return HandlerInfo(
            topic=self.spec.topic,
            plugin=self.plugin,
            version=self.version,
            execution="process" if self.spec.execution == "process" else how,
            accepts=self.spec.accepts,
            wrapper=self.spec.wrapper,
            message_type=_type_name(self.signature.message_type),
            response_type=_type_name(self.signature.response_type),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Listener:
    """A subscriber, ready to be called.

    Attributes:
        plugin: Whose it is, or "" for a bare subscription.
        spec: Pattern, filter and capacity.
        function: What to call with the message.
        signature: What it takes.
        condition: ``where``, compiled, or None.
        counters: What it has done.
    """

    plugin: str
    spec: SubscriberSpec
    function: Callable[..., Any]
    signature: Signature
    condition: Condition | None
    counters: Counters = field(repr=False)


def compile_handler(method: Callable[..., Any], plugin: str, version: str) -> Handler | None:
    """Return the operation behind a hook implementation, or None if it is none.

    Raises:
        PluginError: ``plugin.invalid_handler``.
        ExpressionError: ``accepts`` does not compile.
    """
    spec = operation_spec(method)
    if spec is None:
        return None
    signature = handler_signature(method, plugin, extra=2 if spec.wrapper else 1)
    if spec.wrapper:
        _check_wrapper(method, plugin)
    return Handler(
        plugin=plugin,
        version=version,
        spec=spec,
        method=method,
        signature=signature,
        condition=None if spec.accepts is None else Condition(spec.accepts),
        counters=Counters(spec.topic, plugin),
    )


def compile_listener(
    function: Callable[..., Any], plugin: str, spec: SubscriberSpec | None = None
) -> Listener | None:
    """Return the subscriber behind a hook implementation or a function, or None if it is none.

    Raises:
        PluginError: ``plugin.invalid_handler``.
        ExpressionError: ``where`` does not compile.
    """
    spec = spec or subscriber_spec(function)
    if spec is None:
        return None
    return Listener(
        plugin=plugin,
        spec=spec,
        function=function,
        signature=handler_signature(function, plugin, extra=0),
        condition=None if spec.where is None else Condition(spec.where),
        counters=Counters(spec.pattern, plugin),
    )


def _check_wrapper(method: Callable[..., Any], plugin: str) -> None:
    try:
        inspect.signature(method).bind(None, None, None)
    except TypeError as error:
        raise PluginError(
            plugin, "plugin.invalid_handler", f"the wrapper {method.__qualname__}: {error}",
            "a wrapper takes the message, the context and proceed",
        ) from error  # fmt: skip


def _type_name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
