"""Start stateful runs, and send them events, when messages are published on the bus."""

from __future__ import annotations

import datetime
import logging
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.runs.run_keys import Start
from qtforge_host.runs.supervisor import Supervisor
from qtforge_host.workflows.definitions import Workflow
from qtforge_sdk.checkpoints import EventTrigger
from qtforge_sdk.clock import Clock
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import ExpressionError, QtForgeError, StorageError
from qtforge_sdk.journal import InboxMessage, Journal
from qtforge_sdk.journal_errors import RunDuplicateError, RunExistsError
from qtforge_sdk.records import DEFAULT_POOL, QueueEntry, StartedBy
from qtforge_sdk.topics import matches

__all__ = ["EventTriggers"]

_LOG = logging.getLogger("qtforge.runs")
_REMEMBERED_TOPICS: Final = 4096


class _Bound(msgspec.Struct, frozen=True):
    """A trigger of a workflow; its number distinguishes it from the workflow's others."""

    workflow: Workflow
    trigger: EventTrigger
    number: int


class EventTriggers:
    """The publications that workflows' definitions ask for.

    A publication is handled before `MessageBus.publish` returns. So what a run publishes is in
    the inboxes of other runs before the run ends, and nothing is dropped.

    Args:
        bus: The message bus.
        supervisor: Starts runs.
        journal: Finds runs by their keys.
        expressions: Evaluates conditions and templates.
        clock: The time.
        starts: Whether publications start runs (``start_on``).
        sends: Whether publications are sent to runs (``events``).
        max_runs: So many runs execute in this process at once; further ones are queued. None for
            any number.
        pools: The pools whose queued runs this process executes; without the default one
            it starts nothing itself.
    """

    def __init__(
        self,
        bus: MessageBus,
        supervisor: Supervisor,
        journal: Journal,
        expressions: Expressions,
        clock: Clock,
        *,
        starts: bool = True,
        sends: bool = True,
        max_runs: int | None = None,
        pools: Collection[str] = (DEFAULT_POOL,),
    ) -> None:
        self._max_runs = sys.maxsize if max_runs is None else max_runs
        self._executes = DEFAULT_POOL in pools
        self._bus = bus
        self._supervisor = supervisor
        self._journal = journal
        self._expressions = expressions
        self._clock = clock
        self._starts = starts
        self._sends = sends
        self._unread: list[Iterable[Workflow]] = []
        self._bound: list[_Bound] = []
        self._by_topic: dict[str, list[_Bound]] = {}
        self._remove: Callable[[], None] | None = None

    @property
    def _has_room(self) -> bool:
        supervisor = self._supervisor
        return supervisor.count() < self._max_runs and not supervisor.active_runs.drains

    def bind(self, workflows: Iterable[Workflow]) -> None:
        """Handle publications on the topics that these workflows' definitions name.

        Args:
            workflows: They are read at the first publication.
        """
        self._unread.append(workflows)
        if self._remove is None:
            self._remove = self._bus.add_relay(self.handle)

    def close(self) -> None:
        """Stop handling publications."""
        if self._remove is not None:
            self._remove()
            self._remove = None

    def topics(self) -> list[str]:
        """Return the patterns of the topics that are handled, sorted."""
        self._read()
        return sorted({each.trigger.topic for each in self._bound})

    async def handle(self, topic: str, message: Any, message_id: str, lasting: bool) -> None:
        """Start the runs, and send the events, that a publication leads to.

        Args:
            topic: The topic.
            message: The message.
            message_id: The id of the publication; with the same id it is handled once, however
                often this is called.
            lasting: Whether a publication with the id may be made again.

        Raises:
            StorageError: The journal can't be written.
        """
        self._read()
        found = self._by_topic.get(topic)
        if found is None:
            if len(self._by_topic) >= _REMEMBERED_TOPICS:
                self._by_topic.clear()
            found = [each for each in self._bound if matches(each.trigger.topic, topic)]
            self._by_topic[topic] = found
        if not found:
            return
        data, at = to_plain(message), self._clock.now()
        for bound in found:
            event = {
                "name": bound.trigger.event or topic,
                "data": data,
                "id": message_id,
                "at": at.isoformat(),
                "late_s": 0.0,
            }
            name = bound.workflow.definition.name
            try:
                await self._act(bound, topic, {"event": event}, at, lasting=lasting)
            except StorageError:
                raise
            except RunDuplicateError as error:
                _LOG.info("%s: '%s' starts nothing: %s", name, topic, error)
            except ExpressionError as error:
                _LOG.warning("%s: '%s' was not handled: %s", name, topic, error)
            except QtForgeError as error:
                _LOG.warning("%s: '%s' triggered nothing: %s", name, topic, error)

    def _read(self) -> None:
        if not self._unread:
            return
        unread, self._unread = self._unread, []
        for workflow in (each for workflows in unread for each in workflows):
            triggers = workflow.orchestrator.triggers(workflow.definition)
            self._bound += [
                _Bound(workflow, trigger, number)
                for number, trigger in enumerate(triggers)
                if (self._starts if trigger.starts else self._sends)
            ]
        self._by_topic.clear()

    async def _act(
        self,
        bound: _Bound,
        topic: str,
        names: Mapping[str, Any],
        at: datetime.datetime,
        *,
        lasting: bool,
    ) -> None:
        trigger = bound.trigger
        if trigger.where is not None and not await self._holds(trigger.where, names):
            return
        if not trigger.starts:
            await self._send(bound, names["event"], names, at)
            return
        template = self._expressions.template(trigger.input)
        given = await self._expressions.compute(lambda: template.render(names))
        run_id = _run_id(bound, names["event"]["id"]) if lasting else None
        start = Start(by=StartedBy(kind="event", name=topic))
        try:
            if self._executes and self._has_room:
                await self._supervisor.start(bound.workflow, given, run_id=run_id, start=start)
            else:
                await self._supervisor.engine.enqueue(
                    bound.workflow, given, QueueEntry(), run_id=run_id, start=start
                )
        except RunExistsError:
            if run_id is None:
                raise  # else the same publication has started it before

    async def _send(
        self,
        bound: _Bound,
        event: Mapping[str, Any],
        names: Mapping[str, Any],
        at: datetime.datetime,
    ) -> None:
        trigger, workflow = bound.trigger, bound.workflow.definition.name
        message = InboxMessage(
            # Several bindings may lead to the same run: one event of that name is enough.
            message_id=f"{event['id']}/{event['name']}",
            kind="event",
            at=at,
            name=event["name"],
            data=event["data"],
            by=f"the topic {event['name']}",
        )
        expression = self._expressions.compile(trigger.instance or trigger.key or "")
        found = str(await self._expressions.compute(lambda: expression.evaluate(names)))
        # The process that executes runs sees the changed inboxes, and limits how many it resumes.
        if trigger.instance is None:
            await self._journal.post_to_key(workflow, found, message)
        elif (await self._journal.summary(found)).workflow == workflow:  # else it is another's
            await self._journal.post(found, message)

    async def _holds(self, condition: str, names: Mapping[str, Any]) -> bool:
        return await self._expressions.compile(condition).decide(names)


def _run_id(bound: _Bound, publication: str) -> str:
    """Return the id of the run that a publication starts: always the same."""
    import hashlib  # its first import makes OpenSSL ready, in 3 ms

    whole = f"{publication}/{bound.workflow.definition.name}/{bound.number}"
    return f"on-{hashlib.sha256(whole.encode()).hexdigest()[:20]}"
