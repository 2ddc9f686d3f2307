"""How pages write times, lengths, names and values."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from markupsafe import Markup, escape

__all__ = [
    "ICONS",
    "STATUS_WORDS",
    "json_tree",
    "length_text",
    "sentence_text",
    "since_text",
    "title_text",
]

ICONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "succeeded": "ok", "failed": "fail", "compensated": "undo", "undone": "undo",
        "running": "play", "waiting": "wait", "queued": "clock", "paused": "pause",
        "blocked": "block", "cancelled": "skip", "skipped": "skip", "interrupted": "warn",
        "warning": "warn", "retried": "again", "pending": "clock",
    }
)  # fmt: skip
"""The symbol of each status of a run or a step."""
STATUS_WORDS: Final = tuple(ICONS)

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_MOST_KEYS: Final = 60  # of one level of a tree
_MOST_VALUES: Final = 2000  # of a whole tree
_LONGEST: Final = 1200  # characters of a text in a tree
_OPEN_DEPTH: Final = 2
_FEW: Final = 8


def length_text(seconds: float | None) -> str:
    """Return a length of time, to two or three figures.

    >>> [length_text(each) for each in (0, 0.0104, 0.9996, 59.96, 3599.9, 7260, 200000)]
    ['0 s', '10 ms', '1.0 s', '1 min', '1 h', '2 h 1 min', '2 d 7 h']
    """
    if seconds is None:
        return ""
    if seconds <= 0:
        return "0 s"
    if round(seconds * 1000) < 1000:
        return f"{max(1, round(seconds * 1000))} ms"
    if round(seconds, 1) < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, unit, smaller, lesser in (
        (_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s"),
    ):  # fmt: skip
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {lesser}" if rest else "")
    return f"{whole} s"


def since_text(at: datetime.datetime, now: datetime.datetime) -> str:
    """Return how long ago a time was, or when it will be, with one unit.

    >>> at = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    >>> since_text(at, at + datetime.timedelta(minutes=5)), since_text(at, at)
    ('5 min ago', 'just now')
    >>> since_text(at, at - datetime.timedelta(hours=2))
    'in 2 h'
    """
    seconds = (now - at).total_seconds()
    size = abs(seconds)
    text = f"{int(size)} s"
    for each, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if size >= each:
            text = f"{int(size // each)} {unit}"
            break
    if size < 3:  # clocks differ
        return "just now"
    return f"{text} ago" if seconds > 0 else f"in {text}"


def title_text(name: str) -> str:
    """Return a name as people write it.

    >>> title_text("charge_card[3]")
    'charge card[3]'
    """
    return name.replace("_", " ")


def sentence_text(text: str) -> str:
    """Return a text as a sentence begins, unless it begins with a name.

    >>> sentence_text("it is too old"), sentence_text("a.toml has no name")
    ('It is too old', 'a.toml has no name')
    """
    return text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text


def json_tree(value: Any) -> Markup:
    """Return a value as a tree that folds; what is large is cut, and says so."""
    return _Tree().whole(value)


class _Tree:
    def __init__(self) -> None:
        self._left = _MOST_VALUES

    def whole(self, value: Any) -> Markup:
        if isinstance(value, Mapping | list | tuple) and value:
            return Markup("<div>{}</div>").format(self._inner(value, 0))
        return Markup("<div>{}</div>").format(self._leaf(value))

    def _inner(self, value: Mapping[Any, Any] | Sequence[Any], depth: int) -> Markup:
        items = list(value.items() if isinstance(value, Mapping) else enumerate(value))
        shown = items[: max(0, min(_MOST_KEYS, self._left))]
        self._left -= len(shown)
        parts = [self._entry(key, each, depth + 1) for key, each in shown]
        if len(shown) < len(items):
            parts.append(
                Markup('<div class="more">… {} more</div>').format(len(items) - len(shown))
            )
        return Markup("").join(parts)

    def _entry(self, key: object, value: Any, depth: int) -> Markup:
        name = Markup('<span class="k">{}</span>: ').format(str(key)[:_LONGEST])
        if not isinstance(value, Mapping | list | tuple) or not value:
            return Markup("<div>{}{}</div>").format(name, self._leaf(value))
        what = "keys" if isinstance(value, Mapping) else "items"
        is_open = depth < _OPEN_DEPTH and len(value) < _FEW
        count = f"{len(value)} {what if len(value) != 1 else what[:-1]}"
        return Markup("<details{}><summary>{}{}</summary><div>{}</div></details>").format(
            Markup(" open") if is_open else "", name, count, self._inner(value, depth)
        )

    @staticmethod
    def _leaf(value: Any) -> Markup:
        if isinstance(value, str):
            cut = value
            if len(value) > _LONGEST:
                cut = f"{value[:_LONGEST]} … ({len(value):,} characters)"
            return Markup('<span class="s">{}</span>').format(cut)
        if value is None or isinstance(value, bool):
            return Markup('<span class="l">{}</span>').format(json.dumps(value))
        if isinstance(value, int | float):
            return Markup('<span class="n">{}</span>').format(value)
        return escape("{}" if isinstance(value, Mapping) else "[]" if not value else str(value))
