"""The first number of versions: of the same one, a plugin continues what another has begun."""

from __future__ import annotations

import functools

__all__ = ["major"]


@functools.lru_cache(maxsize=256)
def major(version: str) -> str:
    """Return the first number of a version; the version itself where it has none.

    >>> major("2.1"), major("nightly")
    ('2', 'nightly')
    """
    from packaging.version import InvalidVersion, Version  # slow to import

    try:
        return str(Version(version).major)
    except InvalidVersion:
        return version
