"""Topics and patterns: words joined by dots, as in NATS.

``*`` stands for exactly one word, ``>`` for one or more words at the end.
"""

from __future__ import annotations

import re

from qtforge_sdk.errors import InvalidTopicError

__all__ = ["matches", "validate_pattern", "validate_topic"]

_WORD = re.compile(r"[A-Za-z0-9_-]+")


def validate_topic(topic: str) -> str:
    """Return a topic if it is well formed.

    Raises:
        InvalidTopicError: A word is empty or has a character that is not a letter,
            digit, ``_`` or ``-``; or the topic starts with the reserved ``qtforge_``.

    >>> validate_topic("document.parse")
    'document.parse'
    """
    for word in topic.split("."):
        if _WORD.fullmatch(word) is None:
            raise InvalidTopicError(topic, f"the word '{word}' is empty or has other characters")
    if topic.startswith("qtforge_"):
        raise InvalidTopicError(topic, "names that start with qtforge_ are the host's hooks")
    return topic


def validate_pattern(pattern: str) -> str:
    """Return a pattern if it is well formed.

    Raises:
        InvalidTopicError: A word is neither a topic's word nor ``*``, nor ``>`` at the end.

    >>> validate_pattern("document.*"), validate_pattern("document.>")
    ('document.*', 'document.>')
    """
    words = pattern.split(".")
    for position, word in enumerate(words):
        if word == "*" or (word == ">" and position == len(words) - 1):
            continue
        if _WORD.fullmatch(word) is None:
            raise InvalidTopicError(
                pattern, f"'{word}' is neither a word, nor '*', nor '>' at the end"
            )
    return pattern


def matches(pattern: str, topic: str) -> bool:
    """Return whether a topic matches a pattern; both must be well formed.

    >>> matches("document.*", "document.parse"), matches("document.*", "document.a.b")
    (True, False)
    >>> matches("document.>", "document.a.b"), matches("document.>", "document")
    (True, False)
    """
    wanted = pattern.split(".")
    words = topic.split(".")
    if wanted[-1] == ">":
        if len(words) < len(wanted):
            return False
        wanted = wanted[:-1]
        words = words[: len(wanted)]
    return len(words) == len(wanted) and all(
        expected in ("*", word) for expected, word in zip(wanted, words, strict=True)
    )
