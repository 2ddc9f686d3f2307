"""What the plugins of the workflow ``document-approval`` are asked and answer."""

from __future__ import annotations

import msgspec

from qtforge_sdk.messages.parsing import Document

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
    """Somebody who hands in, reviews or is told.

    Attributes:
        name: For people; may be "".
        email: An address; "" where there is none.
    """

    name: str = ""
    email: str = ""


class ReviewerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks who is to review a document.

    Attributes:
        request_id: Names the review; all that is asked about it has the same.
        submitter: Who handed it in; is never chosen.
        document_name: For people.
        escalation: How often nobody has answered so far; above 0 asks for the next one.
        prefer: Who reviewed it before; is chosen again where that is possible.
    """

    request_id: str
    submitter: Person = Person()
    document_name: str = ""
    escalation: int = 0
    prefer: Person | None = None


class ReviewerAssigned(msgspec.Struct, frozen=True, kw_only=True):
    """Who is to review.

    Attributes:
        reviewer: Who it is; None when there is nobody to choose.
        reason: Why, in words.
        escalated: Whether it is somebody of the escalation chain.
    """

    reviewer: Person | None
    reason: str
    escalated: bool = False


class ReviewerRelease(msgspec.Struct, frozen=True, kw_only=True):
    """Tells that a review is over: it is no load to anybody any more."""

    request_id: str


class ReviewerReleased(msgspec.Struct, frozen=True, kw_only=True):
    """How many assignments have ended by that; 0 when they had before."""

    released: int


class NotificationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to tell somebody something.

    Attributes:
        recipient: Who; None and one without an address are told in the log alone.
        subject: One line.
        text: The message.
    """

    recipient: Person | None = None
    subject: str
    text: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a notification on one channel.

    Attributes:
        channel: ``log`` or ``email``.
        delivered: Whether it was handed over.
        detail: To whom, or why not.
    """

    channel: str
    delivered: bool
    detail: str = ""


class NotificationSent(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that went out.

    Attributes:
        message_id: The e-mail's ``Message-ID``; the same for the same step of a run.
        deliveries: One for each channel, in the order of the configuration.
    """

    message_id: str
    deliveries: list[Delivery]


class ValidateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks whether a document can be archived later."""

    document: Document


class ValidatedDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A document that is there and can be read.

    Attributes:
        name: The file's name.
        sha256: The content's identity, in hexadecimal digits.
        size_bytes: Its size.
    """

    name: str
    sha256: str
    size_bytes: int


class ArchiveRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Asks to keep a document for good.

    Attributes:
        document: The file.
        sha256: What its content must be, so that nothing but what was approved is kept;
            None for whatever it is.
        approved_by: Who approved it, in words.
        comment: What they said.
        request_id: Names the review.
    """

    document: Document
    sha256: str | None = None
    approved_by: str = ""
    comment: str = ""
    request_id: str = ""


class ArchiveReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """Says that a document is in the archive.

    Attributes:
        name: The file's name when it was archived.
        sha256: The content's identity, in hexadecimal digits.
        size_bytes: Its size.
        path: Where the copy is.
        archived_at: ISO 8601, UTC.
        approved_by: As it was asked.
        comment: As it was asked.
        request_id: As it was asked.
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
