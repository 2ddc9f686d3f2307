"""One record of every kind, for the journals' contract."""

from __future__ import annotations

import datetime
from typing import Any

from qtforge_sdk.records import (
    AmendmentRefused,
    CheckpointSaved,
    ChildStarted,
    CompensationFailed,
    CompensationStarted,
    CompensationSucceeded,
    ErrorInfo,
    EventReceived,
    Record,
    RunAmended,
    RunBlocked,
    RunCancelRequested,
    RunPaused,
    RunQueued,
    RunReset,
    RunResumed,
    RunWaiting,
    StepFailed,
    StepSkipped,
    StepStarted,
    TimerFired,
    TimerSet,
)
from qtforge_sdk.testing._journal_scenarios import NOW, finished, started, step

__all__ = ["every_record"]


def every_record() -> list[Record]:
    """Return one record of each kind, with every field set."""
    ids: dict[str, Any] = {"run_id": "run", "at": NOW}
    error = ErrorInfo(code="a.b", message="m", stage="s", plugin="p", plugin_version="1", fix="f")
    return [
        started(
            definition={"name": "letters", "stages": [{"name": "a", "timeout": 2.5}]},
            definition_text="name = 'letters'",
            parent="parent",
            parent_step="child",
        ),
        StepStarted(step="a", topic="a.b", attempt=2, **ids),
        StepFailed(
            step="a",
            error=error,
            required=True,
            duration_s=0.5,
            attempt=2,
            will_retry=True,
            next_at=NOW + datetime.timedelta(seconds=3),
            **ids,
        ),
        step(data={"text": "ü", "numbers": [1, 2.5, None, True], "bytes": b"\0\1", "at": NOW}),
        StepSkipped(step="b", reason="not now", **ids),
        CompensationStarted(step="a", topic="a.undo", **ids),
        CompensationSucceeded(
            step="a", data=[1], plugin="p", plugin_version="1", duration_s=0.1, **ids
        ),
        CompensationFailed(step="b", error=error, duration_s=0.1, **ids),
        RunQueued(**ids),
        RunPaused(by="Ada", reason="lunch", **ids),
        RunWaiting(until=NOW, events=("paid",), children=("r2",), **ids),
        RunBlocked(reason="versions", plugins={"p": "2"}, **ids),
        RunResumed(owner="o", plugins={"p": "1"}, note="same", **ids),
        RunCancelRequested(by="Ada", reason="enough", **ids),
        AmendmentRefused(message_id="m", reason="it has begun", **ids),
        RunReset(steps=["one"], by="Ada", **ids),
        RunAmended(
            patch=[{"op": "remove", "path": "/stages/1"}],
            definition={"stages": []},
            by="Ada",
            reason="shorter",
            **ids,
        ),
        EventReceived(name="approved", event_id="m1", data={"by": "Ada"}, **ids),
        TimerSet(name="wait", due=NOW + datetime.timedelta(days=1), **ids),
        TimerFired(name="wait", late_s=1.5, **ids),
        _state_kept(ids),
        ChildStarted(step="c", child_run_id="child", **ids),
        finished(result={"ok": True}),
    ]


def _state_kept(ids: dict[str, Any]) -> CheckpointSaved:
    return CheckpointSaved(
        state={"active": ["a"], "data": {"n": 1}},
        label="a",
        event="go",
        event_id="m2",
        event_data={"by": "Ada"},
        by="Ada",
        late_s=0.5,
        outcome="taken",
        trace={"transitions": ["t"]},
        timers={"wait": NOW + datetime.timedelta(days=1)},
        timers_set=("wait",),
        timers_gone=("other",),
        accepts=("go", "stop"),
        key="k",
        busy=True,
        inbox=3,
        handled=("m3",),
        definition={"states": {}},
        label_since=NOW,
        **ids,
    )
