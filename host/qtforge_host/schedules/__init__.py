"""Schedules: when the clock starts workflows, and the outcome of each planned time."""
