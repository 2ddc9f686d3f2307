"""A run that keeps its state, in words: what it waits for, and how it came there."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from qtforge_host.runs.accepted_events import Offer
from qtforge_host.runs.checkpoints import RESTORED, TIMER
from qtforge_host.runs.state import RunState
from qtforge_sdk import Record
from qtforge_sdk.records import CheckpointSaved

__all__ = ["Move", "machine_document", "machine_lines", "move_of", "moves", "send_command"]

_TAKEN: Final = ("taken", "started", RESTORED, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What became of an event, or what the run did by itself.

    Attributes:
        at: When, in UTC.
        event: Its name, the timer's for a timer; "" where nothing came from outside.
        timer: Whether it was a timer.
        late_s: For a timer: how late it was.
        data: The event's.
        by: Who sent it, or "".
        taken: Whether anything took it.
        reason: Why nothing did, or "".
        transitions: Those that were taken, in order.
        left: States that were left, in order.
        entered: States that were entered, in order.
        warnings: Failures that the run could do without.
    """

    at: datetime.datetime
    event: str
    timer: bool
    late_s: float
    data: Any
    by: str
    taken: bool
    reason: str
    transitions: tuple[str, ...]
    left: tuple[str, ...]
    entered: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether it only says that the run went on."""
        return not (self.event or self.transitions or self.entered or self.warnings)

    def text(self) -> str:
        """Return it as one line for people, without the time."""
        if not self.taken:
            return f"{self._cause()} was not taken: {self.reason}"
        way = ", then ".join(self.transitions)
        if self.left or self.entered:
            places = f"{', '.join(self.left)} → {', '.join(self.entered)}"
            way = f"{way}: {places}" if way else f"in {', '.join(self.entered)}"
        elif way:
            way += " (stays)"
        warned = "".join(f"; without {each}" for each in self.warnings)
        return f"{': '.join(filter(None, (self._cause(), way))) or 'goes on'}{warned}"

    def _cause(self) -> str:
        if self.timer:
            late = f", {self.late_s:.3f} s late" if self.late_s > 0 else ""
            return f"the timer {self.event}{late}"
        if not self.event:
            return ""
        data = self.data if isinstance(self.data, Mapping) else {}
        words = [f"{key}={value}" for key, value in data.items() if not isinstance(value, Mapping)]
        by = f" by {self.by}" if self.by else ""
        return f"{self.event}{' ' if words else ''}{' '.join(words)}{by}"


def move_of(record: CheckpointSaved) -> Move:
    """Return what a kept state tells."""
    taken = record.outcome in _TAKEN
    trace = record.trace
    return Move(
        at=record.at,
        event=record.event,
        timer=record.event_id.startswith(TIMER),
        late_s=record.late_s,
        data=record.event_data,
        by=record.by,
        taken=taken,
        reason="" if taken else record.outcome,
        transitions=tuple(trace.get("transitions", ())),
        left=tuple(trace.get("exited", ())),
        entered=tuple(trace.get("entered", ())),
        warnings=tuple(trace.get("warnings", ())),
    )


def moves(records: Iterable[Record]) -> Iterator[Move]:
    """Give the path that a run took, and the events that it did not take, oldest first."""
    for record in records:
        if isinstance(record, CheckpointSaved):
            move = move_of(record)
            if not move.is_empty:
                yield move


def send_command(run_id: str, offer: Offer) -> str | None:
    """Return the command that sends an event; None where the run itself raises it."""
    if offer.accepted.from_within:
        return None
    words = ["qtforge-host", "send", run_id, offer.accepted.event]
    for key, value in _leaves(offer.data):
        words += ["--set", f"{key}={value if isinstance(value, str) else _json(value)}"]
    return shlex.join(words)


def machine_document(view: RunState, offers: Sequence[Offer]) -> dict[str, Any] | None:
    """Return how a run that keeps its state stands, for JSON; None for any other run."""
    if view.checkpoint is None:
        return None
    return {
        "state": view.label,
        "since": view.label_since,
        "accepts": [
            {
                "event": offer.accepted.event,
                "transition": offer.accepted.transition,
                "to": list(offer.accepted.targets),
                "condition": offer.accepted.condition,
                "from_within": offer.accepted.from_within,
                "data": offer.data,
                "command": send_command(view.run_id, offer),
            }
            for offer in offers
        ],
        "timers": [{"name": name, "due": due} for name, due in _by_time(view.timers)],
    }


def machine_lines(view: RunState, offers: Sequence[Offer]) -> list[str]:
    """Return how a run that keeps its state stands, for people: state, commands, timers."""
    if view.checkpoint is None:
        return []
    since = view.label_since or view.checkpoint.at
    lines = [f"  state  {view.label}, since {since.astimezone():%Y-%m-%d %H:%M:%S}"]
    sendable = [offer for offer in offers if not offer.accepted.from_within]
    width = max((len(offer.accepted.transition) for offer in sendable), default=0)
    lines += [
        f"  {offer.accepted.transition:<{width}}  {send_command(view.run_id, offer)}"
        for offer in sendable
    ]
    if not offers and view.accepts:
        lines.append(f"  accepts  {', '.join(view.accepts)}")
    lines += [
        f"  timer  {name}, due {due.astimezone():%Y-%m-%d %H:%M:%S}"
        for name, due in _by_time(view.timers)
    ]
    return lines


def _by_time(timers: Mapping[str, datetime.datetime]) -> list[tuple[str, datetime.datetime]]:
    return sorted(timers.items(), key=lambda timer: timer[1])


def _leaves(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
