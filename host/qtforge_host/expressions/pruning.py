"""Leave out what an expression does not read, so that less must be converted.

Converting a value for CEL costs more than evaluating the expression. ``{'n': data.n + 1}`` needs
one number of ``data``, however much else there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qtforge_host.expressions.syntax import Node, SyntaxUnknownError, parse

__all__ = ["Tree", "keys_read", "pruned"]

Tree = dict[str, Any]
"""The keys of a mapping that are read, each with the tree of its value; None for all of it."""


def keys_read(source: str) -> Tree:
    """Return what an expression reads of each of its variables.

    >>> keys_read("{'n': data.n + data.of.all}")
    {'data': {'n': None, 'of': {'all': None}}}
    >>> keys_read("data.n > 3 && size(data) < 9"), keys_read("has(data.a) && data.a.b")
    ({'data': None}, {'data': {'a': None}})
    """
    read: Tree = {}
    try:
        for path in _paths(parse(source)):
            _add(read, path)
    except (SyntaxUnknownError, RecursionError):
        return {}
    return read


def pruned(value: Any, tree: Tree | None) -> Any:
    """Return a value without the keys that are not read.

    Args:
        value: The value; only a dictionary is pruned.
        tree: What is read; None for all of it.
    """
    if tree is None or value.__class__ is not dict:
        return value
    return {key: pruned(value[key], subtree) for key, subtree in tree.items() if key in value}


def _paths(node: Node) -> Iterator[tuple[str, ...]]:
    path = node.path
    if path is not None:
        yield path
        return
    for child in node.children:
        yield from _paths(child)


def _add(read: Tree, path: tuple[str, ...]) -> None:
    tree = read
    for word in path[:-1]:
        subtree = tree.setdefault(word, {})
        if subtree is None:  # all of it is read anyway
            return
        tree = subtree
    tree[path[-1]] = None
