"""Runtime expressions: jq, as the specification has it by default.

An expression must have the same value when a run is resumed, so that jq's clock and modules are
refused; and it must not read the host's environment. `check` is quick for any text. `evaluate` and
`render` may take any time and memory, which jq can't limit: call them in a process that does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

import jq

__all__ = [
    "ExpressionFault",
    "check",
    "evaluate",
    "expressions_of",
    "render",
    "title",
    "variables_of",
    "whole",
]

_WHOLE: Final = re.compile(r"\s*\$\{(.*)\}\s*", re.DOTALL)
_REFUSED: Final = re.compile(
    r"\$ENV\b|\b(?:now|localtime|strflocaltime|env|input|inputs|halt|halt_error"
    r"|import|include|modulemeta)\b"
)
_VARIABLE: Final = re.compile(r"\$(\w+)")
_LONGEST: Final = 10_000  # characters; jq takes a fraction of a second to read as many
_LONGEST_TITLE: Final = 200  # characters of expressions in an error
_STRING: Final = re.compile(r'"(?:[^"\\]|\\[^(])*"')


class ExpressionFault(ValueError):
    """An expression can't be evaluated."""


def whole(expression: str) -> str:
    """Return an expression with ``${ }`` around it, which conditions may lack."""
    return expression if _WHOLE.fullmatch(expression) is not None else f"${{{expression}}}"


def expressions_of(template: object) -> Iterator[str]:
    """Yield each text ``${ ... }`` of a template."""
    if isinstance(template, Mapping):
        for each in template.values():
            yield from expressions_of(each)
    elif isinstance(template, list):
        for each in template:
            yield from expressions_of(each)
    elif isinstance(template, str) and _WHOLE.fullmatch(template) is not None:
        yield template


def variables_of(expressions: Iterable[str]) -> set[str]:
    """Return the names that follow a ``$``, among them all variables that expressions use."""
    return {name for each in expressions for name in _VARIABLE.findall(each)}


def check(template: object, names: Collection[str]) -> list[str]:
    """Return what is wrong with the expressions of a template; nothing where they compile."""
    problems = []
    for expression in expressions_of(template):
        try:
            # jq computes products of constants while it compiles, such as of a text of gigabytes.
            _compile(expression.replace("*", "+"), dict.fromkeys(names))
        except ExpressionFault as error:
            problems.append(f"{title(expression)}: {error}")
    return problems


def evaluate(expression: str, data: Any, names: Mapping[str, Any]) -> Any:
    """Return an expression's value: its first one, or None where it has none.

    Args:
        expression: jq, with or without ``${ }`` around it.
        data: What ``.`` is.
        names: What ``$name`` is.

    Raises:
        ExpressionFault: It is not jq, or it failed.
    """
    try:
        return next(iter(_compile(expression, names).input_value(data)), None)
    except ValueError as error:
        raise ExpressionFault(f"{title(expression)}: {error}") from error


def render(value: Any, data: Any, names: Mapping[str, Any]) -> Any:
    """Return a template's value: each text ``${ ... }`` within it is evaluated."""
    if isinstance(value, Mapping):
        return {str(key): render(each, data, names) for key, each in value.items()}
    if isinstance(value, list):
        return [render(each, data, names) for each in value]
    if isinstance(value, str) and _WHOLE.fullmatch(value) is not None:
        return evaluate(value, data, names)
    return value


def title(*expressions: str) -> str:
    """Return expressions as errors name them: without ``${ }``, in one line, not too long."""
    inner = (found[1] if (found := _WHOLE.fullmatch(each)) else each for each in expressions)
    text = " or ".join(f"'{' '.join(each.split())}'" for each in inner)
    return text if len(text) <= _LONGEST_TITLE else f"{text[:_LONGEST_TITLE]}..."


def _compile(expression: str, names: Mapping[str, Any]) -> Any:
    if len(expression) > _LONGEST:
        raise ExpressionFault(f"it has {len(expression):,} characters, at most {_LONGEST:,} may be")
    found = _WHOLE.fullmatch(expression)
    text = expression if found is None else found[1]
    refused = _REFUSED.search(re.sub(r"[.$]\w+", _kept_env, _STRING.sub('""', text)))
    if refused is not None:
        raise ExpressionFault(f"'{refused[0]}' is not the same in a run that is resumed")
    try:
        return jq.compile(text, args=dict(names))
    except ValueError as error:
        raise ExpressionFault(str(error)) from error


def _kept_env(found: re.Match[str]) -> str:
    """Leave out members and variables, which may have the name of a function; keep $ENV."""
    return found[0] if found[0] == "$ENV" else ""
