"""Make a document's tags of its keywords."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

__all__ = ["make_tags"]

_NO_TAGS: Final = frozenset({"general", "unknown"})
_WORD: Final = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


def make_tags(keywords: Iterable[str], categories: Iterable[str | None], limit: int) -> list[str]:
    """Return the categories, then the keywords, without repetitions of the same words.

    Args:
        keywords: Most significant first.
        categories: The document's type and category; None and ``general`` are left out.
        limit: The most tags.
    """
    tags = [each.lower() for each in categories if each and each not in _NO_TAGS]
    seen = [{_stem(tag)} for tag in tags]
    for keyword in keywords:
        words = _WORD.findall(keyword.lower().replace("-", " "))
        stems = {_stem(word) for word in words}
        # "maintainers" after "maintainer", and "request" after "pull request", add nothing.
        if stems and not any(stems <= others for others in seen):
            tags.append("-".join(words))
            seen.append(stems)
    return list(dict.fromkeys(tags))[:limit]


def _stem(word: str) -> str:
    """Return the word without an English plural; words of other languages are unchanged."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
