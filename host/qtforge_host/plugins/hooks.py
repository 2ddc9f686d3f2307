"""Typed access to the host's pluggy manager."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import pluggy

from qtforge_host.code_marks import UNMARKED, AnyMark
from qtforge_host.plugin_code import (
    discard_awaitable,
    explain,
    is_interruption,
    place_of_function,
)
from qtforge_sdk.errors import PluginError
from qtforge_sdk.hookspecs import HookSpecs
from qtforge_sdk.markers import PROJECT
from qtforge_sdk.operations import (
    PUBLISH_PREFIX,
    OperationSpec,
    SubscriberSpec,
    operation_spec,
    subscriber_spec,
)

__all__ = ["Hooks", "OperationHook", "SubscriberHook"]

_LOG = logging.getLogger("qtforge.hooks")
_NO_HOOKS: Final = frozenset(
    (*dir(object), "__annotations__", "__dict__", "__module__", "__weakref__")
)


class OperationHook(msgspec.Struct, frozen=True, kw_only=True):
    """One `operation` of a plugin.

    Attributes:
        topic: Its topic.
        spec: The arguments of its decorator.
        method: The plugin's method.
        rank: 0 for tryfirst, 2 for trylast, otherwise 1.
        key: Stands for it in `Hooks.calling_order`.
    """

    topic: str
    spec: OperationSpec
    method: Callable[..., Any]
    rank: int
    key: object


class SubscriberHook(msgspec.Struct, frozen=True, kw_only=True):
    """One `subscriber` of a plugin."""

    spec: SubscriberSpec
    method: Callable[..., Any]


class _Manager(pluggy.PluginManager):
    """Knows which hooks each plugin implements; pluggy looks through all hooks for that.

    Attributes:
        implementations: What each registered plugin implements, with the hook's name, by the
            plugin's id.
    """

    def __init__(self, project: str) -> None:
        super().__init__(project)
        self.implementations: dict[int, tuple[tuple[str, pluggy.HookImpl], ...]] = {}
        self._found: dict[str, None] = {}

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Register a plugin; see pluggy."""
        self._found = {}
        registered = super().register(plugin, name)
        self.implementations[id(plugin)] = tuple(
            (hook, each)
            for hook in sorted(self._found)
            for each in getattr(self.hook, hook).get_hookimpls()
            if each.plugin is plugin
        )
        return registered

    def unregister(self, plugin: object | None = None, name: str | None = None) -> Any | None:
        """Unregister a plugin; see pluggy."""
        found = super().unregister(plugin, name)
        self.implementations.pop(id(found), None)
        return found

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """Return the marks of a hook implementation; see pluggy."""
        if name in _NO_HOOKS:  # half of a plugin's attributes, and pluggy looks closely
            return None
        options = super().parse_hookimpl_opts(plugin, name)
        if options is not None:
            self._found[options.get("specname") or name] = None
        return options

    def get_hookcallers(self, plugin: object) -> list[pluggy.HookCaller] | None:
        """Return the callers of a plugin's hooks; see pluggy."""
        found = self.implementations.get(id(plugin))
        names = dict.fromkeys(name for name, _ in found or ())
        return None if found is None else [getattr(self.hook, name) for name in names]


class Hooks:
    """The registered hook implementations, in the order that pluggy defines."""

    def __init__(self) -> None:
        self._marks: Final[dict[int, AnyMark]] = {}  # by the plugin's id
        self._positions: Final[dict[int, int]] = {}  # by the plugin's id
        self._last = -1  # the highest of them
        self._is_in_order = True  # whether plugins were registered in the order of their positions
        self._manager: Final = _Manager(PROJECT)
        self._manager.add_hookspecs(HookSpecs)

    def register(
        self, plugin: object, name: str, mark: AnyMark = UNMARKED, position: int | None = None
    ) -> None:
        """Register a plugin under ``<distribution>:<entry point>``.

        Args:
            plugin: The plugin.
            name: Its name here.
            mark: Marks that its hooks are called.
            position: Its place in the hook order, among those of the others: a plugin that is
                registered late has the place that it would have had. None for the last.

        Raises:
            PluginError: ``plugin.invalid_hook``: a hook takes arguments that do not exist,
                or the plugin or its name is registered already.
        """
        try:
            self._manager.register(plugin, name)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(name, "plugin.invalid_hook", str(error)) from error
        self._marks[id(plugin)] = mark
        if position is None:
            position = self._last + 1
        self._is_in_order = self._is_in_order and position > self._last
        self._positions[id(plugin)] = position
        self._last = max(self._last, position)

    def unregister(self, plugin: object) -> None:
        """Unregister a plugin's hooks; a plugin that is not registered is ignored."""
        if id(plugin) in self._manager.implementations:
            self._manager.unregister(plugin)
            self._marks.pop(id(plugin), None)
            self._positions.pop(id(plugin), None)

    @property
    def relay(self) -> Any:
        """Pluggy's own hooks, by name."""
        return self._manager.hook

    def unknown(self, plugin: object) -> list[str]:
        """Return the hooks that a plugin implements and the host never calls: misspelt ones."""
        return [
            name
            for name, implementation in self._implementations(plugin)
            if operation_spec(implementation.function) is None
            and subscriber_spec(implementation.function) is None
        ]

    def call_one(self, plugin: object, hook: str, **arguments: Any) -> Any:
        """Call one plugin's implementation, and return its result; None where it has none."""
        for name, implementation in self._manager.implementations.get(id(plugin), ()):
            if name == hook:
                return _invoke(implementation, arguments)
        return None

    def collect(self, hook: str) -> Iterator[tuple[object, Callable[[], Any]]]:
        """Yield each plugin that implements a hook without arguments, and a call of it."""
        for implementation in self._called(hook):
            yield implementation.plugin, functools.partial(self._marked, implementation)

    def observer(self, hook: str) -> Callable[..., None] | None:
        """Return a function that calls every implementation and never raises; None without any."""
        implementations = [
            (each, self._marks.get(id(each.plugin), UNMARKED)) for each in self._called(hook)
        ]
        if not implementations:
            return None

        def notify(**arguments: Any) -> None:
            for implementation, mark in implementations:
                try:
                    with mark:
                        answer = _invoke(implementation, arguments)
                except BaseException as error:
                    if is_interruption(error):
                        raise
                    _LOG.error(
                        "%s failed in %s: %s",
                        implementation.plugin_name, hook, explain(error, implementation.function),
                        exc_info=error if _LOG.isEnabledFor(logging.DEBUG) else None,
                    )  # fmt: skip
                else:
                    if answer is not None and discard_awaitable(answer):
                        _LOG.error(
                            "%s returned a coroutine from %s: the hook must not be async (%s)",
                            implementation.plugin_name, hook,
                            place_of_function(implementation.function),
                        )  # fmt: skip

        return notify

    def hooks_of(self, plugin: object) -> tuple[str, ...]:
        """Return the names of the hooks that a registered plugin implements, topics included."""
        found = self._manager.implementations.get(id(plugin), ())
        return tuple(dict.fromkeys(name for name, _ in found))

    def operations(self, plugin: object) -> list[OperationHook]:
        """Return the operations of one plugin."""
        found = []
        for topic, implementation in self._implementations(plugin):
            spec = operation_spec(implementation.function)
            if spec is not None:
                rank = 0 if implementation.tryfirst else 2 if implementation.trylast else 1
                hook = OperationHook(
                    topic=topic,
                    spec=spec,
                    method=implementation.function,
                    rank=rank,
                    key=implementation,
                )
                found.append(hook)
        return found

    def calling_order(self, topic: str) -> Sequence[object]:
        """Return the keys of a topic's operations in calling order, wrappers first.

        Those of other hooks of the name are among them. It is called for each plugin that is
        started or stopped, and a topic may have an operation of each.
        """
        caller = getattr(self._manager.hook, topic, None)
        if caller is None or caller.has_spec():  # a hook of the host: every plugin has some
            return ()
        return self._called(topic)

    def subscribers(self, plugin: object) -> list[SubscriberHook]:
        """Return the subscribers of one plugin."""
        found = []
        for name, implementation in self._implementations(plugin):
            spec = subscriber_spec(implementation.function)
            if spec is not None and name.startswith(PUBLISH_PREFIX):
                found.append(SubscriberHook(spec=spec, method=implementation.function))
        return found

    def _called(self, hook: str) -> list[pluggy.HookImpl]:
        """Return the implementations of a hook in calling order."""
        found: list[pluggy.HookImpl] = getattr(self._manager.hook, hook).get_hookimpls()[::-1]
        if not self._is_in_order:
            found.sort(key=self._place)
        return found

    def _place(self, implementation: pluggy.HookImpl) -> tuple[bool, int, int]:
        """Return where pluggy would call an implementation, had its plugin come in its order.

        Wrappers come first. Of either, those marked ``tryfirst`` come before the others, and those
        marked ``trylast`` after them: of these the earliest plugin comes first, otherwise the
        latest.
        """
        rank = 0 if implementation.tryfirst else 2 if implementation.trylast else 1
        position = self._positions.get(id(implementation.plugin), 0)
        is_wrapper = implementation.wrapper or implementation.hookwrapper
        return not is_wrapper, rank, position if rank == 2 else -position

    def _marked(self, implementation: pluggy.HookImpl) -> Any:
        with self._marks.get(id(implementation.plugin), UNMARKED):
            return _invoke(implementation, {})

    def _implementations(self, plugin: object) -> Iterator[tuple[str, pluggy.HookImpl]]:
        """Yield what a plugin implements besides the hooks of the host."""
        for name, implementation in self._manager.implementations.get(id(plugin), ()):
            if not getattr(self._manager.hook, name).has_spec():
                yield name, implementation


def _invoke(implementation: pluggy.HookImpl, arguments: Mapping[str, Any]) -> Any:
    return implementation.function(*(arguments[name] for name in implementation.argnames))
