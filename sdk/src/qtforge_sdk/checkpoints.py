"""Checkpoints of stateful runs, and the events that such runs handle.

A stateful run, such as a state machine, is not executed again from its beginning when it is
resumed. It journals its whole state with every event, and continues from its last checkpoint.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from qtforge_sdk.runs import Definition

__all__ = ["AcceptedEvent", "Checkpoint", "Ended", "EventTrigger", "ReceivedEvent"]


class ReceivedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that `Run.next_event` returns.

    Attributes:
        event_id: The event's id, unique; an event that a checkpoint names is not delivered again.
        name: The event's name; for a timer, the timer's.
        data: The event's data, as plain values.
        at: When it was sent, or when the timer was due, in UTC.
        timer: Whether it is a timer of the run that is due.
        late_s: For a timer: how long after its due time it fired, in seconds.
        by: The sender, in words.
        sender: The id of the run that has sent it (`Run.send_event`) or that has ended; "" for
            none.
        position: The event's position in the run's inbox; 0 where it did not come from there.
    """

    event_id: str
    name: str
    data: Any = None
    at: datetime.datetime
    timer: bool = False
    late_s: float = 0.0
    by: str = ""
    sender: str = ""
    position: int = 0


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a run, and how the run reached it; one record, written whole or not at all.

    Attributes:
        state: Everything that the run needs to continue, as plain values.
        label: A short name of the state, for people.
        event: The event that led to the state; it is then handled. None at the start of the run,
            and after a step.
        outcome: The outcome of the event: ``taken``, or the reason why it had no effect.
        trace: What happened on the way to the state, for people.
        timers_set: Timers that the run starts, by name, with their due time in UTC. A timer of
            the same name is replaced.
        timers_gone: Names of timers that the run cancels.
        timers_fixed: Names of the active timers that are due at a time of day, also when the
            clock is set back. The others are due once so many seconds have passed, too.
        accepts: Names of the events that the run waits for.
        key: The key by which publications on the bus are correlated with the run, or "".
        busy: Whether the run has work before its next event. Its status is then ``running``, and
            if its process dies, another one resumes it; otherwise its status is ``waiting``.
        failed: Whether the run is about to fail in this state; a retry of the run then continues
            from the checkpoint before it.
        definition: The definition with which the run does the work before its next event, for
            `Run.checkpoint_definition`, where the run may have been amended meanwhile; None for the
            run's.
    """

    state: Any
    label: str = ""
    event: ReceivedEvent | None = None
    outcome: str = "taken"
    trace: dict[str, Any] = {}
    timers_set: dict[str, datetime.datetime] = {}
    timers_gone: tuple[str, ...] = ()
    timers_fixed: tuple[str, ...] = ()
    accepts: tuple[str, ...] = ()
    key: str = ""
    busy: bool = False
    failed: bool = False
    definition: Definition | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A result with names for templates; `Orchestrator.execute` may return it.

    Attributes:
        result: The run's result, where the definition has no template of its own.
        names: Values that the definition's ``result`` and ``summary`` can use besides ``input``,
            ``run`` and ``stages``.
        goes_first: Whether ``result`` is the run's result also where the definition has a
            template of it.
    """

    result: Any
    names: dict[str, Any]
    goes_first: bool = False


class AcceptedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event that a run accepts in a state, and the transition that it causes.

    Attributes:
        event: The event's name, or the first words of names; ``*`` for every event.
        transition: The name of the transition.
        condition: The condition of the transition, in CEL; None for none.
        targets: The states that the transition enters; empty where it stays.
        from_within: Whether the run itself raises the event: a timer, or a failure.
    """

    event: str
    transition: str
    condition: str | None = None
    targets: tuple[str, ...] = ()
    from_within: bool = False


class EventTrigger(msgspec.Struct, frozen=True, kw_only=True):
    """Publications on the bus that start a run of a workflow, or are events of its runs.

    Attributes:
        topic: A pattern of topics.
        starts: Whether a publication starts a new run; otherwise it is sent to runs.
        where: A condition over ``event`` in CEL; None for every publication.
        event: The event's name; None for the topic.
        instance: CEL over ``event``: the id of the run that the event is for; or
        key: CEL over ``event``: the key (`Checkpoint.key`) of the runs that the event is for.
        input: With ``starts``: a template over ``event``, the new run's input.
    """

    topic: str
    starts: bool
    where: str | None = None
    event: str | None = None
    instance: str | None = None
    key: str | None = None
    input: dict[str, Any] = {}
