"""A plugin that is registered late has the place in the hook order that it would have had."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from qtforge_host.plugins.hooks import Hooks
from qtforge_sdk import hookimpl, operation


def of(name: str, *, tryfirst: bool = False, trylast: bool = False) -> object:
    class Made:
        @operation("acme.do", tryfirst=tryfirst, trylast=trylast)
        async def do(self, message: object) -> str:
            return name

        @hookimpl(tryfirst=tryfirst, trylast=trylast)
        def qtforge_workflows(self) -> list[str]:
            return [name]

    class Wrapping(Made):
        @operation("acme.do", wrapper=True)
        async def wrap(self, message: object, context: object, proceed: object) -> str:
            return name

    return Wrapping() if name in "bf" else Made()


def orders(registered: list[tuple[int, object]]) -> tuple[list[Any], list[object]]:
    hooks = Hooks()
    for position, plugin in registered:
        hooks.register(plugin, f"p{position}", position=position)
    implementations: list[Any] = list(hooks.calling_order("acme.do"))
    called = [(type(each.plugin), each.function.__name__) for each in implementations]
    return called, [plugin for plugin, _ in hooks.collect("qtforge_workflows")]


@pytest.mark.parametrize("turn", range(24))
def test_the_order_does_not_depend_on_when_plugins_were_registered(turn: int) -> None:
    plugins = [
        of("a"),
        of("b"),
        of("c", tryfirst=True),
        of("d", trylast=True),
        of("e", tryfirst=True),
        of("f", trylast=True),
    ]
    in_order = list(enumerate(plugins))
    permutations = itertools.permutations(in_order)
    shuffled = list(next(itertools.islice(permutations, turn * 29 + 1, None)))
    assert shuffled != in_order
    assert orders(shuffled) == orders(in_order)
