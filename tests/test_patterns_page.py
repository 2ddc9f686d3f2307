"""Every definition of docs/patterns.md does what its pattern demands, in each of its branches."""

from __future__ import annotations

import asyncio
import collections
import itertools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.testing import WorkflowKit
from qtforge_host.testing.workflow_run import WorkflowRun
from qtforge_sdk import OperationError, workflow

PAGE = Path(__file__).parent.parent / "docs" / "patterns.md"
TEXT = PAGE.read_text(encoding="utf-8")
TOML = {
    tomllib.loads(block)["name"]: block
    for block in re.findall(r"^```toml\n(.*?)^```", TEXT, re.S | re.M)
}
(PYTHON,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.S | re.M)


class Operations:
    """Answers topics; ``done`` has what was done, in the order of the ends."""

    def __init__(self, workflows: WorkflowKit) -> None:
        self._workflows = workflows
        self.done: list[str] = []
        self.messages: dict[str, Any] = {}
        self.answered: dict[str, asyncio.Event] = collections.defaultdict(asyncio.Event)
        self.now = 0
        self.most = 0

    def answer(self, topic: str, *answers: Any) -> None:
        """Answer a topic with these values in turn, the last again and again."""
        left = itertools.chain(answers, itertools.repeat(answers[-1] if answers else topic))

        async def done(message: Mapping[str, Any]) -> Any:
            self.now += 1
            self.most = max(self.most, self.now)
            for _ in range(20):  # others begin meanwhile
                await asyncio.sleep(0)
            self.now -= 1
            self._note(topic, message)
            return next(left)

        self._workflows.fake(topic, done)

    def answer_after(self, other: str, topic: str) -> None:
        """Answer a topic only when another one has been answered beside it."""

        async def late(message: Mapping[str, Any]) -> Any:
            await self.answered[other].wait()
            self._note(topic, message)
            return topic

        self._workflows.fake(topic, late)

    def answer_together(self, *topics: str) -> None:
        """Answer topics only when all of them are asked at once."""
        all_are_asked = asyncio.Barrier(len(topics))

        def answer(topic: str) -> None:
            async def meet(message: Mapping[str, Any]) -> str:
                await all_are_asked.wait()
                self._note(topic, message)
                return topic

            self._workflows.fake(topic, meet)

        for topic in topics:
            answer(topic)

    def _note(self, topic: str, message: Any) -> None:
        self.done.append(topic)
        self.messages[topic] = message
        self.answered[topic].set()

    def fail(self, topic: str) -> None:
        """Fail each request of a topic."""
        self._workflows.fake(topic, OperationError("step.refused", "no", retryable=False))


@pytest.fixture
def operations(workflows: WorkflowKit) -> Operations:
    return Operations(workflows)


def run(workflows: WorkflowKit, name: str, given: Mapping[str, Any] | None = None) -> WorkflowRun:
    workflows.add(TOML[name])
    return workflows.run(name, given or {})


def statuses(found: WorkflowRun) -> dict[str, str]:
    return {name: step.status for name, step in found.steps.items()}


def child(name: str) -> Any:
    """Return a workflow that waits until it is told something, and ends with it."""

    @workflow(name)
    async def waits(run: Any, given: Any) -> Any:
        told = await run.wait_event("told")
        return {**given, "text": told["text"]}

    return waits


def children(workflows: WorkflowKit, name: str) -> list[WorkflowRun]:
    return [each for each in workflows.runs if each.workflow == name]


def test_the_page_has_the_twenty_patterns_each_with_a_definition_and_a_test() -> None:
    sections = re.split(r"^## ", TEXT, flags=re.M)[1:]
    numbers = [int(re.match(r"\d+", each)[0]) for each in sections]  # type: ignore[index]
    assert numbers == list(range(1, 21))
    source = Path(__file__).read_text(encoding="utf-8")
    for section in sections:
        named = re.findall(r"^(?:name = |@workflow\()\"([\w-]+)", section, re.M)
        named = [name for name in named if name in TOML or f'@workflow("{name}")' in PYTHON]
        assert named, section.splitlines()[0]
        for name in named:
            assert source.count(f'"{name}"') >= 1, f"no test runs {name}"


def test_1_a_stage_begins_when_the_one_before_has_ended(
    workflows: WorkflowKit, operations: Operations
) -> None:
    operations.answer("order.check", {"amount": 7})
    operations.answer("invoice.send")
    found = run(workflows, "sequence", {"order": 1})
    assert found.status == "succeeded"
    assert operations.done == ["order.check", "invoice.send"]
    assert operations.messages["invoice.send"] == {"amount": 7}
    assert operations.most == 1


def test_1_nothing_begins_after_a_failure(workflows: WorkflowKit, operations: Operations) -> None:
    operations.fail("order.check")
    operations.answer("invoice.send")
    assert run(workflows, "sequence", {"order": 1}).status == "failed"
    assert operations.done == []


def test_2_both_branches_are_done_at_once_after_the_first_stage(
    workflows: WorkflowKit, operations: Operations
) -> None:
    operations.answer("order.accept")
    operations.answer_together("parcel.pack", "invoice.write")
    assert run(workflows, "parallel-split").status == "succeeded"
    assert operations.done[0] == "order.accept"
    assert sorted(operations.done[1:]) == ["invoice.write", "parcel.pack"]


@pytest.mark.parametrize(
    ("first", "last"), [("parcel.pack", "invoice.write"), ("invoice.write", "parcel.pack")]
)
def test_3_the_merge_waits_for_all_branches_whichever_ends_last(
    workflows: WorkflowKit, operations: Operations, first: str, last: str
) -> None:
    operations.answer(first)
    operations.answer_after(first, last)
    operations.answer("parcel.ship")
    assert run(workflows, "synchronization").status == "succeeded"
    assert operations.done == [first, last, "parcel.ship"]
    assert operations.messages["parcel.ship"] == {
        "parcel": "parcel.pack",
        "invoice": "invoice.write",
    }


@pytest.mark.parametrize(
    ("amount", "done", "result"),
    [
        (1000, ["claim.review"], "by hand"),
        (999, ["claim.pay"], "automatic"),
        (0, [], "nothing to pay"),
    ],
)
def test_4_exactly_one_branch_is_taken(
    workflows: WorkflowKit, operations: Operations, amount: int, done: list[str], result: str
) -> None:
    operations.answer("claim.review")
    operations.answer("claim.pay")
    found = run(workflows, "exclusive-choice", {"amount": amount})
    assert (found.status, found.result, operations.done) == ("succeeded", result, done)


@pytest.mark.parametrize(("by", "paid"), [("card", "card.charge"), ("bank", "transfer.book")])
def test_5_the_merge_is_done_once_after_either_branch(
    workflows: WorkflowKit, operations: Operations, by: str, paid: str
) -> None:
    for topic in ("card.charge", "transfer.book", "receipt.print"):
        operations.answer(topic)
    assert run(workflows, "simple-merge", {"by": by}).status == "succeeded"
    assert operations.done == [paid, "receipt.print"]
    assert operations.messages["receipt.print"] == {"paid": paid}


@pytest.mark.parametrize("theft", [False, True])
@pytest.mark.parametrize("fire", [False, True])
@pytest.mark.parametrize("insured", [False, True])
def test_6_any_set_of_branches_is_taken(
    workflows: WorkflowKit, operations: Operations, theft: bool, fire: bool, insured: bool
) -> None:
    wanted = {"police": theft, "fire_brigade": fire, "insurance": insured}
    for name in wanted:
        operations.answer(f"{name}.inform")
    damage = ["theft"] * theft + ["fire"] * fire
    found = run(workflows, "multi-choice", {"damage": damage, "insured": insured})
    assert found.status == "succeeded"
    assert {name: status == "succeeded" for name, status in statuses(found).items()} == wanted
    assert set(operations.done) == {f"{name}.inform" for name in wanted if wanted[name]}


@pytest.mark.parametrize("wanted", [[], ["flight"], ["hotel"], ["flight", "hotel"]])
def test_7_the_merge_waits_for_the_branches_that_were_taken_and_is_done_once(
    workflows: WorkflowKit, operations: Operations, wanted: list[str]
) -> None:
    operations.answer("flight.book")
    if len(wanted) == 2:
        operations.answer_after("flight.book", "hotel.book")
    else:
        operations.answer("hotel.book")
    operations.answer("itinerary.print")
    assert run(workflows, "synchronizing-merge", {"wanted": wanted}).status == "succeeded"
    assert operations.done == [*(f"{name}.book" for name in wanted), "itinerary.print"]
    assert operations.messages["itinerary.print"] == {
        name: f"{name}.book" if name in wanted else None for name in ("flight", "hotel")
    }


@pytest.mark.parametrize("parts", [[], ["photo"], ["text"], ["photo", "text"]])
def test_8_the_merge_is_done_once_for_each_branch_that_was_taken(
    workflows: WorkflowKit, operations: Operations, parts: list[str]
) -> None:
    operations.answer("photo.crop")
    operations.answer("text.correct")
    operations.answer("part.publish")
    assert run(workflows, "multi-merge", {"parts": parts}).status == "succeeded"
    made = {"photo": "photo.crop", "text": "text.correct"}
    published = [call.message["part"] for call in workflows.calls("part.publish")]
    assert sorted(published) == sorted(made[part] for part in parts)


def test_8_the_merge_after_one_branch_does_not_wait_for_another(
    workflows: WorkflowKit, operations: Operations
) -> None:
    operations.answer("photo.crop")
    operations.answer_after("part.publish", "text.correct")
    operations.answer("part.publish")
    assert run(workflows, "multi-merge", {"parts": ["text", "photo"]}).status == "succeeded"
    assert operations.done == ["photo.crop", "part.publish", "text.correct", "part.publish"]


@pytest.mark.parametrize(("place", "first"), [(0, "Ada"), (1, "Grace")])
def test_9_the_first_end_is_enough_and_the_other_branch_ends_later(
    workflows: WorkflowKit, operations: Operations, place: int, first: str
) -> None:
    workflows.add(child("expert"))
    operations.answer("answer.tell")
    found = run(workflows, "discriminator")
    assert found.status == "waiting"
    experts = children(workflows, "expert")
    one, other = experts[place], experts[1 - place]
    one.send("told", text="yes")
    assert found.status == "succeeded"
    assert [call.message["answer"]["name"] for call in workflows.calls("answer.tell")] == [first]
    other.send("told", text="no")
    assert other.status == "succeeded"
    assert len(workflows.calls("answer.tell")) == 1


@pytest.mark.parametrize(("first", "other"), [("Ada", "Grace"), ("Grace", "Ada")])
def test_9_with_first_the_other_branch_is_cut_off(
    workflows: WorkflowKit, operations: Operations, first: str, other: str
) -> None:
    async def ask(message: Mapping[str, Any]) -> str:
        if message["name"] == other:
            await asyncio.Event().wait()
        return str(message["name"])

    workflows.fake("expert.ask", ask)
    operations.answer("answer.tell")
    found = run(workflows, "cancelling-discriminator")
    assert found.status == "succeeded"
    assert operations.messages["answer.tell"] == {"answer": first}
    assert found.steps[f"ask.{other.lower()}"].status == "skipped"


@pytest.mark.parametrize(
    ("checks", "layouts", "ways", "state"),
    [
        (["hopeless"], ["fine"], "wc", "dropped"),
        (["right"], ["fine"], "wcl", "published"),
        (["wrong", "right"], ["fine"], "wcwcl", "published"),
        (["right", "right"], ["unsure", "fine"], "wclcl", "published"),
        (["right", "hopeless"], ["wrong"], "wclwc", "dropped"),
    ],
)
def test_10_a_run_returns_to_any_earlier_step(
    workflows: WorkflowKit,
    operations: Operations,
    checks: list[str],
    layouts: list[str],
    ways: str,
    state: str,
) -> None:
    operations.answer("text.write")
    operations.answer("text.check", *checks)
    operations.answer("layout.check", *layouts)
    found = run(workflows, "arbitrary-cycles")
    topics = {"w": "text.write", "c": "text.check", "l": "layout.check"}
    assert operations.done == [topics[each] for each in ways]
    assert (found.status, found.result) == ("succeeded", state)


@pytest.mark.parametrize(
    ("regular", "first", "last"),
    [
        (True, "parcel.ship", "gift.send"),
        (True, "gift.send", "parcel.ship"),
        (False, "parcel.ship", None),
    ],
)
def test_11_a_run_ends_when_nothing_is_left_to_do(
    workflows: WorkflowKit, operations: Operations, regular: bool, first: str, last: str | None
) -> None:
    operations.answer("order.accept")
    operations.answer("gift.send")
    operations.answer(first)
    if last is not None:
        operations.answer_after(first, last)
    found = run(workflows, "implicit-termination", {"regular_customer": regular})
    assert found.status == "succeeded"
    assert operations.done == ["order.accept", first, *([last] if last else [])]


def test_12_instances_are_started_and_nobody_waits_for_them(workflows: WorkflowKit) -> None:
    names: dict[str, Any] = {}
    exec(compile(PYTHON, str(PAGE), "exec", dont_inherit=True), names)  # our own text
    workflows.add(names["order_everything"], child("order-item"))
    found = workflows.run("order-everything", {"items": ["pen", "ink"]})
    assert (found.status, found.result) == ("succeeded", 2)
    both = children(workflows, "order-item")
    assert [each.status for each in both] == ["waiting", "waiting"]
    for each in both:
        each.send("told", text="there")
    assert [each.result["item"] for each in both] == ["pen", "ink"]


def test_13_as_many_instances_as_the_definition_says_are_awaited(
    workflows: WorkflowKit, operations: Operations
) -> None:
    async def sign(message: Mapping[str, Any]) -> str:
        operations.done.append("contract.sign")
        return f"signed by the {message['role']}"

    workflows.fake("contract.sign", sign)
    operations.answer("contract.archive")
    assert run(workflows, "three-signatures").status == "succeeded"
    assert operations.done == ["contract.sign"] * 3 + ["contract.archive"]
    signatures = [f"signed by the {role}" for role in ("author", "reviewer", "owner")]
    assert operations.messages["contract.archive"] == {"signatures": signatures}


@pytest.mark.parametrize("amounts", [[], [0], [1], [2, 0, 3], list(range(20))])
def test_14_as_many_instances_as_the_data_say_are_awaited(
    workflows: WorkflowKit, operations: Operations, amounts: list[int]
) -> None:
    cart = [{"article": f"a{n}", "amount": amount} for n, amount in enumerate(amounts)]
    operations.answer("cart.list", cart)
    workflows.fake("stock.reserve", lambda message: message)
    operations.answer("invoice.write")
    assert run(workflows, "all-items").status == "succeeded"
    reserved = [each["article"] for each in cart if each["amount"]]
    assert operations.messages["invoice.write"] == {
        "reserved": [{"article": name, "place": place} for place, name in enumerate(reserved)]
    }


def test_15_instances_begin_while_others_are_in_progress_and_all_are_awaited(
    workflows: WorkflowKit, operations: Operations
) -> None:
    workflows.add(child("interview"))
    operations.answer("report.write")
    found = run(workflows, "interviews")
    found.send("witness.found", name="Ada")
    (ada,) = children(workflows, "interview")
    found.send("witness.found", name="Grace")
    found.send("search.ended")
    ada.send("told", text="it was Grace")
    assert found.status == "waiting"
    found.send("witness.found", name="Mary")  # after the search has ended
    _, grace, mary = children(workflows, "interview")
    mary.send("told", text="it was late")
    assert operations.done == []
    grace.send("told", text="it was Ada")
    assert found.status == "succeeded"
    assert [each["witness"] for each in found.result] == ["Ada", "Mary", "Grace"]
    assert operations.done == ["report.write"]


def test_15_none_may_begin_at_all(workflows: WorkflowKit, operations: Operations) -> None:
    workflows.add(child("interview"))
    operations.answer("report.write")
    found = run(workflows, "interviews")
    found.send("search.ended")
    assert (found.status, found.result) == ("succeeded", [])


@pytest.mark.parametrize(
    ("event", "state", "done"),
    [
        ("customer.accepts", "accepted", ["offer.order"]),
        ("customer.declines", "declined", []),
        (None, "expired", ["customer.remind"]),
    ],
)
def test_16_what_happens_first_decides(
    workflows: WorkflowKit, operations: Operations, event: str | None, state: str, done: list[str]
) -> None:
    operations.answer("offer.order")
    operations.answer("customer.remind")
    found = run(workflows, "deferred-choice")
    workflows.advance("13d")
    assert found.status == "waiting"
    if event is not None:
        found.send(event)
    workflows.advance("2d")
    assert (found.status, found.result, operations.done) == ("succeeded", state, done)


@pytest.mark.parametrize("order", [["eyes", "ears"], ["ears", "eyes"]])
def test_17_activities_are_done_once_in_the_order_that_is_chosen_outside(
    workflows: WorkflowKit, operations: Operations, order: list[str]
) -> None:
    operations.answer("eyes.examine", "well")
    operations.answer("ears.examine", "well")
    found = run(workflows, "interleaved-routing")
    first, second = order
    found.send(f"patient.{first}")
    found.send(f"patient.{first}")  # it is not done twice
    found.send(f"patient.{second}")
    assert found.status == "succeeded"
    assert operations.done == [f"{first}.examine", f"{second}.examine"]
    assert operations.most == 1


def test_17_with_a_graph_never_two_are_done_at_once(
    workflows: WorkflowKit, operations: Operations
) -> None:
    for topic in ("eyes.examine", "ears.examine", "hearing_aid.fit"):
        operations.answer(topic)
    assert run(workflows, "one-at-a-time").status == "succeeded"
    assert sorted(operations.done) == ["ears.examine", "eyes.examine", "hearing_aid.fit"]
    assert operations.done.index("ears.examine") < operations.done.index("hearing_aid.fit")
    assert operations.most == 1


@pytest.mark.parametrize(
    ("before", "address"),
    [
        ([], "here"),
        (["parcel.packed"], "there"),
        (["parcel.packed", "parcel.sent"], "here"),
    ],
)
def test_18_the_activity_is_possible_only_at_the_milestone(
    workflows: WorkflowKit, before: list[str], address: str
) -> None:
    found = run(workflows, "milestone", {"address": "here"})
    for event in before:
        found.send(event)
    found.send("customer.moved", address="there")
    for event in ["parcel.packed", "parcel.sent", "parcel.delivered"][len(before) :]:
        found.send(event)
    assert (found.status, found.result) == ("succeeded", address)


def test_19_the_activity_is_cancelled_and_the_run_continues(
    workflows: WorkflowKit, operations: Operations
) -> None:
    workflows.add(child("search"))
    operations.answer("search.bill")
    found = run(workflows, "cancel-activity")
    (search,) = children(workflows, "search")
    found.send("customer.withdraws")
    assert found.status == "succeeded"
    assert search.status == "cancelled"
    assert operations.messages["search.bill"] == {"because": "customer.withdraws"}


def test_19_without_a_withdrawal_the_activity_ends(
    workflows: WorkflowKit, operations: Operations
) -> None:
    workflows.add(child("search"))
    operations.answer("search.bill")
    found = run(workflows, "cancel-activity")
    (search,) = children(workflows, "search")
    search.send("told", text="found")
    assert (found.status, search.status) == ("succeeded", "succeeded")
    assert operations.messages["search.bill"] == {"because": "done.workflow.search"}


def test_20_the_whole_case_ends_with_all_that_it_has_begun(
    workflows: WorkflowKit, operations: Operations
) -> None:
    workflows.add(child("credit"))
    operations.answer("customer.remind")
    found = run(workflows, "cancel-case")
    (credit,) = children(workflows, "credit")
    found.send("customer.withdraws")
    workflows.advance("8d")
    assert (found.status, found.result) == ("succeeded", "withdrawn")
    assert credit.status == "cancelled"
    assert operations.done == []


@pytest.mark.parametrize("late", [False, True])
def test_20_without_a_withdrawal_the_case_is_decided(
    workflows: WorkflowKit, operations: Operations, late: bool
) -> None:
    workflows.add(child("credit"))
    operations.answer("customer.remind")
    found = run(workflows, "cancel-case")
    (credit,) = children(workflows, "credit")
    credit.send("told", text="good")
    if late:
        workflows.advance("8d")
    assert found.status == "waiting"
    found.send("papers.came")
    assert (found.status, found.result) == ("succeeded", "decided")
    assert operations.done == (["customer.remind"] if late else [])
