"""The TOML form of a reactive workflow: states, transitions, actions.

The names are those of the original's WorkflowState, WorkflowTransition and WorkflowAction
(QtForge's ReactiveWorkflowEngine); nesting, regions and history are W3C SCXML's.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from qtforge_builtin_plugins.orchestrators.failing import Fail
from qtforge_builtin_plugins.orchestrators.reactive.actions import Action
from qtforge_sdk import Definition, Duration

__all__ = [
    "ANY",
    "Binding",
    "OnFailure",
    "ReactiveDefinition",
    "State",
    "StateTimeout",
    "TransitionDefinition",
]

ANY = "*"
"""As ``from``: every state; as ``trigger``: every event."""

OnFailure = Literal["stop", "continue"]


class StateTimeout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event that is raised when a state is not left in time.

    Attributes:
        after: A duration, counted from the entry, or a template of one.
        event: The event's name.
    """

    after: Duration
    event: str = "timer.expired"


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A state.

    Attributes:
        description: A text for the reader.
        entry: Actions that run when it is entered, in order.
        exit: Actions that run when it is left, in order.
        timeout: The event when it is not left in time, or None.
        final: Whether it ends the machine, or the state that contains it.
        result: Of a final state: a template of the data of ``done.state.<the state around it>``,
            or of the run's result where it ends the machine.
        fail: Of a final state that ends the machine: the run fails with this error.
        initial: The state within it that is entered first, or one in each of several regions; by
            default the first one of ``states``.
        parallel: Whether all of ``states`` are active together, each a region.
        history: Makes it a pseudo-state for the states of its parent that were active last:
            ``shallow`` for the parent's own children, ``deep`` for all descendants.
            ``initial`` is its target when none was active before.
        states: The nested states, by name; names are unique in the whole machine.
    """

    description: str = ""
    entry: tuple[str, ...] = ()
    exit: tuple[str, ...] = ()
    timeout: StateTimeout | Duration | None = None
    final: bool = False
    result: Any = None
    fail: Fail | None = None
    initial: str | tuple[str, ...] | None = None
    parallel: bool = False
    history: Literal["shallow", "deep"] | None = None
    states: dict[str, State] = {}


class TransitionDefinition(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from"}
):
    """A transition from one state to another.

    Attributes:
        name: Unique in the machine.
        source: ``from``: a state, several, or ``*`` for every one.
        to: A state, or one in each of several regions; empty to stay (no exit, no entry).
        trigger: The event, or its first words: ``user`` matches ``user.action``; ``*`` matches
            every event. Empty for a transition that is taken as soon as its condition holds.
        condition: CEL over ``event``, ``data`` and ``instance``.
        priority: The transitions of one state are tried from the highest priority down, and
            then in document order.
        internal: Whether the state is not left when ``to`` is within it.
        actions: Actions that run between exit and entry, in order.
    """

    name: str
    source: str | tuple[str, ...]
    to: str | tuple[str, ...] = ()
    trigger: str = ""
    condition: str | None = None
    priority: int = 0
    internal: bool = False
    actions: tuple[str, ...] = ()


class Binding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A subscription that turns bus messages into a machine's events.

    Attributes:
        topic: A pattern of topics; each message published there is an event.
        where: A condition over ``event``; None for all messages.
        event: The event's name; None for the topic.
        instance: CEL over ``event`` that gives the run id of the recipient; or
        key: CEL over ``event`` that gives a value to compare with the instances' keys.
        input: For ``start_on``, a template over ``event`` for the new run's input.
    """

    topic: str
    where: str | None = None
    event: str | None = None
    instance: str | None = None
    key: str | None = None
    input: dict[str, Any] = {}


class ReactiveDefinition(Definition, frozen=True, kw_only=True):
    """A machine.

    Attributes:
        initial: The first state, or one in each of several regions; by default ``started``, as in
            the original, or the first one of ``states`` where there is no state of that name.
        data: A template over ``input`` and ``run`` for the initial ``data``.
        key: A template over ``input`` for the value that correlates bus events with the
            instance, or None.
        states: The states by name.
        transitions: The transitions in document order.
        actions: The actions by name.
        start_on: Messages that start an instance.
        events: Messages that are sent to instances.
        on_failure: What happens when no transition takes the event of a failure: ``stop`` fails the
            run; ``continue`` is SCXML's way: it is a warning, and a condition that can't be
            evaluated is false and raises ``error.<transition>``.
    """

    initial: str | tuple[str, ...] | None = None
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    key: str | None = None
    states: dict[str, State]
    transitions: tuple[TransitionDefinition, ...] = ()
    actions: dict[str, Action] = msgspec.field(default_factory=dict)
    start_on: tuple[Binding, ...] = ()
    events: tuple[Binding, ...] = ()
    on_failure: OnFailure = "stop"
