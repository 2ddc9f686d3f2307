"""A run's history in words."""

from __future__ import annotations

import datetime

from qtforge_host.api.timeline import timeline
from qtforge_sdk import ErrorInfo
from qtforge_sdk.records import CompensationFailed, CompensationStarted, StepFailed

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
