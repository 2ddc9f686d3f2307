"""The part of the journal contract about secrets, which are kept apart from the records."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import datetime

import pytest

from qtforge_sdk.journal import RunSecret
from qtforge_sdk.journal_errors import RecordNotStorableError, RunNotFoundError
from qtforge_sdk.testing._journal_scenarios import (
    NOW,
    Journals,
    finished,
    keep,
    scenario,
    started,
)

__all__ = ["SecretsContract"]

LATER = NOW + datetime.timedelta(days=1)


class SecretsContract:
    """What references in the records of a run stand for."""

    @scenario
    async def test_the_secrets_of_a_run_come_back_in_every_process(
        self, journals: Journals
    ) -> None:
        journal, other = await journals.open(), await journals.open()
        values = [None, True, 3, 2.5, "text\n~", b"\x00\xff", [1, {"a": ["b"]}], {"": "line\u2028"}]
        given = {f"r{place}": RunSecret(value=each) for place, each in enumerate(values)}
        await journal.store_secrets("a", {**given, "named": RunSecret(name="TOKEN")})
        await keep(journal, started("a"))
        for each in (journal, other):
            assert await each.secrets("a") == {**given, "named": RunSecret(name="TOKEN")}

    @scenario
    async def test_secrets_that_are_stored_later_are_added(self, journals: Journals) -> None:
        journal, other = await journals.open(), await journals.open()
        await keep(journal, started("a"))
        await keep(journal, started("b"))
        await asyncio.gather(
            *(
                each.store_secrets("a", {f"{name}{number}": RunSecret(value=number)})
                for name, each in (("x", journal), ("y", other))
                for number in range(20)
            )
        )
        assert len(await journal.secrets("a")) == 40
        assert await journal.secrets("b") == {}

    @scenario
    async def test_an_unknown_run_has_no_secrets(self, journals: Journals) -> None:
        journal = await journals.open()
        for run_id in ("none", "../none", ""):
            assert await journal.secrets(run_id) == {}

    @scenario
    async def test_a_secret_that_cannot_be_stored_is_refused(self, journals: Journals) -> None:
        journal = await journals.open()
        for run_id, value in (("a", object()), ("a", 1 << 70), ("../a", "text")):
            with pytest.raises(RecordNotStorableError):
                await journal.store_secrets(run_id, {"r": RunSecret(value=value)})
        assert await journal.secrets("a") == {}

    @scenario
    async def test_an_export_has_no_secrets_and_the_imported_run_says_which_are_missing(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await keep(journal, started("a"), finished("a"))
        await journal.store_secrets("a", {"r": RunSecret(value="only-here")})
        content = await journal.export("a")
        assert b"only-here" not in content
        await journal.prune(LATER)
        await journal.import_(content)
        assert await journal.secrets("a") == {"r": RunSecret(is_missing=True)}
        await journal.store_secrets("a", {"r": RunSecret(value="here again")})
        await journal.import_(content)
        assert await journal.secrets("a") == {"r": RunSecret(value="here again")}

    @scenario
    async def test_secrets_are_deleted_with_their_run(self, journals: Journals) -> None:
        journal = await journals.open()
        await keep(journal, started("old"), finished("old"))
        await keep(journal, started("live"))
        for run_id in ("old", "live", "begins"):
            await journal.store_secrets(run_id, {"r": RunSecret(value=run_id)})
        assert await journal.prune(LATER) == 1
        with pytest.raises(RunNotFoundError):
            await journal.summary("old")
        assert await journal.secrets("old") == {}
        for run_id in ("live", "begins"):  # the journal may hold the second one in a moment
            assert await journal.secrets(run_id) == {"r": RunSecret(value=run_id)}
