"""Detect a document's media type by its content; the name is a hint for kinds of text only."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import BinaryIO, Final

from qtforge_builtin_plugins.documents.formats import (
    CSV,
    DOCX,
    EML,
    HTML,
    MARKDOWN,
    MBOX,
    MSG,
    PDF,
    PPTX,
    RTF,
    SVG,
    TEXT,
    XLS,
    XLSB,
    XLSX,
    XML,
)
from qtforge_sdk import OperationError

__all__ = ["HEAD_BYTES", "identify", "image_type"]

HEAD_BYTES: Final = 65_536
UNKNOWN: Final = "application/octet-stream"
_ZIP: Final = "application/zip"
_OLE: Final = "application/x-ole-storage"
# The beginning of the main part's name; Word and others number it now and then.
_PACKAGES: Final = {
    "word/document": DOCX,
    "xl/workbook.bin": XLSB,
    "xl/workbook": XLSX,
    "ppt/presentation": PPTX,
}
_STREAMS: Final = {
    "WordDocument": "application/msword",
    "Workbook": XLS,
    "Book": XLS,
    "PowerPoint Document": "application/vnd.ms-powerpoint",
}
_IMAGE_STARTS: Final = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
}
_XML_START: Final = re.compile(rb"\s*(?:<\?xml\b|<!--|<!DOCTYPE|<[A-Za-z_])")
_SVG_ROOT: Final = re.compile(
    rb"\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,4000}?-->\s*)*(?:<!DOCTYPE\s+svg[^>]{0,500}>\s*)?"
    rb"(?:<!--.{0,4000}?-->\s*)*<(?:svg:)?svg\b",
    re.DOTALL,
)
_XML_NAMES: Final = frozenset({".xml", ".svg"})
_TABLE_NAMES: Final = frozenset({".csv", ".tsv"})
_BOMS: Final = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# Tab, line feed, form feed, carriage return and escape are the controls that texts have.
_BINARY_BYTES: Final = bytes(set(range(32)) - {9, 10, 12, 13, 27}) + b"\x7f"
_HTML_START: Final = re.compile(
    rb"\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,4000}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_HTML_TAG: Final = re.compile(rb"<(?:p|div|table|h[1-6]|ul|ol|span|br|a|title)\b[^>]{0,500}>", re.I)
_HEADER: Final = re.compile(rb"([A-Za-z][A-Za-z0-9-]{1,60}):(?!//)")
# "From ann@example.com Mon Jan  5 10:00:00 2026", as in `formats.mbox`.
_ENVELOPE: Final = re.compile(
    rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From \S{1,200} .{0,40}\d:\d\d[^\r\n]{0,40}\r?\n"
)
_MAIL_TRACE: Final = frozenset(
    {b"from", b"date", b"received", b"return-path", b"message-id", b"delivered-to"}
)
_MAIL_ANY: Final = _MAIL_TRACE | {b"to", b"cc", b"subject", b"mime-version", b"content-type"}
_MARKDOWN_NAMES: Final = frozenset({".md", ".markdown", ".mdown", ".mkd"})
_HTML_NAMES: Final = frozenset({".html", ".htm", ".xhtml"})
_PLAIN_NAMES: Final = frozenset({"", ".txt", ".text"})
_MARKDOWN_SIGNS: Final = (
    re.compile(rb"^#{1,6} \S", re.M),
    re.compile(rb"^ {0,3}(?:```|~~~)", re.M),
    re.compile(rb"\[[^\]\n]{1,200}\]\([^)\s]{1,500}\)"),
    re.compile(rb"\*\*[^*\n]{1,200}\*\*"),
    re.compile(rb"^\|[ :|-]+\|\s*$", re.M),
)


def identify(file: BinaryIO, name: str) -> str:
    """Return the media type of an open file.

    Args:
        file: A seekable file, at its beginning.
        name: The file's name; decides only between kinds of text that look alike.

    Returns:
        ``application/octet-stream`` when nothing is recognised.

    Raises:
        OperationError: ``document.encrypted`` for an encrypted Office file.
    """
    head = file.read(HEAD_BYTES)
    if head.startswith(b"PK\x03\x04"):
        return _zipped(file)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{\\rtf"):
        return RTF
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _ole(head + file.read(), name)
    picture = image_type(head)
    if picture is not None:
        return picture
    if _is_text(head):
        if head.startswith(b"From ") and _is_mailbox(head + file.read()):
            return MBOX
        # PDF's header is ASCII, so a PDF may begin like text; a text that quotes the header
        # further down is not a PDF.
        start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        return PDF if start.startswith(b"%PDF-") else _text_kind(head, name)
    return PDF if b"%PDF-" in head[:1024] else _binary_kind(head)


def image_type(head: bytes) -> str | None:
    """Return the type of a picture that document-ocr reads, or None for anything else."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begin, kind in _IMAGE_STARTS.items() if head.startswith(begin)), None)


def _is_text(head: bytes) -> bool:
    if head.startswith(_BOMS):
        return True
    if b"\0" in head:
        return _is_wide_text(head)
    return head.translate(None, _BINARY_BYTES) == head


def _is_wide_text(head: bytes) -> bool:
    """Return whether it is UTF-16 without a mark: the zeros are on one side of each pair."""
    even, odd = head[0::2], head[1::2]
    for zeros, others in ((even, odd), (odd, even)):
        # Latin letters have a zero byte, Cyrillic ones a four; any script has some spaces.
        if zeros.count(0) >= 0.05 * len(zeros) and 0 not in others and max(zeros) < 0x30:
            return True
    return False


def _zipped(file: BinaryIO) -> str:
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
            for begin, kind in _PACKAGES.items():
                if any(name.startswith(begin) for name in names):
                    return kind
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                return archive.read("mimetype").decode("ascii", "replace").strip() or _ZIP
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError):
        # Its directory is missing or wrong; the first entries show whether it was a DOCX.
        file.seek(0)
        head = file.read(HEAD_BYTES)
        return DOCX if b"word/" in head or b"[Content_Types].xml" in head[:200] else _ZIP
    return _ZIP


def _ole(data: bytes, name: str) -> str:
    if "__substg1.0_".encode("utf-16-le") in data:
        return MSG  # before all others: its attachments may be of any kind
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise OperationError(
            "document.encrypted", f"{name} is encrypted",
            "it is an Office document that opens with a password only",
            "save it without a password first",
        )  # fmt: skip
    names = _streams(data)
    for stream, kind in _STREAMS.items():
        if stream in names if names else stream.encode("utf-16-le") in data:
            return kind
    return _OLE


def _streams(data: bytes) -> frozenset[str]:
    """Return the names of the streams at the top; none of a file that is damaged."""
    import olefile  # few documents are of such old formats

    try:
        with olefile.OleFileIO(data) as ole:
            return frozenset(path[0] for path in ole.listdir() if len(path) == 1)
    except (OSError, ValueError, IndexError, AttributeError, TypeError, struct.error):
        return frozenset()


def _binary_kind(head: bytes) -> str:
    import puremagic  # loads its table of signatures; texts, PDF and DOCX do not need it

    try:
        matches = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return UNKNOWN
    kinds = [match.mime_type for match in matches if match.mime_type]
    # Formats that can be parsed were detected above; a weak match must not bring them back.
    return kinds[0] if kinds and kinds[0] not in {PDF, DOCX} else UNKNOWN


def _text_kind(head: bytes, name: str) -> str:
    suffix = PurePosixPath(name.replace("\\", "/")).suffix.lower()
    text = _as_ascii(head)
    if _HTML_START.match(text) or (suffix in _HTML_NAMES and _HTML_TAG.search(text)):
        return HTML
    if _SVG_ROOT.match(text):
        return SVG
    if text.lstrip().startswith(b"<?xml") or (suffix in _XML_NAMES and _XML_START.match(text)):
        return XML
    if _is_mail(text, least_headers=1 if suffix == ".eml" else 2):
        return EML
    if suffix in _MARKDOWN_NAMES:
        return MARKDOWN
    if suffix in _TABLE_NAMES:
        return CSV
    signs = sum(sign.search(text) is not None for sign in _MARKDOWN_SIGNS)
    return MARKDOWN if suffix in _PLAIN_NAMES and signs >= 2 else TEXT


def _is_mailbox(data: bytes) -> bool:
    """Return whether it has more than one message, each after its envelope line."""
    return _ENVELOPE.match(data) is not None and len(_ENVELOPE.findall(data)) > 1


def _as_ascii(head: bytes) -> bytes:
    """Return the text's ASCII part, so that one pattern serves UTF-8 and UTF-16."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\xff\xfe").replace(b"\0", b"")


def _is_mail(text: bytes, least_headers: int) -> bool:
    """Return whether it begins with header fields, among them one that only mail has."""
    found: set[bytes] = set()
    for number, line in enumerate(text.splitlines()[:200]):
        if line[:1] in (b" ", b"\t") and number:
            continue
        if number == 0 and line.startswith(b"From "):  # the envelope line of mailbox files
            continue
        header = _HEADER.match(line)
        if header is None:
            break
        found.add(header.group(1).lower())
    known = found & _MAIL_ANY
    return len(known) >= least_headers and not known.isdisjoint(_MAIL_TRACE)
