"""Normalize values to the form in which the journal returns them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from qtforge_sdk.conversion import check_keys, to_plain

__all__ = ["normalize"]

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Any)
_SAME: Final = frozenset({type(None), bool, int, float, str, bytes})


def normalize(value: Any) -> Any:
    """Return a value as a resumed run will read it, so that a live run gets the same.

    A tuple becomes a list and a date a text, for instance. To encode and decode a small answer
    takes a sixth of a microsecond, which is less than to search it for such values.

    Raises:
        TypeError: A value within has no plain form, or two keys of a mapping become the same.

    >>> normalize({"a": (1, {2})})
    {'a': [1, [2]]}
    """
    if type(value) in _SAME:
        return value
    plain = to_plain(value)
    if type(plain) in _SAME:
        return plain
    try:
        encoded = _ENCODER.encode(value)
        read = _DECODER.decode(encoded)
        if read == plain:  # so every key is a text
            return read
        again = _ENCODER.encode(plain)
        if again != encoded:
            check_keys(value)
        return _DECODER.decode(again)
    except (ValueError, OverflowError, RecursionError):
        check_keys(value)
        return plain  # the journal refuses it, and names the record
