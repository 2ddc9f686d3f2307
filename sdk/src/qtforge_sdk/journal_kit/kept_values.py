"""The bounds of the values that processes share."""

from __future__ import annotations

from typing import Final

from qtforge_sdk.journal import MOST_KEPT_BYTES

__all__ = ["check_kept"]

_LONGEST_KEY: Final = 200


def check_kept(key: str, data: bytes | None) -> None:
    """Check a value of `qtforge_sdk.journal.Journal.keep_value`.

    Raises:
        ValueError: The key or the value is too long.
    """
    if not 0 < len(key) <= _LONGEST_KEY:
        raise ValueError(f"a key has 1 to {_LONGEST_KEY} characters, and this one has {len(key)}")
    if data is not None and len(data) > MOST_KEPT_BYTES:
        raise ValueError(f"{key}: {len(data):,} bytes, and at most {MOST_KEPT_BYTES:,} are kept")
