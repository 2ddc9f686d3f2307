"""Check the names that an expression uses, without evaluating it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from qtforge_host.expressions.syntax import Node
from qtforge_sdk.errors import ExpressionError
from qtforge_sdk.members import ListOf, Members, Scalar
from qtforge_sdk.orchestrators import Unreachable
from qtforge_sdk.validation import did_you_mean

__all__ = ["Scope", "value_members", "wrong_names"]

Scope = Mapping[str, Any]
"""The names that an expression may use, each with its `qtforge_sdk.members.Members`, or with
`Unreachable`."""

_MACROS: Final = frozenset({"all", "exists", "exists_one", "filter", "map"})
_BINDING: Final = _MACROS | {"optFlatMap", "optMap"}
_STRING: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_BOUND: Final = re.compile(rf"\.\s*(?:{'|'.join(sorted(_BINDING))})\s*\(\s*([A-Za-z_]\w*)\s*,")
_NO_NAMES: Final[Scope] = MappingProxyType({})


def wrong_names(
    source: str,
    tree: Node | None,
    variables: Collection[str],
    namespaces: Collection[str],
    scope: Scope,
) -> Iterator[ExpressionError]:
    """Yield an error for every name that an expression can't use.

    Args:
        source: CEL.
        tree: Its syntax; None where that is not known, so that its members are not checked.
        variables: The variables that the compiler found in it.
        namespaces: The first words of its functions' names.
        scope: The names that it may use.

    Yields:
        An error, once for each name; its fix is the nearest right name.
    """
    walk = _Walk(source, scope)
    walk.whole(tree)
    bound = set(_BOUND.findall(_STRING.sub("''", source)))
    for name in sorted(variables):
        if name not in scope and name not in bound and name not in namespaces:
            yield ExpressionError(
                source, f"'{name}' is not known", did_you_mean(name, sorted(scope))
            )
    yield from walk.errors.values()


def value_members(source: str, tree: Node | None, scope: Scope) -> Members:
    """Return what is known of an expression's value.

    Args:
        source: CEL.
        tree: Its syntax, or None.
        scope: The names that it may use.
    """
    return _Walk(source, scope).whole(tree)


class _Walk:
    """A walk over an expression, from what is known of names to what is known of each part.

    Attributes:
        errors: The members and items that can't be, by what is wrong, in their order.
    """

    def __init__(self, source: str, scope: Scope) -> None:
        self.errors: dict[str, ExpressionError] = {}
        self._source = source
        self._scope = scope

    def whole(self, tree: Node | None) -> Members:
        """Walk over all of it, and return what is known of its value."""
        try:
            return None if tree is None else self._part(tree, _NO_NAMES)
        except RecursionError:  # what is found is wrong all the same
            return None

    def _part(self, node: Node, bound: Scope) -> Members:
        """Return what is known of a part; the parts on its left side may be thousands."""
        chain: list[Node] = []
        while node.kind in ("member", "index", "operator") or node.is_method:
            chain.append(node)
            node = node.children[0]
        found = self._first(node, bound)
        for each in reversed(chain):
            found = self._next(each, found, bound)
        return found

    def _first(self, node: Node, bound: Scope) -> Members:
        if node.kind == "name":
            if node.name in bound:
                return self._reached(bound[node.name])
            return self._reached(self._scope.get(node.name))
        parts = [self._part(each, bound) for each in node.children]
        if node.kind == "list":
            return ListOf()
        return _either(*parts[1:]) if node.kind == "choice" else None

    def _next(self, node: Node, left: Members, bound: Scope) -> Members:
        if node.kind == "member":
            return self._member(node.children[0], left, node.name)
        if node.kind == "index":
            return self._index(node.children[0], left, node.children[1], bound)
        if node.kind == "call" and node.name in _BINDING and len(node.children) > 2:
            return self._macro(node, left, bound)
        for each in node.children[1:]:
            self._part(each, bound)
        return None

    def _member(self, base: Node, members: Members, name: str) -> Members:
        if isinstance(members, Mapping):
            if name in members:
                return self._reached(members[name])
            fix = did_you_mean(name, sorted(members))
            self._wrong(f"'{self._shown(base)}' has no '{name}'", fix)
        elif isinstance(members, ListOf):
            shown = self._shown(base)
            item = f"{shown}[0]" if isinstance(members.items, Scalar) else f"{shown}[0].{name}"
            why = f"'{shown}' is a list, which has no '{name}'"
            self._wrong(why, f"write {item} for its first item")
        elif isinstance(members, Scalar):
            shown = self._shown(base)
            self._wrong(f"'{shown}' is {members.what}, which has no '{name}'", f"use {shown}")
        return None

    def _index(self, base: Node, members: Members, index: Node, bound: Scope) -> Members:
        self._part(index, bound)
        key, shown = index.value if index.kind == "literal" else None, self._shown(base)
        if isinstance(members, Scalar):
            self._wrong(f"'{shown}' is {members.what}, which has no items", f"use {shown}")
        elif isinstance(members, Mapping):
            if isinstance(key, str):
                return self._member(base, members, key)
            if key is not None and len(members) > 0:
                name = next(iter(members))
                self._wrong(f"'{shown}' is a table, and no list", f"use a name: {shown}.{name}")
        elif isinstance(members, ListOf):
            if not isinstance(key, str):
                return self._reached(members.items)
            self._wrong(f"'{shown}' is a list, which has no '{key}'", f"use a number: {shown}[0]")
        return None

    def _macro(self, node: Node, members: Members, bound: Scope) -> Members:
        receiver, variable, *parts = node.children
        if variable.kind != "name":
            return None
        if isinstance(members, Scalar) and node.name in _MACROS:
            shown = self._shown(receiver)
            why = f"'{shown}' is {members.what}, and {node.name}() wants a list"
            self._wrong(why, f"use {shown}")
        inner = {**bound, variable.name: members.items if isinstance(members, ListOf) else None}
        found = [self._part(each, inner) for each in parts]
        if node.name == "filter":
            return members if isinstance(members, ListOf) else None
        return ListOf(found[-1]) if node.name == "map" else None

    def _reached(self, members: Any) -> Members:
        if isinstance(members, Unreachable):
            self._wrong(members.why, members.fix)
            return None
        found: Members = members
        return found

    def _shown(self, node: Node) -> str:
        path = node.path
        return ".".join(path) if path is not None else self._source[node.start : node.end]

    def _wrong(self, why: str, fix: str) -> None:
        self.errors.setdefault(why, ExpressionError(self._source, why, fix))


def _either(one: Members, other: Members) -> Members:
    """Return what is known of a value that is one of two."""
    return one if one == other else None
