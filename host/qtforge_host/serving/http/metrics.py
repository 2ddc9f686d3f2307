"""Metrics in Prometheus's text format, collected on request."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from qtforge_host.api.documents import NodeRow, PoolRow
from qtforge_host.serving.metrics import JournalFigures
from qtforge_host.serving.service import Service
from qtforge_sdk import HandlerStatistics
from qtforge_sdk.journal import JournalStatistics

__all__ = ["METRICS_TYPE", "metrics_text"]

METRICS_TYPE: Final = CONTENT_TYPE_LATEST
_BREAKER_STATES: Final = ("closed", "half_open", "open")


async def metrics_text(service: Service) -> str:
    """Return all metrics.

    Raises:
        StateDirectoryError: The journal can't be read.
    """
    now = service.durable.clock.now()
    next_timer = await service.durable.journal.next_due(now)
    figures = await service.figures.get()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(service, next_timer))
    backlog = service.durable.journal.backlog()
    registry.register(_JournalFigures(figures.statistics, backlog, now))
    registry.register(_NodeFigures(figures))
    ProcessCollector(registry=registry)
    return generate_latest(registry).decode()


class _Figures(Collector):
    def __init__(self, service: Service, next_timer: datetime.datetime | None) -> None:
        self._service = service
        self._next_timer = next_timer

    def collect(self) -> Iterable[Metric]:
        yield from self._runs()
        yield from self._bus()
        yield self._breakers()
        yield from self._limits()
        yield self._blocks()
        streams = GaugeMetricFamily("qtforge_event_streams", "Connected clients of live events.")
        streams.add_metric([], len(self._service.streams))
        yield streams
        if self._service.host.telemetry is not None:
            dropped = CounterMetricFamily(
                "qtforge_telemetry_spans_dropped", "Spans that could not be delivered."
            )
            dropped.add_metric([], self._service.host.telemetry.dropped)
            yield dropped

    def _runs(self) -> Iterator[Metric]:
        counts = self._service.counts
        supervisor = self._service.durable.supervisor
        waiting = supervisor.active_runs.waiting()
        timer = 0.0 if self._next_timer is None else self._next_timer.timestamp()
        for name, text, value in (
            ("runs_executing", "Runs executing now.", supervisor.count() - waiting),
            ("runs_waiting_here", "Runs in memory that only wait.", waiting),
            (
                "next_timer_timestamp_seconds",
                "When the next timer of a run is due; 0 for none.",
                timer,
            ),
        ):
            gauge = GaugeMetricFamily(f"qtforge_{name}", text)
            gauge.add_metric([], value)
            yield gauge
        started = CounterMetricFamily(
            "qtforge_runs_started", "Runs that this process started.", labels=["workflow"]
        )
        for workflow, count in counts.started.items():
            started.add_metric([workflow], count)
        yield started
        ended = CounterMetricFamily(
            "qtforge_runs_ended",
            "Runs that ended in this process; workflow is empty if another process started them.",
            labels=["workflow", "status"],
        )
        for (workflow, status), count in counts.ended.items():
            ended.add_metric([workflow, status], count)
        yield ended
        steps = CounterMetricFamily(
            "qtforge_steps", "Step attempts by outcome.",
            labels=["outcome"],
        )  # fmt: skip
        for outcome, count in counts.steps.items():
            steps.add_metric([outcome], count)
        yield steps

    def _bus(self) -> Iterator[Metric]:
        labels = ["topic", "plugin"]
        requests = SummaryMetricFamily(
            "qtforge_bus_seconds", "Calls and deliveries, and their duration.", labels=labels
        )
        quantiles = GaugeMetricFamily(
            "qtforge_bus_recent_seconds",
            "Quantiles of the duration of the last 1,024 calls.",
            labels=[*labels, "quantile"],
        )
        outstanding = GaugeMetricFamily(
            "qtforge_bus_outstanding", "Calls in progress, and queued messages.", labels=labels
        )
        counters = {
            field: CounterMetricFamily(f"qtforge_bus_{field}", text, labels=labels)
            for field, text in (
                ("errors", "Failed calls, timeouts included."),
                ("timeouts", "Calls that timed out."),
                ("dropped", "Messages dropped because the mailbox was full."),
            )
        }
        for key, found in _by_handler(self._service.host.bus.statistics()):
            began = sum(each.requests for each in found)
            took_s = sum(each.mean_s * max(0, each.requests - each.outstanding) for each in found)
            requests.add_metric(key, began, took_s)
            quantiles.add_metric([*key, "0.5"], max(each.p50_s for each in found))
            quantiles.add_metric([*key, "0.99"], max(each.p99_s for each in found))
            outstanding.add_metric(key, sum(each.outstanding for each in found))
            for field, family in counters.items():
                family.add_metric(key, sum(getattr(each, field) for each in found))
        yield from (requests, quantiles, outstanding, *counters.values())

    def _blocks(self) -> Metric:
        family = SummaryMetricFamily(
            "qtforge_event_loop_blocked_seconds",
            "Time in which a plugin's code blocked the event loop; plugin is empty if unknown.",
            labels=["plugin"],
        )
        for plugin, (count, seconds) in sorted(self._service.host.blocked().items()):
            family.add_metric([plugin], count, seconds)
        return family

    def _breakers(self) -> Metric:
        family = GaugeMetricFamily(
            "qtforge_breaker_state",
            "State of each circuit breaker: 1 for the current state, else 0.",
            labels=["topic", "plugin", "state"],
        )
        for breaker in self._service.host.breakers():
            for state in _BREAKER_STATES:
                family.add_metric(
                    [breaker.topic, breaker.plugin, state], float(breaker.state == state)
                )
        return family

    def _limits(self) -> Iterator[Metric]:
        requests = GaugeMetricFamily(
            "qtforge_limit_requests",
            "Requests of this process to a topic with limits: in progress and waiting.",
            labels=["topic", "state"],
        )
        held = GaugeMetricFamily(
            "qtforge_limit_places_held",
            "Places of a topic's limit that this process has of those of all processes.",
            labels=["topic"],
        )
        for limiter in self._service.host.limiters():
            requests.add_metric([limiter.topic, "active"], limiter.active)
            requests.add_metric([limiter.topic, "waiting"], limiter.waiting)
            if limiter.held is not None:
                held.add_metric([limiter.topic], limiter.held)
        yield requests
        yield held


class _JournalFigures(Collector):
    """Metrics of the whole journal, whichever process wrote it."""

    def __init__(self, statistics: JournalStatistics, backlog: int, now: datetime.datetime) -> None:
        self._statistics = statistics
        self._backlog = backlog
        self._now = now

    def collect(self) -> Iterable[Metric]:
        runs = GaugeMetricFamily(
            "qtforge_journal_runs", "Runs in the journal.", labels=["workflow", "status"]
        )
        for key, count in sorted(self._statistics.runs.items()):
            runs.add_metric(key, count)
        yield runs
        for name, text, value in (
            ("timers", "Pending timers of runs.", self._statistics.timers),
            (
                "inbox_messages",
                "Events and other messages that unfinished runs have not handled.",
                self._statistics.messages,
            ),
            (
                "inbox_oldest_message_age_seconds",
                "Age of the oldest unhandled message; 0 for none.",
                self._oldest_age_s(),
            ),
            (
                "pending_writes",
                "Writes of this process that are not on disk yet.",
                self._backlog,
            ),
        ):
            gauge = GaugeMetricFamily(f"qtforge_journal_{name}", text)
            gauge.add_metric([], value)
            yield gauge

    def _oldest_age_s(self) -> float:
        made_at = self._statistics.oldest_message_at
        return 0.0 if made_at is None else max(0.0, (self._now - made_at).total_seconds())


class _NodeFigures(Collector):
    """Metrics of the processes that use the journal, and of its pools."""

    def __init__(self, figures: JournalFigures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        nodes: dict[str, list[NodeRow]] = {}
        for each in self._figures.nodes:  # a metric may be given only once for a name
            nodes.setdefault(each.node, []).append(each)
        by_node: tuple[tuple[str, str, Callable[[NodeRow], float]], ...] = (
            ("runs", "Unfinished runs that a node executes.", lambda node: node.runs),
            ("capacity", "Runs that a node executes at most.", lambda node: node.capacity or 0),
            (
                "draining",
                "1 for a drained node.",
                lambda node: node.status != "active",
            ),
        )
        for name, text, value in by_node:
            gauge = GaugeMetricFamily(f"qtforge_node_{name}", text, labels=["node"])
            for node, found in nodes.items():
                gauge.add_metric([node], sum(map(value, found)))
            yield gauge
        by_pool: tuple[tuple[str, str, Callable[[PoolRow], float]], ...] = (
            ("queued", "Queued runs of a pool.", lambda pool: pool.queued),
            ("executing", "Runs of a pool that execute.", lambda pool: pool.executing),
            ("nodes", "Nodes that take runs of a pool.", lambda pool: pool.nodes),
            ("paused", "1 for a paused pool.", lambda pool: pool.status == "paused"),
            (
                "oldest_wait_seconds",
                "How long the oldest queued run of a pool waits; 0 for none.",
                lambda pool: pool.oldest_wait_s or 0.0,
            ),
        )
        for name, text, measure in by_pool:
            gauge = GaugeMetricFamily(f"qtforge_pool_{name}", text, labels=["pool"])
            for row in self._figures.pools:
                gauge.add_metric([row.pool], float(measure(row)))
            yield gauge


def _by_handler(
    statistics: Sequence[HandlerStatistics],
) -> Iterator[tuple[list[str], list[HandlerStatistics]]]:
    """Merge the statistics of one topic and plugin, since a metric may be given only once."""
    grouped: dict[tuple[str, str], list[HandlerStatistics]] = {}
    for each in statistics:
        grouped.setdefault((each.topic, each.plugin), []).append(each)
    for (topic, plugin), found in grouped.items():
        yield [topic, plugin], found
