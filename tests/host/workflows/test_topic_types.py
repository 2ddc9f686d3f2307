"""Messages and answers are compared with the types that operations declare, in every kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import msgspec
import pytest

from qtforge_builtin_plugins.orchestrators.conditional import ConditionalOrchestrator
from qtforge_builtin_plugins.orchestrators.graph import GraphOrchestrator
from qtforge_builtin_plugins.orchestrators.parallel import ParallelOrchestrator
from qtforge_builtin_plugins.orchestrators.reactive.orchestrator import ReactiveOrchestrator
from qtforge_builtin_plugins.orchestrators.sequential import SequentialOrchestrator
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.workflows.catalog import PythonOrchestrator
from qtforge_host.workflows.checking import check
from qtforge_host.workflows.definitions import Workflow, parse
from qtforge_host.workflows.topic_types import NO_TYPES, TopicTypes
from qtforge_sdk import Definition, HandlerInfo, Orchestrator, Run
from qtforge_sdk.operations import Signature
from qtforge_sdk.runs import AmendingAnswer
from qtforge_sdk.workflows import PythonWorkflow

KINDS: dict[str, Orchestrator[Any]] = {
    "conditional": ConditionalOrchestrator(),
    "graph": GraphOrchestrator(),
    "parallel": ParallelOrchestrator(),
    "reactive": ReactiveOrchestrator(),
    "sequential": SequentialOrchestrator(),
}


class Place(msgspec.Struct, rename="camel"):
    post_code: str
    inner: Place | None = None


@dataclasses.dataclass
class Person:
    name: str
    age: int = 0


class Facts(TypedDict):
    words: int


class Order(msgspec.Struct):
    article: str
    amount: int = 1
    place: Place | None = None
    tags: list[str] = []
    more: dict[str, int] = {}


class Receipt(msgspec.Struct):
    number: int
    buyer: Person
    facts: Facts
    places: list[Place]
    more: dict[str, int]
    anything: Any = None
    text_or_place: str | Place = ""
    place: Place | None = None


TYPES: Mapping[str, Sequence[tuple[str, Any, Any]]] = {
    "order.take": [("shop", Order, Receipt)],
    "order.undo": [("shop", Order, None)],
    "order.any": [("shop", Any, Any)],
    "order.table": [("shop", dict[str, Any], dict[str, Any])],
    "order.plain": [("shop", dict, list)],
    "order.two": [("shop", Order, Receipt), ("other", Person, Person)],
    "order.amend": [("shop", Order, AmendingAnswer)],
    "shelf.read": [("shop", Any, Receipt)],
    "rows.aggregate": [("shop", Any, Receipt)],
    "order.silent": [],
}


def signatures(topic: str, plugin: str | None) -> Sequence[Signature]:
    return [
        Signature(message_type=taken, response_type=given, takes_context=False, is_async=True)
        for name, taken, given in TYPES[topic]
        if plugin in (None, name)
    ]


TOPICS = {
    topic: [
        HandlerInfo(
            topic=topic, plugin=plugin, version="1", execution="async", accepts=None,
            wrapper=False, message_type="", response_type="",
        )
        for plugin in ("shop", "other")
    ]
    for topic in TYPES
}  # fmt: skip


def problems(
    text: str,
    kind: str = "sequential",
    *,
    find: Callable[[str], Workflow | None] | None = None,
    typed: bool = True,
) -> dict[str, str]:
    """Return what is wrong, with its fix, by path."""
    parsed = parse(f'name = "w"\nkind = "{kind}"\n{text}', "w.toml", KINDS)
    assert parsed.workflow is not None, parsed.problems
    types = TopicTypes(signatures) if typed else NO_TYPES
    found = check(parsed.workflow, Expressions(), TOPICS, ["other"], find, types)
    assert len({each.path for each in found}) == len(found)
    return {each.path: f"{each.what}; {each.fix}" if each.fix else each.what for each in found}


def stage(*lines: str, name: str = "a", operation: str = "order.take", where: str = "") -> str:
    head = [f"[[{where}stages]]", f'name = "{name}"', f'operation = "{operation}"']
    return "\n".join([*head, *lines, ""])


RIGHT = 'message = { article = "pen" }'


@pytest.mark.parametrize(
    "message",
    [
        '{ article = "pen" }',
        '{ article = "${input.article}", amount = "${input.amount}" }',
        '{ article = "no ${input.x}", place = { postCode = "1" }, tags = ["a", "${input.b}"] }',
        '{ article = "pen", place = "${input.place}", tags = "${input.tags}" }',
        '{ article = "pen", place = { postCode = "1", inner = "${input.place}" } }',
        '{ article = "pen", more = { "a.b" = 1, c = "${input.c}" } }',
    ],
)
def test_a_message_that_fits_or_may_fit_is_no_problem(message: str) -> None:
    assert problems(stage(f"message = {message}")) == {}


def test_every_wrong_key_and_value_of_a_message_is_told_at_once() -> None:
    message = (
        '{ articel = "x", amount = "many", place = { postcode = "${input.x}", inner = 3 },'
        ' tags = ["a", 4], more = { "a.b" = "x" } }'
    )
    assert problems(stage(f"message = {message}")) == {
        "stages[0].message.articel": "'order.take' does not know this key; did you mean 'article'?",
        "stages[0].message.amount": "expected int, got str",
        "stages[0].message.place.postcode": (
            "'order.take' does not know this key; did you mean 'postCode'?"
        ),
        "stages[0].message.place.inner": "expected object | null, got int",
        "stages[0].message.tags[1]": "expected str, got int",
        "stages[0].message.more.a.b": "expected int, got str",
    }


def test_a_key_that_is_needed_and_missing_is_told() -> None:
    assert problems(stage()) == {
        "stages[0].message.article": "it is missing, and 'order.take' needs it; add 'article'"
    }


@pytest.mark.parametrize("topic", ["any", "table", "plain", "silent"])
def test_a_topic_without_types_is_silent(topic: str) -> None:
    text = stage("message = { nonsense = 1 }", operation=f"order.{topic}")
    way = "[0].more" if topic == "plain" else ".nonsense.more"
    assert problems(f'result = "${{stages.a.data{way}}}"\n' + text) == {}


def test_an_answer_with_amendments_is_not_known() -> None:
    text = stage(RIGHT, operation="order.amend")
    assert problems('result = "${stages.a.data.anything}"\n' + text) == {}


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("number + size(stages.a.data.places)", None),
        ("buyer.name", None),
        ("facts.words", None),
        ("place.postCode", None),
        ("place.inner.inner.inner.postCode", None),
        ("anything.at.all", None),
        ("text_or_place.what", None),
        ("places[0].postCode", None),
        ("places[size(stages.a.data.places) - 1].inner.postCode", None),
        ("places.map(p, p.postCode)", None),
        ("places.filter(p, p.inner != null).map(p, p.inner.postCode)", None),
        ("places.exists(p, p.postCode == '1') && stages.a.data.number > 0", None),
        ("buyer['name'].startsWith('A')", None),
        ("more.any", None),
        ("more['any'] + 1", None),
        ("places[0].what", "'stages.a.data.places[0]' has no 'what'; use one of inner, postCode"),
        ("places.map(p, p.what)", "'p' has no 'what'; use one of inner, postCode"),
        (
            "places.filter(p, true)[0].what",
            "'stages.a.data.places.filter(p, true)[0]' has no 'what'; use one of inner, postCode",
        ),
        (
            "places.postCode",
            "'stages.a.data.places' is a list, which has no 'postCode'; "
            "write stages.a.data.places[0].postCode for its first item",
        ),
        (
            "places['postCode']",
            "'stages.a.data.places' is a list, which has no 'postCode'; "
            "use a number: stages.a.data.places[0]",
        ),
        ("number.x", "'stages.a.data.number' is a number, which has no 'x'; "
                     "use stages.a.data.number"),
        ("number[0]", "'stages.a.data.number' is a number, which has no items; "
                      "use stages.a.data.number"),
        ("number.map(n, n)", "'stages.a.data.number' is a number, and map() wants a list; "
                             "use stages.a.data.number"),
        ("buyer.name.first", "'stages.a.data.buyer.name' is a string, which has no 'first'; "
                             "use stages.a.data.buyer.name"),
        ("buyer['nmae']", "'stages.a.data.buyer' has no 'nmae'; did you mean 'name'?"),
        ("buyer[0]", "'stages.a.data.buyer' is a table, and no list; "
                     "use a name: stages.a.data.buyer.name"),
        ("more.a.b", "'stages.a.data.more.a' is a number, which has no 'b'; "
                     "use stages.a.data.more.a"),
        ("numbr", "'stages.a.data' has no 'numbr'; did you mean 'number'?"),
        ("buyer.nmae", "'stages.a.data.buyer' has no 'nmae'; did you mean 'name'?"),
        ("facts.wrods", "'stages.a.data.facts' has no 'wrods'; did you mean 'words'?"),
        (
            "place.inner.inner.post_code",
            "'stages.a.data.place.inner.inner' has no 'post_code'; did you mean 'postCode'?",
        ),
    ],
)  # fmt: skip
def test_members_and_items_of_an_answer_are_those_of_its_type(
    expression: str, problem: str | None
) -> None:
    found = problems(f'result = "${{stages.a.data.{expression}}}"\n' + stage(RIGHT))
    if problem is None:
        assert found == {}
    else:
        assert found == {"result": f"in 'stages.a.data.{expression}': {problem}"}


def test_every_wrong_member_of_an_expression_is_told() -> None:
    parsed = parse(
        'name = "w"\nkind = "sequential"\nresult = "${stages.a.data.x + stages.a.data.y}"\n'
        + stage(RIGHT),
        "w.toml",
        KINDS,
    )
    assert parsed.workflow is not None
    found = check(parsed.workflow, Expressions(), TOPICS, [], types=TopicTypes(signatures))
    assert [each.what.rpartition(" has no ")[2] for each in found] == ["'x'", "'y'"]


def test_of_several_operations_one_must_fit_and_any_member_counts() -> None:
    def found(message: str, *lines: str) -> dict[str, str]:
        result = 'result = "${stages.a.data.age} ${stages.a.data.number}"\n'
        return problems(result + stage(f"message = {message}", *lines, operation="order.two"))

    assert found('{ name = "Ada" }') == {}
    assert found('{ article = "pen" }') == {}
    assert list(found('{ nmae = "Ada" }')) == ["stages[0].message.nmae"]
    assert list(found('{ name = "Ada" }', 'plugin = "shop"')) == [
        "stages[0].message.name",
        "stages[0].message.article",
        "result",
    ]


WRONG = 'message = { article = "pen", x = 1 }'


def test_all_parts_of_stages_are_compared() -> None:
    text = (
        'result = "${stages.each.data[0].number} ${stages.b.data.nope}"\n'
        + stage(
            RIGHT,
            'repeat = { until = "data.numbr == 1" }',
            'compensation = { operation = "order.undo", message = { articel = "x" } }',
        )
        + stage(
            "foreach = [1]",
            'message = { article = "${item}" }',
            'reduce = { value = "${total + item.numbr}" }',
            name="each",
        )
        + stage(
            RIGHT,
            'fallback = { topic = "order.undo", message = { articel = "x" } }',
            name="saved",
        )
        + stage('when = "stages.saved.data.x == 1"', RIGHT, name="after")
        + '[[stages]]\nname = "b"\nblock = "one"\n'
        + '[blocks.one]\nresult = { sum = "${stages.inner.data.numbr}" }\n'
        + stage(WRONG, name="inner", where="blocks.one.")
        + stage('message = { article = "${stages.a.data.numbr}" }', name="last").replace(
            "[[stages]]", "[[finally]]"
        )
    )
    assert sorted(problems(text)) == [
        "blocks.one.result.sum",
        "blocks.one.stages[0].message.x",
        "finally[0].message.article",
        "result",
        "stages[0].compensation.message.articel",
        "stages[0].repeat.until",
        "stages[1].reduce.value",
        "stages[2].fallback.message.articel",
    ]


def test_a_graph_a_decision_a_machine_and_sources_are_compared() -> None:
    graph = stage(RIGHT) + stage('when = "stages.a.data.x"', 'needs = ["a"]', WRONG, name="b")
    assert sorted(problems(graph, "graph")) == ["stages[1].message.x", "stages[1].when"]
    decision = (
        'default = "other"\ninput = { a = "${n.z}", b = "${decision.reason.z}" }\n'
        'result = "${stages.routing_decision.data.reson}"\n'
        '[names]\nn = "${stages.a.data.number}"\nm = "${stages.a.data.x}"\n'
        + stage(WRONG)
        + '[[rules]]\nname = "r"\ncondition = "stages.a.data.y == 1"\ntarget = "other"\n'
    )
    assert sorted(problems(decision, "conditional")) == [
        "input.a",
        "input.b",
        "names.m",
        "result",
        "rules[0].condition",
        "stages[0].message.x",
    ]
    machine = (
        '[states.started]\nentry = ["go"]\nfinal = true\n'
        '[actions.go]\ntype = "plugin_call"\noperation = "order.take"\n' + WRONG
    )
    assert list(problems(machine, "reactive")) == ["actions.go.message.x"]
    sources = (
        'result = { a = "${stages.s.data.x}", b = "${stages.aggregate.data.y}" }\n'
        'aggregation = { method = "union" }\n[[sources]]\nname = "s"\ntype = "shelf"\n'
    )
    assert list(problems(sources, "parallel")) == ["result.a", "result.b"]


def workflow_of(text: str, kind: str) -> Workflow:
    found = parse(f'name = "other"\nkind = "{kind}"\n{text}', "other.toml", KINDS).workflow
    assert found is not None
    return found


async def counted(run: Run, given: Mapping[str, Any]) -> Facts:
    raise NotImplementedError


async def untold(run: Run, given: Mapping[str, Any]) -> Any:
    raise NotImplementedError


def function(code: Any) -> Workflow:
    found = PythonWorkflow(definition=Definition(name="other", kind="python"), function=code)
    return Workflow(
        definition=found.definition, orchestrator=PythonOrchestrator(found), source="", text=""
    )


FINAL = "[states.open]\n[states.shut]\nfinal = true\n"
RESULT = 'result = { words = "${stages.a.data.number}", by = { name = "Ada" } }\n'


@pytest.mark.parametrize(
    ("other", "members"),
    [
        (workflow_of(RESULT + stage(), "sequential"), {"words", "by"}),
        (workflow_of('result = "${stages.a.data.facts}"\n' + stage(), "sequential"), {"words"}),
        (workflow_of('result = "${stages.a.data.anything}"\n' + stage(), "sequential"), None),
        (workflow_of(stage(name="words"), "sequential"), {"words"}),
        (workflow_of(stage(name="words") + stage(), "graph"), {"words", "a"}),
        (workflow_of('default = "other"\n' + stage(name="words"), "conditional"), {"words"}),
        (workflow_of('result = { words = 1, by = {} }\ninitial = "open"\n' + FINAL, "reactive"),
         {"words", "by"}),
        (workflow_of('result = { words = 1 }\ninitial = "open"\n' + FINAL + "result = 3\n",
                     "reactive"), None),
        (function(counted), {"words"}),
        (function(untold), None),
    ],
)  # fmt: skip
def test_members_of_a_workflows_result_are_those_that_it_declares(
    other: Workflow, members: set[str] | None
) -> None:
    text = '[[stages]]\nname = "a"\nworkflow = "other"\n' + stage(
        'message = { article = "${stages.a.data.wrods} ${stages.a.data.words}" }', name="b"
    )
    found = problems(text, find={"other": other}.get)
    if members is None:
        assert found == {}
    else:
        assert list(found) == ["stages[1].message.article"]
        assert "has no 'wrods'; did you mean 'words'?" in found["stages[1].message.article"]
    assert problems(text, find={"other": other}.get, typed=False) == {}


def test_a_machine_without_a_result_of_its_own_gives_its_state_and_its_data() -> None:
    other = workflow_of('initial = "open"\n' + FINAL, "reactive")
    text = '[[stages]]\nname = "a"\nworkflow = "other"\n' + stage(
        'message = { article = "${stages.a.data.state} ${stages.a.data.dta}" }', name="b"
    )
    found = problems(text, find={"other": other}.get)
    assert "has no 'dta'; did you mean 'data'?" in found["stages[1].message.article"]


def test_members_within_a_workflows_result_are_known_as_far_as_it_writes_them() -> None:
    stages = '[[stages]]\nname = "a"\nworkflow = "other"\n' + stage(
        'message = { article = "${stages.a.data.by.nam} ${stages.a.data.words}" }', name="b"
    )
    found = problems(stages, find={"other": workflow_of(RESULT + stage(), "sequential")}.get)
    assert found == {
        "stages[1].message.article":
            "in 'stages.a.data.by.nam': 'stages.a.data.by' has no 'nam'; did you mean 'name'?",
    }  # fmt: skip


def test_results_are_known_through_workflows_blocks_and_loops() -> None:
    text = """
        result = { a = "${stages.each.data[0].to.x}", b = "${stages.way.data.words.x}" }
        [inputs]
        days = { type = "list[date]" }
        more = { type = "any", default = 1 }
        [[stages]]
        name = "child"
        workflow = "other"
        [[stages]]
        name = "each"
        foreach = "${stages.child.data.a.places}"
        when = "stages.child.data.a.numbr > 0"
        block = "one"
        [[stages]]
        name = "days"
        foreach = "${input.days}"
        block = "two"
        [[stages]]
        name = "more"
        foreach = "${input.more}"
        block = "two"
        [[stages]]
        name = "way"
        switch = [{ when = "stages.each.failures[0].cod == ''", block = "way" }, { block = "way" }]
        [blocks.one]
        result = { by = "${item.postCode}", of = "${item.post_code}", at = "${index.x}", to = "x" }
        [blocks.two]
        result = "${item.year}"
        [blocks.way]
        result = { words = "${stages.child.data.a.facts.words}" }
        """
    other = workflow_of(stage(RIGHT), "sequential")
    found = problems(text, find={"other": other}.get)
    assert list(found) == [
        "stages[1].when",
        "stages[4].switch[0].when",
        "blocks.one.result.of",
        "blocks.one.result.at",
        "result.a",
    ]
    assert "'stages.each.data[0].to' is a string, which has no 'x'" in found["result.a"]


def test_the_result_of_a_workflow_that_runs_itself_is_not_known() -> None:
    again = workflow_of('[[stages]]\nname = "a"\nworkflow = "third"\n', "sequential")
    third = workflow_of('[[stages]]\nname = "b"\nworkflow = "other"\n', "sequential")
    text = 'result = "${stages.a.data.a.b.a.any}"\n[[stages]]\nname = "a"\nworkflow = "other"\n'
    assert problems(text, find={"other": again, "third": third}.get) == {}


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("input.day.year", "'input.day' is a date, which has no 'year'"),
        ("input.days[0].year", "'input.days[0]' is a date, which has no 'year'"),
        ("input.days.map(d, d.year)", "'d' is a date, which has no 'year'"),
        ("input.days.year", "'input.days' is a list, which has no 'year'"),
        ("input.count[0]", "'input.count' is a number, which has no items"),
        ("input.any.at[0].all", None),
        ("input.table.year", None),
        ("input.hidden.year", None),
        ("input.day + input.days[0]", None),
        ("run.id.year", "'run.id' is a string, which has no 'year'"),
        ("stages.a.status.x", "'stages.a.status' is a string, which has no 'x'"),
        ("stages.a.attempts[1]", "'stages.a.attempts' is a number, which has no items"),
        ("stages.a.error.code.x", "'stages.a.error.code' is a string, which has no 'x'"),
        ("stages.a.error.cod", "'stages.a.error' has no 'cod'"),
    ],
)
def test_inputs_and_what_every_stage_has_are_of_their_types(
    expression: str, why: str | None
) -> None:
    text = f"""
        result = {{ x = "${{{expression}}}" }}
        [inputs]
        day = {{ type = "date" }}
        days = {{ type = "list[date]" }}
        count = {{ type = "integer", default = 1 }}
        any = {{ type = "any" }}
        table = {{ type = "table" }}
        hidden = {{ type = "string", secret = true }}
        """
    found = problems(text + stage(RIGHT))
    assert [each.partition(": ")[2].partition("; ")[0] for each in found.values()] == (
        [] if why is None else [why]
    )


TAKES = """
defaults = { count = 3 }
[inputs]
day = { type = "date" }
count = { type = "integer", max = 5 }
kind = { type = "string", enum = ["a", "b"], default = "a" }
"""


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ('{ day = "2026-11-30" }', []),
        ('{ day = "${input.day}", count = "${input.n}", kind = "${input.kind}" }', []),
        ("{}", [""]),
        ('{ day = "nope", cuont = 1, count = 6, kind = "c" }',
         [".cuont", ".day", ".count", ".kind"]),
        ('{ day = "${input.day}", kind = "no ${input.kind}" }', []),
    ],
)  # fmt: skip
def test_the_input_of_another_workflow_is_compared_with_what_it_declares(
    given: str, paths: list[str]
) -> None:
    other = workflow_of(TAKES + stage(RIGHT), "sequential")
    wanted = {"other": other}.get
    run = f'workflow = "other"\ninput = {given}\n'
    head = '[[stages]]\nname = "a"\n'
    assert [*problems(head + run, find=wanted)] == [f"stages[0].input{each}" for each in paths]
    assert problems(head + run, find=wanted, typed=False) == {}
    case = f'switch = [{{ workflow = "other", input = {given} }}]\n'
    assert len(problems(head + case, find=wanted)) == len(paths)
    assert len(problems(f'default = "other"\ninput = {given}', "conditional", find=wanted)) == len(
        paths
    )
    machine = f'[states.open]\nentry = ["go"]\n[actions.go]\ntype = "workflow"\n{run}'
    machine += '[states.shut]\nfinal = true\n[[transitions]]\nname = "shut"\nfrom = "open"\n'
    assert [*problems(machine + 'to = "shut"\ntrigger = "x"\n', "reactive", find=wanted)] == [
        f"actions.go.input{each}" for each in paths
    ]


def test_a_workflow_that_declares_only_the_names_of_its_inputs_needs_none_of_them() -> None:
    other = workflow_of('inputs = ["day"]\n' + stage(RIGHT), "sequential")
    text = '[[stages]]\nname = "a"\nworkflow = "other"\ninput = { dya = 1 }\n'
    assert problems(text, find={"other": other}.get) == {
        "stages[0].input.dya": "'other' has no input 'dya'; did you mean 'day'?"
    }


MACHINE = """
initial = "open"
data = { article = "pen", receipt = "${null}" }
[states.open]
entry = ["read", "count", "each"]
[states.shut]
final = true
[[transitions]]
name = "shut"
from = "open"
to = "shut"
trigger = "shut"
[actions.read]
type = "plugin_call"
operation = "shelf.read"
result = "found"
[actions.count]
type = "set"
values = { "totals.sum" = 1, seen = "${data.found.facts.words}" }
[actions.each]
type = "foreach"
items = "${data.found.places}"
item = "place"
index = "at"
actions = ["count"]
"""


def test_members_of_a_machines_data_are_those_that_anything_sets() -> None:
    right = "${data.article} ${data.totals.sum} ${data.seen} ${data.place.x} ${data.at}"
    assert problems(f'result = "{right} ${{data.found.number}}"\n' + MACHINE, "reactive") == {}
    for name, problem in (
        ("data.artcle", "'data' has no 'artcle'; did you mean 'article'?"),
        ("data.found.numbr", "'data.found' has no 'numbr'; did you mean 'number'?"),
        ("data.article.x", "'data.article' is a string, which has no 'x'; use data.article"),
        ("instance.id.x", "'instance.id' is a string, which has no 'x'; use instance.id"),
        ("instance.states.x", "'instance.states' is a list, which has no 'x'; "
                              "write instance.states[0] for its first item"),
    ):  # fmt: skip
        wrong = problems(f'result = "${{{name}}}"\n' + MACHINE, "reactive")
        assert wrong == {"result": f"in '{name}': {problem}"}
    assert problems('result = "${data.artcle}"\n' + MACHINE, "reactive", typed=False) == {}


def test_data_that_is_set_by_names_of_other_data_may_have_any_members() -> None:
    anything = MACHINE.replace('"totals.sum"', '"${data.article}"')
    assert problems('result = "${data.artcle}"\n' + anything, "reactive") == {}
