from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtforge_sample_calendar import CalendarSource

from qtforge_host.testing import PluginTestHost
from qtforge_sdk.errors import HandlerFailedError

CALENDAR = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:2@example.org
SUMMARY:Harvest\\, second day
DTSTART:20260902T090000Z
DTEND:20260902T100000Z
LOCATION:Orchard
END:VEVENT
BEGIN:VEVENT
UID:1@example.org
SUMMARY:Fair
DTSTART;VALUE=DATE:20260501
END:VEVENT
END:VCALENDAR
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "calendars"
    found.mkdir()
    (found / "farm.ics").write_text(CALENDAR.replace("\n", "\r\n"))
    return found


@pytest.fixture
def source(host: PluginTestHost, folder: Path) -> PluginTestHost:
    host.add(CalendarSource(), config={"root": str(folder), "max_bytes": 1000})
    return host


def read(source: PluginTestHost, endpoint: str = "farm.ics", **parameters: Any) -> Any:
    request = {"name": "farm", "endpoint": endpoint, "parameters": parameters}
    return source.request("calendar.read", request)


def test_every_event_is_a_row_in_the_order_of_their_beginnings(source: PluginTestHost) -> None:
    assert read(source).rows == [
        {
            "uid": "1@example.org", "summary": "Fair", "start": "2026-05-01", "end": None,
            "all_day": True, "location": None,
        },
        {
            "uid": "2@example.org", "summary": "Harvest, second day",
            "start": "2026-09-02T09:00:00+00:00", "end": "2026-09-02T10:00:00+00:00",
            "all_day": False, "location": "Orchard",
        },
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "found"),
    [
        ({"since": "2026-05-02"}, ["2@example.org"]),
        ({"until": "2026-09-02"}, ["1@example.org"]),
        ({"since": "2027-01-01"}, []),
    ],
)
def test_days_bound_what_is_read(source: PluginTestHost, parameters: Any, found: Any) -> None:
    assert [row["uid"] for row in read(source, **parameters).rows] == found


@pytest.mark.parametrize(
    ("endpoint", "parameters", "code"),
    [
        ("absent.ics", {}, "calendar.not_found"),
        (".", {}, "calendar.not_found"),
        ("../secret.ics", {}, "calendar.outside_root"),
        ("torn.ics", {}, "calendar.damaged"),
        ("large.ics", {}, "calendar.too_large"),
        ("farm.ics", {"sinse": "2026-01-01"}, "calendar.invalid_parameters"),
        ("farm.ics", {"since": "soon"}, "calendar.invalid_parameters"),
    ],
)
def test_what_can_not_be_read_is_refused_with_a_clear_error(
    source: PluginTestHost, folder: Path, endpoint: str, parameters: Any, code: str
) -> None:
    (folder / "torn.ics").write_text("this is a letter")
    (folder / "large.ics").write_text("x" * 2000)
    with pytest.raises(HandlerFailedError) as error:
        read(source, endpoint, **parameters)
    assert error.value.cause_code == code
    assert error.value.fix
