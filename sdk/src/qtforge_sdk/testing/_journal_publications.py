"""The part of the journal contract about publications that wait for their listeners."""
# ruff: noqa: S101 - these are tests: they assert, and their names are their text

from __future__ import annotations

import asyncio
import datetime
from typing import Any

import pytest

from qtforge_sdk.journal import PUBLICATION_AGE, Journal, Publication
from qtforge_sdk.journal_errors import RecordNotStorableError
from qtforge_sdk.testing._journal_scenarios import NOW, Journals, scenario

__all__ = ["PublicationContract"]


def published(
    message_id: str, topic: str = "order.paid", message: Any = None, *, after_s: float = 0.0
) -> Publication:
    """Return a publication."""
    at = NOW + datetime.timedelta(seconds=after_s)
    return Publication(message_id=message_id, topic=topic, message=message, at=at)


async def stored(journal: Journal, listener: str = "serve") -> list[str]:
    """Return the ids of what is stored for a listener."""
    found = await journal.publications(listener)
    return [each.publication.message_id for each in found if each.publication is not None]


class PublicationContract:
    """Publications on topics with listeners."""

    @scenario
    async def test_a_publication_is_stored_for_those_who_listen_to_its_topic(
        self, journals: Journals
    ) -> None:
        serve, other = await journals.open(), await journals.open()
        await serve.listen("serve", ["order.*", "user.>"])
        await serve.listen("audit", [">"])
        assert await other.publish(published("p1", message={"a": [1, "ü"]})) == 2
        assert await other.publish(published("p2", "user.a.b")) == 2
        assert await other.publish(published("p3", "order.a.b")) == 1
        assert await stored(serve) == ["p1", "p2"]
        assert await stored(serve, "audit") == ["p1", "p2", "p3"]
        first, second = await serve.publications("serve")
        assert first.publication == published("p1", message={"a": [1, "ü"]})
        assert first.position < second.position
        assert [each.position for each in await serve.publications("serve", 1)] == [first.position]

    @scenario
    async def test_nothing_is_stored_where_nobody_listens(self, journals: Journals) -> None:
        journal = await journals.open()
        assert await journal.publish(published("p1")) == 0
        await journal.listen("serve", ["user.*"])
        assert await journal.publish(published("p2")) == 0
        assert await journal.publish(published("p3", "user.a"), but="serve") == 0
        assert not await stored(journal)

    @scenario
    async def test_a_publication_with_the_id_of_a_stored_one_is_stored_once(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await journal.listen("serve", ["order.*"])
        for _ in range(2):
            await journal.publish(published("p1"))
        assert await stored(journal) == ["p1"]

    @scenario
    async def test_what_was_received_is_removed_and_the_rest_waits(
        self, journals: Journals
    ) -> None:
        serve, other = await journals.open(), await journals.open()
        await serve.listen("serve", ["order.*"])
        await serve.listen("audit", ["order.*"])
        for number in range(3):
            await other.publish(published(f"p{number}"))
        await serve.remove_publications("serve", (await serve.publications("serve"))[1].position)
        assert await stored(serve) == ["p2"]
        assert await stored(serve, "audit") == ["p0", "p1", "p2"]

    @scenario
    async def test_a_listener_outlives_its_process_and_can_change_its_topics(
        self, journals: Journals
    ) -> None:
        serve, other = await journals.open(), await journals.open()
        await serve.listen("serve", ["order.*"])
        await serve.close()
        await other.publish(published("p1"))
        again = await journals.open()
        await again.listen("serve", ["user.*"])
        await other.publish(published("p2"))
        await other.publish(published("p3", "user.a"))
        assert await stored(again) == ["p1", "p3"]
        await again.listen("serve", [])
        assert await stored(again) == []
        assert await other.publish(published("p4", "user.a")) == 0

    @scenario
    async def test_the_oldest_are_dropped_where_there_are_too_many_or_too_old_ones(
        self, journals: Journals
    ) -> None:
        journal = await journals.open()
        await journal.listen("serve", ["order.*"], capacity=3)
        for number in range(5):
            await journal.publish(published(f"p{number}"))
        assert await stored(journal) == ["p2", "p3", "p4"]
        late_s = PUBLICATION_AGE.total_seconds()
        await journal.publish(published("p5", after_s=late_s))
        assert await stored(journal) == ["p3", "p4", "p5"]
        await journal.publish(published("p6", after_s=late_s + 1))
        assert await stored(journal) == ["p5", "p6"]
        journal.publication_age = datetime.timedelta(seconds=5)
        await journal.publish(published("p7", after_s=late_s + 6))
        assert await stored(journal) == ["p6", "p7"]

    @scenario
    async def test_a_publication_of_another_process_wakes_who_waits(
        self, journals: Journals
    ) -> None:
        serve, other = await journals.open(), await journals.open()
        await serve.listen("serve", ["order.*"])
        while await serve.changed(0.2):
            pass
        waiting = asyncio.ensure_future(serve.changed(10))
        await asyncio.sleep(0.01)
        await other.publish(published("p1", message="x" * 400_000))
        assert await waiting
        ((_, found),) = await serve.publications("serve")
        assert found == published("p1", message="x" * 400_000)

    @scenario
    async def test_a_publication_that_has_no_encoding_is_refused(self, journals: Journals) -> None:
        journal = await journals.open()
        await journal.listen("serve", ["order.*"])
        with pytest.raises(RecordNotStorableError):
            await journal.publish(published("p1", message=object()))
        assert not await stored(journal)
