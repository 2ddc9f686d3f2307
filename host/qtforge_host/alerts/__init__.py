"""Alerts: find reasons in the records of runs, and decide which messages are sent."""
