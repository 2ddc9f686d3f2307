"""Which messages follow from what happens to runs."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from qtforge_host.alerts.decisions import MOST_ENTRIES, AlertState, Happening, decide
from qtforge_host.alerts.messages import AlertMessage, delivery_id
from qtforge_host.config.alerts import Alert

START = datetime.datetime(2026, 12, 1, 6, 30, tzinfo=datetime.UTC)


def alert(**changed: Any) -> Alert:
    given: dict[str, Any] = {"name": "ops", "on": frozenset({"run.failed"}), "to": ("email:a@b",)}
    return Alert(**{**given, **changed})


def happening(what: str, minute: float = 0, **changed: Any) -> Happening:
    reasons: dict[str, Any] = {"failed": "run.failed", "blocked": "run.blocked", "succeeded": None}
    given: dict[str, Any] = {
        "reason": reasons[what],
        "at": START + datetime.timedelta(minutes=minute),
        "workflow": "nightly",
        "run_id": f"run-{minute}",
    }
    return Happening(**{**given, **changed})


def sent(one: Alert, *happenings: Happening) -> list[AlertMessage]:
    state = AlertState()
    found: list[AlertMessage] = []
    for each in happenings:
        state, messages = decide(state, {one.name: one}, each)
        found += messages
    return found


@pytest.mark.parametrize(
    ("settings", "happenings", "expected"),
    [
        ({}, "failed failed", ["run.failed", "run.failed"]),
        ({}, "blocked succeeded", []),
        ({"on": frozenset({"run.blocked"})}, "failed blocked", ["run.blocked"]),
        ({"after": 3}, "failed failed failed", ["run.failed"]),
        ({"after": 2}, "failed succeeded failed", []),
        ({"quiet_s": 150}, "failed failed failed failed", ["run.failed", "run.failed"]),
        ({"recovered": True}, "succeeded failed succeeded", ["run.failed", "run.recovered"]),
        ({"recovered": True}, "failed succeeded succeeded", ["run.failed", "run.recovered"]),
        ({"recovered": True, "after": 2}, "failed succeeded", []),
        (
            {"recovered": True, "quiet_s": 3600},
            "failed succeeded failed succeeded",
            ["run.failed", "run.recovered"],
        ),
    ],
)
def test_happenings_lead_to_messages(
    settings: dict[str, Any], happenings: str, expected: list[str]
) -> None:
    """One happening a minute."""
    given = [happening(each, number) for number, each in enumerate(happenings.split())]
    assert [each.type for each in sent(alert(**settings), *given)] == expected


def test_the_message_after_a_quiet_time_says_how_many_were_left_out() -> None:
    given = [happening("failed", minute) for minute in range(5)]
    assert [each.left_out for each in sent(alert(quiet_s=150), *given)] == [0, 2]


def test_a_quiet_time_is_that_of_one_workflow() -> None:
    other = happening("failed", 1, workflow="weekly")
    assert len(sent(alert(quiet_s=3600), happening("failed"), other)) == 2


def test_a_clock_that_was_set_back_keeps_nobody_quiet() -> None:
    given = [happening("failed", 60), happening("failed", 0)]
    assert len(sent(alert(quiet_s=3600), *given)) == 2


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"workflows": ("night*",)}, 1),
        ({"workflows": ("weekly", "x*")}, 0),
        ({"tags": {"team": "sales"}}, 1),
        ({"tags": {"team": "sales", "other": "x"}}, 0),
    ],
)
def test_an_alert_is_about_some_workflows_and_tags(settings: dict[str, Any], count: int) -> None:
    given = happening("failed", tags={"team": "sales", "customer": "ACME"})
    assert len(sent(alert(**settings), given)) == count


def test_what_is_remembered_is_bounded_and_the_oldest_goes() -> None:
    one, state = alert(after=2), AlertState()
    for number in range(MOST_ENTRIES + 1):
        given = happening("failed", workflow=f"w{number}")
        state, _ = decide(state, {"ops": one}, given)
    assert len(state.entries) == MOST_ENTRIES
    assert {"w0", "w1"} & {each.workflow for each in state.entries} == {"w1"}


def test_what_an_alert_remembers_goes_with_it() -> None:
    state, _ = decide(AlertState(), {"ops": alert()}, happening("failed"))
    state, _ = decide(state, {}, happening("failed"))
    assert state.entries == ()


def test_a_delivery_has_its_id_from_what_happened_and_where_it_is_told() -> None:
    (first,) = sent(alert(), happening("failed"))
    (again,) = sent(alert(), happening("failed"))
    (later,) = sent(alert(), happening("failed", 1))
    ids = {delivery_id(message, to) for message in (first, again, later) for to in ("email:a", "b")}
    assert len(ids) == 4


def test_a_message_says_what_failed_and_how_to_look_at_it() -> None:
    given = [happening("failed", 0, title="Sales", code="http.status", error="it answered 500")] * 2
    (message,) = sent(alert(after=2), *given)
    assert message.subject == "Sales failed"
    assert message.text == (
        "nightly failed: run-0, 2026-12-01 06:30:00 UTC\n"
        "Title: Sales\n"
        "Error: http.status: it answered 500\n"
        "Failures in a row: 2\n"
        "\n"
        "qtforge-host runs show run-0\n"
    )
