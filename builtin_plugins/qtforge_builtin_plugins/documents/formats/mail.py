"""E-mail (RFC 5322 with MIME), by the standard library: the text, headers and attachments."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Callable, Iterator, Sequence
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from qtforge_builtin_plugins.documents.formats import EML, Extracted, Part, Source
from qtforge_builtin_plugins.documents.formats.errors import damage_as_error, encrypted_message
from qtforge_builtin_plugins.documents.formats.plain import Decoded, decode

__all__ = ["extract", "join_texts", "named_recipients", "read_header", "read_html"]

_ENCRYPTED: Final = frozenset({"multipart/encrypted", "application/pkcs7-mime"})
_REPORTS: Final = frozenset({"message/delivery-status", "message/disposition-notification"})
_MOST_NESTED: Final = 50
_MOST_RECIPIENTS: Final = 20
T = TypeVar("T")
# Mail programs declare an encoding and use its superset, as web pages do (WHATWG Encoding).
_SUPERSETS: Final = MappingProxyType(
    {"us-ascii": "utf-8", "ascii": "utf-8", "iso-8859-1": "windows-1252", "latin1": "windows-1252",
     "iso-8859-9": "windows-1254", "tis-620": "cp874", "gb2312": "gb18030", "gbk": "gb18030",
     "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "shift_jis": "cp932", "big5": "big5hkscs"}
)  # fmt: skip


class _Content(msgspec.Struct):
    """What a part of a message contains.

    Attributes:
        plain: Whether the text was written as plain text.
        texts: The texts in order.
        encoding: The encoding of the first text, or None.
        warnings: As in `Extracted`.
        parts: Attached messages and files.
    """

    plain: bool = False
    texts: list[str] = msgspec.field(default_factory=list)
    encoding: str | None = None
    warnings: dict[str, str] = msgspec.field(default_factory=dict)
    parts: list[Part] = msgspec.field(default_factory=list)

    def is_blank(self) -> bool:
        return not any(text.strip() for text in self.texts)

    def add(self, other: _Content) -> None:
        self.plain = self.plain or other.plain
        self.texts += other.texts
        self.encoding = self.encoding or other.encoding
        self.warnings.update(other.warnings)
        self.parts += other.parts


def extract(source: Source) -> Extracted:
    """Return the message's text; the subject is the title, the sender the author.

    The recipients are the names in ``To``, without those that are only an address.

    All texts are read in order; of alternatives the plain text, unless it is blank. Attached
    messages and files are ``parts``, and their names are at the end of the text.

    Raises:
        OperationError: ``document.encrypted``, ``document.damaged``, ``document.undecodable``.
    """
    data = source.data
    if b"\0" in data[:64]:  # saved as UTF-16; the headers of mail have no zeros
        data = decode(data, source.encoding, source.name).text.encode()
    with damage_as_error(source):
        message = email.message_from_bytes(data, policy=email.policy.default)
        if message.get_content_type() in _ENCRYPTED:
            raise encrypted_message(source)
        content = _read(message, source, 0)
    return Extracted(
        text=join_texts(content.texts, content.parts),
        title=read_header(message, "subject"),
        author=read_header(message, "from"),
        created=_date(message),
        encoding=content.encoding,
        recipients=named_recipients(_recipients(message)),
        warnings=content.warnings,
        parts=content.parts,
    )


def named_recipients(names: Sequence[str]) -> list[str]:
    """Return the first names of recipients that are no addresses."""
    return [name for name in names if name.strip() and "@" not in name][:_MOST_RECIPIENTS]


def _recipients(message: EmailMessage) -> Sequence[str]:
    def read() -> list[str]:
        # The parser of structured headers leaves the space between two encoded parts of a name.
        headers = [str(value) for key, value in message.raw_items() if key.lower() == "to"]
        names = (name for name, _ in getaddresses(headers))
        return [str(make_header(decode_header(name))) for name in names]

    return _safely(read) or []


def join_texts(texts: Sequence[str], parts: Sequence[Part]) -> str:
    """Return the texts of a message, and the names of its attachments."""
    text = "\n\n".join(text.strip("\r\n") for text in texts if text.strip())
    if not parts:
        return text
    return f"{text.rstrip()}\n\nAttachments: {', '.join(part.name for part in parts)}"


def read_html(data: bytes, charset: str | None, source: Source) -> Decoded:
    """Return the text of an HTML part."""
    from selectolax.lexbor import LexborHTMLParser  # most messages have a plain part

    from qtforge_builtin_plugins.documents.formats.html import declared_encoding, to_text

    decoded = _decode(data, charset or declared_encoding(data), source)
    return Decoded(
        text=to_text(LexborHTMLParser(decoded.text)),
        encoding=decoded.encoding,
        warnings=decoded.warnings,
    )


def _read(part: EmailMessage, source: Source, depth: int) -> _Content:
    kind = part.get_content_type()
    if kind == "message/rfc822" or depth > _MOST_NESTED:
        return _Content(parts=[_attached_message(part)])
    if part.is_multipart():
        children = [child for child in part.iter_parts() if isinstance(child, EmailMessage)]
        if kind in _REPORTS:
            return _Content(texts=["\n".join(_fields(child)) for child in children])
        contents = [_read(child, source, depth + 1) for child in children]
        if kind == "multipart/alternative":
            return _chosen(contents)
        joined = _Content()
        for content in contents:
            joined.add(content)
        return joined
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    if kind not in ("text/plain", "text/html") or _is_attached(part):
        name = _safely(part.get_filename)
        return _Content(parts=[Part(name=" ".join((name or kind).split()), data=data)])
    charset = _safely(part.get_content_charset)
    read = read_html if kind == "text/html" else _decode
    decoded = read(data, charset, source)
    return _Content(
        plain=kind == "text/plain",
        texts=[decoded.text],
        encoding=decoded.encoding,
        warnings=dict(decoded.warnings),
    )


def _chosen(contents: Sequence[_Content]) -> _Content:
    """Return the plain alternative, unless it is blank, with the attachments of all."""
    written = [content for content in contents if not content.is_blank()]
    chosen = next((content for content in written if content.plain), None)
    if chosen is None:
        chosen = written[-1] if written else _Content()  # the last one is the richest
    others = [part for content in contents if content is not chosen for part in content.parts]
    chosen.parts += others
    return chosen


def _is_attached(part: EmailMessage) -> bool:
    return bool(_safely(part.is_attachment) or _safely(part.get_filename))


def _attached_message(part: EmailMessage) -> Part:
    payload = part.get_payload()
    inner = payload[0] if isinstance(payload, list) and payload else None
    if not isinstance(inner, EmailMessage):
        return Part(name="message.eml", data=str(payload).encode("utf-8", "surrogateescape"))
    title = _safely(part.get_filename) or read_header(inner, "subject") or "message"
    name = " ".join(title.split())
    return Part(
        name=name if name.lower().endswith(".eml") else f"{name}.eml",
        # As it was: the default policy would parse and fold its headers anew.
        data=inner.as_bytes(policy=email.policy.compat32),
        media_type=EML,
    )


def _decode(data: bytes, charset: str | None, source: Source) -> Decoded:
    if source.encoding is not None:
        return decode(data, source.encoding, source.name)
    if charset is not None:
        charset = _SUPERSETS.get(charset.lower(), charset)
        try:
            return Decoded(text=str(data, charset), encoding=charset)
        except (LookupError, UnicodeError):
            pass  # a wrong declaration is common
    return decode(data, None, source.name)


def _fields(message: EmailMessage) -> Iterator[str]:
    for name in message.keys():  # noqa: SIM118 - a message has no iterator over its names
        yield f"{name}: {read_header(message, name) or ''}"


def read_header(message: EmailMessage, name: str) -> str | None:
    """Return the decoded text of a header; None without one."""
    raw = next(
        (str(value) for key, value in message.raw_items() if key.lower() == name.lower()), ""
    )
    if not raw.isascii():  # bytes of no declared encoding, which the parser kept as surrogates
        raw = decode(raw.encode("utf-8", "surrogateescape"), None, name).text
        return " ".join(raw.split()) or None
    value = _safely(lambda: str(message[name] or ""))
    return (raw if value is None else value).strip() or None


def _date(message: EmailMessage) -> str | None:
    def read() -> str | None:
        header = message["date"]
        return header.datetime.isoformat() if header is not None and header.datetime else None

    return _safely(read)


def _safely(read: Callable[[], T]) -> T | None:
    """Return what a reader of headers returns; None where the header is beyond it."""
    try:
        return read()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None  # email's parser of structured headers raises these for odd ones
