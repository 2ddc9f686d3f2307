"""Steps whose node is lost, or gone: what counts as an attempt, and what as a death."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from qtforge_host.bus.remote_handler import RemoteHandler
from qtforge_sdk.errors import BusUnavailableError, NodeGoneError, NodeLostError
from qtforge_sdk.operations import ProgressListener
from qtforge_sdk.policies import Retry
from qtforge_sdk.records import StepFailed, StepSucceeded
from qtforge_sdk.testing.memory_transport import MemoryNetwork, MemoryTransport
from qtforge_sdk.transport import Envelope, NodeHandler, Reply

FAR = NodeHandler(topic="far.work", plugin="far", version="3.0.0")
Answer = Callable[[int, Envelope], Awaitable[Any]]


class Far(MemoryTransport):
    """Answers calls as a test says, without another node; ``keys`` holds one for each call."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(MemoryNetwork(), "here")
        self.keys: list[tuple[str | None, int]] = []
        self._answer = answer

    async def call(
        self, node: str, envelope: Envelope, listener: ProgressListener | None = None
    ) -> Reply:
        self.keys.append((envelope.idempotency_key, envelope.attempt))
        answer = await self._answer(len(self.keys), envelope)
        return Reply(answer=answer, served_by=("far", "3.0.0"))

    def handlers(self) -> Mapping[str, Sequence[RemoteHandler]]:
        return {"far.work": [RemoteHandler("node-1", FAR, None, self)]}


def once_lost(times: int) -> Answer:
    async def answer(number: int, envelope: Envelope) -> Any:
        if number <= times:
            raise NodeLostError(envelope.topic, "node-1")
        return "done"

    return answer


def works(**how: Any) -> Any:
    async def code(run: Any) -> Any:
        return await run.request("far", "far.work", {}, **({"timeout": 60} | how))

    return code


@contextlib.asynccontextmanager
async def quickly(lab: Any) -> AsyncIterator[Any]:
    async with asyncio.timeout(60), lab() as it, it.clock.auto():
        yield it


def test_a_lost_node_is_no_attempt_and_the_step_is_done_again(lab: Any) -> None:
    async def main() -> None:
        far = Far(once_lost(2))
        async with quickly(lab) as it:
            it.bus.set_remote_handlers(far.handlers())
            await it.start()
            state = await it.engine.execute(it.script(works()), {})
            assert (state.status, state.result) == ("succeeded", "done")
            failed = await it.records(state.run_id, StepFailed)
            assert [(each.attempt, each.will_retry) for each in failed] == [(1, True)] * 2
            assert {each.error.code for each in failed} == {"bus.node_lost"}
            (done,) = await it.records(state.run_id, StepSucceeded)
            assert (done.attempt, done.plugin, done.plugin_version) == (1, "far", "3.0.0")
            assert far.keys == [(f"{state.run_id}/far", 1)] * 3

    asyncio.run(main())


def test_a_step_for_which_three_nodes_were_lost_fails_by_itself(lab: Any) -> None:
    async def main() -> None:
        far = Far(once_lost(99))
        async with quickly(lab) as it:
            it.bus.set_remote_handlers(far.handlers())
            await it.start()
            workflow = it.script(works(retry=Retry(max_attempts=9)))
            state = await it.engine.execute(workflow, {})
            assert state.status == "failed"
            assert state.error.code == "run.step_killed_its_process"
            assert (state.error.plugin, state.error.plugin_version) == ("far", "3.0.0")
            assert len(far.keys) == 3

    asyncio.run(main())


def test_lost_nodes_are_counted_over_processes(lab: Any) -> None:
    async def main() -> None:
        far = Far(once_lost(99))
        async with quickly(lab) as it:
            it.bus.set_remote_handlers(far.handlers())
            workflow = it.script(works())
            run_id = await it.crash(workflow, lambda record: isinstance(record, StepFailed))
            assert len(far.keys) == 1
            state = await it.resume(run_id)
            assert state.error.code == "run.step_killed_its_process"
            assert len(far.keys) <= 3
            failed = await it.records(run_id, StepFailed)
            assert {each.attempt for each in failed} == {1}

    asyncio.run(main())


def test_a_step_waits_for_a_node_that_answers_its_topic(lab: Any) -> None:
    async def answer(number: int, envelope: Envelope) -> Any:
        if number == 1:
            raise NodeGoneError(envelope.topic, "node-1")
        if number == 2:
            raise BusUnavailableError("nats://bus", "it is away")
        return "done"

    async def main() -> None:
        far = Far(answer)
        async with quickly(lab) as it:
            it.bus.set_remote_handlers(far.handlers())
            it.bus.set_remote_handlers({})  # it was announced, and is gone
            await it.start()
            run = asyncio.ensure_future(it.engine.execute(it.script(works()), {}))
            await asyncio.sleep(0.3)
            assert not run.done()
            it.bus.set_remote_handlers(far.handlers())
            state = await run
            assert (state.status, state.result) == ("succeeded", "done")
            assert not await it.records(state.run_id, StepFailed)
            assert len(far.keys) == 3

    asyncio.run(main())


def test_a_step_waits_no_longer_than_its_timeout(lab: Any) -> None:
    async def gone(number: int, envelope: Envelope) -> Any:
        raise NodeGoneError(envelope.topic, "node-1")

    async def main() -> None:
        far = Far(gone)
        async with quickly(lab) as it:
            it.bus.set_remote_handlers(far.handlers())
            await it.start()
            state = await it.engine.execute(it.script(works(timeout=0.4)), {})
            assert (state.status, state.error.code) == ("failed", "bus.node_gone")
            it.bus.set_remote_handlers({})
            state = await it.engine.execute(it.script(works(timeout=0.2)), {})
            assert state.error.code == "bus.no_handler"

    asyncio.run(main())


def test_a_topic_that_no_node_ever_answered_fails_at_once(lab: Any) -> None:
    async def main() -> None:
        async with quickly(lab) as it:
            await it.start()
            async with asyncio.timeout(30):
                state = await it.engine.execute(it.script(works(timeout=3600)), {})
            assert state.error.code == "bus.no_handler"

    asyncio.run(main())
