"""Estimate what the evaluation of an expression costs, before it is evaluated.

The CEL library has no budget, and holds the interpreter's lock while it evaluates. What an
expression costs is therefore computed from its syntax tree and the sizes of its variables: an
upper bound, in steps of about 0.1 to 0.2 microseconds. Most expressions need no estimate, since
they take a bounded number of operations that are linear in their values at most.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from qtforge_host.expressions.limits import CostFunction, TooMuchToEstimateError
from qtforge_host.expressions.syntax import Node, SyntaxUnknownError, parse

__all__ = ["LONGEST_RANGE", "cost_function"]

_MACROS: Final = frozenset({"all", "exists", "exists_one", "existsOne", "filter", "map"})
_OPTIONAL_MACROS: Final = frozenset({"optMap", "optFlatMap"})
_COPIES_PER_STEP: Final = 3  # `map` and `filter` copy what they have found, for each item
_TEXT_PER_STEP: Final = 256  # characters that are copied or compared in a step
_PYTHON_STEPS: Final = 10  # a call of a function that is written in Python
_PYTHON_ITEM_STEPS: Final = 3  # to pass an item to it
_CHEAP_SUMS: Final = 8  # that many `+` on texts take a few times the memory of their values
_SHORT: Final = 256  # characters of a text that counts as a scalar
LONGEST_RANGE: Final = 1_000_000
_PATTERN_MOST: Final = 1_500_000.0  # at which the library refuses to compile a pattern
_REPEATED: Final = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_CLASSES: Final = re.compile(r"\\[wWdDsSpPbB]|\[\^|\(\?i|[^\x00-\x7f]")
_SIZED: Final = frozenset({str, bytes, bytearray, list, tuple, dict})
_NUMERIC: Final = frozenset([
    "double", "duration", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear",
    "getFullYear", "getHours", "getMilliseconds", "getMinutes", "getMonth", "getSeconds", "has",
    "hasValue", "int", "timestamp", "type", "uint",
])  # fmt: skip
_LINEAR: Final = frozenset([
    "bool", "bytes", "charAt", "contains", "dyn", "endsWith", "indexOf", "lastIndexOf",
    "lowerAscii", "size", "startsWith", "string", "substring", "trim", "upperAscii", "value",
    "orValue", "or", "optional.of", "optional.none", "optional.ofNonZeroValue", "first", "last",
    "math.abs", "math.ceil", "math.floor", "math.round", "math.sign", "math.trunc", "math.sqrt",
    "math.isNaN", "math.isInf", "math.isFinite", "math.bitOr", "math.bitAnd", "math.bitXor",
    "math.bitNot", "math.bitShiftLeft", "math.bitShiftRight",
])  # fmt: skip
_COUNTED: Final = frozenset({"size", "indexOf", "lastIndexOf"})
_TRUE_OR_FALSE: Final = frozenset([
    "bool", "contains", "endsWith", "startsWith", "matches", "math.isNaN", "math.isInf",
    "math.isFinite", "sets.contains", "sets.equivalent", "sets.intersects",
])  # fmt: skip
_PRODUCT: Final = frozenset({"distinct", "sets.contains", "sets.equivalent", "sets.intersects"})
_LOGIC: Final = frozenset({"&&", "||", "==", "!=", "<", "<=", ">", ">=", "in"})


def cost_function(source: str) -> CostFunction | None:
    """Return the function that estimates an expression; None where it needs no estimate.

    What can't be parsed here has an infinite cost.

    >>> cost_function("input.total > 3 && size(input.name) < 10") is None
    True
    >>> cost = cost_function("input.l.exists(a, input.l.exists(b, a + b < 0))")
    >>> cost({"input": {"l": [1] * 100}}, 1e6) < cost({"input": {"l": [1] * 1000}}, 1e6) / 50
    True
    """
    try:
        tree = parse(source)
        if _is_cheap(tree):
            return None
        part = _compile(tree)
    except (SyntaxUnknownError, RecursionError):
        return lambda names, most: math.inf
    is_result_small = part.is_scalar
    if isinstance(part.more, _LengthOfPath) and is_result_small:
        return part.more.plus(part.fixed)

    def cost(names: Mapping[str, Any], most: float) -> float:
        scope = _Scope(names, most)
        found = part.steps(scope)
        return found if is_result_small else found + part.value(scope).weight

    return cost


class _Scope:
    """The variables, and how much may still be looked at."""

    __slots__ = ("bound", "left", "names")

    def __init__(self, names: Mapping[str, Any], left: float) -> None:
        self.names = names
        self.left = left
        self.bound: dict[str, _Value] = {}

    def look(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise TooMuchToEstimateError


class _Value:
    """Upper bounds of a value.

    Attributes:
        weight: The steps to copy it.
        length: Its items or characters.
        number: Of a number, its amount.
    """

    __slots__ = ("_item", "length", "number", "weight")

    def __init__(
        self,
        weight: float = 1.0,
        length: float = 0.0,
        number: float = math.inf,
        item: Callable[[], _Value] | None = None,
    ) -> None:
        self.weight = weight
        self.length = length
        self.number = number
        self._item = item

    def item(self) -> _Value:
        """Return the bounds of each of its items."""
        return self if self._item is None else self._item()

    def member(self, name: str) -> _Value:
        """Return the bounds of a member."""
        return self.item()


class _Known(_Value):
    """Values that are there: a variable, or what is found in it. Each bound is computed once."""

    __slots__ = ("_items", "_scope", "_values")

    def __init__(self, values: list[Any], scope: _Scope) -> None:
        self._values = values
        self._scope = scope
        self._items: _Value | None = None

    def __getattr__(self, name: str) -> float:  # only for what has not been computed
        if name == "length":
            found = self._length()
        else:
            found = self._weight() if name == "weight" else self._number()
        setattr(self, name, found)
        return found

    def item(self) -> _Value:
        if self._items is None:
            items: list[Any] = []
            for value in self._values:
                if isinstance(value, list | tuple):
                    items += value
                elif isinstance(value, dict):
                    items += value.values()
                    items += value  # a macro goes over the keys
                elif isinstance(value, str | bytes):
                    items.append(value)
            self._scope.look(len(items))
            self._items = _Known(items, self._scope)
        return self._items

    def member(self, name: str) -> _Value:
        self._scope.look(len(self._values))
        found = [each[name] for each in self._values if isinstance(each, dict) and name in each]
        return _Known(found, self._scope)

    def _weight(self) -> float:
        return max((_weight(value, self._scope) for value in self._values), default=1.0)

    def _length(self) -> float:
        if len(self._values) == 1:
            return _length(self._values[0])
        self._scope.look(len(self._values))
        return max((_length(value) for value in self._values), default=0.0)

    def _number(self) -> float:
        self._scope.look(len(self._values))
        amounts = [abs(each) for each in self._values if isinstance(each, int | float)]
        return max(amounts, default=0.0)


def _length(value: Any) -> float:
    return len(value) if value.__class__ in _SIZED else 0


def _weight(value: Any, scope: _Scope) -> float:
    total, waiting = 0.0, [value]
    while waiting:
        scope.look(1)
        each = waiting.pop()
        total += 1
        if isinstance(each, str | bytes):
            total += len(each) / _TEXT_PER_STEP
        elif isinstance(each, list | tuple):
            waiting += each
        elif isinstance(each, dict):
            waiting += each.values()
            total += len(each)
    return total


_SCALAR: Final = _Value()


class _Part(NamedTuple):
    """The estimate of a part of an expression.

    Attributes:
        fixed: The steps that do not depend on a variable.
        more: The steps that do; None where there are none.
        value: The bounds of its value.
        is_scalar: Whether its value is small, whatever the variables are.
        is_number: Whether it is certainly no text or list.
    """

    fixed: float
    more: Callable[[_Scope], float] | None
    value: Callable[[_Scope], _Value]
    is_scalar: bool = False
    is_number: bool = False

    def steps(self, scope: _Scope) -> float:
        return self.fixed if self.more is None else self.fixed + self.more(scope)


class _LengthOfPath:
    """The steps of a macro that does the same few for each item of a variable, which is usual."""

    __slots__ = ("_each", "_path", "_value")

    def __init__(
        self, path: tuple[str, ...], value: Callable[[_Scope], _Value], each: float
    ) -> None:
        self._path = path
        self._value = value
        self._each = each

    def __call__(self, scope: _Scope) -> float:
        return self._each * self._value(scope).length

    def plus(self, fixed: float) -> CostFunction:
        """Return the cost function of an expression that consists of it and what is fixed."""
        path, each = self._path, self._each

        def cost(names: Mapping[str, Any], most: float) -> float:
            found: Any = names
            for word in path:
                if found.__class__ is not dict or word not in found:
                    return fixed
                found = found[word]
            return fixed + each * _length(found)

        return cost


def _scalar(scope: _Scope) -> _Value:
    return _SCALAR


def _is_cheap(tree: Node) -> bool:
    sums, waiting = 0, [tree]
    while waiting:
        node = waiting.pop()
        waiting += node.children
        if node.kind == "call":
            is_macro = node.is_method and node.name in _MACROS | _OPTIONAL_MACROS
            if is_macro or node.name not in _NUMERIC | _LINEAR:
                return False
        elif node.kind == "operator" and node.name == "+":
            sums += not any(_is_number(each) for each in node.children)
    return sums <= _CHEAP_SUMS


def _is_number(node: Node) -> bool:
    return node.kind == "literal" and not isinstance(node.value, str | bytes)


def _all(parts: tuple[_Part, ...]) -> tuple[float, Callable[[_Scope], float] | None]:
    """Return the steps of parts that are all evaluated, and one for what they are part of."""
    fixed = 1 + sum(part.fixed for part in parts)
    changing = [part.more for part in parts if part.more is not None]
    if not changing:
        return fixed, None
    if len(changing) == 1:
        return fixed, changing[0]
    return fixed, lambda scope: sum(more(scope) for more in changing)


def _with(
    more: Callable[[_Scope], float] | None, other: Callable[[_Scope], float]
) -> Callable[[_Scope], float]:
    return other if more is None else lambda scope: more(scope) + other(scope)


def _compile(node: Node) -> _Part:
    if node.kind == "literal":
        return _of_literal(node.value)
    path = node.path
    if path is not None:
        return _of_path(path)
    if node.kind == "call":
        if node.is_method and node.name in _MACROS | _OPTIONAL_MACROS and len(node.children) > 2:
            return _of_macro(node)
        return _of_call(node)
    parts = tuple(_compile(each) for each in node.children)
    fixed, more = _all(parts)
    if node.kind == "member":
        inner, name = parts[0], node.name
        return _Part(fixed, more, lambda scope: inner.value(scope).member(name))
    if node.kind == "index":
        listed, key = parts[0], node.children[1].value
        if isinstance(key, str):
            return _Part(fixed, more, lambda scope: listed.value(scope).member(key))
        return _Part(fixed, more, lambda scope: listed.value(scope).item())
    if node.kind in ("list", "map"):
        return _of_list(node, parts, fixed, more)
    if node.kind == "choice":
        return _Part(
            fixed, more, lambda scope: _either([part.value(scope) for part in parts[1:]]),
            is_scalar=all(part.is_scalar for part in parts[1:]),
            is_number=all(part.is_number for part in parts[1:]),
        )  # fmt: skip
    return _of_operator(node.name, parts, fixed, more)


def _of_literal(value: Any) -> _Part:
    if isinstance(value, str | bytes):
        length = len(value)
        found = _Value(1 + length / _TEXT_PER_STEP, length)
        return _Part(1, None, lambda scope: found, is_scalar=length <= _SHORT)
    number = abs(value) if isinstance(value, int | float) else math.inf
    found = _Value(number=number)
    return _Part(1, None, lambda scope: found, is_scalar=True, is_number=True)


def _of_path(path: tuple[str, ...]) -> _Part:
    name, words = path[0], path[1:]

    def value(scope: _Scope) -> _Value:
        bound = scope.bound.get(name)
        if bound is not None:
            for word in words:
                bound = bound.member(word)
            return bound
        found: Any = scope.names
        for word in path:
            if found.__class__ is not dict or word not in found:
                return _Known([], scope)
            found = found[word]
        return _Known([found], scope)

    return _Part(len(path), None, value)


def _of_list(
    node: Node, parts: tuple[_Part, ...], fixed: float, more: Callable[[_Scope], float] | None
) -> _Part:
    length = len(parts) / (2 if node.kind == "map" else 1)

    def value(scope: _Scope) -> _Value:
        items = [part.value(scope) for part in parts]
        return _Value(1 + sum(item.weight for item in items), length, item=lambda: _either(items))

    return _Part(fixed, more, value)


def _of_operator(
    name: str, parts: tuple[_Part, ...], fixed: float, more: Callable[[_Scope], float] | None
) -> _Part:
    if len(parts) == 1 or name in ("&&", "||", "*", "/", "%", "-"):
        number = (lambda scope: _number(name, parts, scope)) if name in ("-", "*") else _scalar
        return _Part(fixed, more, number, is_scalar=True, is_number=True)
    left, right = parts
    if name == "in":
        steps = _with(more, lambda scope: right.value(scope).length)
        return _Part(fixed, steps, _scalar, is_scalar=True, is_number=True)
    if name != "+":
        if not (left.is_scalar or right.is_scalar):  # else the first difference ends it
            more = _with(
                more, lambda scope: min(left.value(scope).weight, right.value(scope).weight)
            )
        return _Part(fixed, more, _scalar, is_scalar=True, is_number=True)
    if left.is_number or right.is_number:
        return _Part(
            fixed, more, lambda scope: _number("+", parts, scope), is_scalar=True, is_number=True
        )

    def value(scope: _Scope) -> _Value:
        scope.look(1)
        one, other = left.value(scope), right.value(scope)
        return _Value(
            one.weight + other.weight,
            one.length + other.length,
            one.number + other.number,
            lambda: _either([one.item(), other.item()]),
        )

    return _Part(fixed, _with(more, lambda scope: value(scope).weight), value)


def _number(name: str, parts: tuple[_Part, ...], scope: _Scope) -> _Value:
    numbers = [part.value(scope).number for part in parts]
    return _Value(number=math.prod(numbers) if name == "*" else sum(numbers))


def _either(values: list[_Value]) -> _Value:
    if len(values) == 1:
        return values[0]
    if not values:
        return _SCALAR
    return _Value(
        max(value.weight for value in values),
        max(value.length for value in values),
        max(value.number for value in values),
        lambda: _either([value.item() for value in values]),
    )


def _of_macro(node: Node) -> _Part:
    listed, variable = _compile(node.children[0]), node.children[1].name
    parts = tuple(_compile(each) for each in node.children[2:])
    body_fixed, body_more = _all(parts)
    result = parts[-1]
    copies = node.name in ("map", "filter")

    def length(scope: _Scope) -> float:
        return 1 if node.name in _OPTIONAL_MACROS else listed.value(scope).length

    def within(scope: _Scope, compute: Callable[[_Scope], Any]) -> Any:
        before = scope.bound.get(variable)
        scope.bound[variable] = listed.value(scope).item()
        try:
            return compute(scope)
        finally:
            if before is None:
                del scope.bound[variable]
            else:
                scope.bound[variable] = before

    def more(scope: _Scope) -> float:
        steps = 0.0 if listed.more is None else listed.more(scope)
        count = length(scope)
        each = body_fixed + (0.0 if body_more is None else within(scope, body_more))
        return steps + count * each + (count * count / _COPIES_PER_STEP if copies else 0.0)

    def value(scope: _Scope) -> _Value:
        if node.name == "filter":
            return listed.value(scope)
        scope.look(1)
        item: _Value = within(scope, result.value)
        if node.name in _OPTIONAL_MACROS:
            return item
        count = length(scope)
        return _Value(1 + count * item.weight, count, item=lambda: item)

    if not copies and node.name not in _OPTIONAL_MACROS:
        path = node.children[0].path
        if path is not None and body_more is None:
            simple = _LengthOfPath(path, listed.value, body_fixed)
            return _Part(1 + listed.fixed, simple, _scalar, is_scalar=True, is_number=True)
        return _Part(1 + listed.fixed, more, _scalar, is_scalar=True, is_number=True)
    return _Part(1 + listed.fixed, more, value)


def _of_call(node: Node) -> _Part:
    name = node.name
    parts = tuple(_compile(each) for each in node.children)
    fixed, more = _all(parts)

    def weight(scope: _Scope) -> float:
        return sum(part.value(scope).weight for part in parts)

    if name in _NUMERIC or not parts:
        return _Part(fixed, more, _scalar, is_scalar=True, is_number=True)
    first = parts[0].value
    if name == "matches":
        pattern = node.children[-1]
        steps = _with(more, lambda scope: _matching(first(scope).length, pattern, parts[-1], scope))
        return _Part(fixed, steps, _scalar, is_scalar=True, is_number=True)
    if name in _COUNTED:

        def counted(scope: _Scope) -> _Value:
            return _Value(number=first(scope).length)

        return _Part(fixed, more, counted, is_scalar=True, is_number=True)
    if name in _LINEAR or name in _TRUE_OR_FALSE:
        small = all(part.is_scalar for part in parts)
        if not small:
            factor = _PYTHON_ITEM_STEPS if name == "contains" else 1
            more = _with(more, lambda scope: factor * weight(scope))
        is_boolean = name in _TRUE_OR_FALSE
        if name in _PRODUCT:
            more = _with(more, lambda scope: _product(parts, scope))
        value = _scalar if is_boolean else lambda scope: _either([p.value(scope) for p in parts])
        return _Part(fixed, more, value, is_scalar=is_boolean or small, is_number=is_boolean)
    return _of_python(name, parts, fixed + _PYTHON_STEPS, more, weight)


def _of_python(
    name: str,
    parts: tuple[_Part, ...],
    fixed: float,
    more: Callable[[_Scope], float] | None,
    weight: Callable[[_Scope], float],
) -> _Part:
    first, last = parts[0].value, parts[-1].value

    def value(scope: _Scope) -> _Value:
        one, total = first(scope), weight(scope)
        if name == "replace":
            return _text_of(one.length * (1 + last(scope).length))
        if name == "join":
            separator = last(scope).length if len(parts) > 1 else 0
            return _text_of(one.length * (one.item().length + separator))
        if name == "split":
            return _Value(2 * one.length + 2, one.length + 1, item=lambda: _text_of(one.length))
        if name == "lists.range":
            count = min(last(scope).number, LONGEST_RANGE)
            return _Value(1 + count, count, item=lambda: _Value(number=count))
        if name in ("flatten", "slice", "sort", "distinct", "reverse"):
            return _Value(one.weight, max(one.length, one.weight * (name == "flatten")),
                          item=one.item)  # fmt: skip
        return _Value(total, max(part.value(scope).length for part in parts), one.number)

    def steps(scope: _Scope) -> float:
        found = _PYTHON_ITEM_STEPS * weight(scope)
        if name in _PRODUCT:
            return found + _product(parts, scope)
        if name == "sort":
            length = first(scope).length
            return found + length * math.log2(length + 2)
        if name in ("replace", "join", "split", "lists.range"):
            found += value(scope).weight
        return found

    return _Part(fixed, _with(more, steps), value)


def _text_of(length: float) -> _Value:
    return _Value(1 + length / _TEXT_PER_STEP, length)


def _product(parts: tuple[_Part, ...], scope: _Scope) -> float:
    values = [part.value(scope) for part in parts]
    if len(values) == 1:
        return values[0].length ** 2 / 4
    return math.prod(value.length for value in values) / 2


def _matching(length: float, node: Node, part: _Part, scope: _Scope) -> float:
    """Return the steps to compile a pattern and to search a text for it."""
    compiling = _PATTERN_MOST
    if isinstance(node.value, str):
        compiling = _pattern_steps(node.value)
    elif isinstance(found := part.value(scope), _Known) and found.length <= _SHORT:
        compiling = max((_pattern_steps(each) for each in found._values if isinstance(each, str)),
                        default=1.0)  # fmt: skip
    return compiling + length * max(1.0, compiling / 2000) / 16


def _pattern_steps(pattern: str) -> float:
    repeated = 1.0
    for least, most in _REPEATED.findall(pattern):
        repeated *= max(1, int(most or least))
    each = 2 + 200 * len(_CLASSES.findall(pattern)) / max(1, len(pattern))
    return min(_PATTERN_MOST, 100 + len(pattern) * repeated * each)
