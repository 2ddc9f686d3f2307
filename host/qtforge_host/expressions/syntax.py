"""Parse CEL into a syntax tree: the CEL library compiles expressions, but does not show them.

The tree is only for estimates and rewriting. Whether a text is an expression is decided by the
CEL library.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

__all__ = ["Node", "SyntaxUnknownError", "parse"]

Kind = Literal["literal", "name", "member", "index", "call", "list", "map", "operator", "choice"]

_TOKEN: Final = re.compile(
    r"(?P<space>(?:[\s]|//[^\n]*)+)"
    r"|(?P<text>(?P<prefix>[rRbB]{0,2})"
    r"(?:'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\""
    r"|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"))"
    r"|(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?[uU]?)"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<operator>\|\||&&|[=!<>]=|[-+*/%<>!?:.,()\[\]{}])",
    re.S,
)
_BINARY: Final = (
    ("||",),
    ("&&",),
    ("==", "!=", "<", "<=", ">", ">=", "in"),
    ("+", "-"),
    ("*", "/", "%"),
)
_CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "null": None}


class SyntaxUnknownError(Exception):
    """The text is no CEL, or CEL that this parser does not know."""


class Node(msgspec.Struct, frozen=True, eq=False):
    """A part of an expression.

    Attributes:
        kind: What it is.
        name: Of a name, a member, a call or an operator; ``math.abs`` is one name of a call.
        value: Of a literal.
        children: Of a call: the receiver first, if it has one.
        is_method: Whether a call has a receiver.
        start: Where it begins in the source.
        end: Where it ends in the source.
    """

    kind: Kind
    name: str
    value: Any
    children: tuple[Node, ...]
    is_method: bool
    start: int
    end: int

    @property
    def path(self) -> tuple[str, ...] | None:
        """The words of a path such as ``input.document.text``; None of anything else."""
        words: list[str] = []
        node = self
        while node.kind == "member":
            words.append(node.name)
            node = node.children[0]
        if node.kind != "name":
            return None
        return (node.name, *reversed(words))


def parse(source: str) -> Node:
    """Return the syntax tree of an expression.

    Raises:
        SyntaxUnknownError: It is none, or has syntax that is not known here.

    >>> parse("input.total + 1 > 3").name
    '>'
    >>> parse("input.total").path
    ('input', 'total')
    """
    parser = _Parser(source)
    try:
        return parser.whole()
    except RecursionError:
        raise SyntaxUnknownError("it is nested too deeply") from None


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens: list[tuple[str, str, int, int]] = []  # kind, text, start, end
        position = 0
        while position < len(source):
            found = _TOKEN.match(source, position)
            if found is None:
                raise SyntaxUnknownError(f"column {position + 1} is not known")
            position = found.end()
            if found.lastgroup != "space" and found["space"] is None:
                kind = next(k for k in ("text", "number", "name", "operator") if found[k])
                self._tokens.append((kind, found[0], found.start(), found.end()))
        self._tokens.append(("end", "", len(source), len(source)))
        self._at = 0

    def whole(self) -> Node:
        node = self._choice()
        if self._tokens[self._at][0] != "end":
            raise SyntaxUnknownError(f"there is more after column {self._tokens[self._at][2]}")
        return node

    def _take(self, *texts: str) -> str | None:
        kind, text, _, _ = self._tokens[self._at]
        if text in texts and (kind == "operator" or text == "in"):
            self._at += 1
            return text
        return None

    def _expect(self, text: str) -> None:
        if self._take(text) is None:
            raise SyntaxUnknownError(f"'{text}' is missing")

    def _made(
        self,
        kind: Kind,
        start: int,
        name: str = "",
        children: tuple[Node, ...] = (),
        value: Any = None,
        *,
        is_method: bool = False,
    ) -> Node:
        end = self._tokens[self._at - 1][3]
        return Node(kind, name, value, children, is_method, start, end)

    def _choice(self) -> Node:
        start = self._tokens[self._at][2]
        condition = self._binary(0)
        if self._take("?") is None:
            return condition
        then = self._binary(0)
        self._expect(":")
        return self._made("choice", start, "?", (condition, then, self._choice()))

    def _binary(self, level: int) -> Node:
        if level == len(_BINARY):
            return self._unary()
        start = self._tokens[self._at][2]
        left = self._binary(level + 1)
        while (operator := self._take(*_BINARY[level])) is not None:
            right = self._binary(level + 1)
            left = self._made("operator", start, operator, (left, right))
        return left

    def _unary(self) -> Node:
        start = self._tokens[self._at][2]
        signs = 0
        while self._take("!", "-") is not None:
            signs += 1
        node = self._member()
        return self._made("operator", start, "-", (node,)) if signs else node

    def _member(self) -> Node:
        start = self._tokens[self._at][2]
        node = self._primary()
        while True:
            if self._take(".") is not None:
                is_optional = self._take("?") is not None
                kind, name, _, _ = self._tokens[self._at]
                if kind != "name":
                    raise SyntaxUnknownError("a name is missing after '.'")
                self._at += 1
                if not is_optional and self._take("(") is not None:
                    node = self._call(node, name, start)
                else:
                    node = self._made("member", start, name, (node,))
            elif self._take("[") is not None:
                self._take("?")
                index = self._choice()
                self._expect("]")
                node = self._made("index", start, "", (node, index))
            else:
                return node

    def _call(self, receiver: Node, name: str, start: int) -> Node:
        arguments = self._items(")", self._choice)
        path = receiver.path
        if path is not None and len(path) == 1 and path[0] in _NAMESPACES:
            return self._made("call", start, f"{path[0]}.{name}", arguments)
        return self._made("call", start, name, (receiver, *arguments), is_method=True)

    def _primary(self) -> Node:
        kind, text, start, _ = self._tokens[self._at]
        self._at += 1
        if kind == "number":
            return self._made("literal", start, value=_number(text))
        if kind == "text":
            return self._made("literal", start, value=_text(text))
        if kind == "name":
            if self._take("(") is not None:
                return self._made("call", start, text, self._items(")", self._choice))
            if text in _CONSTANTS:
                return self._made("literal", start, value=_CONSTANTS[text])
            return self._made("name", start, text)
        if text == "(":
            inner = self._choice()
            self._expect(")")
            # The brackets belong to it, so that the source of a part is an expression.
            return Node(
                inner.kind, inner.name, inner.value, inner.children, inner.is_method,
                start, self._tokens[self._at - 1][3],
            )  # fmt: skip
        if text == "[":
            return self._made("list", start, "", self._items("]", self._choice))
        if text == "{":
            items = self._items("}", self._entry)
            children = tuple(each for entry in items for each in entry.children)
            return self._made("map", start, "", children)
        raise SyntaxUnknownError(f"'{text}' is not known here")

    def _entry(self) -> Node:
        start = self._tokens[self._at][2]
        self._take("?")
        key = self._choice()
        self._expect(":")
        return self._made("list", start, "", (key, self._choice()))

    def _items(self, closing: str, item: Callable[[], Node]) -> tuple[Node, ...]:
        items: list[Node] = []
        while self._take(closing) is None:
            if items:
                self._expect(",")
                if self._take(closing) is not None:  # a comma after the last one
                    break
            items.append(item())
        return tuple(items)


_NAMESPACES: Final = frozenset({"base64", "lists", "math", "optional", "sets", "strings"})


def _number(text: str) -> int | float:
    digits = text.rstrip("uU")
    try:
        return int(digits, 0)
    except ValueError:
        return float(digits)


def _text(text: str) -> str | bytes:
    quote = re.search("['\"]", text)
    assert quote is not None  # noqa: S101 - the token has one
    prefix, body = text[: quote.start()].lower(), text[quote.start() :]
    try:
        if "b" in prefix:
            return str(ast.literal_eval(("r" if "r" in prefix else "") + body)).encode()
        return str(ast.literal_eval(prefix + body))
    except (ValueError, SyntaxError):  # an escape that only CEL has: the length is near enough
        return body
