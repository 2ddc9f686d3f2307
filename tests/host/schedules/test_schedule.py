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

from qtforge_host.config.settings import ScheduleSettings, Settings
from qtforge_host.schedules.schedule import Schedule, read_schedules
from qtforge_sdk.errors import ConfigError

UTC = datetime.UTC


def schedule(
    cron: str | tuple[str, ...] = (), timezone: str = "UTC", name: str = "s", **more: Any
) -> Schedule:
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


def test_the_last_times_are_found_between_two_moments() -> None:
    hourly = schedule("0 * * * *")
    assert not hourly.between(at("2026-01-01 00:00"), at("2026-01-01 00:59"))
    assert hourly.between(at("2026-01-01 00:00"), at("2026-01-01 02:00")) == (
        at("2026-01-01 01:00"),
        at("2026-01-01 02:00"),
    )
    for year in (2027, 2036):
        last = at(f"{year}-01-01 05:00")
        found = hourly.between(at("2026-01-01 00:00"), last + datetime.timedelta(minutes=30), 2)
        assert found == (last - datetime.timedelta(hours=1), last)
    yearly = schedule("0 0 29 2 *")
    assert yearly.between(at("2017-01-01 00:00"), at("2026-01-01 00:00")) == (
        at("2020-02-29 00:00"),
        at("2024-02-29 00:00"),
    )


CRONS = ("* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 1 * *", "15 */3 * * sun", "59 23 31 12 *")


@settings(max_examples=60, deadline=None)
@given(
    crons=st.lists(st.sampled_from(CRONS), min_size=1, max_size=2).map(tuple),
    timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
    since=st.datetimes(datetime.datetime(2025, 1, 1), datetime.datetime(2027, 12, 31)),
    hours=st.integers(0, 40),
    most=st.integers(1, 5),
)
def test_the_last_times_are_those_that_counting_forwards_comes_to(
    crons: tuple[str, ...], timezone: str, since: datetime.datetime, hours: int, most: int
) -> None:
    planned = schedule(crons, timezone)
    begin = since.replace(tzinfo=UTC)
    until = begin + datetime.timedelta(hours=hours)
    found, each = [], planned.after(begin)
    while each is not None and each <= until:
        found.append(each)
        each = planned.after(each)
    assert planned.between(begin, until, most) == tuple(found[-most:])
    assert planned.between(begin, until) == tuple(found[-1000:])


def test_several_expressions_plan_each_of_their_times_once() -> None:
    both = schedule(("0 6 * * *", "0 6,18 * * *"))
    found = both.between(at("2026-01-01 00:00"), at("2026-01-02 12:00"))
    assert found == (at("2026-01-01 06:00"), at("2026-01-01 18:00"), at("2026-01-02 06:00"))


def test_words_stand_for_expressions() -> None:
    for word, first in (("@hourly", "2026-01-01 01:00"), ("@monthly", "2026-02-01 00:00")):
        assert schedule(word).after(at("2026-01-01 00:00")) == at(first)


def test_every_counts_from_midnight_or_from_the_start() -> None:
    quarter = schedule(every="15m")
    assert quarter.after(at("2026-01-01 00:20")) == at("2026-01-01 00:30")
    later = schedule(every="1d", start="2026-01-05T06:30", timezone="Europe/Berlin")
    assert later.after(at("2026-01-01 00:00")) == at("2026-01-05 05:30")
    assert later.after(at("2026-07-01 05:30")) == at("2026-07-02 05:30")
    assert len(quarter.between(at("2000-01-01 00:00"), at("2026-01-01 00:00"), 3)) == 3


def test_nothing_is_planned_before_the_start_nor_at_the_end() -> None:
    between = schedule("0 0 * * *", start=datetime.date(2026, 1, 3), end="2026-01-05")
    assert [*between.times(at("2026-01-01 00:00"))] == [
        at("2026-01-03 00:00"),
        at("2026-01-04 00:00"),
    ]
    assert between.after(at("2026-01-04 00:00")) is None


@pytest.mark.parametrize("timezone", ["UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("said", [{"cron": "@daily"}, {"every": "100d"}])
def test_a_start_or_end_in_the_first_or_last_year_plans_nothing_impossible(
    said: dict[str, Any], timezone: str
) -> None:
    never = schedule(**said, timezone=timezone, start="9999-12-30", jitter="36500d")
    assert never.after(at("2026-01-01 00:00")) is None
    assert never.interval(at("2026-01-01 00:00")) == datetime.timedelta.max
    assert never.between(at("2026-01-01 00:00"), at("2026-02-01 00:00")) == ()
    assert (
        schedule(**said, timezone=timezone, end="0001-01-03").after(at("2026-01-01 00:00")) is None
    )
    always = schedule(
        **said, timezone=timezone, start="0001-01-03", end="9999-12-30", jitter="36500d"
    )
    found = always.after(at("2026-01-01 00:00"))
    assert found is not None
    assert always.due(found) >= found > at("2026-01-01 00:00")
    *_, last = always.times(at("9698-01-01 00:00"))
    assert always.due(last) >= last


def test_a_run_is_due_within_the_jitter_and_always_at_the_same_time() -> None:
    shaken = schedule("0 * * * *", jitter="10m")
    times = shaken.between(at("2026-01-01 00:00"), at("2026-01-03 00:00"))
    late = [shaken.due(each) - each for each in times]
    assert late == [shaken.due(each) - each for each in times]
    assert all(datetime.timedelta() <= each <= datetime.timedelta(minutes=10) for each in late)
    assert len(set(late)) > len(late) // 2
    other = schedule("0 * * * *", jitter="10m", name="other")
    assert other.due(times[0]) != shaken.due(times[0])


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
        ({"cron": ("0 9 * * *", "@often")}, "cron", "'@often' can't be used: there is no such"),
        ({"every": "soon"}, "every", "'soon' is not a duration"),
        ({"every": "10ms"}, "every", "too short"),
        ({"every": "1h", "start": "tomorrow"}, "start", "'tomorrow' is not a time"),
        ({"every": "1h", "end": 5}, "end", "'5' is not a time"),
        ({"every": "1h", "end": "0001-01-01", "timezone": "Asia/Tokyo"}, "end", "before the year"),
        ({"every": "1h", "start": "9999-12-31T23:59-05:00"}, "start", "after the year 9999"),
        ({"every": "1h", "jitter": "-5s"}, "jitter", ""),
    ],
)
def test_what_is_no_schedule_is_an_error_that_names_the_key(
    said: dict[str, Any], where: str, why: str
) -> None:
    with pytest.raises(ConfigError) as found:
        read_schedules(configured({"x": ScheduleSettings(workflow="w", **said)}))
    assert found.value.where == f"c.toml: schedules.x.{where}"
    assert why in found.value.why


@pytest.mark.parametrize("said", [{}, {"cron": "0 9 * * *", "every": "1h"}])
def test_either_an_expression_or_an_interval_is_given(said: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="'cron'"):
        read_schedules(configured({"x": ScheduleSettings(workflow="w", **said)}))
