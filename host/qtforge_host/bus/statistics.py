"""Counts and latencies of one handler or subscriber, cheap enough for every call."""

from __future__ import annotations

from qtforge_sdk import HandlerStatistics

__all__ = ["Counters"]

_RECENT = 1024


class Counters:
    """The statistics of one handler; quantiles are those of its last 1,024 calls.

    Args:
        topic: The topic or the pattern.
        plugin: The plugin.
        node: The node that it is on; "" for this process.
    """

    __slots__ = (
        "_ended", "_recent", "_total_s", "dropped", "errors", "node", "outstanding", "plugin",
        "requests", "timeouts", "topic",
    )  # fmt: skip

    def __init__(self, topic: str, plugin: str, node: str = "") -> None:
        self.topic = topic
        self.plugin = plugin
        self.node = node
        self.requests = 0
        self.errors = 0
        self.timeouts = 0
        self.dropped = 0
        self.outstanding = 0
        self._ended = 0
        self._total_s = 0.0
        self._recent: list[float] = []

    def ended(self, duration_s: float) -> None:
        """Count one call of this duration, in seconds."""
        ended = self._ended
        self._ended = ended + 1
        self._total_s += duration_s
        if ended < _RECENT:
            self._recent.append(duration_s)
        else:
            self._recent[ended % _RECENT] = duration_s

    def snapshot(self) -> HandlerStatistics:
        """Return the current statistics."""
        recent = self._recent
        if len(recent) > 1:
            import statistics  # with fractions and more slow to import, and a run needs none

            percentiles = statistics.quantiles(recent, n=100, method="inclusive")
            p50_s, p99_s = percentiles[49], percentiles[98]
        else:
            p50_s = p99_s = recent[0] if recent else 0.0
        return HandlerStatistics(
            topic=self.topic,
            plugin=self.plugin,
            requests=self.requests,
            errors=self.errors,
            timeouts=self.timeouts,
            dropped=self.dropped,
            outstanding=self.outstanding,
            mean_s=self._total_s / self._ended if self._ended else 0.0,
            p50_s=p50_s,
            p99_s=p99_s,
            node=self.node,
        )
