"""The scores of words are those of the package ``yake``, which is the reference."""

from __future__ import annotations

from pathlib import Path

import pytest
import yake
from hypothesis import given
from hypothesis import strategies as st

from qtforge_builtin_plugins.documents.analysis.keyword_scores import (
    find_stop_words,
    score_keywords,
)

ROOT = Path(__file__).parents[4]
PAGES = sorted((ROOT / "docs").glob("*.md"))
MOST = 40
# Words with what YAKE looks at: capitals, plurals, digits, signs, apostrophes, stop words.
WORDS = st.sampled_from(
    ["the", "of", "House", "houses", "HOUSE", "state", "states", "USA", "B2C", "3.14", "1,000",
     "09.06.2026", "s.r.l.", "don't", "'quoted'", "l'api", "ann@example.com", "&amp;", "a", "api",
     "https://example.com/a?b=c", "x-ray", "...", "?", "(see", "below).", "Dr.", "e.g.", "Über",
     "год", "été", "\u2019", "—", "\t", "\n", "\n\n"]
)  # fmt: skip


def of_yake(text: str, language: str) -> list[tuple[str, float]]:
    extractor = yake.KeywordExtractor(lan=language, n=2, top=MOST, dedup_lim=0.8)
    return [
        (key.lower(), round(float(score), 9)) for key, score in extractor.extract_keywords(text)
    ]


def of_ours(text: str, language: str) -> list[tuple[str, float]]:
    found = score_keywords(text, find_stop_words(language), MOST)
    return [(key, round(score, 9)) for key, score in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_the_scores_that_yake_gives_it(page: Path) -> None:
    text = page.read_text("utf-8")[:8_000]

    assert of_ours(text, "en") == of_yake(text, "en")


@given(st.lists(WORDS, max_size=60).map(" ".join), st.sampled_from(["en", "fr", "xx"]))
def test_any_text_has_the_scores_that_yake_gives_it(text: str, language: str) -> None:
    assert of_ours(text, language) == of_yake(text, language)


def test_a_language_without_a_list_has_no_stop_words() -> None:
    assert "the" in find_stop_words("en")
    assert "der" in find_stop_words("de")
    assert find_stop_words("xx") == frozenset()
