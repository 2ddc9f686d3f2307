"""Who reviews a document: a choice among people, without input or output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from qtforge_builtin_plugins.approval.messages import Person, ReviewerRequest

__all__ = ["Choice", "Past", "Staff", "Strategy", "choose", "identity"]

Strategy = Literal["round_robin", "least_loaded"]


class Staff(NamedTuple):
    """Who there is.

    Attributes:
        reviewers: Those that documents are given to, in order.
        escalation: Those that are asked one after the other when nobody answers.
        strategy: How a reviewer is chosen.
    """

    reviewers: Sequence[Person]
    escalation: Sequence[Person]
    strategy: Strategy


class Past(NamedTuple):
    """What was assigned before.

    Attributes:
        last: When each was assigned last, as a growing number, by `identity`.
        open: How many reviews each has now, by `identity`.
        asked: Those that this review was given to already, by `identity`.
    """

    last: Mapping[str, int]
    open: Mapping[str, int]
    asked: frozenset[str]


class Choice(NamedTuple):
    """Who it is, or None, and why."""

    person: Person | None
    reason: str
    escalated: bool = False


def identity(person: Person) -> str:
    """Return what tells a person from others: the address, or else the name.

    >>> identity(Person(name="Ada", email="Ada@Example.org"))
    'ada@example.org'
    """
    return (person.email or person.name).strip().casefold()


def choose(request: ReviewerRequest, staff: Staff, past: Past) -> Choice:
    """Choose a reviewer; never who has handed the document in.

    Returns:
        For an escalation the next of the chain, and at its end the last one again; without
        a chain, and otherwise, a reviewer by the strategy.
    """
    chain = _others(staff.escalation, request.submitter)
    if request.escalation > 0 and chain:
        place = min(request.escalation, len(chain))
        end = ", the last" if request.escalation >= len(chain) else ""
        reason = f"number {place}{end} of the escalation chain"
        return Choice(chain[place - 1], reason, escalated=True)
    able = _others(staff.reviewers, request.submitter)
    if not able:
        known = bool(staff.reviewers)
        why = "the only reviewer handed it in" if known else "no reviewers are configured"
        return Choice(None, why)
    if request.escalation > 0:
        return _next(able, staff.strategy, past)
    again = identity(request.prefer) if request.prefer is not None else ""
    for person in (*able, *chain):
        if again and identity(person) == again:
            return Choice(person, "reviewed it before")
    return _by_strategy(able, staff.strategy, past)


def _next(able: list[Person], strategy: Strategy, past: Past) -> Choice:
    fresh = [person for person in able if identity(person) not in past.asked]
    found, reason, _ = _by_strategy(fresh or able, strategy, past)
    again = "" if fresh else "; all reviewers have been asked"
    return Choice(found, f"the next reviewer, {reason}{again}", escalated=True)


def _by_strategy(able: list[Person], strategy: Strategy, past: Past) -> Choice:
    def longest_ago(person: Person) -> int:
        return past.last.get(identity(person), 0)

    if strategy == "round_robin":
        return Choice(min(able, key=longest_ago), "whose turn it is")

    def load(person: Person) -> tuple[int, int]:
        return past.open.get(identity(person), 0), longest_ago(person)

    found = min(able, key=load)
    return Choice(found, f"with the fewest open reviews ({load(found)[0]})")


def _others(people: Iterable[Person], submitter: Person) -> list[Person]:
    """Leave out who has one of the submitter's name and address."""
    known = {text.strip().casefold() for text in _words(submitter)}
    return [
        person
        for person in people
        if not known & {text.strip().casefold() for text in _words(person)}
    ]


def _words(person: Person) -> list[str]:
    """Return the words by which somebody may be known."""
    return [text for text in (person.name, person.email) if text.strip()]
