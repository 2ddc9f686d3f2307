"""The state of a state machine in lines for people."""

from __future__ import annotations

from collections.abc import Sequence

from qtforge_host.api.snapshots import send_command, timers_by_time
from qtforge_host.runs.accepted_events import Offer
from qtforge_host.runs.state import RunState

__all__ = ["machine_lines"]


def machine_lines(run: RunState, offers: Sequence[Offer]) -> list[str]:
    """Return the state, the command for each accepted event, and the timers."""
    if run.checkpoint is None:
        return []
    since = run.label_since or run.checkpoint.at
    lines = [f"  state  {run.label}, since {since.astimezone():%Y-%m-%d %H:%M:%S}"]
    sendable = [offer for offer in offers if not offer.accepted.from_within]
    width = max((len(offer.accepted.transition) for offer in sendable), default=0)
    lines += [
        f"  {offer.accepted.transition:<{width}}  {send_command(run.run_id, offer)}"
        for offer in sendable
    ]
    if not offers and run.accepts:
        lines.append(f"  accepts  {', '.join(run.accepts)}")
    lines += [
        f"  timer  {name}, due {due.astimezone():%Y-%m-%d %H:%M:%S}"
        for name, due in timers_by_time(run.timers)
    ]
    return lines
