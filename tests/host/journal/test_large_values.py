"""Large values in files of their own: what has not changed is not written again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qtforge_host.journal.blob_files import BlobFiles
from qtforge_host.journal.memory import MemoryJournal, MemoryStore
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.journal_kit import encoding
from qtforge_sdk.journal_kit.encoding import Encoded, UnreadableError, decode_record, encode_record
from qtforge_sdk.records import CheckpointSaved
from qtforge_sdk.testing._journal_scenarios import NOW, keep, started, step

EVENTS = 20
LARGE = "x" * 2_000_000


def checkpoint(state: Any) -> CheckpointSaved:
    return CheckpointSaved(run_id="run", at=NOW, state=state)


def files_in(directory: Path) -> int:
    return sum(each.stat().st_size for each in (directory / "blobs").rglob("*") if each.is_file())


@pytest.mark.parametrize(
    "state_of",
    [
        lambda n: {"active": ["a"], "data": {"n": n, "text": LARGE}},
        lambda n: {"data": {"documents": [{"n": n}, {"pages": [LARGE, LARGE[:-1]]}]}},
        lambda n: {"data": {"texts": {str(k): f"{k}" * 70_000 for k in range(20)}}, "n": n},
        lambda n: {"data": {"new": f"{n}" * 2000, "old": {"rows": [[LARGE]] * 3}}},
    ],
)
def test_data_that_does_not_change_is_written_once(tmp_path: Path, state_of: Any) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        ownership = await keep(journal, started(), checkpoint(state_of(0)))
        once = files_in(tmp_path)
        assert once > 1_000_000
        for number in range(1, EVENTS):
            await journal.append(ownership, [checkpoint(state_of(number))])
        assert files_in(tmp_path) < 1.1 * once
        states = [
            each.state for each in await journal.records("run") if isinstance(each, CheckpointSaved)
        ]
        assert states == [state_of(number) for number in range(EVENTS)]
        assert not await journal.check()
        await journal.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("wrap", [list, tuple, lambda rows: dict(enumerate(rows))])
@pytest.mark.parametrize("place", [0, 1, 4_999, 5_000, 9_999])
def test_a_large_part_is_stored_apart_wherever_it_stands_among_small_rows(
    place: int, wrap: Any
) -> None:
    rows: list[Any] = [{"id": n, "name": f"row {n}"} for n in range(10_000)]
    rows[place] = {"pages": [LARGE]}
    encoded = encode_record(step(data={"rows": wrap(rows)}))
    contents = {each.sum: each.content for each in encoded.blobs}
    assert msgspec.msgpack.encode(LARGE) in contents.values()
    decoded = decode_record(encoded.payload, encoded.checksum, contents.__getitem__)
    plain = rows if wrap is tuple else wrap(rows)
    assert decoded == step(data={"rows": plain})


def test_a_long_list_of_small_rows_is_not_looked_at_row_by_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = 0
    apart_if_large = encoding._apart_if_large

    def counted(*given: Any) -> Any:
        nonlocal looked
        looked += 1
        return apart_if_large(*given)

    monkeypatch.setattr(encoding, "_apart_if_large", counted)
    rows = [{"id": n, "name": f"row number {n}"} for n in range(50_000)]
    encoded = encode_record(checkpoint({"data": {"rows": rows, "n": 1}}))
    assert looked < 100
    (blob,) = encoded.blobs
    assert msgspec.msgpack.decode(blob.content) == rows


def test_memory_holds_data_that_does_not_change_once() -> None:
    async def scenario() -> None:
        store = MemoryStore()
        journal = MemoryJournal(store=store)
        ownership = await keep(journal, started())
        for number in range(EVENTS):
            text = f"{LARGE}"[:-1] + "y"  # an equal text, not the same object
            await journal.append(ownership, [checkpoint({"n": number, "text": text})])
        entries = store.runs["run"].entries
        contents = {id(blob.content) for each in entries for blob in each.blobs}
        assert len(contents) == 1

    asyncio.run(scenario())


def test_a_file_that_was_damaged_is_written_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        ownership = await keep(journal, started(), step(data=LARGE), step(data=LARGE))
        (path,) = (each for each in (tmp_path / "blobs").rglob("*") if each.is_file())
        path.write_bytes(path.read_bytes()[:-1] + b"y")
        assert await journal.check()
        await journal.append(ownership, [step(data=LARGE)])
        assert not await journal.check()
        await journal.close()

    asyncio.run(scenario())


def test_a_value_that_refers_to_itself_is_damage_and_does_not_hang() -> None:
    encoded = encode_record(step(data=[LARGE, LARGE[1:]]))
    (one, *_) = encoded.blobs
    reference = encoded.payload[encoded.payload.index(b"\xc7\x20\x42") :][:35]

    def load(_: bytes) -> bytes:
        return b"\x91" + reference  # a list of one reference

    assert isinstance(encoded, Encoded)
    assert one.content
    with pytest.raises(UnreadableError, match="nested"):
        decode_record(encoded.payload, encoded.checksum, load)


def test_data_that_does_not_change_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[bytes] = []
    read = BlobFiles.read

    def counted(self: BlobFiles, sum_: bytes) -> bytes:
        reads.append(sum_)
        return read(self, sum_)

    async def scenario() -> None:
        journal = SqliteJournal(tmp_path)
        await journal.open()
        state = {"data": {"text": LARGE, "rows": [[LARGE[:-1]]]}}
        await keep(journal, started(), *(checkpoint({**state, "n": n}) for n in range(EVENTS)))
        reads.clear()  # a writer reads what it finds written
        found = await journal.records("run")
        assert [each.state["n"] for each in found[1:]] == list(range(EVENTS))  # type: ignore[union-attr]
        await journal.close()

    monkeypatch.setattr(BlobFiles, "read", counted)
    asyncio.run(scenario())
    assert len(reads) == len(set(reads)) > 1


def test_a_step_s_large_result_is_its_own() -> None:
    async def scenario() -> None:
        journal = MemoryJournal(store=MemoryStore())
        await journal.open()
        rows = [[LARGE]]
        await keep(journal, started(), step("run", "a", data=rows), step("run", "b", data=rows))
        _, first, second = await journal.records("run")
        first.data[0].append("changed")  # type: ignore[union-attr]
        assert second.data == rows  # type: ignore[union-attr]

    asyncio.run(scenario())
