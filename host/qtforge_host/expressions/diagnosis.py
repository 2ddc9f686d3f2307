"""Find the part of an expression that fails: the CEL library reports only the whole.

The text is split at the operator that binds loosest, then at the next one, and so on. The CEL
library decides whether a part is an expression, and whether it fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from qtforge_sdk.errors import ExpressionError

__all__ = ["smallest_failing"]

Value = Callable[[str], Any]
"""Compiles and evaluates a piece of text."""

_TOKEN: Final = re.compile(
    r"""[rRbB]{0,2}(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"|\d+(?:\.\d+)?(?:[eE][-+]?\d+)?u?|\w+|\|\||&&|[=!<>]=|\S",
    re.S,
)
_PATH: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_LOOSEST_FIRST: Final = (
    ("||",),
    ("&&",),
    ("==", "!=", "<", "<=", ">", ">=", "in"),
    ("+", "-"),
    ("*", "/", "%"),
)
_MOST_TOKENS: Final = 500  # a longer expression is not searched: it would take too long


def smallest_failing(whole: ExpressionError, value: Value) -> ExpressionError:
    """Return the error of the smallest part of an expression that fails by itself.

    Args:
        whole: The error of the expression.
        value: Evaluates a part; raises `ExpressionError`.

    Returns:
        The part's error. It is ``whole`` when no part fails in the same way: a part inside
        ``map()`` can't be evaluated without its variable.
    """
    found = whole
    while True:
        failures = (_failure(part, value) for part in _parts(found.expression.strip(), value))
        smaller = next((each for each in failures if each and _same(each, found)), None)
        if smaller is None:
            return found
        found = smaller


def _same(part: ExpressionError, whole: ExpressionError) -> bool:
    if part.code != whole.code:
        return False
    # A path is looked up without CEL, with another text; an unknown name is a macro's variable.
    is_path = _PATH.fullmatch(part.expression) is not None
    return part.why == whole.why or (is_path and not part.why.endswith("is not known"))


def _failure(part: str, value: Value) -> ExpressionError | None:
    try:
        value(part)
    except ExpressionError as error:
        return error
    return None


def _parts(source: str, value: Value) -> Iterator[str]:
    tokens = [(found[0], found.start(), found.end()) for found in _TOKEN.finditer(source)]
    if len(tokens) > _MOST_TOKENS:
        return
    outer, groups = _outermost(tokens)
    question = next((each for each in outer if each[0] == "?"), None)
    if question is not None:
        yield from _of_choice(source, outer, question, value)
        return
    for operators in _LOOSEST_FIRST:
        for text, start, end in reversed(outer):  # they group from the left
            left, right = source[:start].strip(), source[end:].strip()
            if text in operators and _is_expression(left, value) and _is_expression(right, value):
                yield from (left, right)
                return
    yield from _of_operand(source, outer, groups, value)


def _of_choice(
    source: str, outer: Sequence[tuple[str, int, int]], question: tuple[str, int, int], value: Value
) -> Iterator[str]:
    condition = source[: question[1]].strip()
    yield condition
    for text, start, end in outer:
        then, otherwise = source[question[2] : start].strip(), source[end:].strip()
        if text == ":" and _is_expression(then, value) and _is_expression(otherwise, value):
            # Only the chosen branch was evaluated.
            yield then if _failure(condition, value) is None and value(condition) else otherwise
            return


def _of_operand(
    source: str,
    outer: Sequence[tuple[str, int, int]],
    groups: Sequence[tuple[int, int]],
    value: Value,
) -> Iterator[str]:
    """Yield what is in brackets, and the operand of each member, index or method."""
    pieces = [source[start:end].strip() for start, end in groups]
    if source[:1] in ("!", "-"):
        pieces.append(source[1:].strip())
    pieces += [source[:start].strip() for text, start, _ in outer if text in (".", "[")][::-1]
    yield from (piece for piece in pieces if _is_expression(piece, value))


def _outermost(
    tokens: Sequence[tuple[str, int, int]],
) -> tuple[list[tuple[str, int, int]], list[tuple[int, int]]]:
    """Return the tokens outside of brackets, and start and end of each item inside them."""
    outer: list[tuple[str, int, int]] = []
    groups: list[tuple[int, int]] = []
    depth = begin = 0
    for each in tokens:
        text, start, end = each
        if depth == 0:
            outer.append(each)
        if depth == 1 and text in (",", ")", "]", "}", ":"):
            groups.append((begin, start))
        depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
        if depth == 1 and text in ("(", "[", "{", ",", ":"):
            begin = end
    return outer, groups


def _is_expression(text: str, value: Value) -> bool:
    if not text:
        return False
    failure = _failure(text, value)
    return failure is None or failure.code != "expression.invalid"
