"""PostgreSQL's types in Python: one value that Python can't hold does not end the query."""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.types.string import TextLoader

from qtforge_builtin_plugins.collectors.row_sink import OddValue

__all__ = ["register_loaders"]

_CHECKED: Final = (
    "date", "time", "timetz", "timestamp", "timestamptz", "interval", "json", "jsonb",
)  # fmt: skip
# psycopg makes objects of them, which have no JSON form, and can't make one of each value.
_TEXT: Final = (
    "int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange",
    "int4multirange", "int8multirange", "nummultirange", "datemultirange", "tsmultirange",
    "tstzmultirange",
)  # fmt: skip
_MOST_LEVELS: Final = 100


def register_loaders(connection: psycopg.Connection[Any]) -> None:
    """Let a connection's values be plain, or `OddValue` where Python has no such value.

    Odd are infinite dates, those before the year 1 or after 9999, the time 24:00:00, and JSON
    that is nested too deeply.
    """
    adapters = connection.adapters
    for name in _TEXT:
        adapters.register_loader(name, TextLoader)
    for name in _CHECKED:
        oid = adapters.types[name].oid
        loader = adapters.get_loader(oid, Format.TEXT)
        assert loader is not None  # noqa: S101 - psycopg has one for each of these
        adapters.register_loader(oid, _checked(name, loader))


def _checked(name: str, loader: Any) -> type[Loader]:
    class Checked(Loader):
        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._load = loader(oid, context).load

        def load(self, data: Buffer) -> Any:
            try:
                value = self._load(data)
                if not isinstance(value, list | dict) or not _is_deep(value, data):
                    return value
            except (psycopg.Error, ValueError, OverflowError, RecursionError):
                pass
            text = bytes(data).decode("utf-8", "replace")
            reason = f"no {name} of Python's, is text"
            return OddValue(plain=text, code="database.odd_value", reason=reason)

    return Checked


def _is_deep(value: Any, data: Buffer) -> bool:
    """Return whether JSON has more levels than the journal's and other encoders can follow."""
    text = bytes(data)
    if text.count(b"[") + text.count(b"{") <= _MOST_LEVELS:
        return False
    level = [value]
    for _ in range(_MOST_LEVELS):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, list | dict)
        ]
        if not level:
            return False
    return True
