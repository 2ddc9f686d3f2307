"""Schedules: when workflows are started by the clock, and what came of each planned time."""
