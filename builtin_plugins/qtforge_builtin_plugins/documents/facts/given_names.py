"""Which words are given names, and the forms in which Russian declines them.

The names are data, ``given_names.toml``.
"""

# ruff: noqa: RUF001 - it has words in Russian

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Final

from qtforge_builtin_plugins.documents.facts.labels import fold

__all__ = ["is_given", "stem"]

_DATA: Final = Path(__file__).with_suffix(".toml")
_CYRILLIC: Final = re.compile(r"[а-яё]", re.IGNORECASE)
_ENDINGS: Final = (
    "ого", "его", "ому", "ему", "ыми", "ими", "ая", "яя", "ой", "ей", "ою", "ею", "ую", "юю", "ый",
    "ий", "ым", "им", "ом", "ем", "ых", "их", "а", "я", "у", "ю", "е", "ы", "и", "о", "ь", "й",
)  # fmt: skip
_LEAST_STEM: Final = 2  # letters


@cache
def _given_names(language: str | None) -> frozenset[str]:
    """Return the folded given names that are read in a language; long ones of all languages."""
    data: dict[str, str] = tomllib.loads(_DATA.read_text("utf-8"))
    found: set[str] = set()
    for name, text in data.items():
        words = fold(text).split()
        found.update(word for word in words if name == language or len(word) > 3)
    return frozenset(found | {stem(name) for name in found if _CYRILLIC.search(name)})


def stem(word: str) -> str:
    """Return a folded Russian word without its ending, and without a vowel that comes and goes.

    >>> stem("кравцом") == stem("кравец"), stem("климову") == stem("климова")
    (True, True)
    """
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _LEAST_STEM:
            word = word[: -len(ending)]
            break
    if word.endswith("ец") and len(word) > 4:
        word = word[:-2] + "ц"
    elif word.endswith("ок") and len(word) > 4:
        word = word[:-2] + "к"
    return "павл" if word == "павел" else word


def is_given(word: str, language: str | None) -> bool:
    """Return whether a word is a given name, also one of several with hyphens."""
    known = _given_names(language)
    folded = fold(word).replace("’", "'")
    first = re.split(r"[-']", folded)[0]
    return folded in known or (len(first) > 2 and first in known and "-" in folded) or (
        bool(_CYRILLIC.search(folded)) and stem(folded) in known
    )  # fmt: skip
