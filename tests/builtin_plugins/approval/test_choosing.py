"""Who is chosen to review, and who never is."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from qtforge_builtin_plugins.approval.choosing import Choice, Past, Staff, Strategy, choose
from qtforge_builtin_plugins.approval.messages import Person, ReviewerRequest

ANNA = Person(name="Anna", email="anna@example.org")
BEN = Person(name="Ben", email="ben@example.org")
CHIEF = Person(name="Chief", email="chief@example.org")
HEAD = Person(name="Head", email="head@example.org")


def chosen(
    request: ReviewerRequest,
    *,
    escalation: tuple[Person, ...] = (CHIEF, HEAD),
    strategy: Strategy = "round_robin",
    last: Mapping[str, int] | None = None,
    load: Mapping[str, int] | None = None,
    asked: frozenset[str] = frozenset(),
) -> Choice:
    return choose(
        request, Staff((ANNA, BEN), escalation, strategy), Past(last or {}, load or {}, asked)
    )


def ask(
    submitter: Person | None = None, escalation: int = 0, prefer: Person | None = None
) -> ReviewerRequest:
    return ReviewerRequest(
        request_id="r", submitter=submitter or Person(), escalation=escalation, prefer=prefer
    )


def test_reviewers_take_turns() -> None:
    assert chosen(ask()).person == ANNA
    assert chosen(ask(), last={"anna@example.org": 1}).person == BEN
    assert chosen(ask(), last={"anna@example.org": 1, "ben@example.org": 2}).person == ANNA


def test_the_least_loaded_is_who_has_the_fewest_open_reviews() -> None:
    load = {"anna@example.org": 3, "ben@example.org": 2}
    found = chosen(ask(), strategy="least_loaded", load=load)
    assert (found.person, found.reason) == (BEN, "with the fewest open reviews (2)")


@pytest.mark.parametrize(
    "submitter",
    [Person(email=" ANNA@example.org"), Person(name="anna"), ANNA],
    ids=["by address", "by name", "by both"],
)
def test_nobody_reviews_what_they_handed_in(submitter: Person) -> None:
    assert chosen(ask(submitter)).person == BEN
    assert chosen(ask(submitter, prefer=ANNA)).person == BEN


def test_nobody_is_asked_about_their_own_document_by_the_escalation_either() -> None:
    assert chosen(ask(CHIEF, escalation=1)).person == HEAD


def test_the_escalation_goes_along_the_chain_and_stays_at_its_end() -> None:
    found = [chosen(ask(escalation=number)) for number in (1, 2, 3)]
    assert [each.person for each in found] == [CHIEF, HEAD, HEAD]
    assert all(each.escalated for each in found)


def test_without_a_chain_the_next_reviewer_is_asked_and_then_all_again() -> None:
    asked = frozenset({"anna@example.org"})
    assert chosen(ask(escalation=1), escalation=(), asked=asked).person == BEN
    everybody = chosen(
        ask(escalation=2), escalation=(), asked=frozenset({"anna@example.org", "ben@example.org"})
    )
    assert everybody.person == ANNA
    assert "all reviewers have been asked" in everybody.reason


def test_who_reviewed_it_before_reviews_it_again() -> None:
    found = chosen(ask(prefer=BEN))
    assert (found.person, found.reason) == (BEN, "reviewed it before")
    assert chosen(ask(prefer=CHIEF)).person == CHIEF
    assert chosen(ask(prefer=Person(name="Gone"))).person == ANNA


def test_with_no_reviewers_nobody_is_chosen_and_the_reason_is_told() -> None:
    found = choose(ask(), Staff((), (), "round_robin"), Past({}, {}, frozenset()))
    assert (found.person, found.reason) == (None, "no reviewers are configured")
    alone = choose(ask(ANNA), Staff((ANNA,), (), "round_robin"), Past({}, {}, frozenset()))
    assert (alone.person, alone.reason) == (None, "the only reviewer is the submitter")
