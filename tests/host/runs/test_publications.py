"""What a process publishes reaches the process that listens, through the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qtforge_host.runs import publications
from qtforge_host.runs.publications import PublicationReceiver, PublicationSender
from qtforge_host.runs.triggers import EventTriggers
from qtforge_sdk import Plugin, Run, subscriber
from qtforge_sdk.bus import message_id
from qtforge_sdk.errors import StateDirectoryError
from qtforge_sdk.records import StepSucceeded
from qtforge_sdk.secrets import Secrets

MACHINE = """
initial = "on"
key = "${input.key}"
data = { n = 0 }
[states.on]
[[transitions]]
name = "count"
from = "on"
trigger = "tick"
actions = ["add"]
[actions.add]
type = "set"
values = { n = "${data.n + 1}" }
[[start_on]]
topic = "begin"
input = { key = "${event.data.key}" }
[[events]]
topic = "tick"
key = "event.data.key"
"""


class Listens(Plugin):
    def __init__(self) -> None:
        self.received: list[tuple[str, Any]] = []

    @subscriber("said.*")
    async def said(self, message: dict[str, Any]) -> None:
        self.received.append((message_id(), message["n"]))


NO_SECRETS = Secrets(lambda name: None)


@asynccontextmanager
async def listening(lab: Any) -> AsyncIterator[PublicationReceiver]:
    """Listen as ``serve`` does, on the bus of the lab."""
    machine = lab.machine(MACHINE, "m")
    triggers = EventTriggers(lab.bus, lab.supervisor, lab.mortal, lab.expressions, lab.clock)
    triggers.bind([machine])
    receiver = PublicationReceiver(
        lab.bus,
        lab.mortal,
        lab.engine.active_runs,
        PublicationSender(lab.mortal, lab.clock, NO_SECRETS),
        [triggers.handle],
        triggers.topics,
    )
    await receiver.start()
    work = asyncio.ensure_future(receiver.run())
    try:
        async with lab.dispatching():
            yield receiver
    finally:
        work.cancel()
        await asyncio.wait([work])
        triggers.close()


def sender(lab: Any) -> Callable[..., Any]:
    """Publish as a process beside it does."""
    made = PublicationSender(lab.client(), lab.clock, NO_SECRETS)

    async def send(topic: str, name: str, **message: Any) -> None:
        await made.send(topic, message, name, True)

    return send


async def received_all(lab: Any) -> bool:
    return not await lab.journal.publications("serve")


def test_what_another_process_publishes_reaches_subscribers_runs_and_starts_with_its_id(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        plugin = await lab.add(Listens(), "listens", "1.0.0")
        async with listening(lab):
            send = sender(lab)
            await send("begin", "p1", key="a")
            await lab.until(lambda: waits(lab, 1))
            (run_id,) = lab.store.runs
            await send("tick", "p2", key="a")
            await send("said.loud", "p3", n=1)
            await send("nobody.listens", "p4")
            await lab.until(lambda: received_all(lab))
            await lab.until(lambda: counted(lab, run_id, 1))
        assert plugin.received == [("p3", 1)]

    play(case)


async def waits(lab: Any, count: int) -> bool:
    found = [await lab.status(run_id) for run_id in lab.store.runs]
    return found == ["waiting"] * count


async def counted(lab: Any, run_id: str, count: int) -> bool:
    return bool((await lab.kept(run_id)).state["data"] == {"n": count})


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # it gives a new lab each time
)
@given(
    parts=st.lists(
        st.tuples(st.lists(st.sampled_from(["tick", "begin", "say"]), max_size=4), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
def test_events_and_starts_take_each_publication_once_and_subscribers_at_least_once(
    lab: Any, parts: list[tuple[list[str], bool]]
) -> None:
    topics = {"tick": "tick", "begin": "begin", "say": "said.x"}

    async def case(lab: Any) -> None:
        plugin = await lab.add(Listens(), "listens", "1.0.0")
        async with listening(lab):
            await sender(lab)("begin", "first", key="a")
            await lab.until(lambda: waits(lab, 1))
        (run_id,) = lab.store.runs
        number, sent = 0, list[str]()
        for kinds, restarts in parts:
            if restarts:
                await lab.start()  # what is published meanwhile waits for the next process
            send = sender(lab)
            for kind in kinds:
                number += 1
                sent.append(kind)
                key = "a" if kind == "tick" else f"k{number}"
                for _ in range(2):  # the publishing step is done again after a crash
                    await send(topics[kind], f"p{number}", key=key, n=number)
            async with listening(lab):
                await lab.until(lambda: received_all(lab))
                await lab.until(lambda: counted(lab, run_id, sent.count("tick")))
        assert len(lab.store.runs) == 1 + sent.count("begin")
        said = {n for n, kind in enumerate(sent, 1) if kind == "say"}
        assert {(f"p{n}", n) for n in said} == set(plugin.received)

    async def main() -> None:
        async with lab() as it:
            await case(it)

    asyncio.run(main())


def test_a_publication_whose_receiver_dies_is_received_again_by_the_next(play: Any) -> None:
    async def case(lab: Any) -> None:
        plugin = await lab.add(Listens(), "listens", "1.0.0")
        async with listening(lab):
            await lab.until(lambda: received_all(lab))
        remove = lab.mortal.inner.remove_publications

        async def fails(listener: str, until: int) -> None:
            raise asyncio.CancelledError

        await sender(lab)("said.x", "p1", n=1)
        lab.mortal.inner.remove_publications = fails
        async with listening(lab):
            await lab.until(lambda: heard(plugin, 1))
        lab.mortal.inner.remove_publications = remove
        async with listening(lab):
            await lab.until(lambda: received_all(lab))
        assert plugin.received == [("p1", 1), ("p1", 1)]

    play(case)


async def heard(plugin: Listens, count: int) -> bool:
    return len(plugin.received) == count


def test_a_listener_that_ends_in_order_has_received_all_and_nothing_more_is_stored(
    play: Any,
) -> None:
    async def case(lab: Any) -> None:
        plugin = await lab.add(Listens(), "listens", "1.0.0")
        async with listening(lab) as receiver:
            await lab.until(lambda: received_all(lab))
        send = sender(lab)
        await send("said.x", "p1", n=1)
        await receiver.stop()
        await send("said.x", "p2", n=2)
        assert plugin.received == [("p1", 1)]
        assert await received_all(lab)

    play(case)


@pytest.mark.parametrize("crashes", [False, True])
def test_a_run_publishes_under_the_id_of_its_step(play: Any, crashes: bool) -> None:
    async def says(run: Run) -> Any:
        await run.publish("say", "said.x", {"n": 1})

    async def case(lab: Any) -> None:
        plugin = await lab.add(Listens(), "listens", "1.0.0")
        workflow = lab.script(says)
        if crashes:
            run_id = await lab.crash(
                workflow, lambda it: isinstance(it, StepSucceeded), after=False
            )
            await lab.resume(run_id)
        else:
            run_id = (await lab.engine.execute(workflow, {})).run_id
        await lab.bus.drain(60)
        assert plugin.received == [(f"{run_id}/say", 1)] * (2 if crashes else 1)

    play(case)


def test_a_plugin_that_publishes_where_nobody_listens_writes_nothing(play: Any) -> None:
    async def case(lab: Any) -> None:
        plugin = await lab.add(Listens(), "listens", "1.0.0")
        lab.bus.add_relay(PublicationSender(lab.mortal, lab.clock, NO_SECRETS).send)
        await lab.bus.publish("said.x", {"n": 1})
        await lab.bus.drain(60)
        assert plugin.received == [("", 1)]
        assert await received_all(lab)

    play(case)


def test_a_secret_that_is_published_is_stored_by_its_name(play: Any) -> None:
    """Also one that a plugin publishes outside of a run, and as a key or within a text."""
    secrets = Secrets({"TOKEN": "known-s3cret"}.get)
    secrets.reveal("${secret.TOKEN}")
    secrets.hide("nameless-s3cret")

    async def case(lab: Any) -> None:
        await lab.journal.listen("serve", ["said.*"], 10)
        made = PublicationSender(lab.client(), lab.clock, secrets)
        told = {"it": ["<known-s3cret>"], "known-s3cret": 1, "other": "nameless-s3cret"}
        await made.send("said.x", told, "m1", True)
        (stored,) = await lab.journal.publications("serve")
        assert stored.publication.message == {
            "it": ["<${secret.TOKEN}>"],
            "${secret.TOKEN}": 1,
            "other": "***",
        }

    play(case)


def test_a_store_that_fails_for_long_is_said_once_and_again_after_it_worked(
    play: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publications, "_AGAIN_S", 0.001)
    monkeypatch.setattr(publications, "_POLL_S", 0.001)
    monkeypatch.setattr(publications, "_LOOK_S", 0.001)

    async def case(lab: Any) -> None:
        works = lab.mortal.publications
        answers = [False] * 20 + [True] + [False] * 20
        done = asyncio.Event()

        async def sometimes(*args: Any) -> Any:
            if not answers:
                done.set()
            elif not answers.pop():
                raise StateDirectoryError("state", "it is gone", "put it back")
            return await works(*args)

        async with listening(lab):
            lab.mortal.publications = sometimes
            async with asyncio.timeout(60):
                await done.wait()
        assert caplog.text.count("can't be received") == 2

    play(case)


def test_an_idle_process_asks_the_journal_for_publications_only_when_it_has_changed(
    play: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publications, "_POLL_S", 0.001)

    async def case(lab: Any) -> None:
        looks, works, looked = 0, lab.mortal.publications, asyncio.Event()

        async def counted(*args: Any) -> Any:
            nonlocal looks
            looks += 1
            looked.set()
            return await works(*args)

        lab.mortal.publications = counted
        async with listening(lab):
            await asyncio.sleep(0.2)  # two hundred times the poll
            assert looks <= 5
            looked.clear()
            for tell in [*lab.engine.active_runs.on_change]:
                tell()
            async with asyncio.timeout(60):
                await looked.wait()

    play(case)
