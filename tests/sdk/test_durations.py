"""A length of time is given in one way everywhere: seconds, a timedelta or text."""

from __future__ import annotations

import datetime
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_sdk.durations import (
    LONGEST_S,
    Duration,
    DurationError,
    check_duration,
    duration_text,
    seconds,
    signed_seconds,
    wait_seconds,
)

REFUSED = r"is not a duration: write it as|is longer than 100 years"


@pytest.mark.parametrize(
    ("given", "found_s"),
    [
        ("500ns", 5e-7),
        ("5us", 5e-6),
        ("5µs", 5e-6),
        ("5μs", 5e-6),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("1.5m", 90.0),
        (".5h", 1800.0),
        ("1h30m", 5400.0),
        ("1h30m15s500ms", 5415.5),
        ("2d", 172_800.0),
        ("1w", 604_800.0),
        ("1mm", 2_592_000.0),
        ("1y", 31_536_000.0),
        ("  30s ", 30.0),
        ("+30s", 30.0),
        (30, 30.0),
        (0.25, 0.25),
        (datetime.timedelta(days=1, microseconds=1), 86_400.000001),
    ],
)
def test_each_form_is_read(given: Any, found_s: float) -> None:
    assert seconds(given) == pytest.approx(found_s, rel=1e-12)
    assert wait_seconds(given) == signed_seconds(given) == seconds(given)


@pytest.mark.parametrize(
    "given",
    [
        "", " ", "s", "10", "ten", "30 sec", "30 s", "30S", "1h 30m", "1h-30m", "1h,30m", "1e3s",
        "0x10s", "\u0661s", "1.2.3s", "--1s", "PT30S", "\ud800", "1s\n2s",
        "9" * 20 + "s", "1s" * 100, None, True, b"1s", [1], 1j, float("nan"), float("inf"), 10**400,
        "101y", datetime.timedelta.max,
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_a_short_text(given: Any) -> None:
    for read in (seconds, wait_seconds, signed_seconds):
        with pytest.raises(ValueError, match=REFUSED) as told:
            read(given)
        assert len(str(told.value)) < 200


@pytest.mark.parametrize("given", [0, -1.5, "0", "0s", "-1h", datetime.timedelta(seconds=-1)])
def test_what_is_not_above_zero_is_no_setting_but_is_a_wait_that_is_over(given: Any) -> None:
    with pytest.raises(ValueError, match="is not above zero"):
        seconds(given)
    assert wait_seconds(given) == 0.0
    assert signed_seconds(given) <= 0


@given(st.floats(min_value=1e-6, max_value=LONGEST_S))
def test_a_number_and_its_timedelta_are_the_same(length_s: float) -> None:
    as_timedelta = datetime.timedelta(seconds=length_s)
    assert math.isclose(seconds(length_s), seconds(as_timedelta), rel_tol=1e-9, abs_tol=1e-6)


@given(st.text(max_size=40))
def test_every_text_is_a_duration_or_refused(text: str) -> None:
    try:
        found = signed_seconds(text)
    except ValueError:
        return
    assert -LONGEST_S <= found <= LONGEST_S


@given(st.integers(1, 10**6), st.sampled_from(["ms", "s", "m"]))
def test_what_is_shown_can_be_read_again(number: int, unit: str) -> None:
    text = f"{number}{unit}"
    assert duration_text(text) == text
    assert math.isclose(seconds(duration_text(seconds(text))), seconds(text), rel_tol=1e-5)


def test_msgspec_reads_a_number_or_text_where_a_type_says_duration() -> None:
    class Settings(msgspec.Struct):
        wait: Duration | None = None

    assert msgspec.convert({"wait": 5}, Settings).wait == 5.0
    assert msgspec.convert({"wait": "5s"}, Settings).wait == "5s"
    with pytest.raises(msgspec.ValidationError, match=r"\$\.wait"):
        msgspec.convert({"wait": True}, Settings)


class Times(msgspec.Struct, forbid_unknown_fields=True):
    timeout: Duration = "20s"

    def __post_init__(self) -> None:
        check_duration(self, "timeout", least_s=0.001, most_s=60)


@pytest.mark.parametrize("given", [1, 0.5, "500ms", "1m", "60s"])
def test_a_setting_is_a_length_of_time_within_its_bounds(given: Any) -> None:
    assert msgspec.convert({"timeout": given}, Times).timeout == given


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (0, "0 is not within 0.001s and 60s"),
        ("-1s", "'-1s' is not within 0.001s and 60s"),
        ("61s", "'61s' is not within 0.001s and 60s"),
        ("ten", "'ten' is not a duration"),
        (True, "True is not a duration"),
        (float("nan"), "nan is not a duration"),
    ],
)
def test_a_setting_that_is_no_such_length_is_refused_by_its_name(given: Any, why: str) -> None:
    with pytest.raises(DurationError) as caught:
        Times(timeout=given)
    assert caught.value.why == f"timeout: {why}"


@pytest.mark.parametrize("given", [0, "61s", "ten"])
def test_a_file_with_such_a_setting_is_refused(given: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"^timeout: "):
        msgspec.convert({"timeout": given}, Times)
