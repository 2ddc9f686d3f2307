"""Calendars as a type of source: answers ``calendar.read``."""

from qtforge_sample_calendar.plugin import CalendarConfig, CalendarSource

__all__ = ["CalendarConfig", "CalendarSource"]
