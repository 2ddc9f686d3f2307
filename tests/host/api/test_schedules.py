"""When schedules plan a run."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cronsim", reason="the extra 'serve' is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from qtforge_host.api.schedules import Schedule, read_schedules
from qtforge_host.config.settings import ScheduleSettings, Settings
from qtforge_sdk.errors import ConfigError

UTC = datetime.UTC


def schedule(cron: str, timezone: str = "UTC", name: str = "s", **more: Any) -> Schedule:
    said = {name: ScheduleSettings(workflow="w", cron=cron, timezone=timezone, **more)}
    (found,) = read_schedules(configured(said))
    return found


def configured(schedules: Mapping[str, ScheduleSettings]) -> Settings:
    return Settings(config_path=Path("c.toml"), state_dir=Path("s"), schedules=schedules)


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_next_time_is_that_of_the_time_zone() -> None:
    early = schedule("30 6 * * mon-fri", "Europe/Berlin")
    # A Friday in winter, then the Monday after; then in summer.
    assert early.after(at("2026-01-09 00:00")) == at("2026-01-09 05:30")
    assert early.after(at("2026-01-09 05:30")) == at("2026-01-12 05:30")
    assert early.after(at("2026-07-03 00:00")) == at("2026-07-03 04:30")


def test_a_time_that_the_clock_leaves_out_happens_after_the_gap_and_one_that_comes_twice_once() -> (
    None
):
    night = schedule("30 2 * * *", "Europe/Berlin")
    # On 2026-03-29 the clock goes from 2:00 to 3:00, on 2026-10-25 back from 3:00 to 2:00.
    assert night.after(at("2026-03-28 12:00")) == at("2026-03-29 01:00")
    first = night.after(at("2026-10-24 12:00"))
    assert first == at("2026-10-25 00:30")
    assert first is not None
    assert night.after(first) == at("2026-10-26 01:30")


def test_the_last_time_is_found_between_two_moments() -> None:
    hourly = schedule("0 * * * *")
    assert hourly.last(at("2026-01-01 00:00"), at("2026-01-01 00:59")) is None
    assert hourly.last(at("2026-01-01 00:00"), at("2026-01-01 01:00")) == at("2026-01-01 01:00")
    assert hourly.last(at("2026-01-01 00:00"), at("2027-01-01 05:30")) == at("2027-01-01 05:00")
    yearly = schedule("0 0 29 2 *")
    assert yearly.last(at("2023-01-01 00:00"), at("2026-01-01 00:00")) == at("2024-02-29 00:00")


@settings(max_examples=60, deadline=None)
@given(
    cron=st.sampled_from(
        ["* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 1 * *", "15 */3 * * sun", "59 23 31 12 *"]
    ),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
    since=st.datetimes(datetime.datetime(2025, 1, 1), datetime.datetime(2027, 12, 31)),
    hours=st.integers(0, 40),
)
def test_the_last_time_is_the_one_that_counting_forwards_comes_to(
    cron: str, timezone: str, since: datetime.datetime, hours: int
) -> None:
    planned = schedule(cron, timezone)
    begin = since.replace(tzinfo=UTC)
    until = begin + datetime.timedelta(hours=hours)
    found, each = None, planned.after(begin)
    while each is not None and each <= until:
        found, each = each, planned.after(each)
    assert planned.last(begin, until) == found


def test_a_planned_time_has_one_run() -> None:
    daily = schedule("0 9 * * *", name="daily")
    moment = at("2026-01-02 09:00")
    assert daily.run_id(moment) == daily.run_id(moment)
    assert daily.run_id(moment).startswith("20260102-090000-")
    assert daily.run_id(moment) != schedule("0 9 * * *", name="other").run_id(moment)


@pytest.mark.parametrize(
    ("said", "where", "why"),
    [
        ({"cron": "never"}, "cron", "it has 1 fields"),
        ({"cron": "* * * * * *"}, "cron", "it has 6 fields"),
        ({"cron": "61 * * * *"}, "cron", "Bad minute"),
        ({"cron": "0 0 30 2 *"}, "cron", "Bad day-of-month"),
        ({"cron": "0 9 * * *", "timezone": "Mars/Base"}, "timezone", "no time zone 'Mars/Base'"),
        ({"cron": "0 9 * * *", "timezone": "../../etc/passwd"}, "timezone", "no time zone"),
    ],
)
def test_what_is_no_schedule_is_an_error_that_names_the_key(
    said: dict[str, Any], where: str, why: str
) -> None:
    with pytest.raises(ConfigError) as found:
        read_schedules(configured({"x": ScheduleSettings(workflow="w", **said)}))
    assert found.value.where == f"c.toml: schedules.x.{where}"
    assert why in found.value.why
