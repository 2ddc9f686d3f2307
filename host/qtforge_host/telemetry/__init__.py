"""Spans and metrics of runs for OpenTelemetry, made from records as they are written."""
