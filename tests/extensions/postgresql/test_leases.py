"""Leases: a process that died, was frozen, or is idle."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from tests.servers.postgresql import PostgreSQL

from qtforge_postgresql import PostgresqlJournal, initialize
from qtforge_postgresql.contact import Contact
from qtforge_sdk.journal import JournalSettings, Ownership, RunQuery
from qtforge_sdk.journal_errors import RunOwnedError, StaleOwnerError
from qtforge_sdk.testing._journal_scenarios import event, keep, names, started, step, steps_of

_LEASE_S = 1.0
_TIMEOUT_S = 60


@contextlib.asynccontextmanager
async def opened(settings: JournalSettings) -> AsyncIterator[PostgresqlJournal]:
    journal = PostgresqlJournal(settings)
    await journal.open()
    try:
        yield journal
    finally:
        await journal.close()


@pytest.fixture
def short(journal_settings: JournalSettings) -> JournalSettings:
    return msgspec.structs.replace(journal_settings, lease_s=_LEASE_S)


class Process:
    """Another process that owns a run."""

    def __init__(self, settings: JournalSettings, run_id: str) -> None:
        script = Path(__file__).with_name("another_process.py")
        command = [sys.executable, str(script), settings.url, str(settings.lease_s), run_id]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line() == "owns"

    def append(self, name: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def another_process(short: JournalSettings) -> Iterator[Process]:
    process = Process(short, "run")
    yield process
    process.process.kill()
    process.process.wait(_TIMEOUT_S)
    for pipe in (process.process.stdin, process.process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


async def claim_in_time(journal: PostgresqlJournal, run_id: str = "run") -> Ownership:
    """Claim a run as soon as its owner's lease has ended."""
    async with asyncio.timeout(_TIMEOUT_S):
        while True:
            try:
                return await journal.claim(run_id)
            except RunOwnedError:
                await asyncio.sleep(0.05)


def test_the_runs_of_a_killed_process_are_owned_by_one_of_those_that_race_for_them(
    short: JournalSettings, another_process: Process
) -> None:
    async def test() -> None:
        async with contextlib.AsyncExitStack() as stack:
            racers = [await stack.enter_async_context(opened(short)) for _ in range(12)]
            with pytest.raises(RunOwnedError, match=rf"process {another_process.process.pid} on"):
                await racers[0].claim("run")
            assert await asyncio.to_thread(another_process.append, "a") == "done"
            another_process.process.kill()
            async with asyncio.timeout(_TIMEOUT_S):
                while list(await racers[0].unfinished()) != ["run"]:
                    await racers[0].changed(0.05)
            outcomes = await asyncio.gather(
                *(racer.claim("run") for racer in racers), return_exceptions=True
            )
            owners = [each for each in outcomes if isinstance(each, Ownership)]
            assert all(isinstance(each, Ownership | RunOwnedError) for each in outcomes)
            assert [(each.epoch, each.took_over) for each in owners] == [(2, True)]

    asyncio.run(test())


def test_a_frozen_process_that_comes_back_writes_nothing(
    short: JournalSettings, another_process: Process
) -> None:
    async def test() -> None:
        async with opened(short) as journal:
            assert await asyncio.to_thread(another_process.append, "a") == "done"
            another_process.process.send_signal(signal.SIGSTOP)
            ownership = await claim_in_time(journal)
            assert ownership.took_over
            another_process.process.send_signal(signal.SIGCONT)
            said = await asyncio.to_thread(another_process.append, "zombie")
            assert said == "StaleOwnerError"
            await journal.append(ownership, [step(name="b")])
            assert steps_of(await journal.records("run")) == ["a", "b"]
            # It has another name now, and may own other runs.
            assert await asyncio.to_thread(another_process.append, "zombie") == "StaleOwnerError"

    asyncio.run(test())


def test_a_process_that_was_taken_over_works_on_under_another_name(short: JournalSettings) -> None:
    async def test() -> None:
        async with opened(short) as first, opened(short) as second:
            old = await keep(first, started())
            with psycopg.connect(short.url.partition("?")[0], autocommit=True) as server:
                schema = short.url.rpartition("=")[2]
                server.execute(f"DELETE FROM {schema}.owners WHERE owner = '{old.owner}'".encode())
            new = await second.claim("run")
            with pytest.raises(StaleOwnerError):
                await first.append(old, [step(name="zombie")])
            created = await first.create(started("other"))
            assert created.owner not in (old.owner, new.owner)
            await first.append(created, [step("other")])
            await second.post("other", event("m1"))
            assert [each.run_id for each in (await first.deliveries("")).messages] == ["other"]

    asyncio.run(test())


def test_an_idle_process_keeps_its_runs(short: JournalSettings) -> None:
    async def test() -> None:
        async with opened(short) as owner, opened(short) as other:
            ownership = await keep(owner, started())
            await asyncio.sleep(2.5 * _LEASE_S)
            with pytest.raises(RunOwnedError):
                await other.claim("run")
            assert (await other.runs(RunQuery()))[0].owner_alive
            await owner.append(ownership, [step()])

    asyncio.run(test())


def test_of_many_who_race_for_many_released_runs_each_is_owned_once(
    journal_settings: JournalSettings,
) -> None:
    async def test() -> None:
        async with contextlib.AsyncExitStack() as stack:
            racers = [await stack.enter_async_context(opened(journal_settings)) for _ in range(12)]
            for name in names(10):
                await racers[0].release(await racers[0].create(started(name)))

            async def race(name: str) -> int:
                outcomes = await asyncio.gather(
                    *(racer.claim(name) for racer in racers), return_exceptions=True
                )
                return sum(isinstance(each, Ownership) for each in outcomes)

            assert await asyncio.gather(*map(race, names(10))) == [1] * 10

    asyncio.run(test())


def test_who_was_cut_off_waits_one_lease_before_it_takes_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    contact = Contact(10.0)

    def may_take_over(at: float, *, hears: bool = True) -> bool:
        now[0] = at
        if hears:
            contact.note()
        return contact.may_take_over

    assert contact.may_take_over  # one that has just started
    assert all(may_take_over(at) for at in (103.0, 112.0, 121.0))
    assert not may_take_over(131.5, hears=False)  # it has heard nothing for a lease
    assert not any(may_take_over(at) for at in (131.5, 136.0, 141.0))
    assert may_take_over(141.6)


def test_an_idle_process_makes_at_most_one_transaction_in_two_seconds(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    with psycopg.connect(postgresql.url(), autocommit=True) as server:
        server.execute("CREATE DATABASE idle")

    def transactions() -> int:
        """Return how many there were; what ended sessions did is counted soon."""
        with psycopg.connect(postgresql.url(), autocommit=True) as server:
            until, before = time.monotonic() + _TIMEOUT_S, -1
            while time.monotonic() < until:
                row = server.execute(
                    "SELECT xact_commit + xact_rollback FROM pg_stat_database"
                    " WHERE datname = 'idle'"
                ).fetchone()
                assert row is not None
                if row[0] == before:
                    return int(before)
                before = row[0]
                time.sleep(0.3)
        raise AssertionError("the server's statistics do not come to rest")

    settings = JournalSettings(directory=tmp_path, url=postgresql.url(database="idle"), lease_s=4.0)

    async def wait(seconds: float) -> float:
        async with opened(settings) as journal:
            began = time.monotonic()
            while time.monotonic() < began + seconds:
                await journal.changed(seconds)
            return time.monotonic() - began

    asyncio.run(initialize(settings))
    empty = transactions()
    asyncio.run(wait(0))
    opening = transactions() - empty
    waited_s = asyncio.run(wait(8))
    made = transactions() - empty - 2 * opening
    assert 1 <= made <= 0.5 * waited_s + 2  # and as many as end with the window


def test_a_process_is_cut_off_while_the_server_does_not_answer_for_half_a_lease(
    postgresql: PostgreSQL, journal_settings: JournalSettings
) -> None:
    async def becomes(journal: PostgresqlJournal, *, cut_off: bool) -> None:
        async with asyncio.timeout(60):
            while (await journal.standing()).cut_off is not cut_off:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def check() -> None:
        journal = PostgresqlJournal(msgspec.structs.replace(journal_settings, lease_s=2.0))
        await journal.open()
        try:
            assert not (await journal.standing()).cut_off
            await asyncio.to_thread(postgresql.stop)
            try:
                await becomes(journal, cut_off=True)
            finally:
                await asyncio.to_thread(postgresql.start)
            await becomes(journal, cut_off=False)
        finally:
            await journal.close()

    asyncio.run(check())
