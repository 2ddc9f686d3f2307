"""E-mail (RFC 5322 with MIME), by the standard library: the text part, and the headers."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage, MIMEPart
from typing import Final

from qtforge_builtin_plugins.documents.formats import Extracted, Source
from qtforge_builtin_plugins.documents.formats.plain import decode
from qtforge_sdk import OperationError

__all__ = ["extract"]

_ENCRYPTED: Final = frozenset({"multipart/encrypted", "application/pkcs7-mime"})


def extract(source: Source) -> Extracted:
    """Return the message's text; the subject is the title, the sender the author.

    A plain text part is preferred, an HTML part is converted. The names of attachments are
    at the end; their content is not read.

    Raises:
        OperationError: ``document.encrypted``, ``document.damaged``, ``document.undecodable``.
    """
    data = source.data
    if not data.isascii() and b"\0" in data:  # saved as UTF-16; mail itself is 8-bit
        data = decode(data, source.encoding, source.name)[0].encode()
    try:
        message = email.message_from_bytes(data, policy=email.policy.default)
        if message.get_content_type() in _ENCRYPTED:
            raise OperationError(
                "document.encrypted", f"{source.name} is encrypted",
                "only the recipient's key opens this message", "save it decrypted first",
            )  # fmt: skip
        return _extracted(message, source)
    except OperationError:
        raise
    except Exception as error:
        raise OperationError(
            "document.damaged", f"{source.name} is damaged", f"{type(error).__name__}: {error}",
            "get a complete copy of it",
        ) from error  # fmt: skip


def _extracted(message: EmailMessage, source: Source) -> Extracted:
    body = message.get_body(preferencelist=("plain", "html"))
    text, encoding = _part_text(body, source) if body is not None else ("", None)
    attachments = [part.get_filename() or part.get_content_type() for part in _attachments(message)]
    if attachments:
        text = f"{text.rstrip()}\n\nAttachments: {', '.join(attachments)}"
    date = message["date"]
    return Extracted(
        text=text,
        title=_header(message, "subject"),
        author=_header(message, "from"),
        created=date.datetime.isoformat() if date is not None and date.datetime else None,
        encoding=encoding,
    )


def _attachments(message: EmailMessage) -> list[EmailMessage]:
    # iter_attachments() raises for a multipart type without parts, as cut-off mail has.
    if not message.is_multipart():
        return []
    return [
        part
        for part in message.walk()
        if isinstance(part, EmailMessage)
        and (part.is_attachment() or (part.get_filename() and not part.is_multipart()))
    ]


def _part_text(part: MIMEPart, source: Source) -> tuple[str, str | None]:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    charset = source.encoding or part.get_content_charset()
    try:
        text, encoding = decode(data, charset, source.name)
    except OperationError:
        if source.encoding is not None:
            raise
        text, encoding = decode(data, None, source.name)  # a wrong charset header is common
    if part.get_content_type() == "text/html":
        from selectolax.lexbor import LexborHTMLParser  # most messages have a plain part

        from qtforge_builtin_plugins.documents.formats.html import to_text

        text = to_text(LexborHTMLParser(text))
    return text, encoding


def _header(message: EmailMessage, name: str) -> str | None:
    return str(message[name] or "").strip() or None
