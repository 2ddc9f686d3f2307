"""The plugin: a topic ``<type>.read`` is all that makes a type of source."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import icalendar
import msgspec

from qtforge_sdk import OperationContext, OperationError, Plugin, operation
from qtforge_sdk.messages import Collected, CollectRequest

__all__ = ["CalendarConfig", "CalendarSource", "Parameters"]


class CalendarConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[plugins.calendar-source.config]``.

    Attributes:
        root: Calendars are read below this folder only; ``~`` is the home.
        max_bytes: Larger files are refused.
    """

    root: str = "."
    max_bytes: int = 8 << 20


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a source of the type ``calendar`` takes.

    Attributes:
        since: Only events that begin on this day or later, or None.
        until: Only events that begin before this day, or None.
    """

    since: datetime.date | None = None
    until: datetime.date | None = None


class CalendarSource(Plugin):
    """Reads iCalendar files (RFC 5545)."""

    Config = CalendarConfig
    config: CalendarConfig

    @operation("calendar.read")
    def read(self, request: CollectRequest, context: OperationContext) -> Collected:
        """Return a row for each event, in the order of their beginnings.

        A row has ``uid``, ``summary``, ``start``, ``end``, ``all_day`` and ``location``;
        dates and times are ISO 8601. An event that repeats is one row.

        Raises:
            OperationError: ``calendar.invalid_parameters``, ``.outside_root``, ``.not_found``,
                ``.too_large`` or ``.damaged``.
        """
        try:
            wanted = msgspec.convert(request.parameters, Parameters)
        except msgspec.ValidationError as error:
            what = f"the parameters of '{request.name}' can't be used"
            fix = 'they are since and until, days such as "2026-01-31"'
            raise OperationError(
                "calendar.invalid_parameters", what, str(error), fix, retryable=False
            ) from error
        content = self._content(request.endpoint)
        try:
            calendar = icalendar.Calendar.from_ical(content)
            rows = [_row(event) for event in calendar.walk("VEVENT")]
        except (ValueError, KeyError) as error:
            what = f"'{request.endpoint}' is no calendar"
            fix = "export it again, as iCalendar (.ics)"
            raise OperationError("calendar.damaged", what, str(error), fix) from error
        rows = [row for row in rows if _is_within(row["start"], wanted)]
        rows.sort(key=lambda row: row["start"] or "")
        return Collected(rows=rows, count=len(rows))

    def _content(self, endpoint: str) -> bytes:
        root = Path(self.config.root).expanduser().resolve()
        path = (root / Path(endpoint).expanduser()).resolve()
        if not path.is_relative_to(root):
            fix = f"put it below {root}, or set plugins.calendar-source.config.root"
            raise OperationError(
                "calendar.outside_root", f"'{endpoint}' may not be read", "", fix, retryable=False
            )
        try:
            with path.open("rb") as file:
                content = file.read(self.config.max_bytes + 1)
        except OSError as error:
            what, why = f"'{endpoint}' can't be read", error.strerror or str(error)
            raise OperationError("calendar.not_found", what, why, "check the path") from error
        if len(content) > self.config.max_bytes:
            what = f"'{endpoint}' has more than {self.config.max_bytes} bytes"
            fix = "raise plugins.calendar-source.config.max_bytes"
            raise OperationError("calendar.too_large", what, "", fix, retryable=False)
        return content


def _row(event: Any) -> dict[str, Any]:
    start, end = _when(event, "DTSTART"), _when(event, "DTEND")
    return {
        "uid": _text(event, "UID"),
        "summary": _text(event, "SUMMARY"),
        "start": None if start is None else start.isoformat(),
        "end": None if end is None else end.isoformat(),
        "all_day": start is not None and not isinstance(start, datetime.datetime),
        "location": _text(event, "LOCATION"),
    }


def _when(event: Any, name: str) -> datetime.date | None:
    found = event.get(name)
    value = getattr(found, "dt", None)
    return value if isinstance(value, datetime.date) else None


def _text(event: Any, name: str) -> str | None:
    found = event.get(name)
    return None if found is None else str(found)


def _is_within(start: str | None, wanted: Parameters) -> bool:
    if wanted.since is None and wanted.until is None:
        return True
    if start is None:
        return False
    day = datetime.date.fromisoformat(start[:10])
    return (wanted.since is None or day >= wanted.since) and (
        wanted.until is None or day < wanted.until
    )
