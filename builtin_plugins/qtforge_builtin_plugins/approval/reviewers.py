"""reviewers: choose the reviewer of a document, and the next one when a review is overdue."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec

from qtforge_builtin_plugins.approval.choosing import Choice, Past, Staff, Strategy, choose
from qtforge_builtin_plugins.approval.messages import (
    Person,
    ReviewerAssigned,
    ReviewerRelease,
    ReviewerReleased,
    ReviewerRequest,
)
from qtforge_sdk import OperationContext, Plugin, PluginContext, operation

if TYPE_CHECKING:
    from qtforge_builtin_plugins.approval.assignments import Assignments

__all__ = ["Reviewers", "ReviewersConfig"]


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reviewer with a name, an address, or both.

    Attributes:
        name: The reviewer's name.
        email: Where notifications go to.
    """

    name: str = ""
    email: str = ""

    def __post_init__(self) -> None:
        if not (self.name.strip() or self.email.strip()):
            raise ValueError("a reviewer must have a name or an email")


class ReviewersConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of reviewers.

    Attributes:
        reviewers: The reviewers, in order.
        escalation: The escalation chain: an overdue review goes to each one after the other;
            without a chain, to the next reviewer.
        strategy: ``round_robin`` (one after the other) or ``least_loaded``.
    """

    reviewers: tuple[Member, ...] = ()
    escalation: tuple[Member, ...] = ()
    strategy: Strategy = "round_robin"


class Reviewers(Plugin):
    """Chooses reviewers, and stores their open reviews."""

    placement = "one node"
    Config = ReviewersConfig
    config: ReviewersConfig
    _assignments: Assignments

    async def start(self, context: PluginContext) -> None:
        """Prepare the store of assignments."""
        from qtforge_builtin_plugins.approval.assignments import Assignments  # imports sqlite3

        self._assignments = Assignments(context.data_dir / "assignments.sqlite")

    @operation("reviewer.assign", trylast=True)
    def assign(self, request: ReviewerRequest, context: OperationContext) -> ReviewerAssigned:
        """Choose a reviewer; a step that runs again gets the same answer.

        Raises:
            OperationError: ``reviewer.store``.
        """
        staff = Staff(_people(self.config.reviewers), _people(self.config.escalation),
                      self.config.strategy)  # fmt: skip

        def chosen(past: Past) -> Choice:
            return choose(request, staff, past)

        key = context.idempotency_key or uuid.uuid4().hex
        found = self._assignments.assign(key, request.request_id, chosen)
        return ReviewerAssigned(
            reviewer=found.person, reason=found.reason, escalated=found.escalated
        )

    @operation("reviewer.release", trylast=True)
    def release(self, request: ReviewerRelease) -> ReviewerReleased:
        """End a review.

        Raises:
            OperationError: ``reviewer.store``.
        """
        return ReviewerReleased(released=self._assignments.release(request.request_id))


def _people(members: tuple[Member, ...]) -> list[Person]:
    return [Person(name=each.name, email=each.email) for each in members]
