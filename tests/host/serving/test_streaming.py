"""What clients hear, those that come again, and those that are too slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from qtforge_host.api.documents import LogRow
from qtforge_host.bus.message_bus import MessageBus
from qtforge_host.bus.threads import WorkerThreads
from qtforge_host.expressions.compiler import Expressions
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.streaming import Live, Stream, Streams
from qtforge_sdk.journal import AppendedPage, Cursor, Journal
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.testing._journal_scenarios import NOW, keep, started, step

WITHIN_S = 10.0


class Parts:
    """Streams over a journal that other journals may write too."""

    def __init__(self, folder: Path, bus: MessageBus, journal: Journal) -> None:
        self.bus = bus
        self.journal = journal
        self.streams = Streams(bus, journal, 4)
        self._folder = folder

    async def write(self, run_id: str, *steps: str) -> None:
        """Have another process begin a run."""
        other = SqliteJournal(self._folder)
        await other.open()
        await keep(other, started(run_id), *(step(run_id, name) for name in steps))
        await other.close()


def with_parts(folder: Path, check: Callable[[Parts], Awaitable[None]]) -> None:
    async def main() -> None:
        threads = WorkerThreads(1)
        bus = MessageBus(Expressions().compile, threads)
        journal = SqliteJournal(folder)
        await journal.open()
        try:
            async with asyncio.timeout(60):
                await check(Parts(folder, bus, journal))
        finally:
            await journal.close()
            await bus.close()
            threads.close()

    asyncio.run(main())


async def following(stream: Stream, count: int) -> list[Live]:
    """Return the next so many events."""
    found = [await stream.next(WITHIN_S) for _ in range(count)]
    assert None not in found
    return [each for each in found if each is not None]


def ids(found: list[Live]) -> list[tuple[str | None, str, Any]]:
    return [(each.id, each.name, each.data.get("run_id")) for each in found]


def test_a_stream_has_only_the_kinds_of_records_that_were_asked_for(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        kinds = frozenset({"run_started"})
        with await parts.streams.open(None, None, None, kinds) as stream:
            await parts.write("one", *(f"step {number}" for number in range(250)))
            await parts.write("two")
            found = await following(stream, 2)
            assert ids(found) == [("1", "record", "one"), ("252", "record", "two")]
            with pytest.raises(TimeoutError):
                await stream.next(0.01)
            assert stream.position == "252"

    with_parts(tmp_path, check)


def test_records_of_other_processes_are_heard_from_now_on_and_in_order(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        await parts.write("before")
        with await parts.streams.open(None, None, None) as stream:
            assert stream.position == "1"
            await parts.write("one", "a")
            found = await following(stream, 2)
            assert ids(found) == [("2", "record", "one"), ("3", "record", "one")]
            assert [each.data["record"] for each in found] == ["run_started", "step_succeeded"]
            with pytest.raises(TimeoutError):
                await stream.next(0.4)

    with_parts(tmp_path, check)


def test_a_client_that_comes_again_goes_on_behind_its_last_event(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        await parts.write("one", *map(str, range(250)))
        heard: list[Live] = []
        for _ in range(4):
            last = heard[-1].id if heard else ""
            with await parts.streams.open(None, None, last) as stream:
                heard += await following(stream, 60)
        assert [each.id for each in heard] == list(map(str, range(1, 241)))
        names = [each.data["step"] for each in heard[1:]]
        assert names == [str(number) for number in range(239)]

    with_parts(tmp_path, check)


def test_of_one_run_its_records_alone_are_heard(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        await parts.write("one")
        with await parts.streams.open("one", None, "") as stream:
            assert ids(await following(stream, 1)) == [("1", "record", "one")]
            await parts.write("two", "a", "b")
            with pytest.raises(TimeoutError):
                await stream.next(0.6)
            assert stream.position == "4"  # so that its id does not grow old
        with pytest.raises(RunNotFoundError):
            await parts.streams.open("three", None, None)

    with_parts(tmp_path, check)


class Forgetful:
    """A journal that has forgotten what came before a place."""

    def __init__(self, inner: Journal, oldest: int) -> None:
        self._inner = inner
        self._oldest = oldest

    async def records_since(self, after: Cursor, limit: int = 1000, **of: Any) -> AppendedPage:
        first, last = self._oldest - 1, int(after or 0)
        page = await self._inner.records_since(str(max(last, first)), limit, **of)
        if last >= first:
            return page
        return replace(page, gap="pruned", missed=first - last)


def test_a_client_whose_id_is_too_old_is_told_what_it_has_missed(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        await parts.write("one", "a", "b", "c")
        journal: Any = Forgetful(parts.journal, 3)
        streams = Streams(parts.bus, journal, 4)
        with await streams.open(None, None, "1") as stream:
            gap, *rest = await following(stream, 3)
            assert (gap.name, gap.id, gap.data["missed"]) == ("gap", "2", 1)
            assert ids(rest) == [("3", "record", "one"), ("4", "record", "one")]
        with await streams.open(None, None, "2") as stream:
            assert [each.name for each in await following(stream, 2)] == ["record", "record"]

    with_parts(tmp_path, check)


def test_a_client_with_an_id_of_another_journal_is_told_and_gets_all_there_is(
    tmp_path: Path,
) -> None:
    async def check(parts: Parts) -> None:
        await parts.write("one", "a")
        with await parts.streams.open(None, None, "100000") as stream:
            gap, *rest = await following(stream, 3)
            assert (gap.name, gap.id, gap.data["missed"]) == ("gap", "0", None)
            assert [each.id for each in rest] == ["1", "2"]

    with_parts(tmp_path, check)


def test_a_client_that_is_too_slow_for_messages_is_dropped_and_told_so(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        slow = await parts.streams.open(None, "news.>", None)
        other = await parts.streams.open(None, "news.>", None)
        with slow, other:
            assert slow.position is None
            for number in range(1001):
                slow.offer("news.local", number)
            other.offer("news.local", {"x": 1})
            assert [each.name for each in await following(slow, 1)] == ["dropped"]
            assert await slow.next(WITHIN_S) is None
            (live,) = await following(other, 1)
            assert live == Live("message", {"topic": "news.local", "message": {"x": 1}})
            assert len(parts.streams) == 2
        assert len(parts.streams) == 0

    with_parts(tmp_path, check)


def test_messages_that_wait_are_still_heard_when_all_streams_end(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        with await parts.streams.open(None, "news.>", None) as stream:
            stream.offer("news.local", 1)
            parts.streams.close()
            stream.offer("news.local", 2)
            assert [each.data["message"] for each in await following(stream, 1)] == [1]
            assert await stream.next(WITHIN_S) is None

    with_parts(tmp_path, check)


def test_a_stream_that_is_closed_leaves_no_subscription_behind(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        with await parts.streams.open(None, "news.>", None):
            assert (await parts.bus.publish("news.local", {"x": 1})).delivered == 1
        assert (await parts.bus.publish("news.local", {"x": 1})).delivered == 0

    with_parts(tmp_path, check)


def test_so_many_clients_hear_at_once_and_no_more(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        for _ in range(4):
            await parts.streams.open(None, None, None)
        with pytest.raises(RefusedError, match="too many clients"):
            await parts.streams.open(None, None, None)

    with_parts(tmp_path, check)


def test_a_log_is_streamed_by_its_positions_and_ends_with_its_run_or_the_process(
    tmp_path: Path,
) -> None:
    async def rows() -> AsyncIterator[LogRow]:
        for position in (7, 9):
            yield LogRow(
                position=position, at=NOW, level="info", logger="a", step=None, attempt=None,
                text=str(position),
            )  # fmt: skip

    async def never() -> AsyncIterator[LogRow]:
        await asyncio.Event().wait()
        yield await anext(rows())

    async def check(parts: Parts) -> None:
        streams = Streams(parts.bus, parts.journal, 2)
        with streams.open_log(rows(), "3") as stream:
            assert stream.position == "3"
            found = [await stream.next(WITHIN_S) for _ in range(3)]
            assert [None if each is None else each.id for each in found] == ["7", "9", None]
        assert len(streams) == 0
        with streams.open_log(never(), "0") as quiet, streams.open_log(never(), "0"):
            with pytest.raises(TimeoutError):
                await quiet.next(0.0)
            with pytest.raises(RefusedError):
                streams.open_log(never(), "0")
            waiting = asyncio.ensure_future(quiet.next(WITHIN_S))
            await asyncio.sleep(0)
            streams.close()
            assert await waiting is None

    with_parts(tmp_path, check)
