"""Compile expressions and ``${...}`` templates, and keep what was compiled.

What compiles is imported with the first expression: most workflows have none, and they start
without it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qtforge_host.expressions.limits import Budget, Elsewhere, ExpressionLimits
from qtforge_sdk.conversion import to_json, to_plain
from qtforge_sdk.errors import ExpressionError
from qtforge_sdk.members import ListOf, Members, members_of

if TYPE_CHECKING:
    from qtforge_host.expressions.expression import Expression
    from qtforge_host.expressions.names import Scope

__all__ = ["CompiledTemplate", "Expressions"]

_SECRET: Final = re.compile(
    r"\$\{\s*secret\.[A-Za-z_]\w*\s*\}"
    r"|\$\{(?:secret|input|field)\.[\w.-]+~[0-9a-f]{16}\}"  # a reference of a run
)

T = TypeVar("T")


class CompiledTemplate:
    """A text, or mappings and lists of texts, with every ``${...}`` compiled."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Any) -> None:
        self._parts = parts

    def render(self, names: Mapping[str, Any]) -> Any:
        """Return the template's value, with each ``${...}`` replaced.

        Raises:
            ExpressionError: ``expression.failed``.
        """
        return _render(self._parts, names)

    def expressions(self) -> Iterator[tuple[str, Expression]]:
        """Yield every expression with its path inside the template, such as ``.document``."""
        return _walk(self._parts, "")

    def members(self, scope: Scope) -> Members:
        """Return what is known of its value, for values of these names."""
        return _members(self._parts, scope)


_ATOMS: Final = frozenset((int, float, bool, type(None)))
_CONSTANTS: Final = _ATOMS | {str}


class _Text(list["str | Expression"]):
    """The pieces of one text: strings and expressions."""


class Expressions:
    """Compiles expressions and templates, and caches what it compiled.

    Args:
        limits: The limits of each evaluation; None for the defaults.
        elsewhere: Evaluates what is too costly for the loop; None refuses it.
    """

    def __init__(
        self, limits: ExpressionLimits | None = None, elsewhere: Elsewhere | None = None
    ) -> None:
        self._budget = Budget(limits, elsewhere)
        self._compile = functools.lru_cache(maxsize=4096)(
            functools.partial(_compiled, budget=self._budget)
        )
        self._text = functools.lru_cache(maxsize=4096)(self._split)

    def compile(self, source: str, scope: Scope | Sequence[str] | None = None) -> Expression:
        """Return the compiled expression.

        Args:
            source: CEL.
            scope: The names that it may use; None to check no names.

        Raises:
            ExpressionError: It does not parse, or uses an unknown name.
        """
        expression = self._compile(source)
        if scope is not None:
            known = scope if isinstance(scope, Mapping) else dict.fromkeys(scope)
            expression.check(known)
        return expression

    def compute(self, function: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Return what a function returns, which may evaluate costly expressions.

        See `Budget.compute`: the function is called again when one was evaluated elsewhere.

        Raises:
            ExpressionError: An expression failed.
        """
        return self._budget.compute(function)

    def at_once(self, function: Callable[[], T]) -> T:
        """Return what a function returns; see `Budget.now`."""
        return self._budget.now(function)

    def template(self, value: Any) -> CompiledTemplate:
        """Compile every ``${...}`` in a value; ``$${`` stands for a literal ``${``.

        Raises:
            ExpressionError: One does not parse, or has no closing brace.
        """
        return CompiledTemplate(self._parts_of(value))

    def _parts_of(self, value: Any) -> Any:
        kind = value.__class__
        if kind in _ATOMS:  # as most are
            return value
        if isinstance(value, str):
            return self._text(value) if "${" in value else value
        if kind is dict or isinstance(value, Mapping):  # the first is quicker to see
            return {
                key: each if each.__class__ in _ATOMS else self._parts_of(each)
                for key, each in value.items()
            }
        if isinstance(value, list | tuple):
            return [self._parts_of(each) for each in value]
        return value

    def _split(self, text: str) -> Any:
        pieces = _Text()
        rest = text
        while (start := rest.find("${")) >= 0:
            if start > 0 and rest[start - 1] == "$":
                pieces.append(rest[: start - 1] + "${")
                rest = rest[start + 2 :]
                continue
            if secret := _SECRET.match(rest, start):
                pieces.append(rest[: secret.end()])  # stays: it is replaced when it is used
                rest = rest[secret.end() :]
                continue
            if start:
                pieces.append(rest[:start])
            expression, rest = self._first_expression(rest[start + 2 :])
            pieces.append(expression)
        if rest:
            pieces.append(rest)
        return pieces

    def _first_expression(self, text: str) -> tuple[Expression, str]:
        """Split after the first ``}`` that ends an expression: maps have braces too."""
        first_error: ExpressionError | None = None
        end = -1
        while (end := text.find("}", end + 1)) >= 0:
            try:
                return self._compile(text[:end]), text[end + 1 :]
            except ExpressionError as error:
                first_error = first_error or error
        raise first_error or ExpressionError("${" + text, "it has no closing brace")


def _compiled(source: str, *, budget: Budget) -> Expression:
    from qtforge_host.expressions.expression import compile_expression  # with the first

    return compile_expression(source, budget=budget)


def _walk(parts: Any, path: str) -> Iterator[tuple[str, Expression]]:
    if isinstance(parts, _Text):
        for piece in parts:
            if not isinstance(piece, str):
                yield path, piece
    elif isinstance(parts, Mapping):
        for key, value in parts.items():
            yield from _walk(value, f"{path}.{key}")
    elif isinstance(parts, list):
        for position, value in enumerate(parts):
            yield from _walk(value, f"{path}[{position}]")


def _members(parts: Any, scope: Scope) -> Members:
    if isinstance(parts, _Text):
        if len(parts) == 1 and not isinstance(parts[0], str):
            return parts[0].members(scope)
        return members_of([str])
    if isinstance(parts, Mapping):
        return {key: _members(each, scope) for key, each in parts.items()}
    if isinstance(parts, list):
        items = [_members(each, scope) for each in parts]
        return ListOf(items[0] if items and all(each == items[0] for each in items) else None)
    return members_of([type(parts)])


def _render(parts: Any, names: Mapping[str, Any]) -> Any:
    """Return a value with its expressions evaluated; a copy, which may be changed."""
    kind = parts.__class__
    if kind is dict:
        return {
            key: each if each.__class__ in _CONSTANTS else _render(each, names)
            for key, each in parts.items()
        }
    if kind is list:
        return [each if each.__class__ in _CONSTANTS else _render(each, names) for each in parts]
    if kind is _Text:
        if len(parts) == 1:
            return _value(parts[0], names)
        return "".join(_as_text(_value(piece, names)) for piece in parts)
    return parts


def _value(piece: str | Expression, names: Mapping[str, Any]) -> Any:
    return piece if isinstance(piece, str) else piece.evaluate(names)


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    text = to_json(to_plain(value)).decode()
    return text.strip('"') if isinstance(value, float) else text  # such as "NaN"
