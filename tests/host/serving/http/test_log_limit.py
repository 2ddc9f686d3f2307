"""What bad requests may write into the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

from qtforge_host.serving.http.log_limit import LogLimit
from qtforge_sdk.policies import ParsedRate

HTTP = logging.getLogger("qtforge.http")


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def now_s(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limit(clock: Clock) -> Iterator[LogLimit]:
    made = LogLimit(ParsedRate(3, 60.0), clock.now_s)
    made.attach()
    yield made
    made.detach()


def bad_requests(count: int) -> None:
    for number in range(count):
        HTTP.warning("a bad request, number %d", number)


@pytest.mark.usefixtures("limit")
def test_more_lines_of_one_kind_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    bad_requests(1000)
    assert [record.getMessage() for record in caplog.records] == [
        f"a bad request, number {number}" for number in range(3)
    ]


@pytest.mark.usefixtures("limit")
def test_each_kind_has_its_own_lines(caplog: pytest.LogCaptureFixture) -> None:
    bad_requests(10)
    HTTP.warning("of another kind")
    assert "of another kind" in caplog.text


def test_the_count_of_what_was_left_out_comes_when_the_period_is_over(
    limit: LogLimit, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    bad_requests(1000)
    clock.s = 59.0
    limit.tell_left_out()
    assert "left out" not in caplog.text
    clock.s = 61.0
    limit.tell_left_out()
    assert "997 more lines in 61 s were left out, such as: a bad request, number 0" in caplog.text
    caplog.clear()
    bad_requests(3)
    assert len(caplog.records) == 3


def test_the_count_comes_at_the_end_too(limit: LogLimit, caplog: pytest.LogCaptureFixture) -> None:
    bad_requests(10)
    limit.detach()
    assert "7 more lines" in caplog.text
    bad_requests(10)
    assert len(caplog.records) == 3 + 1 + 10


def test_a_line_that_differs_by_its_arguments_alone_is_no_further_kind(
    limit: LogLimit, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        HTTP.warning(f"made with its argument {number}")
    assert len(caplog.records) == 3
    assert len(limit._windows) == 1
