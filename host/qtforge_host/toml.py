"""Read TOML within limits: how deep it is nested, and how large its integers are."""

from __future__ import annotations

import tomllib
from typing import Any, Final

__all__ = ["DEEPEST", "TomlLimitError", "read"]

DEEPEST: Final = 100
"""How many tables and arrays may be within each other; a workflow needs about 10."""
_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1


class TomlLimitError(tomllib.TOMLDecodeError):
    """The text is TOML, and exceeds a limit.

    Args:
        what: What is wrong.
        fix: What to do.

    Attributes:
        fix: What to do.
    """

    def __init__(self, what: str, fix: str, /) -> None:
        super().__init__(what)
        self.fix = fix


def read(text: str) -> dict[str, Any]:
    """Return the table that a text in TOML holds.

    What comes after (checks, expressions, the journal) descends once for each level, and some
    of it takes more of the stack for one than tomllib. The journal keeps integers of 64 bits,
    as TOML demands; tomllib reads longer ones too.

    Raises:
        tomllib.TOMLDecodeError: It is not TOML, or a `TomlLimitError`.

    >>> read("a.b = [1]")
    {'a': {'b': [1]}}
    """
    try:
        table = tomllib.loads(text)
    except RecursionError as error:  # tomllib descends once for each level
        raise _too_deep() from error
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:  # Python refuses to read an integer of more than 4,300 digits
        raise _too_large() from error
    level: list[Any] = [table]
    for _ in range(DEEPEST + 1):
        inner = []
        for each in level:
            for value in each.values() if isinstance(each, dict) else each:
                if isinstance(value, dict | list):
                    inner.append(value)
                elif isinstance(value, int) and not _LEAST <= value <= _MOST:
                    raise _too_large()
        if not inner:
            return table
        level = inner
    raise _too_deep()


def _too_deep() -> TomlLimitError:
    what = f"its tables or arrays are nested more than {DEEPEST} deep"
    return TomlLimitError(what, "nest them less deeply")


def _too_large() -> TomlLimitError:
    what = "it has an integer of more than 64 bits"
    return TomlLimitError(what, "write it as text, in quotes, or as a float")
