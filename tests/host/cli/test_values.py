"""What commands print for values that JSON, or a mapping of the journal, can't hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PLUGIN = '''
from qtforge_sdk import Plugin, hookimpl, operation

FLAT = """
name = "flat"
kind = "sequential"

[result]
got = "${stages.measure.data}"
text = "${stages.measure.data}!"
one = "${stages.measure.data.low}!"

[[stages]]
name = "measure"
operation = "values.measure"
"""

MACHINE = """
name = "machine"
kind = "reactive"
initial = "measuring"

[states.measuring]
entry = ["measure", "double"]

[states.end]
final = true

[[transitions]]
name = "finish"
from = "measuring"
to = "end"

[actions.measure]
type = "plugin_call"
operation = "values.measure"
result = "got"

[actions.double]
type = "script"
expression = "{'twice': data.got.low * 2.0}"
"""

MERGED = """
name = "merged"
kind = "sequential"

[[stages]]
name = "list"
operation = "values.merged"
"""


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [FLAT, MACHINE, MERGED]

    @operation("values.measure")
    async def measure(self, message: dict) -> dict:
        return {"no": float("nan"), "low": -float("inf"), "high": [float("inf"), None]}

    @operation("values.merged")
    async def merged(self, message: dict) -> dict:
        return {"rows": [{}, {1: "a", "1": "b"}]}

    @operation("values.opened")
    async def opened(self, message: dict):
        return {"file": open("/dev/null")}
'''
MEASURED = {"no": "NaN", "low": "-Infinity", "high": ["Infinity", None]}


@pytest.fixture
def values(site: Any) -> Path:
    site.plugin("values", "2.1.0", source=PLUGIN)
    return Path(site.root)


def strict(text: str) -> Any:
    """Return JSON in which no number is NaN or infinity."""
    return json.loads(text, parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("words", "path", "expected"),
    [
        (("bus", "request", "values.measure", "--json"), "response", MEASURED),
        (("run", "flat", "--json"), "result.got", MEASURED),
        (("run", "flat", "--json"), "result.one", "-Infinity!"),
        (("run", "machine", "--json"), "result.data.got", MEASURED),
        (("run", "machine", "--json"), "result.data.twice", "-Infinity"),
    ],
)
def test_what_is_no_number_is_a_text_in_json(
    cli: Any, values: Path, words: tuple[str, ...], path: str, expected: Any
) -> None:
    said = cli(*words, path=values)
    assert said.code == 0, said.err
    found = strict(said.out)
    for key in path.split("."):
        found = found[key]
    assert found == expected


def test_the_history_and_a_text_made_of_values_have_the_same_texts(cli: Any, values: Path) -> None:
    run = strict(cli("run", "flat", "--json", path=values).out)
    assert strict(run["result"]["text"][:-1]) == MEASURED
    shown = cli("runs", "show", run["run_id"], "--json", path=values)
    assert strict(shown.out)["result"]["got"] == MEASURED
    records = cli("runs", "show", run["run_id"], "--records", path=values)
    assert [
        record["data"]
        for record in map(strict, records.out.splitlines())
        if "attempt" in record and "data" in record
    ] == [MEASURED]


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("run", "merged"), "in list (values 2.1.0)"),
        (("bus", "request", "values.merged"), "values 2.1.0"),
    ],
)
def test_keys_that_would_merge_are_an_error_that_names_plugin_path_and_keys(
    cli: Any, values: Path, words: tuple[str, ...], where: str
) -> None:
    said = cli(*words, path=values)
    text = said.out + said.err
    assert said.code == 1
    assert "error[run.not_storable]" in text
    assert where in text
    assert "the keys 1 and '1' are the same text - at `$.rows[1]`" in text


def test_an_answer_without_a_json_form_is_an_error_and_not_its_text(cli: Any, values: Path) -> None:
    said = cli("bus", "request", "values.opened", path=values)
    assert said.code == 1
    assert not said.out
    assert "error[run.not_storable]: values 2.1.0 failed on 'values.opened'" in said.err
    assert "TextIOWrapper" in said.err
