"""The part of the journal contract about the search for runs."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Sequence
from typing import Any

import pytest

from qtforge_sdk.journal import Journal, RunQuery
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.records import (
    ErrorInfo,
    RunBlocked,
    RunKeys,
    RunResumed,
    RunWaiting,
    StartedBy,
)
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    Journals,
    finished,
    keep,
    scenario,
    started,
)

__all__ = ["SearchContract"]

LATER = NOW + datetime.timedelta(days=1)
CLOSED = ErrorInfo(code="shop.closed", message="it opens at 9", stage="pay", plugin="cashier")
_HOSTILE = (
    "", " ", "***", "'", '"', '" OR "1', "a\' OR 1=1 --", "NEAR(a b)", "a AND NOT b*", "words:a",
    "(", ")", "{", "%", "_", "\\", "a & !b | c:*", "<->", "$1", "%s", "{s}",
    "x" * 10_000, "y " * 10_000, "٣", "\N{COMBINING ACUTE ACCENT}", "🙂",
)  # fmt: skip


class SearchContract:
    """Which runs a search finds."""

    @scenario
    async def test_a_run_is_found_by_what_is_known_of_it(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        keys = RunKeys(title="Rechnung 7 für Müller & Söhne", tags={"customer": "ACME"})
        given = {"document": {"name": "March_2026-final.PDF", "pages": [12, 3.5]}, "urgent": True}
        by = StartedBy(kind="request", name="Anna Lee")
        await journal.create(started("run", input=given, keys=keys, started_by=by))
        await keep(
            journal, started("x-99", parent="above"), finished("x-99", "failed", error=CLOSED)
        )
        for text in (
            "rechnung", "MULLER", "müller söhne", "acme", "customer acme", "march",
            "2026 final pdf", "12 3 5", "anna", "lee rech", "run", "March_2026-final.PDF", "7 fur",
        ):  # fmt: skip
            assert await found(other, text) == ["run"], text
        for text in ("x-99", "above", "shop.closed", "cashier", "it opens", "pay", "CLOSED a"):
            assert await found(other, text) == ["x-99"], text
        assert await found(other, "letters") == ["x-99", "run"]
        for text in ("echnung", "rechnung closed", "true", "document7", "acmes"):
            assert await found(other, text) == [], text

    @scenario
    async def test_a_search_follows_tags_and_errors(self, journals: Journals) -> None:
        journal = await journals.open()
        ownership = await keep(journal, started("run", keys=RunKeys(tags={"customer": "ACME"})))
        await journal.tag("run", {"customer": None, "buyer": "Contoso"})
        assert (await found(journal, "acme"), await found(journal, "contoso")) == ([], ["run"])
        blocked = RunBlocked(run_id="run", at=NOW, reason="the plugin is gone")
        await journal.append(ownership, [blocked])
        assert await found(journal, "plugin gone") == ["run"]
        resumed = RunResumed(run_id="run", at=NOW, owner="o", plugins={})
        await journal.append(ownership, [resumed])
        assert await found(journal, "gone") == []
        await journal.append(ownership, [RunWaiting(run_id="run", at=NOW, events=("go",))])
        assert await found(journal, "contoso", waiting_for="go") == ["run"]
        await journal.append(ownership, [finished(status="failed", error=CLOSED)])
        assert await found(journal, "contoso closed") == ["run"]
        ownership = await journal.claim("run")
        await journal.append(ownership, [resumed, finished()])
        assert (await found(journal, "closed"), await found(journal, "contoso")) == ([], ["run"])

    @scenario
    async def test_no_text_is_a_language(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started("run", input={"texts": _HOSTILE}))
        for text in (*_HOSTILE, "\0", "\ud800", "a\0b"):
            names = await found(journal, text)
            assert names in ([], ["run"]), text
        for text in ("", "***", "%", "_", '"', "🙂"):
            assert await found(journal, text) == [], text

    @scenario
    async def test_pages_of_a_search_follow_each_other(self, journals: Journals) -> None:
        journal = await journals.open()
        await many(journal, 0, 5, tags={"kind": "odd"})
        query = {"limit": 2, "tags": {"kind": "odd"}}
        assert await found(journal, "note", **query) == ["r0004", "r0003"]
        assert await found(journal, "note", **query, after="r0003") == ["r0002", "r0001"]
        assert await found(journal, "note", **query, after="r0001") == ["r0000"]
        assert await found(journal, "note", limit=3, oldest_first=True, after="r0001") == [
            "r0002", "r0003", "r0004",
        ]  # fmt: skip
        assert await found(journal, "note", limit=0) == []
        with pytest.raises(RunNotFoundError):
            await found(journal, "note", after="missing")

    @scenario
    async def test_a_search_finds_all_and_only_what_there_is(self, journals: Journals) -> None:
        """Far more runs than are looked at one by one, frequent words and rare ones."""
        journal = await journals.open()
        await keep(
            journal,
            started("old", workflow="bills", input={"text": "note needle"}, parent="r0007"),
            finished("old", "failed", error=CLOSED),
        )
        await many(journal, 0, 2_100, ended=False)
        await journal.tag("r0003", {"color": "green"})
        await journal.append(await journal.claim("r0005"), [finished("r0005")])
        newest = [f"r{number:04d}" for number in range(2_099, 2_089, -1)]
        assert await found(journal, "note", limit=10) == newest
        assert await found(journal, "no", limit=10) == newest
        assert len(await found(journal, "note", limit=5_000)) == 2_101
        assert await found(journal, "note", limit=5_000, oldest_first=True) == [
            "old", *(f"r{number:04d}" for number in range(2_100)),
        ]  # fmt: skip
        assert await found(journal, "needle") == ["old"]
        assert await found(journal, "nee note") == ["old"]
        assert await found(journal, "n needle closed") == ["old"]
        assert await found(journal, "needle haystack") == []
        assert await found(journal, "haystack") == []
        assert await found(journal, "color") == ["r0003"]
        assert await found(journal, "no7z") == ["r0007"]
        assert await found(journal, "no000z") == []
        for only in (
            {"statuses": frozenset({"failed"})},
            {"workflow": "bills"},
            {"parent": "r0007"},
            {"error_code": "shop.closed"},
            {"error_plugin": "cashier", "workflow": "bills"},
        ):
            assert await found(journal, "note", **only) == ["old"], only
            assert await found(journal, "needle", **only) == ["old"], only
            assert await found(journal, "needle no7z", **only) == [], only
        assert await found(journal, "note", statuses=frozenset({"succeeded"})) == ["r0005"]
        assert await found(journal, "needle", workflow="letters") == []
        assert await found(journal, "note", tags={"color": "green"}) == ["r0003"]
        assert await found(journal, "note", tags={"color": "red"}) == []
        assert await found(journal, "note", pool="other") == []
        assert await found(journal, "needle", started_since=LATER) == []
        assert await found(journal, "needle", started_until=LATER) == ["old"]

    @scenario
    async def test_no_search_finds_what_was_deleted(self, journals: Journals) -> None:
        journal = await journals.open()
        await many(journal, 0, 900)
        assert await found(journal, "no42z") == ["r0042"]
        gone = ["r0042", "r0899"]
        assert sorted(await journal.delete(gone, ended_before=LATER)) == gone
        assert (await found(journal, "no42z"), await found(journal, "no899z")) == ([], [])
        assert await found(journal, "no43z") == ["r0043"]
        archive = await journal.export("r0043")
        assert await journal.prune(LATER) == 898
        assert await found(journal, "note") == []
        await journal.import_(archive)
        assert await found(journal, "no43z") == ["r0043"]


async def found(journal: Journal, text: str, **only: Any) -> Sequence[str]:
    """Return the ids of the runs that a search finds, in their order."""
    return [each.run_id for each in await journal.runs(RunQuery(search=text, **only))]


async def many(
    journal: Journal,
    first: int,
    end: int,
    *,
    tags: dict[str, str] | None = None,
    ended: bool = True,
) -> None:
    """Create runs in order: the words of ``r0007`` are ``note`` and ``no7z``, and so on."""
    keys = RunKeys(tags=tags) if tags else None

    async def one(number: int) -> None:
        run_id = f"r{number:04d}"
        given = {"text": f"note no{number}z"}
        ownership = await journal.create(started(run_id, input=given, keys=keys))
        if ended:
            await journal.append(ownership, [finished(run_id)])

    for start in range(first, end, 100):
        await asyncio.gather(*map(one, range(start, min(start + 100, end))))
