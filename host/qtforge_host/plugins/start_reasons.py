"""Decide which plugins start with a host, and which when something needs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from qtforge_host.plugins.candidates import Candidate
from qtforge_host.plugins.offers import HEALTH, START, Offers
from qtforge_host.plugins.resolution import Resolution
from qtforge_sdk.placement import ONE_NODE

__all__ = ["StartScope", "reasons_to_start"]

StartScope = Literal["all", "watching", "asked"]
"""Which plugins start with the host: all; those that wait for something to happen, as in ``serve``;
or only those without which an answer might change."""

_OBSERVING: Final = frozenset(
    (
        "qtforge_before_request",
        "qtforge_after_request",
        "qtforge_on_request_error",
        "qtforge_on_run_event",
    )
)
_CONTRIBUTING: Final = frozenset(("qtforge_orchestrators", "qtforge_workflows"))


def reasons_to_start(
    resolution: Resolution,
    offers: Mapping[str, Offers],
    scope: StartScope,
    *,
    is_shared: bool = False,
) -> dict[str, str]:
    """Return which accepted plugins start with a host, and why.

    Args:
        resolution: Which plugins may start.
        offers: What each accepted plugin offers, by its key.
        scope: Which of them are wanted.
        is_shared: Whether several nodes share the journal.
    """
    found = {
        one.key: why
        for one in resolution.accepted
        if (why := _reason(one, offers[one.key], resolution, scope, is_shared=is_shared))
    }
    for key in list(found):
        waiting = list(resolution.needs.get(key, ()))
        while waiting:
            other = waiting.pop()
            if other not in found:
                found[other] = f"{key.partition(':')[2]} starts after it"
                waiting.extend(resolution.needs.get(other, ()))
    return found


def _reason(
    candidate: Candidate,
    offers: Offers,
    resolution: Resolution,
    scope: StartScope,
    *,
    is_shared: bool,
) -> str:
    declared = resolution.declarations[candidate.key]
    hooks = frozenset(offers.hooks)
    if offers.unread:
        return offers.unread
    if not declared.known:
        return "'requires', 'after', 'workflows' or 'placement' is not a literal"
    if candidate.key in resolution.remembered:
        return "its last start failed"
    if hooks & _OBSERVING:
        return f"it observes what happens: {', '.join(sorted(hooks & _OBSERVING))}"
    if hooks & _CONTRIBUTING:
        return f"it contributes by code: {', '.join(sorted(hooks & _CONTRIBUTING))}"
    if is_shared and declared.placement == ONE_NODE:
        return "one of the nodes that share the journal answers with it"
    if scope == "all":
        return "every plugin starts"
    if scope == "watching":
        if offers.subscriptions:
            return "it subscribes to topics"
        if START in hooks:
            return "it has something to do at its start"
        if HEALTH in hooks:
            return "it has a health check"
    return ""
