from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from qtforge_host.policies.breaker import (
    Breakers,
    CircuitBreaker,
    Outcome,
    Permit,
    Transition,
    outcome_of,
)
from qtforge_sdk import ErrorInfo
from qtforge_sdk.errors import BreakerOpenError, HandlerFailedError, RequestTimeoutError
from qtforge_sdk.policies import Breaker
from qtforge_sdk.testing import VirtualClock

FAILURES, WINDOW_S, OPEN_FOR_S, HALF_OPEN = 3, 60.0, 30.0, 2


class Case:
    """A breaker, its clock, and its transitions."""

    def __init__(self, half_open: int = HALF_OPEN) -> None:
        self.clock = VirtualClock()
        self.transitions: list[Transition] = []
        policy = Breaker(failures=FAILURES, half_open=half_open)
        self.breaker = CircuitBreaker(policy, "a.b", "plug", self.clock, self.transitions.append)

    def state(self) -> str:
        return self.breaker.state

    def call(self, outcome: Outcome) -> None:
        self.breaker.after(self.breaker.before(), outcome)

    def wait(self, seconds: float) -> None:
        asyncio.run(self.clock.advance(seconds))

    def opened(self) -> Case:
        for _ in range(FAILURES):
            self.call("failed")
        return self


def test_it_opens_after_so_many_failures_within_the_window() -> None:
    case = Case()
    for _ in range(FAILURES - 1):
        case.call("failed")
    assert case.state() == "closed"
    case.call("failed")
    assert case.state() == "open"


def test_failures_that_are_long_past_do_not_count() -> None:
    case = Case()
    for _ in range(20):
        case.call("failed")
        case.wait(WINDOW_S / 2 + 1)
    assert case.state() == "closed"


def test_an_open_breaker_refuses_with_plugin_and_time() -> None:
    case = Case().opened()
    case.wait(10)
    with pytest.raises(BreakerOpenError) as caught:
        case.breaker.before()
    error = caught.value
    assert (error.topic, error.plugin, error.closes_in_s, error.retry_after_s) == (
        "a.b",
        "plug",
        20.0,
        20.0,
    )
    assert "plug on 'a.b'" in str(error)
    assert "in 20 s" in str(error)


def test_a_trial_that_succeeds_closes_it() -> None:
    case = Case(half_open=1).opened()
    case.wait(OPEN_FOR_S)
    assert case.state() == "half_open"
    case.call("succeeded")
    assert case.state() == "closed"


def test_a_trial_that_fails_opens_it_for_the_whole_time_again() -> None:
    case = Case().opened()
    case.wait(OPEN_FOR_S + 5)
    case.call("failed")
    assert (case.state(), case.breaker.closes_in_s) == ("open", OPEN_FOR_S)


def test_half_open_lets_through_so_many_trials_at_once() -> None:
    case = Case().opened()
    case.wait(OPEN_FOR_S)
    first, second = case.breaker.before(), case.breaker.before()
    assert not case.breaker.allows
    with pytest.raises(BreakerOpenError, match="when its trial call succeeds"):
        case.breaker.before()
    case.breaker.after(first, "abandoned")  # a cancelled trial gives its place back
    third = case.breaker.before()
    case.breaker.after(second, "succeeded")
    case.breaker.after(third, "succeeded")
    assert case.state() == "closed"


def test_the_outcome_of_a_call_that_began_before_it_opened_is_ignored() -> None:
    case = Case()
    slow = [case.breaker.before() for _ in range(5)]
    case.opened()
    case.wait(OPEN_FOR_S)
    trial = case.breaker.before()
    for permit in slow:
        case.breaker.after(permit, "failed")
    assert case.state() == "half_open"
    case.breaker.after(trial, "succeeded")
    assert case.state() == "half_open"


def test_every_transition_is_reported_with_its_reason() -> None:
    case = Case(half_open=1).opened()
    case.wait(OPEN_FOR_S)
    case.call("succeeded")
    assert [(each.before, each.after, each.reason) for each in case.transitions] == [
        ("closed", "open", "3 failures within 1m"),
        ("open", "half_open", "open for 30s"),
        ("half_open", "closed", "trial calls that succeeded: 1"),
    ]
    assert (case.transitions[0].topic, case.transitions[0].plugin) == ("a.b", "plug")
    assert case.transitions[2].at == case.clock.now()


@pytest.mark.parametrize(
    ("code", "retryable", "outcome"),
    [
        ("bus.handler_failed", None, "failed"),
        ("bus.timeout", None, "failed"),
        ("bus.overloaded", None, "failed"),
        ("http.unreachable", True, "failed"),
        ("document.encrypted", None, "succeeded"),
        ("http.gone", False, "succeeded"),
        ("bus.invalid_message", None, "abandoned"),
        ("run.cancelled", None, "abandoned"),
        ("policy.overloaded", True, "abandoned"),
    ],
)
def test_an_error_that_is_not_the_plugins_fault_does_not_count(
    code: str, retryable: bool | None, outcome: Outcome
) -> None:
    assert outcome_of(ErrorInfo(code=code, message="", retryable=retryable)) == outcome


def test_a_refusal_with_a_code_of_its_own_is_no_failure_as_an_exception_either() -> None:
    refusal = HandlerFailedError("a.b", "plug", "1.0", "why", "document.encrypted", "")
    assert outcome_of(refusal) == "succeeded"
    assert outcome_of(HandlerFailedError("a.b", "plug", "1.0", "it crashed")) == "failed"
    assert outcome_of(None) == "succeeded"
    assert outcome_of(RequestTimeoutError("a.b", 2.0, "plug", "1.0")) == "failed"
    blocked = RequestTimeoutError("a.b", 2.0, "plug", "1.0", "blocked", excused=True)
    assert outcome_of(blocked) == "abandoned"


class AgainstAModel(RuleBasedStateMachine):
    """The model stores every failure of the period and checks all of them."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        self.case = Case()
        self.state = "closed"
        self.now_s = 0.0
        self.opened_at_s = 0.0
        self.period = 0
        self.failures: list[float] = []
        self.under_way = self.successes = 0

    def become(self, state: str) -> None:
        self.state = state
        self.period += 1
        self.failures = []
        self.under_way = self.successes = 0
        if state == "open":
            self.opened_at_s = self.now_s

    def may_call(self) -> bool:
        if self.state == "open":
            return self.now_s >= self.opened_at_s + OPEN_FOR_S
        return self.state == "closed" or self.under_way < HALF_OPEN

    @rule(seconds=st.sampled_from([1.0, 10.0, 29.0, 30.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.case.wait(seconds)

    @rule(target=permits)
    def begin(self) -> Any:
        may = self.may_call()
        assert self.case.breaker.allows is may
        if not may:
            with pytest.raises(BreakerOpenError):
                self.case.breaker.before()
            return None
        if self.state == "open":
            self.become("half_open")
        if self.state == "half_open":
            self.under_way += 1
        return self.case.breaker.before(), self.period

    @rule(permit=consumes(permits), outcome=st.sampled_from(["succeeded", "failed", "abandoned"]))
    def end(self, permit: tuple[Permit, int] | None, outcome: Outcome) -> None:
        if permit is None:
            return
        self.case.breaker.after(permit[0], outcome)
        if permit[1] != self.period:
            return
        if self.state == "half_open":
            self.under_way -= 1
            self.successes += outcome == "succeeded"
            if outcome == "failed":
                self.become("open")
            elif self.successes == HALF_OPEN:
                self.become("closed")
        elif outcome == "failed":
            self.failures.append(self.now_s)
            recent = [at for at in self.failures if self.now_s - at <= WINDOW_S]
            if len(recent) >= FAILURES:
                self.become("open")

    @invariant()
    def the_states_agree(self) -> None:
        is_due = self.state == "open" and self.may_call()
        assert self.case.breaker.state == ("half_open" if is_due else self.state)
        assert len(self.case.transitions) == self.period


AgainstAModel.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAgainstAModel = AgainstAModel.TestCase


def breakers() -> Breakers:
    policies = {"a.b": Breaker(failures=1), "c.d": Breaker(failures=2)}
    return Breakers(policies.get, VirtualClock())


def fail(found: Breakers, topic: str, plugin: str) -> None:
    breaker = found.breaker(topic, plugin)
    assert breaker is not None
    breaker.after(breaker.before(), "failed")


def test_a_topic_without_a_policy_has_no_breaker() -> None:
    found = breakers()
    assert found.breaker("x.y", "plug") is None
    assert found.allows("x.y", "plug")


def test_each_topic_and_plugin_has_one_that_all_share() -> None:
    found = breakers()
    fail(found, "a.b", "plug")
    assert found.breaker("a.b", "plug") is found.breaker("a.b", "plug")
    assert not found.allows("a.b", "plug")
    assert found.allows("a.b", "other")
    assert found.allows("c.d", "plug")
    assert [(each.topic, each.plugin, each.state) for each in found.all()] == [
        ("a.b", "other", "closed"),
        ("a.b", "plug", "open"),
        ("c.d", "plug", "closed"),
    ]


def test_a_callback_that_raises_affects_neither_the_call_nor_the_next_callback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = breakers()
    told: list[Transition] = []

    def broken(transition: Transition) -> None:
        raise ZeroDivisionError

    found.on_transition(broken)
    dispose = found.on_transition(told.append)
    with caplog.at_level(logging.ERROR):
        fail(found, "a.b", "plug")
    assert [each.after for each in told] == ["open"]
    assert "ZeroDivisionError" in caplog.text
    dispose()
    dispose()
    fail(found, "a.b", "other")
    assert len(told) == 1
