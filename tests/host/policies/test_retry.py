from __future__ import annotations

import asyncio
import math
import pickle
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_host.policies.retry import is_retried, next_attempt, seeded
from qtforge_sdk import ErrorInfo, OperationError
from qtforge_sdk.errors import BreakerOpenError, HandlerFailedError, RequestTimeoutError
from qtforge_sdk.policies import Retry
from qtforge_sdk.testing import VirtualClock

STEADY = Retry(max_attempts=10, jitter=0.0)


def failed(code: str = "http.busy", **hints: Any) -> ErrorInfo:
    return ErrorInfo(code=code, message="it failed", **hints)


def delay(policy: Retry, attempt: int, error: ErrorInfo | None = None) -> float | None:
    return next_attempt(policy, attempt, error or failed(), random=seeded("run/step", attempt))


def test_by_default_nothing_is_tried_again() -> None:
    assert delay(Retry(), 1) is None


def test_the_wait_doubles_up_to_the_longest() -> None:
    waits = [delay(STEADY, attempt) for attempt in range(1, 10)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_attempts_come_to_an_end() -> None:
    policy = Retry(max_attempts=3)
    assert [delay(policy, attempt) is None for attempt in (1, 2, 3, 4)] == [
        False,
        False,
        True,
        True,
    ]


policies = st.builds(
    Retry,
    max_attempts=st.integers(1, 10**9),
    initial_delay=st.sampled_from(["1ms", "1s", "90s", "2h"]),
    backoff=st.floats(1, 1e6),
    max_delay=st.sampled_from(["10ms", "1s", "1m", "24h"]),
    jitter=st.floats(0, 1),
)
LONGEST_S = {"10ms": 0.01, "1s": 1.0, "1m": 60.0, "24h": 86_400.0}


@given(policies, st.integers(1, 10**9), st.none() | st.floats(allow_nan=True), st.integers())
def test_a_wait_is_never_negative_never_above_the_longest_and_never_before_retry_after(
    policy: Retry, attempt: int, retry_after_s: float | None, seed: int
) -> None:
    error = failed(retry_after_s=retry_after_s)
    wait = next_attempt(policy, attempt, error, random=random.Random(seed))
    longest_s = LONGEST_S[str(policy.max_delay)]
    if wait is not None:
        assert 0 <= wait <= longest_s
        if retry_after_s is not None and not math.isnan(retry_after_s):
            assert wait >= retry_after_s
    elif attempt < policy.max_attempts:
        assert retry_after_s is not None
        assert retry_after_s > longest_s


@given(st.integers(1, 60), st.floats(0, 1), st.integers())
def test_jitter_takes_at_most_its_share(attempt: int, jitter: float, seed: int) -> None:
    steady = next_attempt(
        Retry(max_attempts=100, jitter=0), attempt, failed(), random=random.Random(seed)
    )
    varied = next_attempt(
        Retry(max_attempts=100, jitter=jitter), attempt, failed(), random=random.Random(seed)
    )
    assert steady is not None
    assert varied is not None
    assert steady * (1 - jitter) - 1e-9 <= varied <= steady


@given(st.text(), st.integers(1, 99))
def test_a_resumed_run_computes_the_same_wait(key: str, attempt: int) -> None:
    policy = Retry(max_attempts=100)
    first, again = (
        next_attempt(policy, attempt, failed(), random=seeded(key, attempt)) for _ in range(2)
    )
    assert first == again


def test_other_steps_and_attempts_wait_differently() -> None:
    policy = Retry(max_attempts=9, backoff=1.0)
    waits = {
        next_attempt(policy, attempt, failed(), random=seeded(key, attempt))
        for key in ("run/a", "run/b")
        for attempt in (1, 2)
    }
    assert len(waits) == 4


def test_a_retry_after_above_the_longest_wait_ends_it() -> None:
    assert delay(STEADY, 1, failed(retry_after_s=59)) == 59
    assert delay(STEADY, 1, failed(retry_after_s=61)) is None


@pytest.mark.parametrize(
    ("code", "hint", "policy", "retried"),
    [
        ("http.busy", None, {}, True),
        ("bus.timeout", None, {}, True),
        ("bus.handler_failed", None, {}, True),
        ("bus.invalid_message", None, {}, False),
        ("bus.no_handler", None, {}, False),
        ("run.cancelled", None, {}, False),
        ("expression.failed", None, {}, False),
        ("http.gone", False, {}, False),
        ("bus.no_handler", True, {}, True),
        ("http.busy", None, {"include": ("bus.timeout",)}, False),
        ("http.busy", True, {"include": ("bus.timeout",)}, False),
        ("bus.timeout", None, {"include": ("bus.timeout",)}, True),
        ("bus.no_handler", None, {"include": ("bus.*",)}, True),
        ("http.gone", False, {"include": ("http.*",)}, False),
        ("http.busy", True, {"exclude": ("http.*",)}, False),
        ("http.busy", None, {"include": ("http.*",), "exclude": ("*.busy",)}, False),
        ("http.gone", None, {"include": ("http.*",), "exclude": ("*.busy",)}, True),
    ],
)
def test_code_error_and_policy_decide_what_is_retried(
    code: str, hint: bool | None, policy: dict[str, Any], retried: bool
) -> None:
    assert is_retried(Retry(**policy), failed(code, retryable=hint)) is retried


def test_an_exception_and_its_stored_form_are_decided_alike() -> None:
    refused = HandlerFailedError("a.b", "plug", "1.0", "why", "http.gone", "")
    assert not is_retried(Retry(exclude=("http.gone",)), refused)
    assert is_retried(Retry(include=("bus.timeout",)), RequestTimeoutError("a.b", 1.0))


def test_an_open_breaker_is_tried_again_when_it_closes() -> None:
    error = BreakerOpenError("a.b", "plug", 25.0)
    assert next_attempt(STEADY, 1, error, random=seeded("run/step", 1)) == 25.0


def test_a_duration_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="'soon' is not a duration"):
        delay(Retry(max_attempts=2, initial_delay="soon"), 1)


def test_retryable_and_retry_after_survive_pickling() -> None:
    error = OperationError("http.busy", "busy", retryable=True, retry_after_s=3.0)
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.retryable, again.retry_after_s) == ("http.busy", True, 3.0)


def test_a_schedule_of_a_day_takes_milliseconds_and_the_same_time_again() -> None:
    policy = Retry(max_attempts=40, max_delay="1h")

    async def scenario() -> float:
        clock = VirtualClock()
        async with clock.auto():
            for attempt in range(1, 100):
                wait = delay(policy, attempt)
                if wait is None:
                    assert attempt == 40
                    break
                await clock.sleep(wait)
        return clock.monotonic()

    day_s = asyncio.run(scenario())
    assert 50_000 < day_s < 110_000
    assert asyncio.run(scenario()) == day_s


def test_the_default_of_the_longest_delay_does_not_shorten_a_delay_that_was_asked_for() -> None:
    def delay_s(policy: Retry, attempt: int = 1) -> float | None:
        return next_attempt(policy, attempt, OperationError("x.y", "z"), random=random.Random(1))

    hour = Retry(max_attempts=9, initial_delay="1h", jitter=0)
    assert (delay_s(hour), delay_s(hour, 3)) == (3600, 3600)
    assert delay_s(Retry(max_attempts=9, initial_delay="1h", max_delay="1m", jitter=0)) == 60
    assert delay_s(Retry(max_attempts=9, initial_delay="50s", jitter=0), 2) == 60
