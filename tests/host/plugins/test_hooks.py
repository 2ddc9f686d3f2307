from __future__ import annotations

from typing import Any

import pytest

from qtforge_host.plugins.hooks import Hooks
from qtforge_sdk import Plugin, hookimpl, operation, subscriber
from qtforge_sdk.errors import PluginError


class First(Plugin):
    @operation("a.b")
    async def do(self, message: object) -> None: ...

    @subscriber("a.>")
    async def hear(self, message: object) -> None: ...

    @property
    def expensive(self) -> int:
        raise AssertionError("registering must not look at properties")


class Second(Plugin):
    @operation("a.b", tryfirst=True)
    async def first(self, message: object) -> None: ...

    @operation("a.b", trylast=True)
    async def last(self, message: object) -> None: ...

    @hookimpl
    def qtforge_workflows(self) -> list[str]:
        return ["text"]


def test_operations_come_in_pluggys_order() -> None:
    hooks = Hooks()
    one, two = First(), Second()
    hooks.register(two, "two")
    hooks.register(one, "one")
    found = {each.key: each for each in (*hooks.operations(one), *hooks.operations(two))}
    order = [found[key] for key in hooks.calling_order("a.b")]
    assert [each.method.__name__ for each in order] == ["first", "do", "last"]
    assert [each.rank for each in order] == [0, 1, 2]
    assert {each.topic for each in order} == {"a.b"}
    assert list(hooks.calling_order("qtforge_workflows")) == []
    assert list(hooks.calling_order("no.such")) == []


def test_a_plugin_that_is_unregistered_answers_no_more() -> None:
    hooks = Hooks()
    one = First()
    hooks.register(one, "one")
    assert len(hooks.subscribers(one)) == 1
    hooks.unregister(one)
    hooks.unregister(one)
    assert hooks.operations(one) == []
    assert list(hooks.calling_order("a.b")) == []
    assert hooks.hooks_of(one) == ()
    assert hooks.subscribers(one) == []


def test_one_plugins_hook_is_called_without_the_others() -> None:
    hooks = Hooks()
    called: list[Any] = []

    class Third(Plugin):
        @hookimpl
        def qtforge_on_run_event(self, event: object) -> None:
            called.append(event)

    third = Third()
    hooks.register(third, "third")
    hooks.register(First(), "first")
    hooks.call_one(third, "qtforge_on_run_event", event="it")
    assert called == ["it"]
    assert hooks.call_one(object(), "qtforge_on_run_event", event="it") is None


def test_contributions_of_plugins_are_collected() -> None:
    hooks = Hooks()
    two = Second()
    hooks.register(First(), "one")
    hooks.register(two, "two")
    assert [(plugin, call()) for plugin, call in hooks.collect("qtforge_workflows")] == [
        (two, ["text"])
    ]


def test_a_hook_with_arguments_that_do_not_exist_is_refused() -> None:
    class Wrong(Plugin):
        @hookimpl
        def qtforge_before_request(self, topic: str, nosuch: int) -> None: ...

    hooks = Hooks()
    with pytest.raises(PluginError, match="nosuch") as error:
        hooks.register(Wrong(), "wrong")
    assert error.value.code == "plugin.invalid_hook"
    assert hooks.observer("qtforge_before_request") is None
