"""Blocks, ways, loops and tolerance mean the same in a sequence and in a graph."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from qtforge_host.testing import WorkflowKit
from qtforge_sdk import OperationError
from qtforge_sdk.errors import WorkflowInvalidError

KINDS = ["sequential", "graph"]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def head(kind: str, *lines: str) -> str:
    return "\n".join(['name = "w"', f'kind = "{kind}"', *lines, ""])


def run(workflows: WorkflowKit, text: str, given: Mapping[str, Any] | None = None) -> Any:
    workflows.add(text)
    return workflows.run("w", given or {})


def refuse(what: Any) -> OperationError:
    return OperationError("step.refused", f"no {what}", retryable=False)


async def doubled(message: Mapping[str, Any]) -> Any:
    for _ in range(20):  # others begin meanwhile
        await asyncio.sleep(0)
    if message["n"] == "bad":
        raise refuse("number")
    return 2 * message["n"]


@pytest.fixture(autouse=True)
def fakes(workflows: WorkflowKit) -> None:
    workflows.fake("number.double", doubled)
    workflows.fake("number.undo", None)


EACH = """
[[stages]]
name = "each"
foreach = "${input.numbers}"
block = "one"
MORE
[blocks.one.result]
twice = "${stages.first.data}"
place = "${index}"
again = "${stages.second.data}"
[[blocks.one.stages]]
name = "first"
operation = "number.double"
message = { n = "${item}" }
compensation = { operation = "number.undo", message = { n = "${stages.first.data}" } }
[[blocks.one.stages]]
name = "second"
operation = "number.double"
message = { n = "${stages.first.data + 1}" }
SECOND
"""


def each(kind: str, *more: str) -> str:
    second = 'needs = ["first"]' if kind == "graph" else ""
    return EACH.replace("MORE", "\n".join(more)).replace("SECOND", second)


def test_a_block_is_done_for_each_item_and_sees_the_item_and_its_own_stages(
    workflows: WorkflowKit, kind: str
) -> None:
    found = run(workflows, head(kind) + each(kind), {"numbers": [1, 5]})
    assert found.status == "succeeded"
    assert found.result == {
        "each": [
            {"twice": 2, "place": 0, "again": 6},
            {"twice": 10, "place": 1, "again": 22},
        ]
    }
    assert set(found.steps) == {
        "each", "each[0]", "each[0].first", "each[0].second", "each[1]", "each[1].first",
        "each[1].second",
    }  # fmt: skip


def test_what_a_block_has_done_is_undone_with_its_own_results(
    workflows: WorkflowKit, kind: str
) -> None:
    end = '[[stages]]\nname = "end"\noperation = "number.double"\nmessage = { n = "bad" }\n'
    if kind == "graph":
        end += 'needs = ["each"]\n'
    text = head(kind) + each(kind).replace("[blocks.one.result]", end + "[blocks.one.result]")
    found = run(workflows, text, {"numbers": [1, 5]})
    assert found.status == "compensated"
    undone = [call.message["n"] for call in workflows.calls("number.undo")]
    assert sorted(undone) == [2, 10]
    assert found.error.stage == "end"


def test_so_many_items_may_fail_and_the_run_is_told_which(
    workflows: WorkflowKit, kind: str
) -> None:
    result = (
        'result = { ok = "${stages.each.items.succeeded}", bad = "${stages.each.items.failed}",'
        ' which = "${stages.each.failures}", sum = "${stages.each.reduced}" }'
    )
    reduce = 'reduce = { initial = 100, value = "${total + item.twice}" }'
    text = head(kind, result) + each(kind, 'tolerate = "50%"', reduce)
    found = run(workflows, text, {"numbers": [1, "bad", 5, 7]})
    assert found.status == "succeeded"
    assert found.result == {
        "ok": 3,
        "bad": 1,
        "which": [{"index": 1, "code": "step.refused", "message": "no number"}],
        "sum": 126,
    }
    assert found.steps["each[1]"].status == "warning"
    assert found.steps["each"].data[1] is None


def test_one_more_failure_than_tolerated_fails_the_stage(workflows: WorkflowKit, kind: str) -> None:
    numbers = [1, "bad", "bad", 7, 8, 9]
    text = head(kind) + each(kind, "tolerate = 1", "concurrency = 1")
    found = run(workflows, text, {"numbers": numbers})
    assert found.status == "compensated"
    assert found.error.code == "run.too_many_failed"
    assert found.error.message.startswith("2 of 6 items failed, and 1 may")
    assert "each[3]" not in found.steps  # no other item began


def test_items_in_progress_end_when_one_fails_and_no_other_begins(
    workflows: WorkflowKit, kind: str
) -> None:
    text = head(kind) + each(kind, "concurrency = 2")
    found = run(workflows, text, {"numbers": ["bad", 1, 2, 3]})
    assert (found.status, found.error.code) == ("compensated", "step.refused")
    assert found.error.stage == "each[0].first"
    assert found.steps["each[1]"].status == "succeeded"
    assert not {"each[2]", "each[3]"} & set(found.steps)


def test_with_continue_every_item_is_done_although_one_fails(
    workflows: WorkflowKit, kind: str
) -> None:
    text = head(kind, 'on_failure = "continue"') + each(kind, "concurrency = 1")
    found = run(workflows, text, {"numbers": ["bad", 1, 2]})
    assert (found.status, found.error.code) == ("compensated", "step.refused")
    assert found.steps["each[2]"].status == "succeeded"


def test_an_optional_stage_with_a_block_that_fails_is_a_warning(
    workflows: WorkflowKit, kind: str
) -> None:
    text = head(kind) + (
        '[[stages]]\nname = "one"\nrequired = false\nblock = "b"\n'
        '[[blocks.b.stages]]\nname = "x"\noperation = "number.double"\nmessage = { n = "bad" }\n'
    )
    found = run(workflows, text)
    assert (found.status, found.result) == ("succeeded", {"one": None})
    assert found.steps["one"].status == "warning"


WAYS = """
[[stages]]
name = "way"
switch = [
  { when = "input.n < 10", block = "small" },
  { when = "input.n < 100", workflow = "other", input = { n = "${input.n}" } },
  { when = "input.n < 1000", block = "nothing" },
]
[blocks.nothing]
result = "as it is"
stages = []
[blocks.small]
result = "${stages.twice.data}"
[[blocks.small.stages]]
name = "twice"
operation = "number.double"
message = { n = "${input.n}" }
"""
OTHER = """name = "other"
kind = "sequential"
result = "${stages.it.data}"
[[stages]]
name = "it"
operation = "number.double"
message = { n = "${input.n}" }
"""


@pytest.mark.parametrize(("n", "result"), [(4, 8), (40, 80), (400, "as it is")])
def test_the_first_way_whose_condition_holds_is_taken(
    workflows: WorkflowKit, kind: str, n: int, result: Any
) -> None:
    workflows.add(OTHER)
    found = run(workflows, head(kind) + WAYS, {"n": n})
    assert (found.status, found.result) == ("succeeded", {"way": result})
    assert found.steps["way/decision"].data["case"] == len(str(n)) - 1


def test_no_way_whose_condition_holds_fails_the_stage(workflows: WorkflowKit, kind: str) -> None:
    workflows.add(OTHER)
    found = run(workflows, head(kind) + WAYS, {"n": 4000})
    assert (found.status, found.error.code) == ("failed", "switch.no_match")
    assert found.steps["way"].status == "failed"


POLL = """
[[stages]]
name = "poll"
operation = "job.status"
message = { iteration = "${iteration}", last = "${last}" }
repeat = { until = "data.state == 'done' || iteration == 9", every = "1h", max = 3 }
"""


def test_a_stage_is_repeated_until_its_condition_holds(workflows: WorkflowKit, kind: str) -> None:
    workflows.fake("job.status", {"state": "new"}, {"state": "busy"}, {"state": "done"})
    found = run(workflows, head(kind) + POLL)
    assert found.result == {"poll": {"state": "done"}}
    messages = [call.message for call in workflows.calls("job.status")]
    assert messages == [
        {"iteration": 1, "last": None},
        {"iteration": 2, "last": {"state": "new"}},
        {"iteration": 3, "last": {"state": "busy"}},
    ]
    assert list(found.steps) == ["poll#1", "poll#2", "poll#3", "poll"]


def test_a_repetition_is_exhausted_after_so_many_iterations(
    workflows: WorkflowKit, kind: str
) -> None:
    workflows.fake("job.status", {"state": "busy"})
    found = run(workflows, head(kind) + POLL)
    assert (found.status, found.error.code) == ("failed", "run.repeat_exhausted")
    assert found.steps["poll"].status == "failed"


def test_a_stage_fails_the_run_on_purpose(workflows: WorkflowKit, kind: str) -> None:
    text = head(kind) + (
        '[[stages]]\nname = "verdict"\nwhen = "input.bad"\n'
        'fail = { code = "job.broken", message = "it is ${input.why}" }\n'
    )
    workflows.add(text)
    found = workflows.run("w", {"bad": True, "why": "too old"})
    assert found.error is not None
    assert (found.status, found.error.code, found.error.message) == (
        "failed", "job.broken", "it is too old",
    )  # fmt: skip
    assert workflows.run("w", {"bad": False}).status == "succeeded"


def test_a_block_that_takes_too_long_fails(workflows: WorkflowKit, kind: str) -> None:
    workflows.fake("job.status", {"state": "busy"})
    text = (
        head(kind)
        + ('[[stages]]\nname = "all"\nblock = "b"\ntimeout = "90m"\n[blocks.b]\n')
        + POLL.replace("[[stages]]", "[[blocks.b.stages]]")
    )
    found = run(workflows, text)
    assert (found.status, found.error.code) == ("failed", "run.late")
    assert found.steps["all"].status == "failed"


FIRST = """
[[stages]]
name = "ask"
block = "ways"
[blocks.ways]
first = 1
[blocks.ways.result]
bad = "${stages.bad.data}"
good = "${stages.good.data}"
never = "${stages.never.data}"
[[blocks.ways.stages]]
name = "bad"
operation = "number.double"
message = { n = "bad" }
[[blocks.ways.stages]]
name = "good"
operation = "number.double"
message = { n = %s }
[[blocks.ways.stages]]
name = "slow"
operation = "number.wait"
[[blocks.ways.stages]]
name = "never"
needs = ["slow"]
operation = "number.double"
message = { n = 3 }
"""


def test_the_first_end_that_succeeds_is_enough(workflows: WorkflowKit) -> None:
    workflows.fake("number.wait", refuse("wait"))
    found = run(workflows, head("graph") + FIRST % "2")
    assert found.status == "succeeded"
    assert found.result == {"ask": {"bad": None, "good": 4, "never": None}}
    assert found.steps["ask.bad"].status == "warning"


def test_a_block_fails_when_too_few_ends_succeed(workflows: WorkflowKit) -> None:
    workflows.fake("number.wait", refuse("wait"))
    found = run(workflows, head("graph") + FIRST % '"bad"')
    assert (found.status, found.error.code) == ("failed", "run.too_few_succeeded")
    assert "0 of the 3 ends succeeded, and 1 must" in found.error.message
    assert "ask.never" not in found.steps


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('block = "nosuch"', "there is no block 'nosuch'"),
        (
            'block = "b"\ncompensation = { operation = "number.undo" }',
            "a block has no 'compensation'",
        ),
        ('operation = "number.undo"\ntolerate = 1', "there is none"),
        ('operation = "number.undo"\nforeach = []\ntolerate = "200%"', "more than all items"),
        ('operation = "number.undo"\nforeach = "all"', "it is a string, and no list"),
        ('operation = "number.undo"\nforeach = { a = 1 }', "it is a table, and no list"),
        ('operation = "number.undo"\nrepeat = { until = "dat.x" }', "'dat' is not known"),
        ('operation = "number.undo"\nrepeat = { until = "data.x", every = "soon" }', "a duration"),
        ('switch = [{ block = "b" }, { when = "true", block = "b" }]', "never taken"),
        ('switch = [{ when = "true" }]', "a case has a 'block' or a 'workflow', and not both"),
        ('fail = { code = "job.broken", message = "${item}" }', "'item' is not known"),
        ('fail = { code = "broken", message = "" }', "stages[0].fail.code"),
        ('operation = "number.undo"', "no stage does this block"),
        ('block = "b"\noperation = "number.undo"', "a stage has one of"),
        ('block = "round"', "the block would do itself"),
    ],
)
def test_what_is_wrong_with_blocks_and_loops_is_found(
    workflows: WorkflowKit, kind: str, text: str, problem: str
) -> None:
    whole = (
        head(kind)
        + f'[[stages]]\nname = "a"\n{text}\n'
        + '[[blocks.b.stages]]\nname = "x"\noperation = "number.undo"\n'
    )
    if "round" in text:
        whole += '[[blocks.round.stages]]\nname = "y"\nblock = "round"\n'
    with pytest.raises(WorkflowInvalidError) as caught:
        run(workflows, whole)
    assert problem in str(caught.value)


def nested(kind: str, depth: int) -> str:
    """Return a definition with blocks in each other, each for an item, in a loop with a timeout."""
    within = 'foreach = [1]\nrepeat = { until = "true" }\ntimeout = "1h"\n'
    text = head(kind) + f'[[stages]]\nname = "s"\nblock = "b1"\n{within}'
    for level in range(1, depth):
        text += f'[[blocks.b{level}.stages]]\nname = "s{level}"\nblock = "b{level + 1}"\n{within}'
    return (
        text + f'[[blocks.b{depth}.stages]]\nname = "last"\n'
        'fail = { code = "deep.reached", message = "it was reached" }\n'
    )


def test_blocks_may_be_nested_as_deep_as_the_stack_allows_and_no_deeper(
    workflows: WorkflowKit, kind: str
) -> None:
    found = run(workflows, nested(kind, 24))
    assert found.error is not None
    assert found.error.code == "deep.reached"
    with pytest.raises(WorkflowInvalidError, match="b25: it is within 24 other blocks"):
        run(workflows, nested(kind, 25))


def test_a_block_sees_only_what_every_stage_that_does_it_has(
    workflows: WorkflowKit, kind: str
) -> None:
    text = head(kind) + (
        '[[stages]]\nname = "a"\nforeach = []\nblock = "b"\n'
        '[[stages]]\nname = "c"\nblock = "b"\n'
        '[[blocks.b.stages]]\nname = "x"\noperation = "number.undo"\n'
        'message = { n = "${item}" }\n'
    )
    with pytest.raises(WorkflowInvalidError) as caught:
        run(workflows, text)
    assert "blocks.b.stages[0].message.n" in str(caught.value)
    assert "'item' is not known" in str(caught.value)


LAST = """
[[finally]]
name = "tell"
operation = "note.write"
[finally.message]
status = "${run.status}"
code = "${run.error == null ? '' : run.error.code}"
data = "${stages.one.data}"
after = "${stages.two.status}"
[[finally]]
name = "clean"
when = "run.status != 'succeeded'"
operation = "note.clean"
"""


def staged(kind: str, *more: str) -> str:
    needs = 'needs = ["one"]\n' if kind == "graph" else ""
    return (
        head(kind, *more)
        + '[[stages]]\nname = "one"\noperation = "number.double"\nmessage = { n = 2 }\n'
        + 'compensation = { operation = "number.undo" }\n'
        + '[[stages]]\nname = "two"\noperation = "number.double"\n'
        + 'message = { n = "${input.n}" }\n'
        + needs
        + LAST
    )


def test_the_last_stages_are_done_after_a_success(workflows: WorkflowKit, kind: str) -> None:
    workflows.fake("note.write", None)
    workflows.fake("note.clean", None)
    found = run(workflows, staged(kind), {"n": 1})
    assert (found.status, found.result) == ("succeeded", {"one": 4, "two": 2})
    assert [call.message for call in workflows.calls("note.write")] == [
        {"status": "succeeded", "code": "", "data": 4, "after": "succeeded"}
    ]
    assert found.steps["finally/clean"].status == "skipped"


def test_the_last_stages_are_done_after_what_was_done_is_undone(
    workflows: WorkflowKit, kind: str
) -> None:
    undone_first: list[int] = []

    def write(message: Mapping[str, Any]) -> None:
        undone_first.append(len(workflows.calls("number.undo")))

    workflows.fake("note.write", write)
    workflows.fake("note.clean", None)
    found = run(workflows, staged(kind), {"n": "bad"})
    assert (found.status, found.error.code) == ("compensated", "step.refused")
    (call,) = workflows.calls("note.write")
    assert call.message == {
        "status": "compensated", "code": "step.refused", "data": 4, "after": "failed",
    }  # fmt: skip
    assert undone_first == [1]
    assert len(workflows.calls("note.clean")) == 1


def test_a_last_stage_that_fails_is_a_warning_and_the_next_is_done(
    workflows: WorkflowKit, kind: str
) -> None:
    workflows.fake("note.write", refuse("ink"))
    workflows.fake("note.clean", None)
    text = staged(kind).replace("run.status != 'succeeded'", "dyn(run.status).nosuch")
    found = run(workflows, text, {"n": 1})
    assert found.status == "succeeded"
    assert found.steps["finally/tell"].status == "warning"
    assert found.steps["finally/clean"].status == "warning"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            'operation = "number.undo"\ncompensation = { operation = "number.undo" }',
            "nothing undoes",
        ),
        ('operation = "number.undo"\nwhen = "run.nosuch"', "'run' has no 'nosuch'"),
    ],
)
def test_what_is_wrong_with_the_last_stages_is_found(
    workflows: WorkflowKit, kind: str, text: str, problem: str
) -> None:
    workflows.add(OTHER)
    whole = head(kind) + (
        f'[[stages]]\nname = "a"\noperation = "number.undo"\n[[finally]]\nname = "b"\n{text}\n'
    )
    with pytest.raises(WorkflowInvalidError) as caught:
        run(workflows, whole)
    assert problem in str(caught.value)
