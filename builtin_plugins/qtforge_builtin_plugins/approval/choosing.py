"""Choose a reviewer, without input or output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from qtforge_builtin_plugins.approval.messages import Person, ReviewerRequest

__all__ = ["Choice", "Past", "Staff", "Strategy", "choose", "identity"]

Strategy = Literal["round_robin", "least_loaded"]


class Staff(NamedTuple):
    """The people to choose from.

    Attributes:
        reviewers: The reviewers, in order.
        escalation: The escalation chain.
        strategy: How a reviewer is chosen.
    """

    reviewers: Sequence[Person]
    escalation: Sequence[Person]
    strategy: Strategy


class Past(NamedTuple):
    """The earlier assignments.

    Attributes:
        last: A number that grows with the time of the last assignment, by `identity`.
        open: The number of open reviews, by `identity`.
        asked: The people to whom this review was assigned before, by `identity`.
    """

    last: Mapping[str, int]
    open: Mapping[str, int]
    asked: frozenset[str]


class Choice(NamedTuple):
    """The chosen person, or None, and the reason."""

    person: Person | None
    reason: str
    escalated: bool = False


def identity(person: Person) -> str:
    """Return what identifies a person: the address, or else the name.

    >>> identity(Person(name="Ada", email="Ada@Example.org"))
    'ada@example.org'
    """
    return (person.email or person.name).strip().casefold()


def choose(request: ReviewerRequest, staff: Staff, past: Past) -> Choice:
    """Choose a reviewer, but never the submitter.

    Returns:
        For an escalation the next person of the chain, and at its end the last one again;
        otherwise, or without a chain, a reviewer by the strategy.
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
        why = "the only reviewer is the submitter" if known else "no reviewers are configured"
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
        return Choice(min(able, key=longest_ago), "next in turn")

    def load(person: Person) -> tuple[int, int]:
        return past.open.get(identity(person), 0), longest_ago(person)

    found = min(able, key=load)
    return Choice(found, f"with the fewest open reviews ({load(found)[0]})")


def _others(people: Iterable[Person], submitter: Person) -> list[Person]:
    """Return the people who share neither name nor address with the submitter."""
    known = {text.strip().casefold() for text in _words(submitter)}
    return [
        person
        for person in people
        if not known & {text.strip().casefold() for text in _words(person)}
    ]


def _words(person: Person) -> list[str]:
    """Return the name and the address, as far as they are given."""
    return [text for text in (person.name, person.email) if text.strip()]
