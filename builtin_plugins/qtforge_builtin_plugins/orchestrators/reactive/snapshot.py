"""All that a machine is between two of its steps; what the journal keeps of it."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from qtforge_builtin_plugins.orchestrators.reactive.microstep import Work

__all__ = ["Event", "Snapshot", "Timer", "Trace"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened.

    Attributes:
        name: Words joined by dots.
        data: What came with it.
        id: Unique; "" for one that the machine raised itself.
        at: When, in UTC, as text; "" for one that the machine raised itself.
        late_s: For a timer: how many seconds ago it was due.
    """

    name: str
    data: Any = None
    id: str = ""
    at: str = ""
    late_s: float = 0.0


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """A timer that runs.

    Attributes:
        due: When it fires.
        event: What it raises.
        data: The event's data.
    """

    due: datetime.datetime
    event: str
    data: dict[str, Any] = {}


class Snapshot(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A machine's state; it changes in place.

    Attributes:
        active: The names of the atomic active states, in document order.
        data: The instance's data.
        memory: What was active beside each history state, by its name.
        queue: Events that the machine raised itself, oldest first.
        pending: What is still to be done of the microstep that has begun, in order.
        event: The one that is being handled.
        timers: Those that run, by name.
        calls: How many calls were made so far; numbers the steps.
        finished: The final state in which the machine ended, or None.
        failed: The failure that ended it, or None.
    """

    active: tuple[str, ...] = ()
    data: dict[str, Any] = {}
    memory: dict[str, tuple[str, ...]] = {}
    queue: list[Event] = []
    pending: list[Work] = []
    event: Event | None = None
    timers: dict[str, Timer] = {}
    calls: int = 0
    finished: str | None = None
    failed: str | None = None


class Trace(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What happened since the last record, for whoever looks.

    Attributes:
        transitions: Names of those taken, in order.
        exited: Names of the states left, in order.
        entered: Names of the states entered, in order.
        ignored: Internal events that no transition took.
        set: Names of timers that were set.
        cancelled: Names of timers that were cancelled, or fired.
        warnings: Failures that the machine could do without.
    """

    transitions: list[str] = []
    exited: list[str] = []
    entered: list[str] = []
    ignored: list[str] = []
    set: list[str] = []
    cancelled: list[str] = []
    warnings: list[str] = []
