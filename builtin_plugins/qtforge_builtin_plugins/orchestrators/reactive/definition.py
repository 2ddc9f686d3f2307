"""How a reactive workflow is written: states, transitions, actions.

The names are those of the original's WorkflowState, WorkflowTransition and WorkflowAction
(QtForge's ReactiveWorkflowEngine); nesting, regions and history are W3C SCXML's.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from qtforge_builtin_plugins.orchestrators.reactive.actions import Action
from qtforge_sdk import Definition, Duration

__all__ = [
    "ANY",
    "Binding",
    "ReactiveDefinition",
    "State",
    "StateTimeout",
    "Transition",
]

ANY = "*"
"""As ``from``: every state; as ``trigger``: every event."""


class StateTimeout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event that comes when a state was not left in time.

    Attributes:
        after: A duration, from the entry on.
        event: Its name.
    """

    after: Duration
    event: str = "timer.expired"


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A state.

    Attributes:
        description: For people.
        entry: Actions done when it is entered, in order.
        exit: Actions done when it is left, in order.
        timeout: What happens when it is not left in time, or None.
        final: Whether the machine, or the state around it, is done here.
        initial: Which of ``states`` is entered first; None for the first one written.
        parallel: Whether all of ``states`` are active together, each a region.
        history: Makes it a pseudo-state that stands for what was last active beside it:
            ``shallow`` for the state's own children, ``deep`` for all below; ``initial``
            is where it leads when nothing was.
        states: The states within it, by name; names are unique in the whole machine.
    """

    description: str = ""
    entry: tuple[str, ...] = ()
    exit: tuple[str, ...] = ()
    timeout: StateTimeout | Duration | None = None
    final: bool = False
    initial: str | None = None
    parallel: bool = False
    history: Literal["shallow", "deep"] | None = None
    states: dict[str, State] = {}


class Transition(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from"}
):
    """A way from a state to another.

    Attributes:
        name: Unique in the machine.
        source: ``from``: a state, several, or ``*`` for every one.
        to: A state, or one in each of several regions; empty to stay (no exit, no entry).
        trigger: The event, or its first words: ``user`` takes ``user.action``; ``*`` takes
            every one. Empty for a transition that is taken as soon as its condition holds.
        condition: CEL over ``event``, ``data`` and ``instance``.
        priority: Among the transitions of one state the highest goes first, then the one
            that was written first.
        internal: Whether a state is not left when ``to`` lies within it.
        actions: Done between exit and entry, in order.
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
    """What of the bus concerns a machine.

    Attributes:
        topic: A pattern of topics; what is published there is the event, the topic its name.
        where: A condition over ``event``; None for all.
        event: The event's name; None for the topic's.
        instance: CEL over ``event``, the run's id that it is for; or
        key: CEL over ``event``, compared with the instance's key.
        input: For ``start_on``: a template over ``event``, the new run's input.
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
        initial: The first state; the original's is ``started``.
        data: A template over ``input`` and ``run``: what ``data`` is at first.
        key: A template over ``input``: what correlates bus events with the instance, or None.
        states: By name.
        transitions: In the order in which they are tried.
        actions: By name.
        start_on: What is published there starts an instance.
        events: What is published there reaches instances.
    """

    initial: str = "started"
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    key: str | None = None
    states: dict[str, State]
    transitions: tuple[Transition, ...] = ()
    actions: dict[str, Action] = msgspec.field(default_factory=dict)
    start_on: tuple[Binding, ...] = ()
    events: tuple[Binding, ...] = ()
