"""Workflows that run each other in a circle."""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["find_cycle"]


def find_cycle(name: str, first: str, uses: Callable[[str], Iterable[str]]) -> list[str] | None:
    """Return a way from a workflow through another one back to itself, or None.

    Args:
        name: The workflow.
        first: One that it runs.
        uses: Gives the workflows that a workflow runs.

    >>> find_cycle("a", "b", {"a": ["b"], "b": ["c"], "c": ["a"]}.__getitem__)
    ['a', 'b', 'c', 'a']
    """
    seen: set[str] = set()
    ways = [[name, first]]
    while ways:
        way = ways.pop()
        if way[-1] == name:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, each] for each in uses(way[-1])]
    return None
