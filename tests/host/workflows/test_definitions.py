"""Parsing and checking definitions: every error names file, line, key and the nearest name."""

from __future__ import annotations

from typing import Any

import pytest

from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.workflows.checking import check
from qtforge_host.workflows.definitions import line_of, parse
from qtforge_sdk import HandlerInfo, Orchestrator

KINDS: dict[str, Orchestrator[Any]] = {"sequential": SequentialOrchestrator()}
GOOD = """\
name = "good"
kind = "sequential"

[[stages]]
name = "parse"
operation = "document.parse"
message = { document = "${input.document}" }

[[stages]]
name = "store"
operation = "document.store"
timeout = "10s"
when = "stages.parse.status == 'succeeded'"
message = { text = "${stages.parse.data.parsed_content}" }
compensation = { operation = "document.discard", message = { id = "${stages.store.data.id}" } }
"""


def answered_by(plugin: str, topic: str) -> list[HandlerInfo]:
    return [
        HandlerInfo(
            topic=topic,
            plugin=plugin,
            version="1",
            execution="async",
            accepts=None,
            wrapper=False,
            message_type="Any",
            response_type="Any",
        )
    ]


TOPICS = {
    "document.parse": answered_by("document-parser", "document.parse"),
    "document.store": answered_by("document-storage", "document.store"),
    "document.discard": answered_by("document-storage", "document.discard"),
}
WORKFLOWS = ("w", "other-one")


def problems_of(text: str) -> list[tuple[int | None, str, str, str]]:
    parsed = parse(text, "w.toml", KINDS)
    found = list(parsed.problems)
    if parsed.workflow is not None:
        found += check(parsed.workflow, Expressions(), TOPICS, WORKFLOWS)
    return [(each.line, each.path, each.what, each.fix) for each in found]


def test_a_good_definition_has_no_problem() -> None:
    assert problems_of(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('timeout = "10s"', 'timout = "10s"',
         (12, "stages[1].timout", "unknown key", "did you mean 'timeout'?")),
        ('timeout = "10s"', 'timeout = "ten"',
         (12, "stages[1].timeout",
          "'ten' is not a duration", "write it as seconds, or as text such as 30s or 1h30m")),
        ('timeout = "10s"', 'timeout = "-1s"', (12, "stages[1].timeout",
         "'-1s' is not above zero", "write it as seconds, or as text such as 30s or 1h30m")),
        ('timeout = "10s"', "timeout = true",
         (12, "stages[1].timeout", "expected float | str | null, got bool", "")),
        ('kind = "sequential"', 'kind = "sequental"',
         (2, "kind", "no orchestrator is of the kind 'sequental'", "did you mean 'sequential'?")),
        ('"document.store"', '"document.stroe"',
         (11, "stages[1].operation", "no active plugin answers 'document.stroe'",
          "did you mean 'document.store'?")),
        ("stages.parse.status", "stages.prase.status",
         (13, "stages[1].when", "in 'stages.prase.status == 'succeeded'': 'stages' has no 'prase'",
          "did you mean 'parse'?")),
        ("stages.parse.status", "stages.store.status",
         (13, "stages[1].when", "in 'stages.store.status == 'succeeded'': 'stages' has no 'store'",
          "use one of parse")),
        ("${stages.parse.data", "${stages.parse.dat",
         (14, "stages[1].message.text",
          "in 'stages.parse.dat.parsed_content': 'stages.parse' has no 'dat'",
          "did you mean 'data'?")),
        ('name = "store"', 'name = "parse"', (10, "stages[1].name",
         "there are two stages 'parse'", "")),
        ('name = "store"', 'name = "store it"', (10, "stages[1].name",
         "'store it' is not a name", "use letters, digits and _, so that expressions can name it")),
        ('name = "store"\n', "", (9, "stages[1].name", "is missing", "add 'name'")),
        ('timeout = "10s"', 'plugin = "document-storge"',
         (12, "stages[1].plugin", "the plugin 'document-storge' does not answer 'document.store'",
          "did you mean 'document-storage'?")),
    ],
)  # fmt: skip
def test_a_problem_is_reported_with_line_key_and_nearest_name(
    old: str, new: str, problem: tuple[int | None, str, str, str]
) -> None:
    assert old in GOOD
    assert problem in problems_of(GOOD.replace(old, new))


def test_all_problems_are_reported_and_not_only_the_first() -> None:
    text = GOOD.replace('timeout = "10s"', 'timout = "10s"\nrequierd = true').replace(
        'kind = "sequential"', 'kind = "sequential"\ndescripton = "x"'
    )
    assert [path for _, path, _, _ in problems_of(text)] == [
        "descripton",
        "stages[1].timout",
        "stages[1].requierd",
    ]


def test_text_that_is_not_toml_is_named_with_its_line() -> None:
    ((line, path, what, _),) = problems_of('name = "x"\nkind = \n')
    assert (line, path) == (2, "")
    assert what.startswith("it is not TOML: ")


def test_a_workflow_without_stages_is_refused() -> None:
    text = 'name = "x"\nkind = "sequential"\nstages = []\n'
    assert problems_of(text) == [(3, "stages", "a sequential workflow has at least one stage", "")]


def test_the_line_of_a_nested_key_is_found() -> None:
    text = GOOD + "\n[[stages]]\nname = 'x'\n[stages.message]\nquery = 'y'\n"
    assert line_of(text, "stages[2].message.query") == 20
    assert line_of(text, "nosuch") is None


def test_the_timeout_of_every_kind_of_workflow_is_checked() -> None:
    text = GOOD.replace('kind = "sequential"', 'kind = "sequential"\ntimeout = "30 sec"')
    ((line, path, what, fix),) = problems_of(text)
    assert (line, path) == (3, "timeout")
    assert what == "'30 sec' is not a duration"
    assert fix.startswith("write it as seconds")


def test_the_line_of_a_key_in_a_table_of_tables_is_that_of_this_table() -> None:
    text = (
        '[[stages]]\nname = "a"\n[stages.message]\nb = 1\n[[stages]]\nname = "c"\n'
        '[[blocks.one.stages]]\nname = "d"\n[[blocks.two.stages]]\nname = "e"\nwhen = "1"\n'
    )
    assert line_of(text, "blocks.two.stages[0].when") == 11
    assert line_of(text, "blocks.one.stages[0].name") == 8
    assert line_of(text, "stages[1].name") == 6
    assert line_of(text, "stages[1].message") == 5  # it has none of its own
