"""Messages of the workflow ``document-approval``."""

from __future__ import annotations

import msgspec

from qtforge_sdk.messages import Document

__all__ = [
    "ArchiveReceipt",
    "ArchiveRequest",
    "Delivery",
    "NotificationRequest",
    "NotificationSent",
    "Person",
    "ReviewerAssigned",
    "ReviewerRelease",
    "ReviewerReleased",
    "ReviewerRequest",
    "ValidateRequest",
    "ValidatedDocument",
]


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A submitter, a reviewer or a recipient.

    Attributes:
        name: The name for display; may be "".
        email: The e-mail address, or "".
    """

    name: str = ""
    email: str = ""


class ReviewerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request a reviewer for a document.

    Attributes:
        request_id: Identifies the review in all of its requests.
        submitter: The submitter, who is never chosen.
        document_name: The name for display.
        escalation: The number of reviewers who have not answered in time; above 0 requests
            the next one.
        prefer: The earlier reviewer, who is chosen again where that is possible.
    """

    request_id: str
    submitter: Person = Person()
    document_name: str = ""
    escalation: int = 0
    prefer: Person | None = None


class ReviewerAssigned(msgspec.Struct, frozen=True, kw_only=True):
    """The assigned reviewer.

    Attributes:
        reviewer: The reviewer; None when none is available.
        reason: Why this one, for the reader.
        escalated: Whether the reviewer is from the escalation chain.
    """

    reviewer: Person | None
    reason: str
    escalated: bool = False


class ReviewerRelease(msgspec.Struct, frozen=True, kw_only=True):
    """End a review, so that it no longer counts as its reviewer's load."""

    request_id: str


class ReviewerReleased(msgspec.Struct, frozen=True, kw_only=True):
    """The number of assignments that ended; 0 when all had ended before."""

    released: int


class NotificationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Send a notification.

    Attributes:
        recipient: The recipient; without one, or without an address, only the log is written.
        subject: One line.
        text: The message.
    """

    recipient: Person | None = None
    subject: str
    text: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """The delivery of a notification on one channel.

    Attributes:
        channel: ``log`` or ``email``.
        delivered: Whether the channel accepted it.
        detail: The address, or why it was not delivered.
    """

    channel: str
    delivered: bool
    detail: str = ""


class NotificationSent(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that was sent.

    Attributes:
        message_id: The e-mail's ``Message-ID``; the same for the same step of a run.
        deliveries: One for each channel, in the order of the configuration.
    """

    message_id: str
    deliveries: list[Delivery]


class ValidateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Request a check of whether a document can be archived later."""

    document: Document


class ValidatedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document that exists and is readable.

    Attributes:
        name: The file's name.
        sha256: The SHA-256 of the content, in hexadecimal digits.
        size_bytes: The size of the content.
    """

    name: str
    sha256: str
    size_bytes: int


class ArchiveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Archive a document.

    Attributes:
        document: The file.
        sha256: The SHA-256 that the content must have, so that only the approved content is
            archived; None to accept any content.
        approved_by: The approver, as text.
        comment: The approver's comment.
        request_id: Identifies the review.
    """

    document: Document
    sha256: str | None = None
    approved_by: str = ""
    comment: str = ""
    request_id: str = ""


class ArchiveReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt of an archived document.

    Attributes:
        name: The file's name when it was archived.
        sha256: The SHA-256 of the content, in hexadecimal digits.
        size_bytes: The size of the content.
        path: The path of the copy.
        archived_at: ISO 8601, UTC.
        approved_by: As in the request.
        comment: As in the request.
        request_id: As in the request.
        new_content: False when the same content was in the archive already.
    """

    name: str
    sha256: str
    size_bytes: int
    path: str
    archived_at: str
    approved_by: str = ""
    comment: str = ""
    request_id: str = ""
    new_content: bool = True
