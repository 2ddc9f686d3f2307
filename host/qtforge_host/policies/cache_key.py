"""By what an answer is found again."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

__all__ = ["cache_key"]

_NATIVE: Final = (bytes, bytearray, memoryview)


def cache_key(topic: str, plugin: str, version: str, message: Any) -> str:
    """Return the key of a question: the same for the same content, in every process.

    The message counts as its plain form, with mappings and sets in a fixed order; so a
    Struct and the mapping of its fields are one question.

    Args:
        topic: What is asked.
        plugin: Who is asked.
        version: That plugin's version; another version is another question.
        message: With what.

    Returns:
        64 hexadecimal digits, a SHA-256.

    Raises:
        TypeError: Something in the message has no plain form.

    >>> a = cache_key("a.b", "plug", "1.0", {"x": 1, "y": 2})
    >>> a == cache_key("a.b", "plug", "1.0", {"y": 2, "x": 1}), len(a)
    (True, 64)
    """
    # Dates become text in both passes; `str_keys` makes keys comparable, so sortable.
    plain = msgspec.to_builtins(
        message, builtin_types=_NATIVE, str_keys=True, order="deterministic"
    )
    encoded = msgspec.msgpack.encode([topic, plugin, version, plain], order="sorted")
    return hashlib.sha256(encoded).hexdigest()
