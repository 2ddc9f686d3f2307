"""Retry, fallback and what a run can do without, on a clock that a day costs nothing."""

from __future__ import annotations

import asyncio
import datetime
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from qtforge_sdk import Compensation, OperationContext, OperationError, Plugin, Run, operation
from qtforge_sdk.policies import Fallback, Retry
from qtforge_sdk.records import StepFailed, StepSucceeded

Case = Callable[[Any], Awaitable[None]]
HOUR_S = 3600


class Counter(Plugin):
    """Answers ``count.*``, and fails as the test says."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.errors: list[Exception] = []  # raised one after the other, then all is well
        self.times: list[float] = []
        self.attempts: list[int] = []
        self.spare: list[Any] = []

    @operation("count.up")
    async def up(self, message: Mapping[str, Any], context: OperationContext) -> str:
        self.times.append(self.clock.monotonic())
        self.attempts.append(context.attempt)
        if self.errors:
            raise self.errors.pop(0)
        return "counted"

    @operation("count.spare")
    async def take_spare(self, message: Mapping[str, Any]) -> str:
        self.spare.append(dict(message))
        if self.errors:
            raise self.errors.pop(0)
        return "estimated"


class Trial:
    """A lab with a `Counter` and one step that asks it."""

    def __init__(self, lab: Any, counter: Counter) -> None:
        self.lab = lab
        self.counter = counter

    async def request(self, **policies: Any) -> Any:
        """Do one step with policies; return the run."""

        async def code(run: Run) -> Any:
            return await run.request("count", "count.up", {"by": 1}, **policies)

        return await self.execute(self.lab.script(code))

    async def stage(self, *lines: str) -> Any:
        """Do the same as a stage of TOML; return the run."""
        head = '[[stages]]\nname = "count"\noperation = "count.up"\nmessage = { by = 1 }\n'
        return await self.execute(self.lab.sequential(head + "\n".join(lines)))

    async def execute(self, workflow: Any) -> Any:
        async with self.lab.clock.auto():
            return await asyncio.wait_for(self.lab.engine.execute(workflow, {}), 60)


@pytest.fixture
def play(lab: Any) -> Callable[[Case], None]:
    """Play a case with a `Trial`."""

    def run(case: Case) -> None:
        async def main() -> None:
            async with lab() as it:
                counter = await it.add(Counter(it.clock), "counter", "2.0.0")
                await case(Trial(it, counter))

        asyncio.run(main())

    return run


def busy(times: int, **about: Any) -> list[Exception]:
    return [OperationError("count.busy", "it is busy", **about) for _ in range(times)]


def test_a_24_hour_retry_schedule_takes_a_moment(play: Any) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(24)
        state = await trial.request(
            retry=Retry(max_attempts=25, initial_delay="1h", backoff=1, max_delay="1h", jitter=0)
        )
        assert (state.status, state.result, state.steps["count"].attempts) == (
            "succeeded", "counted", 25,
        )  # fmt: skip
        assert trial.counter.times == [hour * HOUR_S for hour in range(25)]
        assert trial.counter.attempts == list(range(1, 26))
        assert state.duration_s == 24 * HOUR_S

    play(case)


@pytest.mark.parametrize("toml", [False, True])
def test_waits_grow_up_to_the_longest_in_toml_as_in_python(play: Any, toml: bool) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(4)
        if toml:
            state = await trial.stage(
                "retry = { max_attempts = 5, initial_delay = '10s', backoff = 3, "
                "max_delay = '1m', jitter = 0 }"
            )
        else:
            policy = Retry(max_attempts=5, initial_delay="10s", backoff=3, max_delay="1m", jitter=0)
            state = await trial.request(retry=policy)
        assert state.status == "succeeded"
        assert trial.counter.times == [0, 10, 40, 100, 160]

    play(case)


def test_a_wait_is_shortened_at_random_but_by_no_more_than_the_jitter(play: Any) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(8)
        policy = Retry(max_attempts=9, initial_delay="100s", backoff=1, max_delay="2m", jitter=0.5)
        await trial.request(retry=policy)
        times = trial.counter.times
        waits = [after - before for before, after in itertools.pairwise(times)]
        assert len(waits) == 8
        assert all(50 <= wait <= 100 for wait in waits)
        assert len(set(waits)) > 1

    play(case)


def test_a_step_fails_when_its_attempts_are_used_up_and_each_is_in_the_journal(play: Any) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(9)
        state = await trial.request(retry=Retry(max_attempts=3, initial_delay="1m", jitter=0))
        assert (state.status, state.error.code, state.error.plugin) == (
            "failed", "count.busy", "counter",
        )  # fmt: skip
        failures = await trial.lab.records(state.run_id, StepFailed)
        assert [(each.attempt, each.will_retry) for each in failures] == [
            (1, True),
            (2, True),
            (3, False),
        ]
        waits = [each.next_at and each.next_at - each.at for each in failures]
        assert waits == [datetime.timedelta(minutes=1), datetime.timedelta(minutes=1), None]
        assert len(trial.counter.times) == 3

    play(case)


def test_without_a_retry_policy_a_step_is_tried_once(play: Any) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(1, retryable=True)
        assert (await trial.request()).status == "failed"
        assert trial.counter.attempts == [1]

    play(case)


@pytest.mark.parametrize(
    ("policy", "about", "attempts"),
    [
        ({}, {}, 3),
        ({}, {"retryable": False}, 1),
        ({"exclude": ("count.*",)}, {}, 1),
        ({"include": ("other.*",)}, {}, 1),
        ({"include": ("count.*",)}, {}, 3),
        ({"include": ("count.*",)}, {"retryable": False}, 1),
        ({"exclude": ("count.*",)}, {"retryable": True}, 1),
    ],
)
def test_only_errors_that_a_further_try_may_mend_are_tried_again(
    play: Any, policy: dict[str, Any], about: dict[str, Any], attempts: int
) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(9, **about)
        state = await trial.request(retry=Retry(max_attempts=3, **policy))
        assert (state.status, len(trial.counter.times)) == ("failed", attempts)

    play(case)


def test_an_error_may_ask_for_a_longer_wait(play: Any) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(1, retry_after_s=600)
        policy = Retry(max_attempts=2, initial_delay="1s", max_delay="1h", jitter=0)
        assert (await trial.request(retry=policy)).status == "succeeded"
        assert trial.counter.times == [0, 600]

    play(case)


def test_an_error_that_asks_for_too_long_a_wait_is_not_tried_again(play: Any) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(1, retry_after_s=7200)
        state = await trial.request(retry=Retry(max_attempts=2, max_delay="1h"))
        assert state.status == "failed"
        assert state.error.retry_after_s == 7200

    play(case)


@pytest.mark.parametrize("toml", [False, True])
def test_a_fallback_value_answers_a_step_that_failed_for_good(play: Any, toml: bool) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(9)
        if toml:
            state = await trial.stage(
                "retry = { max_attempts = 2, initial_delay = '1m', jitter = 0 }",
                "fallback = { value = 'about ten' }",
            )
            assert state.result == {"count": "about ten"}
        else:
            policy = Retry(max_attempts=2, initial_delay="1m", jitter=0)
            state = await trial.request(retry=policy, fallback=Fallback(value="about ten"))
            assert state.result == "about ten"
        assert (state.status, state.degraded) == ("succeeded", True)
        assert trial.counter.times == [0, 60]  # only after the attempts
        (record,) = await trial.lab.records(state.run_id, StepSucceeded)
        assert record.degraded == "count.busy: it is busy"
        assert state.steps["count"].warning == "count.busy: it is busy"

    play(case)


def test_a_fallback_of_nothing_is_an_answer(play: Any) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(1)
        state = await trial.request(fallback=Fallback(value=None))
        assert (state.status, state.degraded, state.result) == ("succeeded", True, None)

    play(case)


@pytest.mark.parametrize(
    ("fallback", "message"),
    [
        (Fallback(topic="count.spare"), {"by": 1}),
        (Fallback(topic="count.spare", message={"run": "${run.workflow}"}), {"run": "w"}),
    ],
)
def test_a_fallback_topic_is_asked_with_its_own_or_the_steps_message(
    play: Any, fallback: Fallback, message: dict[str, Any]
) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(1)
        state = await trial.request(fallback=fallback)
        assert (state.status, state.degraded, state.result) == ("succeeded", True, "estimated")
        assert trial.counter.spare == [message]
        assert state.steps["count"].plugin == "counter"

    play(case)


def test_a_fallback_is_left_alone_when_the_step_succeeds(play: Any) -> None:
    async def case(trial: Any) -> None:
        state = await trial.request(fallback=Fallback(topic="count.spare"))
        assert (state.result, state.degraded, trial.counter.spare) == ("counted", False, [])

    play(case)


def test_a_step_whose_fallback_fails_too_has_failed_for_its_own_reason(play: Any) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = [*busy(1), OperationError("count.spare_gone", "none is left")]
        state = await trial.request(fallback=Fallback(topic="count.spare"))
        assert (state.status, state.error.code) == ("failed", "count.busy")

    play(case)


def test_a_run_goes_on_degraded_without_a_step_that_is_not_required(play: Any) -> None:
    async def case(trial: Any) -> None:
        trial.counter.errors = busy(1)
        state = await trial.request(required=False)
        assert (state.status, state.degraded, state.result) == ("succeeded", True, None)
        assert (state.steps["count"].status, state.steps["count"].warning) == (
            "warning", "it is busy",
        )  # fmt: skip

    play(case)


def test_a_compensation_is_tried_again_as_its_own_policy_says(play: Any) -> None:
    async def code(run: Run) -> None:
        policy = Retry(max_attempts=3, initial_delay="1h", max_delay="1h", jitter=0)
        undo = Compensation(topic="count.up", message={}, retry=policy)
        await run.request("one", "do.ok", {}, compensation=undo)
        await run.request("two", "do.fail", {})

    async def case(trial: Any) -> None:
        trial.counter.errors = busy(2)
        state = await trial.execute(trial.lab.script(code))
        assert state.status == "compensated"
        assert trial.counter.times == [0, HOUR_S, 2 * HOUR_S]

    play(case)


def test_a_result_that_can_not_be_kept_fails_the_run_and_it_is_compensated(play: Any) -> None:
    async def code(run: Run) -> int:
        undo = Compensation(topic="do.ok", message={})
        await run.request("one", "do.ok", {}, compensation=undo)
        return 1 << 80

    async def case(trial: Any) -> None:
        state = await trial.execute(trial.lab.script(code))
        assert state.status == "compensated"
        assert state.error.code == "run.not_storable"
        assert trial.lab.desk.asked == ["one", "one/compensation"]

    play(case)


@pytest.mark.parametrize("answer", [1 << 80, object()])
def test_a_compensation_whose_answer_can_not_be_kept_has_undone_all_the_same(
    play: Any, answer: object
) -> None:
    class Undoing(Plugin):
        @operation("undo.oddly")
        async def oddly(self, message: Mapping[str, Any]) -> Any:
            return answer

    async def code(run: Run) -> None:
        undo = Compensation(topic="undo.oddly", message={})
        await run.request("one", "do.ok", {}, compensation=undo)
        await run.request("two", "do.fail", {})

    async def case(trial: Any) -> None:
        await trial.lab.add(Undoing(), "undoing", "1.0.0")
        state = await trial.execute(trial.lab.script(code))
        assert (state.status, state.compensations["one"].data) == ("compensated", None)

    play(case)
