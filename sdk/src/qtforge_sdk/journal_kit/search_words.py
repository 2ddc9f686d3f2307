"""The words by which runs are found; every journal stores and compares them in this form.

A word is what stands between characters that are neither letters nor digits: without accents, in
lower case, and cut at `MOST_LETTERS`. Runs are found by the beginnings of words.

What a run is found by is stored. A change of these rules is a new format of the journals, whose
migration makes the words of all runs again.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from qtforge_sdk.records import Record, RunBlocked, RunFinished, RunStarted
from qtforge_sdk.run_status import status_after

__all__ = [
    "MOST_LETTERS",
    "MOST_TERMS",
    "NO_WORDS",
    "SearchRow",
    "error_words",
    "search_row",
    "search_terms",
    "tag_words",
]

MOST_LETTERS: Final = 40
"""The most letters of a word; the rest of a longer one is left out."""
MOST_TERMS: Final = 16
"""The most words of a search; further ones do not restrict it."""

_WORD: Final = re.compile(r"[^\W_]+")
_ASCII: Final = {
    code: chr(code).lower() if chr(code).isalnum() else " " for code in range(128)
}  # as `_WORD` has it
_WORDLESS: Final = frozenset((bool, bytes, bytearray, memoryview))
_MOST_WORDS: Final = 200  # of an input, of an error, and of tags, each
_MOST_TEXT: Final = 4_000  # characters of an input
_MOST_VALUE: Final = 1_000  # characters of one of its texts, or of an error's message
_MOST_VALUES: Final = 500  # of an input


class SearchRow(NamedTuple):
    """The words of a run, each separated by a space.

    Attributes:
        words: Those that never change: of its name, title, workflow, origin and input.
        error: Those of the error with which it failed or is blocked; "" for none.
        tags: Those of its tags.
    """

    words: str
    error: str
    tags: str


NO_WORDS: Final = SearchRow("", "", "")
"""A run that no search finds."""


def search_terms(text: str) -> tuple[str, ...]:
    """Return the words of a search: a run fits if each is the beginning of one of its words.

    Args:
        text: What a person has typed.

    Returns:
        The words, each once, `MOST_TERMS` at most; empty where the text has none.

    >>> search_terms("Müller, invoice_2026")
    ('muller', 'invoice', '2026')
    """
    return tuple(_words((text,), MOST_TERMS))


def search_row(records: Iterable[Record], tags: Mapping[str, str] | None = None) -> SearchRow:
    """Return the words of a run with these records.

    Args:
        records: Its records, from its start on.
        tags: Its tags now; None for those of its start.
    """
    words, error = "", ""
    for record in records:
        if isinstance(record, RunStarted):
            words = _start_words(record)
            if tags is None and record.keys is not None:
                tags = record.keys.tags
        elif status_after(record) is not None:
            error = error_words(record)
    return SearchRow(words, error, tag_words(tags or {}))


def error_words(record: Record) -> str:
    """Return the words of the error of a run whose status is that of this record; "" for none."""
    if isinstance(record, RunBlocked):
        texts: tuple[str | None, ...] = (record.code, record.reason[:_MOST_VALUE], record.step)
    elif isinstance(record, RunFinished) and record.error is not None:
        error = record.error
        texts = (error.code, error.plugin, error.stage, error.message[:_MOST_VALUE])
    else:
        return ""
    return " ".join(_words((each for each in texts if each), _MOST_WORDS))


def tag_words(tags: Mapping[str, str]) -> str:
    """Return the words of the names and values of tags."""
    if not tags:
        return ""
    return " ".join(_words((each for pair in sorted(tags.items()) for each in pair), _MOST_WORDS))


def _start_words(started: RunStarted) -> str:
    keys, by = started.keys, started.started_by
    named = (
        "" if keys is None else keys.title,
        started.workflow,
        started.run_id,
        "" if by is None else by.name,
        started.parent or "",
    )
    return " ".join(_words((*named, *_texts(started.input)), _MOST_WORDS))


def _texts(value: Any) -> list[str]:
    """Return the texts and numbers in an input, as far as they are looked at."""
    left, text_left = _MOST_VALUES, _MOST_TEXT
    found: list[str] = []
    waiting = [value]
    while waiting and left > 0 and text_left > 0:
        left -= 1
        value = waiting.pop()
        kind = type(value)
        if kind is str:
            text = value[: min(_MOST_VALUE, text_left)]
            text_left -= len(text)
            found.append(text)
        elif kind is dict:
            waiting += [*itertools.islice(value.values(), left)][::-1]
        elif kind is list or kind is tuple:
            waiting += value[:left][::-1]
        elif kind is int or kind is float:
            found.append(str(value))
        elif isinstance(value, str):
            waiting.append(value[:])
        elif value is not None and kind not in _WORDLESS:  # as it is when it is read again
            waiting.append(msgspec.to_builtins(value, str_keys=False))
    return found


def _words(texts: Iterable[str], most: int) -> list[str]:
    """Return the words of texts, each once; called for every run, so that its speed counts."""
    text = "\n".join(texts)
    if text.isascii():
        found = text.translate(_ASCII).split()
    else:
        text = unicodedata.normalize("NFKD", text)
        text = "".join(each for each in text if not unicodedata.combining(each))
        found = _WORD.findall(text.casefold())
    if len(text) > MOST_LETTERS:
        found = [word[:MOST_LETTERS] for word in found]
    words = list(dict.fromkeys(found))
    return words if len(words) <= most else words[:most]
