"""Values as the journal gives them back."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from qtforge_sdk.conversion import to_plain

__all__ = ["normalize"]

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Any)
_SAME: Final = frozenset({type(None), bool, int, float, str, bytes})


def normalize(value: Any) -> Any:
    """Return a value as it will be read when the run is resumed, so that a live run sees the same.

    A tuple becomes a list and a date a text, for instance. Encoding it and reading it again is
    a sixth of a microsecond for a small answer, and cheaper than looking for such values.

    Raises:
        TypeError: Something in it has no plain form.

    >>> normalize({"a": (1, {2})})
    {'a': [1, [2]]}
    """
    plain = to_plain(value)
    if type(plain) in _SAME:
        return plain
    try:
        return _DECODER.decode(_ENCODER.encode(plain))
    except (ValueError, OverflowError, RecursionError):
        return plain  # the journal refuses it, and says of which record it is
