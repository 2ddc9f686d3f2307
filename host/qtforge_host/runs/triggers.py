"""Start stateful runs, and send them events, when messages are published on the bus."""

from __future__ import annotations

import datetime
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.bus.subscriptions import Mailbox
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.checkpoints import EventTrigger
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import ExpressionError, QtForgeError
from qtforge_sdk.journal import InboxMessage, Journal

__all__ = ["EventTriggers"]

_LOG = logging.getLogger("qtforge.runs")


class EventTriggers:
    """Subscriptions that workflows' definitions ask for.

    Args:
        bus: The message bus.
        supervisor: Starts runs, and wakes them.
        journal: Finds runs by their keys.
        expressions: Evaluates conditions and templates.
        clock: The time.
    """

    def __init__(
        self,
        bus: MessageBus,
        supervisor: Supervisor,
        journal: Journal,
        expressions: Expressions,
        clock: Clock,
    ) -> None:
        self._bus = bus
        self._supervisor = supervisor
        self._journal = journal
        self._expressions = expressions
        self._clock = clock
        self._mailboxes: list[Mailbox] = []

    def bind(self, workflows: Iterable[Workflow]) -> None:
        """Subscribe to the topics that these workflows' definitions name."""
        for workflow in workflows:
            for trigger in workflow.orchestrator.triggers(workflow.definition):
                handler = self._handler(workflow, trigger)
                self._mailboxes.append(self._bus.subscribe_with_topic(trigger.topic, handler))

    def close(self) -> None:
        """End every subscription."""
        for mailbox in self._mailboxes:
            mailbox.close()
        self._mailboxes.clear()

    def _handler(
        self, workflow: Workflow, trigger: EventTrigger
    ) -> Callable[[tuple[str, Any]], Any]:
        act = self._start if trigger.starts else self._send

        async def handle(published: tuple[str, Any]) -> None:
            topic, message = published
            event = {
                "name": trigger.event or topic,
                "data": to_plain(message),
                "id": secrets.token_hex(16),
                "at": self._clock.now().isoformat(),
                "late_s": 0.0,
            }
            names = {"event": event}
            try:
                if trigger.where is None or self._holds(trigger.where, names):
                    await act(workflow, trigger, names)
            except ExpressionError as error:
                _LOG.warning("%s: '%s' was not handled: %s", workflow.definition.name, topic, error)
            except QtForgeError as error:
                _LOG.warning(
                    "%s: '%s' triggered nothing: %s", workflow.definition.name, topic, error
                )

        return handle

    async def _start(
        self, workflow: Workflow, trigger: EventTrigger, names: Mapping[str, Any]
    ) -> None:
        given = self._expressions.template(trigger.input).render(names)
        await self._supervisor.start(workflow, given)

    async def _send(
        self, workflow: Workflow, trigger: EventTrigger, names: Mapping[str, Any]
    ) -> None:
        event = names["event"]
        message = InboxMessage(
            message_id=event["id"],
            kind="event",
            at=datetime.datetime.fromisoformat(event["at"]),
            name=event["name"],
            data=event["data"],
            by=f"the topic {event['name']}",
        )
        expression = trigger.instance or trigger.key or ""
        found = str(self._expressions.compile(expression).evaluate(names))
        if trigger.instance is None:
            # There may be many runs: the recovery loop resumes a limited number at once.
            await self._journal.post_to_key(workflow.definition.name, found, message)
        else:
            await self._journal.post(found, message)
            self._supervisor.wake(found)

    def _holds(self, condition: str, names: Mapping[str, Any]) -> bool:
        return self._expressions.compile(condition).holds(names)
