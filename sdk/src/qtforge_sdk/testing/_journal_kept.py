"""The part of the journal contract about small values that all processes share."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio

import pytest

from qtforge_sdk.journal import MOST_KEPT_BYTES, Journal
from qtforge_sdk.testing._journal_scenarios import Journals, scenario

__all__ = ["KeptValuesContract"]


class KeptValuesContract:
    """Values by their keys; who has not read the newest one does not replace it."""

    @scenario
    async def test_a_kept_value_is_seen_by_every_process(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        assert not await other.kept_values("")
        assert await journal.keep_value("a/2", b"\x00\xff", 0)
        assert await journal.keep_value("a/1", b"", 0)
        assert await journal.keep_value("b%_", b"x", 0)
        assert await journal.keep_value("A/1", b"x", 0)
        found = await other.kept_values("a/")
        assert [(each.key, each.data) for each in found] == [("a/1", b""), ("a/2", b"\x00\xff")]
        assert [each.key for each in await other.kept_values("b%")] == ["b%_"]
        assert not await other.kept_values("b_")
        assert [each.key for each in await other.kept_values("")] == ["A/1", "a/1", "a/2", "b%_"]

    @scenario
    async def test_a_value_that_was_changed_since_it_was_read_is_not_replaced(
        self, journals: Journals
    ) -> None:
        journal, other = await journals.open(), await journals.open()
        assert await journal.keep_value("a", b"1", 0)
        assert not await other.keep_value("a", b"2", 0)
        (first,) = await other.kept_values("a")
        assert first.revision > 0
        assert await other.keep_value("a", b"2", first.revision)
        for data in (b"3", None):
            assert not await journal.keep_value("a", data, first.revision)
        (second,) = await journal.kept_values("a")
        assert (second.data, second.revision != first.revision) == (b"2", True)
        assert await journal.keep_value("a", None, second.revision)
        assert not await other.keep_value("a", None, second.revision)
        assert not await other.kept_values("a")
        assert await other.keep_value("a", b"4", 0)

    @scenario
    async def test_of_racing_changes_none_is_lost(self, journals: Journals) -> None:
        racers = [await journals.open() for _ in range(4)]

        async def count(racer: Journal) -> None:
            for _ in range(5):
                kept = False
                while not kept:
                    found = await racer.kept_values("n")
                    number, revision = (int(found[0].data), found[0].revision) if found else (0, 0)
                    kept = await racer.keep_value("n", b"%d" % (number + 1), revision)

        await asyncio.gather(*map(count, racers))
        (found,) = await racers[0].kept_values("n")
        assert found.data == b"20"

    @scenario
    async def test_what_is_too_large_to_be_kept_is_refused(self, journals: Journals) -> None:
        journal = await journals.open()
        assert await journal.keep_value("k" * 200, b"x" * MOST_KEPT_BYTES, 0)
        for key, size in (("", 1), ("k" * 201, 1), ("a", MOST_KEPT_BYTES + 1)):
            with pytest.raises(ValueError, match=r"1 to 200 characters|at most"):
                await journal.keep_value(key, b"x" * size, 0)
        assert len(await journal.kept_values("")) == 1
