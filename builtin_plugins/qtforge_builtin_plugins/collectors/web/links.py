"""The ``Link`` header: RFC 8288, with the lenient parsing of its appendix B.

httpx2 and requests split it at commas and semicolons, also within quoted values, and know a
relation type only where it is the only one. httplink is right, and has had no release since
2020.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

__all__ = ["next_link"]

_TARGET: Final = re.compile(r"[\s,]*<([^>]*)>")
_PARAMETER: Final = re.compile(
    r'\s*;\s*([^\s=;,"]*)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s;,]*)))?', re.DOTALL
)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def next_link(headers: Sequence[str]) -> str | None:
    """Return the target of the first link with the relation type ``next``, or None.

    A link with another context (``anchor``) says nothing about the page itself.

    Args:
        headers: The values of the header's lines.

    >>> next_link(['</a, b>; title="x; rel=next, <y>"; rel="prefetch Next"'])
    '/a, b'
    """
    for header in headers:
        for target, parameters in _links(header):
            # The first rel counts, RFC 8288 section 3.3; a later one is ignored.
            types = parameters.get("rel", "").lower().split()
            if "next" in types and "anchor" not in parameters:
                return target
    return None


def _links(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    at = 0
    while (target := _TARGET.match(header, at)) is not None:
        at = target.end()
        parameters: dict[str, str] = {}
        while (found := _PARAMETER.match(header, at)) is not None:
            at = found.end()
            name, quoted, token = found.groups()
            value = _ESCAPED.sub(r"\1", quoted) if quoted is not None else token or ""
            parameters.setdefault(name.lower(), value)
        yield target[1].strip(), parameters
        comma = header.find(",", at)
        if comma < 0:
            return
        at = comma
