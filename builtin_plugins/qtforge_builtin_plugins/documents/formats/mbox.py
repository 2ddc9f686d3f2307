"""MBOX: a mailbox in one file (RFC 4155); each message is a document of its own."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from typing import Final

from qtforge_builtin_plugins.documents.formats import EML, Extracted, Part, Source
from qtforge_builtin_plugins.documents.formats.mail import read_header

__all__ = ["extract"]

# "From ann@example.com Mon Jan  5 10:00:00 2026", after an empty line or at the beginning.
_ENVELOPE: Final = re.compile(
    rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From \S{1,200} .{0,40}\d:\d\d[^\r\n]{0,40}\r?\n"
)
_QUOTED: Final = re.compile(rb"^>(>*From )", re.M)


def extract(source: Source) -> Extracted:
    """Return a list of the messages as text, and the messages as parts."""
    lines = []
    parts = []
    for number, data in enumerate(_messages(source.data), start=1):
        head = email.message_from_bytes(
            data.partition(b"\n\n")[0] if b"\n\n" in data else data[:65536],
            policy=email.policy.default,
        )
        subject = read_header(head, "subject") or "without a subject"
        sender = read_header(head, "from")
        lines.append(f"{number}. {subject}" + (f" ({sender})" if sender else ""))
        parts.append(Part(name=f"{number} {subject}.eml", data=data, media_type=EML))
    return Extracted(text="\n".join(lines), parts=parts)


def _messages(data: bytes) -> Iterator[bytes]:
    found = [match.span() for match in _ENVELOPE.finditer(data)]
    for index, (_, start) in enumerate(found):
        end = found[index + 1][0] if index + 1 < len(found) else len(data)
        yield _QUOTED.sub(rb"\1", data[start:end])
