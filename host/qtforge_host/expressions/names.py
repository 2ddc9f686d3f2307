"""Check the names that an expression uses, without evaluating it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from qtforge_sdk.errors import ExpressionError
from qtforge_sdk.orchestrators import Unreachable
from qtforge_sdk.validation import did_you_mean

__all__ = ["Scope", "wrong_names"]

Scope = Mapping[str, Any]
"""The names that an expression may use; a mapping limits a name's members, None does not."""

_STRING: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_MEMBERS: Final = re.compile(r"(?<![\w.)\]])([A-Za-z_]\w*(?:\s*\.\s*[A-Za-z_]\w*)+)(\s*\()?")
_BOUND: Final = re.compile(r"\.\s*(?:map|filter|all|exists|exists_one)\s*\(\s*([A-Za-z_]\w*)\s*,")


def wrong_names(
    source: str, variables: Collection[str], namespaces: Collection[str], scope: Scope
) -> Iterator[ExpressionError]:
    """Yield an error for every name that an expression can't use.

    Args:
        source: CEL.
        variables: The variables that the compiler found in it.
        namespaces: The first words of its functions' names.
        scope: The names that it may use.

    Yields:
        An error, once for each name; its fix is the nearest right name.
    """
    bare = _STRING.sub("''", source)
    bound = set(_BOUND.findall(bare))
    for name in sorted(variables):
        if name not in scope and name not in bound and name not in namespaces:
            yield ExpressionError(
                source, f"'{name}' is not known", did_you_mean(name, sorted(scope))
            )
    reported = set()
    for path, is_call in _MEMBERS.findall(bare):
        words = re.split(r"\s*\.\s*", path)
        error = _wrong_member(source, words[:-1] if is_call else words, scope, bound)
        if error is not None and error.why not in reported:
            reported.add(error.why)
            yield error


def _wrong_member(
    source: str, words: Sequence[str], scope: Scope, bound: set[str]
) -> ExpressionError | None:
    members: Any = scope
    for position, word in enumerate(words):
        if not isinstance(members, Mapping) or (position == 0 and word in bound):
            return None
        if word not in members:
            if position == 0:
                return None  # checked by its name already, or a function's namespace
            where = ".".join(words[:position])
            return ExpressionError(
                source, f"'{where}' has no '{word}'", did_you_mean(word, sorted(members))
            )
        members = members[word]
        if isinstance(members, Unreachable):
            return ExpressionError(source, members.why, members.fix)
    return None
