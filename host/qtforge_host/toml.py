"""Read TOML within limits: how deep it is nested, how large its integers; write a value."""

from __future__ import annotations

import datetime
import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["DEEPEST", "TomlLimitError", "read", "toml_key", "toml_value"]

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


def toml_key(key: str) -> str:
    """Return a key as TOML has it.

    >>> toml_key("a-b"), toml_key("document.parse")
    ('a-b', '"document.parse"')
    """
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def toml_value(value: Any) -> str:
    """Return a value that was read from TOML as one line of TOML.

    >>> toml_value({"a": [1, 2.5], "b.c": "x"})
    '{ a = [1, 2.5], "b.c" = "x" }'
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)  # "inf" and "nan" are TOML's, too
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case Mapping():
            pairs = (f"{toml_key(key)} = {toml_value(each)}" for key, each in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case _:
            return _quoted(str(value))


def _quoted(text: str) -> str:
    # An escape of JSON is one of TOML, but for the halves of a pair; so only ASCII is escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _too_deep() -> TomlLimitError:
    what = f"its tables or arrays are nested more than {DEEPEST} deep"
    return TomlLimitError(what, "nest them less deeply")


def _too_large() -> TomlLimitError:
    what = "it has an integer of more than 64 bits"
    return TomlLimitError(what, "write it as text, in quotes, or as a float")
