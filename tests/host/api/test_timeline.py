"""A run's history in words."""

from __future__ import annotations

import datetime
import itertools

from hypothesis import given
from hypothesis import strategies as st

from qtforge_host.api.timeline import timeline
from qtforge_sdk import ErrorInfo
from qtforge_sdk.records import (
    CompensationFailed,
    CompensationStarted,
    RunPaused,
    RunWaiting,
    StepFailed,
)
from qtforge_sdk.testing._journal_records import every_record

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def test_an_attempt_that_an_open_breaker_refused_is_told_from_one_that_failed() -> None:
    texts = [
        entry.text
        for code in ("policy.breaker_open", "http.busy")
        for entry in timeline(
            [
                StepFailed(
                    run_id="r",
                    at=NOW,
                    step="s",
                    error=ErrorInfo(code=code, message="why"),
                    required=True,
                    duration_s=0.0,
                )
            ]
        )
    ]
    assert texts == [
        "attempt 1 was refused: policy.breaker_open: why",
        "attempt 1 failed: http.busy: why",
    ]


def test_the_attempts_of_a_compensation_are_told_apart() -> None:
    error = ErrorInfo(code="it.broke", message="why")
    texts = [
        entry.text
        for entry in timeline(
            [
                CompensationStarted(run_id="r", at=NOW, step="s", topic="t"),
                CompensationFailed(
                    run_id="r", at=NOW, step="s", error=error, duration_s=0.0, will_retry=True
                ),
                CompensationStarted(run_id="r", at=NOW, step="s", topic="t", attempt=2),
                CompensationFailed(
                    run_id="r", at=NOW, step="s", error=error, duration_s=0.0, attempt=2
                ),
            ]
        )
    ]
    assert texts == [
        "is compensated with t",
        "compensation, attempt 1 failed: it.broke: why; next attempt",
        "is compensated with t, attempt 2",
        "could not be compensated: it.broke: why",
    ]


@given(st.lists(st.integers(-200_000, 200_000), min_size=1))
def test_times_never_go_back_and_a_clock_that_was_set_back_is_said(offsets: list[int]) -> None:
    times = [NOW + datetime.timedelta(seconds=each) for each in offsets]
    found = list(timeline([RunPaused(run_id="r", at=at) for at in times], NOW))
    assert [each.at for each in found] == times
    after = [0.0, *(each.after_s for each in found)]
    assert after == sorted(after)
    said = ["clock was set back" in each.text for each in found]
    assert said == [False, *(later < earlier for earlier, later in itertools.pairwise(times))]


def test_the_time_that_a_clock_was_set_back_by_is_said() -> None:
    day = datetime.timedelta(days=1)
    found = [*timeline([RunPaused(run_id="r", at=at) for at in (NOW, NOW - day)])]
    assert found[1].text.endswith("(the clock was set back by 86400 s)")
    assert found[1].after_s == 0.0


def test_every_record_has_words() -> None:
    for record in every_record():
        assert all(each.text for each in timeline([record], NOW)), record


def test_what_a_run_that_rests_waits_for_is_said() -> None:
    waits = RunWaiting(run_id="r", at=NOW, until=NOW, events=("paid",), children=("r2",))
    (entry,) = timeline([waits], NOW)
    assert entry.text.startswith("waits for the event 'paid', for the run r2, until 2026-01-02")
