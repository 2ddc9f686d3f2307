"""Outlook messages (.msg), by python-oxmsg: the text, headers and attachments."""

from __future__ import annotations

from typing import Final

from oxmsg import Message
from oxmsg.attachment import Attachment
from oxmsg.domain import constants

from qtforge_builtin_plugins.documents.formats import Extracted, Part, Source
from qtforge_builtin_plugins.documents.formats.errors import damage_as_error, encrypted_message
from qtforge_builtin_plugins.documents.formats.mail import join_texts, named_recipients, read_html

__all__ = ["extract"]

_ENCRYPTED: Final = ("IPM.Note.SMIME", "IPM.Note.Secure")
_SIGNED: Final = "IPM.Note.SMIME.MultipartSigned"
_RTF: Final = 0x1009  # PidTagRtfCompressed


def extract(source: Source) -> Extracted:
    """Return the message's text; the subject is the title, the sender the author.

    The plain text is read, or the HTML where that is blank. A message that has only RTF, as
    very old versions of Outlook write it, has the warning ``rtf_only``.

    Raises:
        OperationError: ``document.encrypted``, ``document.damaged``.
    """
    with damage_as_error(source):
        message = Message.load(source.data)
        kind = message.message_class
        if kind.startswith(_ENCRYPTED) and not kind.startswith(_SIGNED):
            raise encrypted_message(source)
        text = message.body or ""
        if not text.strip():
            text = _html_text(message, source)
        parts = [_part(attachment) for attachment in message.attachments]
        sent = message.sent_date
        is_unread = not text.strip() and message.properties.binary_prop_value(_RTF) is not None
        return Extracted(
            text=join_texts([text], parts),
            title=message.subject.strip() or None,
            author=message.sender,
            created=sent.isoformat() if sent else None,
            recipients=named_recipients([each.name or "" for each in message.recipients]),
            warnings={"rtf_only": "its text is only there as RTF"} if is_unread else {},
            parts=parts,
        )


def _html_text(message: Message, source: Source) -> str:
    data = message.properties.binary_prop_value(constants.PID_HTML)
    if data:
        return read_html(data, None, source).text
    markup = message.properties.str_prop_value(constants.PID_BODY_HTML)
    return read_html(markup.encode(), "utf-8", source).text if markup else ""


def _part(attachment: Attachment) -> Part:
    name = attachment.file_name or attachment.mime_type or "attachment"
    return Part(name=" ".join(name.split()), data=attachment.file_bytes or b"")
