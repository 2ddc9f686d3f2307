"""Syllables are counted with Pyphen's dictionaries, as Pyphen itself would."""

from __future__ import annotations

import re
from pathlib import Path

import pyphen
import pytest

from qtforge_builtin_plugins.documents.analysis.syllables import load_counter

ROOT = Path(__file__).parents[4]
WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
GERMAN = (
    "Donaudampfschifffahrtsgesellschaft Rechnungsbetrag Kabinett Urinstinkt verbal Urin aber"
    " Übereinkommen Straße Lieferschein Ä I"
)


@pytest.mark.parametrize(("dictionary", "page"), [("en_US", "docs/serve.md"), ("de_DE", None)])
def test_a_word_has_the_syllables_that_pyphen_finds(dictionary: str, page: str | None) -> None:
    count = load_counter(dictionary)
    reference = pyphen.Pyphen(lang=dictionary, left=1, right=1)
    text = GERMAN if page is None else (ROOT / page).read_text("utf-8")

    words = set(WORD.findall(text))
    assert len(words) > 10
    assert {word: count(word) for word in words} == {
        word: len(reference.positions(word)) + 1 for word in words
    }
