"""What conformance does not ask: durability, events, retries, problems, the folder of files."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import pytest
from qtforge_sample_openworkflow import OpenWorkflows, expressions
from qtforge_sample_openworkflow.definition import duration_of
from qtforge_sample_openworkflow.expressions import ExpressionFault
from qtforge_sample_openworkflow.plugin import definition_of

from qtforge_host.api import BlockingRunClient
from qtforge_host.testing import WorkflowKit
from qtforge_sdk import OperationError
from qtforge_sdk.errors import WorkflowInvalidError

TYPE = "https://serverlessworkflow.io/spec/1.0.0/errors/expression"


def document(tasks: str, further: str = "") -> str:
    """Return a definition with these tasks."""
    head = "document: { dsl: '1.0.3', namespace: default, name: order, version: '1.2.0' }\n"
    return definition_of(f"{head}{further}do:\n{tasks}\n")


@pytest.fixture
def kit(workflows: WorkflowKit) -> WorkflowKit:
    workflows.add(OpenWorkflows())
    return workflows


ORDER = """
  - reserve: { call: stock.reserve, with: { item: '${ .item }' } }
  - payment: { listen: { to: { one: { with: { type: order.paid } } } } }
  - cool: { wait: { hours: 1 } }
  - each:
      for: { each: place, in: '["north", "south"]' }
      do:
        - tell: { call: depot.tell, with: { place: '${ $place }' } }
  - done:
      emit: { event: { with: { source: "https://shop.example", type: order.done } } }
      output: { as: '{ type }' }
"""


def test_a_call_that_is_not_http_requests_a_topic(kit: WorkflowKit) -> None:
    kit.fake("stock.reserve", {"reserved": True})
    kit.fake("depot.tell", {"ok": True})
    kit.add(document(ORDER))
    run = kit.run("order", {"item": "pen"})
    assert run.waits_for == ["order.paid"]
    assert kit.calls("stock.reserve")[0].message == {"item": "pen"}
    run.send("order.paid", amount=3)
    assert run.result == {"type": "order.done"}
    assert [each.message["place"] for each in kit.calls("depot.tell")] == ["north", "south"]
    assert "/do/3/each/for/1/do/0/tell" in run.steps


def test_it_survives_a_crash_at_every_write(kit: WorkflowKit) -> None:
    told: set[str] = set()
    kit.fake("stock.reserve", lambda message: told.add(message["item"]))
    kit.fake("depot.tell", lambda message: told.add(message["place"]))
    kit.add(document(ORDER))
    report = kit.crash_at_every_write(
        "order",
        {"item": "pen"},
        story=lambda run: run.send("order.paid", amount=3),
        effects=lambda: sorted(told),
        before_each=told.clear,
    )
    report.check()
    assert report.result == {"type": "order.done"}


def test_a_caught_error_is_tried_again_after_its_delay(kit: WorkflowKit) -> None:
    busy = OperationError("stock.busy", "busy")
    kit.fake("stock.reserve", busy, busy, {"reserved": True})
    kit.add(
        document("""
  - patient:
      try:
        - reserve: { call: stock.reserve }
      catch:
        retry: { delay: PT1H, backoff: { exponential: {} }, limit: { attempt: { count: 3 } } }
""")
    )
    run = kit.run("order")
    assert run.result == {"reserved": True}
    assert "/do/0/patient/try/0/reserve#3" in run.steps
    assert "3h" in run.timeline.splitlines()[-1]  # an hour, then two


def test_what_is_tried_too_often_is_handled(kit: WorkflowKit) -> None:
    kit.fake("stock.reserve", OperationError("stock.away", "gone"))
    kit.add(
        document("""
  - patient:
      try:
        - reserve: { call: stock.reserve }
      catch:
        retry: { delay: PT1M, limit: { attempt: { count: 2 } } }
        do:
          - give: { set: { gave: '${ $error.status }' } }
""")
    )
    assert kit.run("order").result == {"gave": 500}
    assert len(kit.calls("stock.reserve")) == 3


def test_all_branches_of_a_fork_give_a_list(kit: WorkflowKit) -> None:
    kit.fake("price.find", lambda message: message["shop"])
    kit.add(
        document("""
  - ask:
      fork:
        branches:
          - a: { call: price.find, with: { shop: 1 } }
          - b: { call: price.find, with: { shop: 2 } }
""")
    )
    assert kit.run("order").result == [1, 2]


def test_the_first_of_several_events_is_enough(kit: WorkflowKit) -> None:
    kit.add(
        document("""
  - first: { listen: { to: { any: [ { with: { type: a } }, { with: { type: b } } ] } } }
""")
    )
    run = kit.run("order")
    run.send("b", value=2)
    assert run.result == [{"value": 2}]


def test_a_flow_may_go_back(kit: WorkflowKit) -> None:
    kit.fake("job.status", {"state": "busy"}, {"state": "busy"}, {"state": "done"})
    kit.add(
        document("""
  - poll: { call: job.status }
  - look:
      switch:
        - ready: { when: '.state == "done"', then: exit }
  - pause: { wait: PT1M, then: poll }
""")
    )
    run = kit.run("order")
    assert run.result == {"state": "done"}
    assert len(kit.calls("job.status")) == 3


def test_the_context_is_what_tasks_export(kit: WorkflowKit) -> None:
    kit.add(
        document("""
  - one: { set: { a: 1 }, export: { as: '{ kept: .a }' } }
  - two: { if: 'false', set: { a: 5 } }
  - three: { set: { got: '${ $context.kept }', id: '${ $workflow.id | length > 0 }' } }
""")
    )
    assert kit.run("order").result == {"got": 1, "id": True}


def test_another_workflow_is_run(kit: WorkflowKit) -> None:
    kit.add(document("  - call: { run: { workflow: { name: child, input: { n: 2 } } } }"))
    source = (
        "document: { dsl: '1.0.3', namespace: a, name: child }\ndo: [ { s: { set: { m: 2 } } } ]"
    )
    kit.add(definition_of(source))
    assert kit.run("order").result == {"m": 2}


PROBLEMS: dict[str, tuple[str, str]] = {
    "no task": ("  - a: {}", "source/do/0/a: it does nothing"),
    "unknown target": ("  - a: { set: {}, then: b }", "there is no task 'b' beside it"),
    "unknown topic": ("  - a: { call: nobody.there }", "nobody.there"),
    "bad topic": ("  - a: { call: 'a b' }", "'a b' is not a topic"),
    "bad jq": ("  - a: { set: { b: '${ .a + }' } }", r"\.a \+"),
    "unknown variable": ("  - a: { set: { b: '${ $who }' } }", "who"),
    "clock": ("  - a: { if: now > 5, set: {} }", "'now' is not the same"),
    "environment": ("  - a: { set: { b: '${ $ENV.HOME }' } }", r"'\$ENV' is not the same"),
    "duration": ("  - a: { wait: soon }", "no length of time"),
    "protocol": ("  - a: { call: grpc }", "'call: grpc' is not supported"),
    "script": ("  - a: { run: { script: {} } }", "only workflows can be run"),
    "schema": ("  - a: { set: {}, input: { schema: {} } }", "a schema is not supported"),
    "inner": (
        "  - a: { do: [ { b: { set: {}, then: c } } ] }",
        "source/do/0/a/do/0/b: there is no task 'c'",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_found_before_the_run_with_its_place(kit: WorkflowKit, name: str) -> None:
    tasks, wanted = PROBLEMS[name]
    kit.add(document(tasks))
    with pytest.raises(WorkflowInvalidError, match=wanted):
        kit.run("order")


@pytest.mark.parametrize(
    ("source", "wanted"),
    [("a: [", "it is not YAML"), ("a: 1", "no 'document'"), ("document: {}", "no list 'do'")],
)
def test_what_is_no_document_is_said_so(kit: WorkflowKit, source: str, wanted: str) -> None:
    kit.add(definition_of(source, "order"))
    with pytest.raises(WorkflowInvalidError, match=wanted):
        kit.run("order")


@pytest.mark.parametrize(
    "values",
    [
        "&a [" + "1," * 99 + "], &b [" + "*a," * 99 + "], &c [" + "*b," * 99 + "]",
        "&a [ *a ]",
    ],
    ids=["many", "endless"],
)
def test_aliases_that_stand_for_too_much_are_a_problem(kit: WorkflowKit, values: str) -> None:
    source = f"document: {{}}\ndo: [ {{ a: {{ set: {{ b: [ {values} ] }} }} }} ]"
    kit.add(definition_of(source, "order"))
    with pytest.raises(WorkflowInvalidError, match="with its aliases it has more than 100,000"):
        kit.run("order")


def test_a_list_that_is_none_faults_at_its_task(kit: WorkflowKit) -> None:
    kit.add(document("  - each: { for: { in: .n }, do: [ { a: { set: {} } } ] }"))
    run = kit.run("order", {"n": 3})
    assert run.error is not None
    assert "400 at /do/0/each" in run.error.message


def test_the_folder_of_the_configuration_is_offered(workflows: WorkflowKit, tmp_path: Path) -> None:
    head = "document: { dsl: '1.0.3', name: hello, version: '2.0.0' }"
    text = f"{head}\ndo: [ {{ a: {{ set: {{ b: é }} }} }} ]"
    (tmp_path / "hello.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("nothing")
    workflows.add(OpenWorkflows(), config={"open-workflows": {"folder": str(tmp_path)}})
    assert workflows.run("hello").result == {"b": "é"}


@pytest.mark.parametrize(
    ("given", "seconds"), [("P1DT2H", 93600.0), ("PT5S", 5.0), ({"milliseconds": 1500}, 1.5)]
)
def test_a_length_of_time_is_iso_8601_or_a_mapping(given: Any, seconds: float) -> None:
    assert duration_of(given) == seconds


@pytest.mark.parametrize("given", ["P", "1h", {}, {"years": 1}, {"hours": "1"}, 5, None])
def test_what_is_no_length_of_time_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match="is no length of time"):
        duration_of(given)


def test_members_and_texts_may_have_the_names_of_functions() -> None:
    data, names = {"now": "a"}, {"input": {"env": "b"}}
    assert expressions.evaluate('.now + $input.env + "input"', data, names) == "abinput"
    with pytest.raises(ExpressionFault, match="'env' is not the same"):
        expressions.evaluate("env.HOME", {}, {})
    with pytest.raises(ExpressionFault, match="'env' is not the same"):
        expressions.evaluate('"\\(env)"', {}, {})


def test_what_would_not_end_fails_its_step_and_other_runs_end(tmp_path: Path) -> None:
    endless = {"time": "def f: f; f", "memory": '"x" * 1e9', "none": ". | length"}
    folder = tmp_path / "definitions"
    folder.mkdir()
    for name, expression in endless.items():
        head = f"document: {{ dsl: '1.0.3', name: {name}, version: '1.0.0' }}"
        text = f"{head}\ndo: [ {{ a: {{ set: {{ b: '${{ {expression} }}' }} }} }} ]"
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    config = tmp_path / "config.toml"
    config.write_text(
        '[host]\nworker_memory = "256 MiB"\nworker_processes = 2\n'
        f'[plugins.open-workflow.config]\nfolder = "{folder}"\n',
        encoding="utf-8",
    )
    with BlockingRunClient(tmp_path / "state", config=config) as runs:
        started = {name: runs.start(name, {"n": 1}) for name in endless}
        ended = {name: runs.wait(each, "60s") for name, each in started.items()}
        assert ended["none"].result == {"b": 1}
        for name, limit in (("time", "5 s of processor time"), ("memory", "memory")):
            error = ended[name].error
            assert error is not None
            assert error.code == "open_workflow.faulted"
            assert f"400 at /do/0/a, {TYPE}: '{endless[name]}'" in error.message
            assert limit in error.message.partition(endless[name])[2]


def test_an_expression_that_fails_is_named_alike_when_the_run_is_resumed(kit: WorkflowKit) -> None:
    tasks = """
  - safe:
      try:
        - sum: { set: { a: '${ .n + {} }', b: '${ .n }' } }
      catch:
        do:
          - why: { set: { why: '${ $error.detail }' } }
"""
    kit.add(document(tasks))
    report = kit.crash_at_every_write("order", {"n": 1})
    report.check()
    assert report.result == {"why": "'.n + {}': number (1) and object ({}) cannot be added"}


def test_a_value_that_is_too_large_for_a_journal_is_refused(kit: WorkflowKit) -> None:
    kit.add(document("  - a: { set: { b: '${ \"abcdefgh\" * 3000000 }' } }"))
    error = kit.run("order").error
    assert error is not None
    assert "its value has 22 MiB, at most 16 MiB may be" in error.message


@pytest.mark.parametrize(
    "expression", ['"abcdefgh" * 400000000', "1" * 10_001, 'import "passwords" as $a; $a']
)
def test_a_check_takes_no_time_or_memory(expression: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    problems = expressions.check(expressions.whole(expression), ())
    assert len(problems) == (0 if "*" in expression else 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB
