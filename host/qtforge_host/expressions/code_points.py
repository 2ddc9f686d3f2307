"""Let ``size()`` of a text count code points, as CEL specifies; the CEL library counts bytes.

Both agree for texts in ASCII, so that an expression is only rewritten where they can differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from qtforge_host.expressions.syntax import Node, SyntaxUnknownError, parse

__all__ = ["SIZE_FUNCTIONS", "SizedSource", "with_code_points"]

_LISTS: Final = frozenset({"filter", "map", "split", "distinct", "flatten", "slice", "sort"})


class SizedSource(NamedTuple):
    """An expression in which ``size()`` counts code points.

    Attributes:
        source: The rewritten expression.
        paths: The paths whose sizes it takes, when these are all; None when there are others.
    """

    source: str
    paths: tuple[tuple[str, ...], ...] | None


def with_code_points(source: str) -> SizedSource | None:
    """Return the rewritten expression; None where ``size()`` needs no rewriting.

    >>> with_code_points("size(input.name) > 3")
    ... # doctest: +NORMALIZE_WHITESPACE
    SizedSource(source="(type(input.name) == type('') ? _textSize(input.name) : size(input.name))
    > 3", paths=(('input', 'name'),))
    >>> with_code_points("input.size > 3") is None
    True
    """
    if "size" not in source:
        return None
    try:
        tree = parse(source)
        rewriter = _Rewriter(source)
        text = rewriter.text(tree)
    except (SyntaxUnknownError, RecursionError):
        return None
    if text == source:
        return None
    bound = rewriter.bound
    paths = rewriter.paths
    if rewriter.others or any(path[0] in bound for path in paths):
        return SizedSource(text, None)
    return SizedSource(text, tuple(dict.fromkeys(paths)))


class _Rewriter:
    def __init__(self, source: str) -> None:
        self._source = source
        self.paths: list[tuple[str, ...]] = []
        self.bound: set[str] = set()
        self.others = False

    def text(self, node: Node) -> str:
        if node.kind == "call" and node.is_method and len(node.children) > 2:
            self.bound.add(node.children[1].name)  # by a macro, or it is no name
        if node.kind == "call" and node.name == "size" and len(node.children) == 1:
            (operand,) = node.children
            inner = self.text(operand)
            if operand.kind in ("list", "map") or operand.name in _LISTS:
                return self._replaced(node)
            if operand.kind in ("name", "member", "index"):
                path = operand.path
                if path is None:
                    self.others = True
                else:
                    self.paths.append(path)
                return f"(type({inner}) == type('') ? _textSize({inner}) : size({inner}))"
            self.others = True
            is_text = isinstance(operand.value, str)
            return f"_textSize({inner})" if is_text else f"_anySize({inner})"
        return self._replaced(node)

    def _replaced(self, node: Node) -> str:
        pieces, at = [], node.start
        for child in node.children:
            pieces += [self._source[at : child.start], self.text(child)]
            at = child.end
        return "".join([*pieces, self._source[at : node.end]])


def _text_size(value: str) -> int:
    return len(value)


def _any_size(value: Any) -> int:
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    raise TypeError("size() takes a string, bytes, a list or a map")


SIZE_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {"_textSize": _text_size, "_anySize": _any_size}
)
"""What a rewritten expression calls."""
