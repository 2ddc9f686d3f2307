"""The plugins: first those that are not ready, as repairs, then the others; and one of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec

from qtforge_host.api.documents import (
    BreakerRow,
    HealthRow,
    PluginDetails,
    PluginProblem,
    PluginRow,
    Setting,
)
from qtforge_host.api.plugins import PluginOffers
from qtforge_host.serving.web.pages.runs import RunLine, run_line
from qtforge_host.serving.web.visit import Page, View, Visit
from qtforge_sdk import HandlerStatistics

__all__ = ["PAGES", "PluginLine", "PluginPage", "PluginsPage", "plugins_page"]

_USABLE: Final = frozenset({"active", "ready", "disabled"})
_FAILED_RUNS: Final = 5
# Which status of a run looks like the state of a plugin.
LOOKS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "active": "succeeded", "ready": "queued", "disabled": "skipped", "unmet": "warning",
        "blocked": "warning", "conflict": "warning", "incompatible": "failed", "broken": "failed",
        "quarantined": "blocked", "healthy": "succeeded", "degraded": "warning",
        "unhealthy": "failed", "closed": "succeeded", "half_open": "warning", "open": "failed",
    }
)  # fmt: skip


class PluginsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The list takes no parameters."""


class PluginLine(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin in the list.

    Attributes:
        row: Its name, version, state, and what to do.
        look: The status whose colours its state has.
        offers: What it offers, in words; "" where its source does not tell.
        health: Its last health report; None where it has not been checked.
        health_look: The status whose colours its health has.
    """

    row: PluginRow
    look: str
    offers: str
    health: HealthRow | None
    health_look: str


class PluginsPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the list shows.

    Attributes:
        repairs: The plugins that are not ready, nor disabled.
        problems: What is wrong beside the plugins.
        others: The other plugins.
    """

    repairs: Sequence[PluginLine]
    problems: Sequence[PluginProblem]
    others: Sequence[PluginLine]


class TopicLine(msgspec.Struct, frozen=True, kw_only=True):
    """An operation or a subscription of a plugin, with what this process has asked it.

    Attributes:
        topic: The topic or the pattern.
        calls: The number of calls or deliveries that began.
        errors: The number of them that failed, timeouts included.
        error_share: The part of them that failed, in words; "" for none.
        dropped: The number of messages that its mailbox had no room for.
        p50_s: The median time, in seconds; None without calls.
        p99_s: The 99th percentile, in seconds; None without calls.
        breaker: Its circuit breaker, or None where that never opened.
        breaker_look: The status whose colours that has.
    """

    topic: str
    calls: int
    errors: int
    error_share: str
    dropped: int
    p50_s: float | None
    p99_s: float | None
    breaker: BreakerRow | None
    breaker_look: str


class PluginPage(msgspec.Struct, frozen=True, kw_only=True):
    """What the page of one plugin shows.

    Attributes:
        line: The plugin as it is in the list.
        details: Everything known of it without importing it.
        needs_repair: Whether it is not ready, nor disabled.
        operations: The topics that it answers or wraps.
        subscriptions: The patterns that it listens to.
        settings: What the configuration says of it: the key, the value, and its source.
        failed: The newest runs that failed in it.
    """

    line: PluginLine
    details: PluginDetails
    needs_repair: bool
    operations: Sequence[TopicLine]
    subscriptions: Sequence[TopicLine]
    settings: Sequence[tuple[str, Any, str]]
    failed: Sequence[RunLine]


def plugins_page(
    rows: Iterable[PluginRow],
    problems: Sequence[PluginProblem],
    offers: Mapping[str, PluginOffers],
    health: Iterable[HealthRow],
) -> PluginsPage:
    """Return the list; those that are not ready are apart."""
    reports = {each.plugin: each for each in health}
    lines = [_line(each, offers.get(each.name), reports.get(each.name)) for each in rows]
    return PluginsPage(
        repairs=[each for each in lines if each.row.state not in _USABLE],
        problems=problems,
        others=sorted(
            (each for each in lines if each.row.state in _USABLE),
            key=lambda each: (each.row.state == "disabled", each.row.builtin, each.row.name),
        ),
    )


async def show_plugins(visit: Visit) -> View:
    """Show every plugin."""
    visit.query(PluginsQuery)
    host = visit.client.host
    found = await host.plugins()
    page = plugins_page(
        found.plugins,
        found.problems,
        await host.offers(),
        (await host.health(recent=True)).plugins,
    )
    return View(
        title="Plugins",
        section="plugins",
        template="plugins.html",
        data=page,
        fragment="_plugins.html",
    )


async def show_plugin(visit: Visit) -> View:
    """Show one plugin."""
    visit.query(PluginsQuery)
    name, host = visit.path["name"], visit.client.host
    details = await host.plugin(name, recent=True)
    row = next(each for each in (await host.plugins()).plugins if each.name == name)
    health = await host.health(recent=True)
    reports = {each.plugin: each for each in health.plugins}
    line = _line(row, None, reports.get(name))
    statistics = [each for each in visit.service.host.bus.statistics() if each.plugin == name]
    breakers = {each.topic: each for each in health.breakers if each.plugin == name}
    failed = await visit.client.list(plugin=name, limit=_FAILED_RUNS)
    longest_s = max((each.duration_s or 0.0 for each in failed.runs), default=0.0)
    page = PluginPage(
        line=line,
        details=details,
        needs_repair=line.row.state not in _USABLE,
        operations=_topics(details.topics, statistics, breakers),
        subscriptions=_topics(details.subscriptions, statistics, breakers),
        settings=[_setting(each) for each in await host.plugin_settings(name)],
        failed=[run_line(each, longest_s) for each in failed.runs],
    )
    return View(
        title=name,
        section="plugins",
        template="plugin.html",
        data=page,
        fragment="_plugin.html",
    )


def _line(row: PluginRow, offers: PluginOffers | None, health: HealthRow | None) -> PluginLine:
    return PluginLine(
        row=row,
        look=LOOKS[row.state],
        offers="" if offers is None else _offers_text(offers),
        health=health,
        health_look="" if health is None else LOOKS[health.status],
    )


def _offers_text(offers: PluginOffers) -> str:
    """Return how much a plugin offers, in words.

    >>> _offers_text(PluginOffers(topics=2, subscriptions=0, hooks=1, workflows=1))
    '2 operations, 1 hook, 1 workflow'
    """
    counted = zip(("operation", "subscription", "hook", "workflow"), offers, strict=True)
    return ", ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in counted if count)


def _setting(setting: Setting) -> tuple[str, Any, str]:
    key = setting.key[3:] if setting.key[2:3] == ["config"] else setting.key[2:]
    return ".".join(key), setting.value, setting.source


def _topics(
    topics: Iterable[str],
    statistics: Sequence[HandlerStatistics],
    breakers: Mapping[str, BreakerRow],
) -> list[TopicLine]:
    """Return topics with what is counted of them, those with calls first."""
    lines = [
        _topic(topic, [each for each in statistics if each.topic == topic], breakers.get(topic))
        for topic in topics
    ]
    return sorted(lines, key=lambda each: (-each.calls, each.topic))


def _topic(topic: str, found: Sequence[HandlerStatistics], breaker: BreakerRow | None) -> TopicLine:
    calls, errors = sum(each.requests for each in found), sum(each.errors for each in found)
    return TopicLine(
        topic=topic,
        calls=calls,
        errors=errors,
        error_share=f"{math.ceil(100 * errors / calls)} %" if errors and calls else "",
        dropped=sum(each.dropped for each in found),
        p50_s=max(each.p50_s for each in found) if calls else None,
        p99_s=max(each.p99_s for each in found) if calls else None,
        breaker=breaker,
        breaker_look="" if breaker is None else LOOKS.get(breaker.state, "warning"),
    )


PAGES: Final = (
    Page(path="/plugins", show=show_plugins),
    Page(path="/plugins/{name}", show=show_plugin),
)
