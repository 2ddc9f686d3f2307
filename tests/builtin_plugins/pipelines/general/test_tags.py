"""document.tag and document.summarize: few words, none of them twice."""

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.pipelines.general.messages import SummarizeRequest, TagRequest
from qtforge_builtin_plugins.pipelines.general.plugin import GeneralConfig, GeneralPipeline
from qtforge_builtin_plugins.pipelines.general.tags import make_tags

STORY = """The lighthouse keeper rose before dawn, as he had every day for thirty years. The sea was
quiet. He made his tea, climbed the stairs, and put out the lamp. A ship passed far away on its way
to the north, and the lighthouse keeper waved, though nobody could have seen him.
"""


@pytest.fixture
def plugin() -> GeneralPipeline:
    made = GeneralPipeline()
    made.config = GeneralConfig()
    return made


def test_tags_do_not_say_the_same_twice() -> None:
    keywords = ["pull request", "maintainers", "maintainer", "request", "class", "Pull-Requests"]
    tags = make_tags(keywords, [None, "general"], 8)
    assert tags == ["pull-request", "maintainers", "class"]


def test_what_the_document_is_comes_first_and_the_limit_holds() -> None:
    tags = make_tags(["queue", "server", "lease"], ["engineering", "technical"], 3)
    assert tags == ["engineering", "technical", "queue"]


def test_a_text_has_tags_and_a_text_without_words_has_none(plugin: GeneralPipeline) -> None:
    tags = plugin.tag(TagRequest(parsed_content=STORY)).tags
    assert "lighthouse-keeper" in tags
    assert len(tags) <= 8
    assert plugin.tag(TagRequest(parsed_content=" 12 \n")).tags == []


def test_a_summary_is_made_of_the_texts_own_sentences(plugin: GeneralPipeline) -> None:
    text = plugin.summarize(SummarizeRequest(parsed_content=STORY, sentences=1)).text
    assert text in " ".join(STORY.split())
    assert text.endswith(".")
    assert plugin.summarize(SummarizeRequest(parsed_content="")).text == ""
