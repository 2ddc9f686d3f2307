"""What one handler or subscriber has done."""

from __future__ import annotations

import math

from qtforge_sdk.bus import HandlerStatistics

__all__ = ["Counters"]


class Counters:
    """Counts of one handler; a test is short, so every duration is kept.

    Args:
        topic: The handler's topic or the subscriber's pattern.
        plugin: Its plugin.
    """

    def __init__(self, topic: str, plugin: str) -> None:
        self.topic = topic
        self.plugin = plugin
        self.requests = 0
        self.errors = 0
        self.timeouts = 0
        self.dropped = 0
        self.outstanding = 0
        self.durations_s: list[float] = []

    def snapshot(self) -> HandlerStatistics:
        """Return the counts as they are now."""
        durations_s = sorted(self.durations_s)
        return HandlerStatistics(
            topic=self.topic,
            plugin=self.plugin,
            requests=self.requests,
            errors=self.errors,
            timeouts=self.timeouts,
            dropped=self.dropped,
            outstanding=self.outstanding,
            mean_s=sum(durations_s) / len(durations_s) if durations_s else 0.0,
            p50_s=_quantile(durations_s, 0.50),
            p99_s=_quantile(durations_s, 0.99),
        )


def _quantile(ordered: list[float], share: float) -> float:
    """Return the nearest-rank quantile; 0 when there are no values."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
