"""A run that changes while it is looked at is shown as one state."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qtforge_host.api.snapshots import look
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.journal.sqlite import SqliteJournal
from qtforge_sdk.journal import InboxMessage, RunSummary
from qtforge_sdk.records import ChildStarted, RunAmended, RunPaused, RunWaiting
from qtforge_sdk.testing._journal_scenarios import NOW, finished, keep, started


class Changing(MemoryJournal):
    """A journal whose run is paused between two reads."""

    async def summary(self, run_id: str) -> RunSummary:
        found = await super().summary(run_id)
        if found.status == "running":
            ownership = await self.claim(run_id)
            await self.append(ownership, [RunPaused(run_id=run_id, at=NOW)])
            await self.release(ownership)
        return found


def test_the_status_of_a_run_is_that_of_the_records_that_are_shown() -> None:
    async def main() -> None:
        journal = Changing()
        await keep(journal, started())
        found = await look(journal, "run")
        assert (found.status, found.state.status, found.stands_still) == ("paused", "paused", True)
        assert found.document().status == "paused"
        await journal.close()

    asyncio.run(main())


def test_a_run_in_a_log_says_which_it_is_and_not_what_is_in_it() -> None:
    async def main() -> None:
        journal = MemoryJournal()
        await journal.release(await keep(journal, started(input={"word": "private"})))
        found = await look(journal, "run")
        assert str(found) == ("RunSnapshot(run_id='run', workflow='letters', status='interrupted')")
        await journal.close()

    asyncio.run(main())


def test_a_run_is_shown_with_its_parent_and_its_children() -> None:
    async def main() -> None:
        journal = MemoryJournal()
        child = ChildStarted(run_id="run", at=NOW, step="ask", child_run_id="below")
        await keep(journal, started(), child)
        below = started("below", parent="run", parent_step="ask")
        await keep(journal, below, finished("below", "failed"))
        await keep(journal, started("beside", parent="run"))
        document = (await look(journal, "run")).document()
        assert (document.parent, document.parent_step) == (None, None)
        assert [(each.run_id, each.step, each.status) for each in document.children] == [
            ("below", "ask", "failed"),
            ("beside", None, "running"),
        ]
        document = (await look(journal, "below")).document()
        assert (document.parent, document.parent_step) == ("run", "ask")
        assert document.children == []
        await journal.close()

    asyncio.run(main())


def test_a_run_whose_process_has_died_is_interrupted() -> None:
    async def main() -> None:
        journal = MemoryJournal()
        await journal.release(await keep(journal, started()))
        assert (await look(journal, "run")).status == "interrupted"
        await journal.close()

    asyncio.run(main())


def test_a_run_that_rests_in_the_middle_of_its_code_is_not_at_rest_for_who_waits_for_it() -> None:
    async def main() -> None:
        journal = MemoryJournal()
        ownership = await keep(journal, started())
        await journal.append(ownership, [RunWaiting(run_id="run", at=NOW)])
        await journal.release(ownership)
        found = await look(journal, "run")
        assert (found.status, found.rests) == ("waiting", False)
        await journal.close()

    asyncio.run(main())


@pytest.mark.parametrize("read", ["in time", "too late"])
def test_an_amendment_that_an_ended_run_did_not_make_is_refused_in_its_history(
    read: str, tmp_path: Path
) -> None:
    async def main() -> None:
        for journal in (MemoryJournal(), SqliteJournal(tmp_path)):
            await journal.open()
            ownership = await keep(journal, started())
            message = InboxMessage(message_id="m1", kind="amend", at=NOW, data={}, by="ada")
            await journal.post("run", message)
            amended = RunAmended(run_id="run", at=NOW, message_id="m1", definition={}, patch=[])
            if read == "in time":
                await journal.append(ownership, [amended])
            assert (await look(journal, "run")).late == ()
            await journal.append(ownership, [finished()])
            shown = (await look(journal, "run")).document().history
            told = [each.text for each in shown if "nothing was to come any more" in each.text]
            assert len(told) == (read == "too late")
            await journal.close()

    asyncio.run(main())
