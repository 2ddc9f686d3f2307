from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_sdk.errors import InvalidTopicError
from qtforge_sdk.topics import matches, validate_pattern, validate_topic

words = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True)
topics = st.lists(words, min_size=1, max_size=5).map(".".join)
patterns = st.builds(
    lambda parts, tail: ".".join([*parts, *tail]),
    st.lists(words | st.just("*"), min_size=1, max_size=4),
    st.sampled_from([[], [">"]]),
)
small_words = st.sampled_from(["a", "b"])
small_topics = st.lists(small_words, min_size=1, max_size=4).map(".".join)
small_patterns = st.builds(
    lambda parts, tail: ".".join([*parts, *tail]) or ">",
    st.lists(small_words | st.just("*"), max_size=4),
    st.sampled_from([[], [">"]]),
)


def as_regex(pattern: str) -> str:
    """Say the rule in another language: one word each, or one or more words at the end."""
    word = "[^.]+"
    parts = [
        word if part == "*" else rf"{word}(\.{word})*" if part == ">" else re.escape(part)
        for part in pattern.split(".")
    ]
    return r"\.".join(parts)


@given(topics)
def test_a_topic_matches_itself_and_the_rest(topic: str) -> None:
    assert matches(topic, topic)
    assert matches(">", topic)


@given(small_patterns, small_topics)
def test_matching_is_what_the_same_regular_expression_says(pattern: str, topic: str) -> None:
    assert matches(pattern, topic) == bool(re.fullmatch(as_regex(pattern), topic))


@given(topics, st.data())
def test_a_star_stands_for_any_one_word(topic: str, data: st.DataObject) -> None:
    parts = topic.split(".")
    parts[data.draw(st.integers(0, len(parts) - 1))] = "*"
    assert matches(".".join(parts), topic)
    assert not matches(".".join([*parts, "*"]), topic)


@given(topics, words)
def test_the_rest_is_at_least_one_word(topic: str, word: str) -> None:
    assert matches(f"{topic}.>", f"{topic}.{word}")
    assert matches(f"{topic}.>", f"{topic}.{word}.{word}")
    assert not matches(f"{topic}.>", topic)


@given(topics.filter(lambda topic: not topic.startswith("qtforge_")))
def test_a_well_formed_topic_is_also_a_pattern(topic: str) -> None:
    assert validate_topic(topic) == validate_pattern(topic) == topic


@given(patterns)
def test_a_well_formed_pattern_is_returned(pattern: str) -> None:
    assert validate_pattern(pattern) == pattern


@given(st.text())
def test_any_text_is_a_topic_or_a_clear_error(text: str) -> None:
    well_formed = re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", text)
    if well_formed and not text.startswith("qtforge_"):
        assert validate_topic(text) == text
    else:
        with pytest.raises(InvalidTopicError) as caught:
            validate_topic(text)
        assert caught.value.topic == text


@pytest.mark.parametrize("topic", ["", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", "ü", "a\n"])
def test_a_topic_with_an_empty_or_foreign_word_is_refused(topic: str) -> None:
    with pytest.raises(InvalidTopicError):
        validate_topic(topic)


def test_the_hosts_own_hooks_are_no_topics() -> None:
    with pytest.raises(InvalidTopicError, match="the host's hooks"):
        validate_topic("qtforge_start")


@pytest.mark.parametrize("pattern", ["", "a.>.b", "a.b*", "**", "a..*", ">.a"])
def test_a_pattern_with_a_misplaced_wildcard_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidTopicError):
        validate_pattern(pattern)
