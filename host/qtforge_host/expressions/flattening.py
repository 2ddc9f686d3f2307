"""Replace the paths of an expression by single variables, so that less must be converted.

Converting a value for CEL costs more than evaluating the expression. For
``event.data.amount > data.limit`` two numbers are enough, instead of the whole event and all
data. An expression that could change its meaning by this is not rewritten.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Paths", "flatten"]

Paths = tuple[tuple[str, tuple[str, ...]], ...]
"""Each variable with the words of the path that it replaces."""

_TOKEN: Final = re.compile(
    r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\""""  # a text is not changed
    r"""|(?<![\w.)\]])([A-Za-z_]\w*+(?:\.[A-Za-z_]\w*+)+)(\s*\()?"""
    r"""|(?<!\w)([rRbB]{1,2})(?=['"])"""  # raw texts end differently, and bytes are rare
)
_DOUBTFUL: Final = re.compile(
    r"""//|'''|\"{3}|`|\{|\?\s*[.\[]"""  # comments, long texts, maps, optionals
    r"""|\w\s+\.|\.\s"""  # paths with spaces
    r"""|\bhas\s*\("""  # needs the path itself
    r"""|\.(?:map|filter|all|exists|exists_one|existsOne|optMap|optFlatMap)\s*\("""  # bind names
    r"""|\b_p\d"""  # looks like one of our variables
)


def flatten(source: str) -> tuple[str, Paths] | None:
    """Return the rewritten expression and its paths; None where it can't be rewritten.

    >>> flatten("data.n > 3 && size('data.n') == 6")
    ("_p4data1n > 3 && size('data.n') == 6", (('_p4data1n', ('data', 'n')),))
    >>> flatten("has(data.n)") is None
    True
    """
    if _DOUBTFUL.search(source):
        return None
    paths: dict[str, tuple[str, ...]] = {}
    doubtful: list[str] = []

    def variable(found: re.Match[str]) -> str:
        if found[3] is not None:
            doubtful.append(found[3])
        if found[1] is None:
            return found[0]
        words = found[1].split(".")
        called = f".{words.pop()}{found[2]}" if found[2] else ""
        if len(words) < 2:
            return found[0]
        # The lengths keep a.b_c and a_b.c apart.
        name = "_p" + "".join(f"{len(word)}{word}" for word in words)
        paths[name] = tuple(words)
        return name + called

    text = _TOKEN.sub(variable, source)
    return (text, tuple(paths.items())) if paths and not doubtful else None
