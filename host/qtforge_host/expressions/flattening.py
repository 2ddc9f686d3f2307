"""An expression whose paths are single variables: then only what it looks at is converted.

Bringing a value into CEL's form costs more than the expression itself. In
``event.data.amount > data.limit`` two numbers are enough, where the event and the data would be
converted whole. What is not plainly a path stays as it is, and where anything could make the
rewritten text mean something else, there is none.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["Paths", "flatten"]

Paths = tuple[tuple[str, tuple[str, ...]], ...]
"""Each variable with the words of the path that it stands for."""

_TOKEN: Final = re.compile(
    r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\""""  # a text, which is left alone
    r"""|(?<![\w.)\]])([A-Za-z_]\w*+(?:\.[A-Za-z_]\w*+)+)(\s*\()?"""
    r"""|(?<!\w)([rRbB]{1,2})(?=['"])"""  # raw texts end elsewhere, and bytes are rare
)
_DOUBTFUL: Final = re.compile(
    r"""//|'''|\"{3}|`|\{|\?\s*[.\[]"""  # comments, long texts, maps, optionals
    r"""|\w\s+\.|\.\s"""  # paths with spaces
    r"""|\bhas\s*\("""  # wants the path itself
    r"""|\.(?:map|filter|all|exists|exists_one|existsOne|optMap|optFlatMap)\s*\("""  # bind names
    r"""|\b_p\d"""  # a variable of ours
)


def flatten(source: str) -> tuple[str, Paths] | None:
    """Return the expression with a variable for each path, and these; None where it can't be.

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
