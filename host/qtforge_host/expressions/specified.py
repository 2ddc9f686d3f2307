"""Functions of CEL's specification that the CEL library lacks for some types.

The library asks for them only where its own function takes no value of that type, so that they
cost nothing elsewhere.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

__all__ = ["SPECIFIED_FUNCTIONS"]

_OFFSET: Final = re.compile(r"([+-]?)(\d{2}):(\d{2})")


def _int(value: Any) -> int:
    if isinstance(value, datetime.datetime):
        return int((value - _EPOCH) // datetime.timedelta(seconds=1))
    if isinstance(value, bool):
        raise TypeError("int() does not take a bool: write x ? 1 : 0")
    raise _unexpected("int", value)


def _string(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    raise _unexpected("string", value)


def _timestamp(value: Any) -> datetime.datetime:
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return _EPOCH + datetime.timedelta(seconds=value)
    raise _unexpected("timestamp", value)


def _part(name: str, read: Callable[[datetime.datetime], int]) -> Callable[..., int]:
    def get(value: Any, zone: Any = "UTC") -> int:
        if not isinstance(value, datetime.datetime):
            raise _unexpected(name, value)
        return read(value.astimezone(_zone(name, zone)))

    return get


def _zone(name: str, zone: Any) -> datetime.tzinfo:
    if not isinstance(zone, str):
        raise TypeError(f"{name}() takes a time zone as text, such as 'Europe/Berlin' or '+02:00'")
    found = _OFFSET.fullmatch(zone)
    if found is not None:
        length = datetime.timedelta(hours=int(found[2]), minutes=int(found[3]))
        return datetime.timezone(-length if found[1] == "-" else length)
    import zoneinfo  # slow to import, and few expressions name a zone

    try:
        return zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"'{zone[:80]}' is not a time zone: write a name such as 'Europe/Berlin', "
            "or an offset such as '+02:00'"
        ) from None


def _unexpected(name: str, value: Any) -> TypeError:
    kind = {
        "NoneType": "null", "str": "string", "list": "list", "dict": "map", "bool": "bool",
        "float": "double", "datetime": "timestamp", "timedelta": "duration",
    }.get(type(value).__name__, type(value).__name__)  # fmt: skip
    return TypeError(f"{name}() does not take a {kind}")


_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

SPECIFIED_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "int": _int,
        "string": _string,
        "timestamp": _timestamp,
        "getFullYear": _part("getFullYear", lambda at: at.year),
        "getMonth": _part("getMonth", lambda at: at.month - 1),
        "getDate": _part("getDate", lambda at: at.day),
        "getDayOfMonth": _part("getDayOfMonth", lambda at: at.day - 1),
        "getDayOfWeek": _part("getDayOfWeek", lambda at: at.isoweekday() % 7),
        "getDayOfYear": _part("getDayOfYear", lambda at: at.timetuple().tm_yday - 1),
        "getHours": _part("getHours", lambda at: at.hour),
        "getMinutes": _part("getMinutes", lambda at: at.minute),
        "getSeconds": _part("getSeconds", lambda at: at.second),
        "getMilliseconds": _part("getMilliseconds", lambda at: at.microsecond // 1000),
    }
)
"""Each by its name in CEL."""
