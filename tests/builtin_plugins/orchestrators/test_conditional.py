"""The conditional orchestrator on the real engine and bus."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from qtforge_builtin_plugins.orchestrators.conditional import ConditionalOrchestrator
from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.runs.engine import Engine
from qtforge_host.runs.recorded_workflows import RecordedWorkflows
from qtforge_host.runs.state import RunState
from qtforge_host.workflows.checking import check
from qtforge_host.workflows.definitions import Workflow, parse
from qtforge_sdk import OperationError, Orchestrator, Plugin, StepResult, operation
from qtforge_sdk.errors import WorkflowNotFoundError
from qtforge_sdk.journal import RunQuery, RunSummary

KINDS: dict[str, Orchestrator[Any]] = {
    "conditional": ConditionalOrchestrator(),
    "sequential": SequentialOrchestrator(),
}
HEAD = 'name = "w"\nkind = "conditional"\n'
LOOK = """
[[stages]]
name = "look"
operation = "desk.look"
message = { what = "${input.what}" }
"""
NAMES = """
[names]
kind = "${stages.look.data.kind}"
pages = "${stages.look.data.pages}"
words = "${stages.look.data.kind + '!'}"
"""
RULES = """
[[rules]]
name = "long"
condition = "pages > 10"
target = "long_ones"
priority = 5
parameters = { deep = true, of = "${kind}" }

[[rules]]
name = "letters"
condition = "kind == 'letter'"
target = "letters"
priority = 7

[input]
what = "${input.what}"
parameters = "${decision.pipeline_parameters}"
reason = "${decision.reason}, ${words}"
"""
GOOD = HEAD + 'confidence = "${stages.look.data.sure}"\n' + LOOK + NAMES + RULES


class Desk(Plugin):
    """Answers ``desk.*``; what it was told stands in ``told``."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    @operation("desk.look")
    async def look(self, message: Mapping[str, Any]) -> dict[str, Any]:
        kind, pages = str(message["what"]).split()
        return {"kind": kind, "pages": int(pages), "sure": 0.75}

    @operation("desk.work")
    async def work(self, message: Mapping[str, Any]) -> dict[str, Any]:
        self.told.append(message)
        if message.get("reason", "").endswith("broken!"):
            raise OperationError("desk.broken", "it is broken")
        return {"worked": True}

    @operation("desk.undo")
    async def undo(self, message: Mapping[str, Any]) -> None:
        self.told.append("undone")


def pipeline(name: str) -> Workflow:
    text = (
        f'name = "{name}"\nkind = "sequential"\n[[stages]]\nname = "work"\n'
        'operation = "desk.work"\nmessage = { given = "${input}", reason = "${input.reason}" }\n'
    )
    found = parse(text, name, KINDS).workflow
    assert found is not None
    return found


PIPELINES = {name: pipeline(name) for name in ("long_ones", "letters", "others")}


def execute(
    bench: Any, text: str, what: str, **changes: Any
) -> tuple[RunState, Desk, Sequence[RunSummary]]:
    async def main() -> tuple[RunState, Desk, Sequence[RunSummary]]:
        async with bench() as it:
            desk = await it.add(Desk(), "desk", "1.0.0")
            journal = MemoryJournal()
            await journal.open()
            workflows = RecordedWorkflows(KINDS, named, lambda workflow: [])
            engine = Engine(it.bus, it.parts.expressions, journal, workflows)
            workflow = read(text)
            definition = msgspec.structs.replace(workflow.definition, **changes)
            workflow = Workflow(
                definition=definition, orchestrator=workflow.orchestrator, source="", text=text
            )
            state = await engine.execute(workflow, {"what": what})
            children = await journal.runs(RunQuery(parent=state.run_id))
            await engine.close()
            return state, desk, children

    return asyncio.run(main())


def read(text: str) -> Workflow:
    parsed = parse(text, "w.toml", KINDS)
    assert parsed.workflow is not None, parsed.problems
    return parsed.workflow


def named(name: str) -> Workflow:
    if name not in PIPELINES:
        raise WorkflowNotFoundError(name)
    return PIPELINES[name]


def outcomes(state: RunState) -> dict[str, str]:
    return {each["name"]: each["outcome"] for each in state.steps["routing_decision"].data["rules"]}


def test_the_rule_that_holds_sends_the_run_on_as_a_child_with_its_parameters(bench: Any) -> None:
    state, desk, children = execute(bench, GOOD, "report 20")
    assert state.status == "succeeded"
    assert [(each.workflow, each.status) for each in children] == [("long_ones", "succeeded")]
    assert desk.told == [
        {
            "given": {
                "what": "report 20",
                "parameters": {"deep": True, "of": "report"},
                "reason": "Matched rule: long, report!",
            },
            "reason": "Matched rule: long, report!",
        }
    ]
    assert list(state.steps) == ["look", "routing_decision", "pipeline_execute"]
    assert state.result["pipeline_execute"] == {"work": {"worked": True}}


def test_the_decision_has_the_originals_fields_and_every_rule(bench: Any) -> None:
    state, _, _ = execute(bench, GOOD, "letter 20")
    assert state.steps["routing_decision"].data == {
        "target_pipeline": "letters",
        "reason": "Matched rule: letters",
        "confidence": 0.75,
        "applied_rules": ["letters"],
        "pipeline_parameters": {},
        "names": {"kind": "letter", "pages": 20, "words": "letter!"},
        "rules": [
            {
                "name": "letters", "target": "letters", "priority": 7,
                "condition": "kind == 'letter'", "outcome": "held", "why": 'kind = "letter"',
            },
            {
                "name": "long", "target": "long_ones", "priority": 5,
                "condition": "pages > 10", "outcome": "not reached",
                "why": "'letters' held first",
            },
        ],
    }  # fmt: skip


def test_explain_tries_every_rule_and_decides_the_same(bench: Any) -> None:
    state, _, children = execute(bench, GOOD, "letter 20", explain=True)
    assert outcomes(state) == {"letters": "held", "long": "also held"}
    assert [each.workflow for each in children] == ["letters"]


def test_a_dry_run_ends_after_the_decision(bench: Any) -> None:
    state, desk, children = execute(bench, GOOD, "letter 20", dry_run=True)
    assert state.status == "succeeded"
    assert (desk.told, list(children)) == ([], [])
    assert state.steps["pipeline_execute"].status == "skipped"
    assert state.steps["routing_decision"].data["target_pipeline"] == "letters"


def test_no_rule_and_no_default_is_an_error_that_names_the_values(bench: Any) -> None:
    state, desk, _ = execute(bench, GOOD, "note 3")
    assert state.status == "failed"
    assert state.error is not None
    assert (state.error.code, state.error.stage) == ("routing.no_match", "routing_decision")
    assert state.error.message == 'no rule holds: kind = "note", pages = 3, words = "note!"'
    assert desk.told == []


def test_the_default_takes_what_no_rule_is_for(bench: Any) -> None:
    state, _, children = execute(bench, GOOD, "note 3", default="others")
    decision = state.steps["routing_decision"].data
    assert (decision["target_pipeline"], decision["applied_rules"]) == ("others", [])
    assert decision["reason"] == "No rule matched: the default"
    assert [each.workflow for each in children] == ["others"]


def test_a_rule_without_an_answer_fails_the_run_and_names_rule_and_part(bench: Any) -> None:
    text = GOOD.replace("pages > 10", "pages > 100 || pages + kind == 3")
    state, desk, _ = execute(bench, text, "note 3")
    assert state.error is not None
    assert (state.error.code, state.error.stage) == ("routing.rule_failed", "routing_decision")
    assert (
        "the condition of the rule 'long' can't be evaluated: in 'pages + kind': "
        in state.error.message
    )
    assert desk.told == []


def test_a_name_without_a_value_fails_the_run_and_is_named(bench: Any) -> None:
    state, _, _ = execute(bench, GOOD.replace("data.kind}", "data.sort}"), "note 3")
    assert state.error is not None
    assert state.error.code == "routing.name_failed"
    assert state.error.message.startswith(
        "the name 'kind' can't be evaluated: in 'stages.look.data.sort'"
    )


def test_a_confidence_that_is_no_number_is_refused(bench: Any) -> None:
    state, _, _ = execute(bench, GOOD, "letter 3", confidence="${kind}")
    assert state.error is not None
    assert state.error.code == "routing.confidence_failed"


def test_a_child_that_fails_fails_the_run_with_its_own_code(bench: Any) -> None:
    text = GOOD.replace(
        'name = "look"\n',
        'name = "look"\ncompensation = { operation = "desk.undo" }\n',
    )
    text = text.replace("${words}", "broken!")
    state, desk, children = execute(bench, text, "letter 3")
    assert state.status == "compensated"
    assert state.error is not None
    assert (state.error.code, state.error.stage) == ("desk.broken", "pipeline_execute")
    assert [each.status for each in children] == ["failed"]
    assert desk.told[-1] == "undone"


def test_an_input_that_can_not_be_made_fails_the_step_that_needs_it(bench: Any) -> None:
    text = GOOD.replace('what = "${input.what}"\nparam', 'what = "${input.nothing}"\nparam')
    state, _, _ = execute(bench, text, "letter 3")
    assert state.error is not None
    assert state.error.stage == "pipeline_execute"


def problems_of(text: str) -> list[tuple[str, str]]:
    parsed = parse(text, "w.toml", KINDS)
    found = list(parsed.problems)
    if parsed.workflow is not None:
        topics: Any = {"desk.look": [_HANDLER]}
        found += check(parsed.workflow, Expressions(), topics, [*PIPELINES, "w"])
    return [(each.path, each.what) for each in found]


class _Handler(msgspec.Struct, frozen=True):
    plugin: str = "desk"
    wrapper: bool = False


_HANDLER = _Handler()


def test_a_good_definition_has_no_problem() -> None:
    assert problems_of(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "path", "what"),
    [
        ("pages > 10", "page > 10", "rules[0].condition", "in 'page > 10': 'page' is not known"),
        ("pages > 10", "pages > ", "rules[0].condition", "in 'pages > ': column 9: "),
        ('"long_ones"', '"long_one"', "rules[0].target", "there is no workflow 'long_one'"),
        ('"long_ones"', '"w"', "rules[0].target", "'w' would run itself"),
        ('"letters"\ncond', '"long"\ncond', "rules[1].name", "there are two rules 'long'"),
        ('"letters"\ncond', '""\ncond', "rules[1].name", "a rule must have a name"),
        ('"look"', '"pipeline_execute"', "stages[0].name", "'pipeline_execute' is a step of"),
        ("words =", "decision =", "names.decision", "'decision' is a reserved name"),
        ("words =", "two-words =", "names.two-words", "'two-words' is not a name"),
        ("stages.look.data.pages", "stages.lok.data", "names.pages", "'stages' has no 'lok'"),
        ("decision.reason", "decision.reasons", "input.reason", "'decision' has no 'reasons'"),
        ("${words}", "${wordz}", "input.reason", "'wordz' is not known"),
        ("${kind}", "${sort}", "rules[0].parameters.of", "'sort' is not known"),
        ("look.data.sure", "look.date", "confidence", "'stages.look' has no 'date'"),
        ("priority = 5", 'priority = "high"', "rules[0].priority", "expected int"),
        ("priority = 5", "prioriti = 5", "rules[0].prioriti", ""),
    ],
)
def test_what_is_wrong_is_named_with_its_place(old: str, new: str, path: str, what: str) -> None:
    assert old in GOOD
    found = problems_of(GOOD.replace(old, new))
    assert any(path == where and what.lower() in text.lower() for where, text in found), found


def test_a_definition_without_rules_and_default_has_nothing_to_decide() -> None:
    assert ("rules", "there is neither a rule nor a default") in problems_of(HEAD + LOOK)
    assert problems_of(HEAD + 'default = "others"\n' + LOOK) == []
    assert ("default", "there is no workflow 'nobody'") in problems_of(
        HEAD + 'default = "nobody"\n' + LOOK
    )


def test_what_has_been_decided_can_not_be_amended_and_what_comes_can() -> None:
    orchestrator = ConditionalOrchestrator()
    before: Any = read(GOOD).definition
    stage: Any = before.stages[0]
    other_rules = msgspec.structs.replace(before, rules=before.rules[:1])
    other_input = msgspec.structs.replace(before, input={})
    more = msgspec.structs.replace(
        before, stages=(stage, msgspec.structs.replace(stage, name="more"))
    )

    def reasons(after: Any, *done: str) -> list[str]:
        steps = {name: StepResult(name=name, status="succeeded") for name in done}
        return orchestrator.check_amendment(before, after, steps)

    assert reasons(other_rules, "look") == []
    assert reasons(more, "look") == []
    assert reasons(other_rules, "look", "routing_decision") == [
        "'routing_decision' has begun: 'rules' can't be changed"
    ]
    assert reasons(more, "look", "routing_decision")
    assert reasons(other_input, "look", "routing_decision") == []
    assert reasons(other_input, "look", "routing_decision", "pipeline_execute")
