"""Runtime expressions: jq, as the specification has it by default.

An expression must have the same value when a run is resumed, so that jq's clock is refused; and it
must not read the host's environment. A definition is as trusted as Python code: how long an
expression takes is not limited.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import jq

__all__ = ["ExpressionFault", "check", "evaluate", "is_expression", "render", "truth"]

_WHOLE: Final = re.compile(r"\s*\$\{(.*)\}\s*", re.DOTALL)
_REFUSED: Final = re.compile(r"\$ENV\b|\b(?:now|localtime|env|input|inputs|halt|halt_error)\b")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\[^(])*"')


class ExpressionFault(ValueError):
    """An expression can't be evaluated."""


def is_expression(value: object) -> bool:
    """Return whether a value is a text such as ``${ .name }``."""
    return isinstance(value, str) and _WHOLE.fullmatch(value) is not None


def check(value: object, names: Collection[str]) -> list[str]:
    """Return what is wrong with the expressions of a template; nothing where they compile."""
    if isinstance(value, Mapping):
        return [problem for each in value.values() for problem in check(each, names)]
    if isinstance(value, list):
        return [problem for each in value for problem in check(each, names)]
    if not is_expression(value):
        return []
    try:
        _compile(str(value), dict.fromkeys(names))
    except ExpressionFault as error:
        return [str(error)]
    return []


def evaluate(expression: str, data: Any, names: Mapping[str, Any]) -> Any:
    """Return an expression's value: its first one, or None where it has none.

    Args:
        expression: jq, with or without ``${ }`` around it.
        data: What ``.`` is.
        names: What ``$name`` is.

    Raises:
        ExpressionFault: It is not jq, or it failed.
    """
    program = _compile(expression, names)
    try:
        return next(iter(program.input_value(data)), None)
    except ValueError as error:
        raise ExpressionFault(f"{expression.strip()}: {error}") from error


def render(value: Any, data: Any, names: Mapping[str, Any]) -> Any:
    """Return a template's value: each text ``${ ... }`` within it is evaluated."""
    if isinstance(value, Mapping):
        return {str(key): render(each, data, names) for key, each in value.items()}
    if isinstance(value, list):
        return [render(each, data, names) for each in value]
    return evaluate(value, data, names) if is_expression(value) else value


def truth(expression: str, data: Any, names: Mapping[str, Any]) -> bool:
    """Return whether a condition holds: as in jq, all but false and null does."""
    return evaluate(expression, data, names) not in (False, None)


def _compile(expression: str, names: Mapping[str, Any]) -> Any:
    whole = _WHOLE.fullmatch(expression)
    text = expression if whole is None else whole[1]
    refused = _REFUSED.search(re.sub(r"[.$]\w+", _kept_env, _STRING.sub('""', text)))
    if refused is not None:
        raise ExpressionFault(
            f"{expression.strip()}: '{refused[0]}' is not the same in a run that is resumed"
        )
    try:
        return jq.compile(text, args=dict(names))
    except ValueError as error:
        raise ExpressionFault(f"{expression.strip()}: {error}") from error


def _kept_env(found: re.Match[str]) -> str:
    """Leave out members and variables, which may have the name of a function; keep $ENV."""
    return found[0] if found[0] == "$ENV" else ""
