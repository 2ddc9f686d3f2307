"""The state of a machine between two steps, as it is saved in the journal."""

from __future__ import annotations

import datetime
from typing import Any, Literal

import msgspec

from qtforge_builtin_plugins.orchestrators.reactive.microstep import Work

__all__ = ["Event", "EventType", "Loop", "Snapshot", "StartedWorkflow", "Timer", "Trace"]

EventType = Literal["internal", "external", "platform"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event.

    Attributes:
        name: Words joined by dots.
        data: The event's data.
        id: A unique id; "" for an internal event.
        at: The time in UTC, as text; "" for an internal event.
        late_s: For a timer, the seconds since it was due.
        type: As in SCXML: ``internal`` for one that the machine has raised; ``platform`` for the
            failure of an action and the end of a state; ``external`` for any other.
        sender: The id of the run that has sent it; "" for none.
    """

    name: str
    data: Any = None
    id: str = ""
    at: str = ""
    late_s: float = 0.0
    type: EventType = "external"
    sender: str = ""


class Timer(msgspec.Struct, frozen=True, kw_only=True):
    """A running timer.

    Attributes:
        due: The time when it fires.
        event: The event that it raises.
        data: The event's data.
        fixed: Whether it was set for a time of day, and not for the seconds until then.
    """

    due: datetime.datetime
    event: str
    data: dict[str, Any] = {}
    fixed: bool = False


class StartedWorkflow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workflow that the machine has started, and whose end it has not handled.

    Attributes:
        run_id: Its run.
        action: The action that has started it.
        state: The state that it is cancelled with; "" for none.
        cancelled: Whether the machine has cancelled it.
    """

    run_id: str
    action: str
    state: str = ""
    cancelled: bool = False


class Loop(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ``foreach`` that is being done.

    Attributes:
        items: The list, as it was at the begin.
        position: The place of the next item.
    """

    items: list[Any]
    position: int = 0


class Snapshot(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A machine's state; it changes in place.

    Attributes:
        active: The names of the atomic active states, in document order.
        data: The instance's data.
        memory: For each history state, the states that it restores.
        queue: Internal events, oldest first.
        pending: The remaining work of the current microstep, in order.
        event: The event that is being handled.
        timers: The running timers, by name.
        calls: The number of calls so far, which numbers the steps.
        started: The workflows that it has started, and whose ends it has not handled.
        loops: Each ``foreach`` that is being done, the innermost last.
        finished: The final state in which the machine ended, or None.
        failed: The failure that ended it, or None.
        code: The code of that failure; "" for ``machine.failed``.
    """

    active: tuple[str, ...] = ()
    data: dict[str, Any] = {}
    memory: dict[str, tuple[str, ...]] = {}
    queue: list[Event] = []
    pending: list[Work] = []
    event: Event | None = None
    timers: dict[str, Timer] = {}
    calls: int = 0
    started: list[StartedWorkflow] = []
    loops: tuple[Loop, ...] = ()
    finished: str | None = None
    failed: str | None = None
    code: str = ""

    def copied(self) -> Snapshot:
        """Return a copy, with copies of the lists, which alone change in place."""
        return msgspec.structs.replace(
            self,
            queue=self.queue.copy(),
            pending=self.pending.copy(),
            started=self.started.copy(),
        )

    def set_back(self, before: Snapshot) -> None:
        """Set its fields to those of a copy, which stays as it is."""
        again = before.copied()
        for name in self.__struct_fields__:
            setattr(self, name, getattr(again, name))


class Trace(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What happened since the last checkpoint, for display.

    Attributes:
        transitions: Names of the transitions taken, in order.
        exited: Names of the states left, in order.
        entered: Names of the states entered, in order.
        ignored: Internal events that no transition took.
        set: Names of timers that were set.
        cancelled: Names of timers that were cancelled, or fired.
        warnings: Failures of actions that are not required.
    """

    transitions: list[str] = []
    exited: list[str] = []
    entered: list[str] = []
    ignored: list[str] = []
    set: list[str] = []
    cancelled: list[str] = []
    warnings: list[str] = []

    def lengths(self) -> tuple[int, ...]:
        """Return the lengths of its lists, which only grow, in the order of the fields."""
        return (
            len(self.transitions),
            len(self.exited),
            len(self.entered),
            len(self.ignored),
            len(self.set),
            len(self.cancelled),
            len(self.warnings),
        )

    def set_back(self, lengths: tuple[int, ...]) -> None:
        """Cut its lists to the lengths that `lengths` returned."""
        for name, length in zip(self.__struct_fields__, lengths, strict=True):
            del getattr(self, name)[length:]
