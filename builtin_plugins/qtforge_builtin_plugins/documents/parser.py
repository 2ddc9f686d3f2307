"""document-parser: the text and the metadata of the formats in `formats`."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import re
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from qtforge_builtin_plugins.documents.formats import IMAGES, MODULES, Extracted, Part, Source
from qtforge_builtin_plugins.documents.identification import identify
from qtforge_builtin_plugins.documents.messages import OcrRequest, OcrResponse
from qtforge_builtin_plugins.documents.reading import opened, read
from qtforge_sdk import (
    Bus,
    Document,
    OperationContext,
    OperationError,
    Plugin,
    PluginContext,
    Proceed,
    operation,
)
from qtforge_sdk.errors import NoHandlerError, QtForgeError
from qtforge_sdk.messages import (
    Attachment,
    DocumentMetadata,
    ParseOptions,
    ParseRequest,
    ParseResponse,
    Section,
    UnreadPage,
)

__all__ = ["DocumentParser", "ParserConfig"]

_ACCEPTS: Final = f"message.document.media_type in [{', '.join(map(repr, MODULES))}]"
_GAP: Final = re.compile(r"\n{3,}")


class ParserConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of document-parser.

    Attributes:
        max_bytes: Refuse larger files, in bytes; ``options.max_bytes`` of a request overrides it.
        max_unpacked_bytes: Refuse a compressed file, such as a DOCX, with more bytes
            uncompressed.
        max_attachments: The most documents within a document that are parsed.
    """

    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 * 1024 * 1024
    max_unpacked_bytes: Annotated[int, msgspec.Meta(ge=1)] = 256 * 1024 * 1024
    max_attachments: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 100


class DocumentParser(Plugin):
    """Detects a document's format, and reads it in a worker process.

    A plugin for another format answers ``document.parse`` with its own ``accepts``; it comes
    before this one.
    """

    Config = ParserConfig
    config: ParserConfig
    _bus: Bus

    async def start(self, context: PluginContext) -> None:
        """Keep the bus, by which attachments are parsed."""
        self._bus = context.bus

    @operation("document.parse", wrapper=True)
    async def identify(
        self, request: ParseRequest, context: OperationContext, proceed: Proceed
    ) -> ParseResponse:
        """Detect the media type of a document that has none, and parse the documents in it.

        The text of pages that are pictures is asked of ``document.ocr``, where a plugin answers
        that.

        Raises:
            OperationError: ``document.unsupported`` when no plugin reads that type, and those
                of `reading.opened` and `identification.identify`.
        """
        document = request.document
        if document.media_type is None:
            found = await asyncio.to_thread(self._media_type, request)
            document = msgspec.structs.replace(document, media_type=found)
            request = msgspec.structs.replace(request, document=document)
        try:
            response: ParseResponse = await proceed(request)
        except NoHandlerError as error:
            if error.topic != context.topic:
                raise
            raise _unsupported(document) from error
        if "scan" in response.warnings:
            response = await self._recognized(request, response, context)
        if any(each.content is not None for each in response.attachments):
            attachments = [await self._parsed(each) for each in response.attachments]
            response = msgspec.structs.replace(response, attachments=tuple(attachments))
        return response

    @operation("document.parse", accepts=_ACCEPTS, execution="process", trylast=True)
    def parse(self, request: ParseRequest, context: OperationContext) -> ParseResponse:
        """Return the document's text and metadata.

        Raises:
            OperationError: ``document.not_found``, ``.is_folder``, ``.empty``, ``.too_large``,
                ``.unreadable``, ``.encrypted``, ``.damaged``, ``.undecodable``,
                ``.unsupported``.
        """
        document = request.document
        media_type = document.media_type or self._media_type(request)
        if media_type not in MODULES:
            raise _unsupported(msgspec.structs.replace(document, media_type=media_type))
        data = read(document, self._max_bytes(request))
        extracted = _extract(
            media_type,
            Source(
                name=document.name,
                data=data,
                encoding=request.options.encoding if request.options else None,
                max_unpacked_bytes=self.config.max_unpacked_bytes,
                progress=lambda done, total: context.progress(done, total, f"page {done}"),
            ),
        )
        attachments = self._attachments(extracted.parts, request)
        warnings = dict(extracted.warnings)
        if any(each.content is None for each in attachments):
            warnings["attachments_left_out"] = "not all documents in it were parsed"
        for warning in warnings.values():
            context.logger.warning("%s: %s", document.name, warning)
        text, unread = _with_places(extracted.text, extracted.unread_pages)
        return ParseResponse(
            parsed_content=text,
            metadata=DocumentMetadata(
                name=document.name,
                media_type=media_type,
                size_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                words=len(text.split()),
                title=_one_line(extracted.title),
                author=_one_line(extracted.author),
                pages=extracted.pages,
                created=extracted.created,
                encoding=extracted.encoding,
                recipients=tuple(filter(None, map(_one_line, extracted.recipients))),
            ),
            warnings=tuple(warnings),
            sections=_sections(extracted.headings, text),
            tables=tuple(extracted.tables),
            attachments=tuple(attachments),
            unread_pages=tuple(unread),
        )

    async def _recognized(
        self, request: ParseRequest, response: ParseResponse, context: OperationContext
    ) -> ParseResponse:
        """Return the answer with the text that OCR finds; as it is without a plugin for that."""
        if "ocr" in response.warnings:
            return response  # that of a picture, which OCR has read
        if response.parsed_content.strip() and not response.unread_pages:
            return response  # of a parser that does not say which pages it has not read
        document = msgspec.structs.replace(
            request.document, media_type=response.metadata.media_type
        )
        try:
            found: OcrResponse = await self._bus.request(
                "document.ocr",
                OcrRequest(
                    document=document,
                    max_bytes=request.options.max_bytes if request.options else None,
                    pages=tuple(each.page for each in response.unread_pages),
                ),
                timeout=context.remaining_s(),
                response_type=OcrResponse,
            )
        except NoHandlerError as error:
            if error.topic != "document.ocr":
                raise
            return response
        except QtForgeError as error:
            # The metadata and the documents within it are right also where the scan can't be read.
            context.logger.warning("%s: its text was not recognised: %s", document.name, error)
            return msgspec.structs.replace(response, warnings=(*response.warnings, "ocr_failed"))
        return _with_recognized(response, found)

    async def _parsed(self, attachment: Attachment) -> Attachment:
        """Return an attachment with the answer of ``document.parse`` in place of its content."""
        if attachment.content is None:
            return attachment
        request = ParseRequest(
            document=Document(
                name=attachment.name,
                content=attachment.content,
                media_type=attachment.media_type,
            ),
            options=ParseOptions(attachments=False),  # one level: they may nest without end
        )
        try:
            response = await self._bus.request(
                "document.parse", request, response_type=ParseResponse
            )
        except QtForgeError as error:
            # A file that can't be read, such as a picture, does not make the mail unreadable.
            return msgspec.structs.replace(attachment, content=None, error=error.why or str(error))
        return msgspec.structs.replace(
            attachment,
            content=None,
            media_type=response.metadata.media_type,
            response=response,
        )

    def _attachments(self, parts: Sequence[Part], request: ParseRequest) -> list[Attachment]:
        """Return the documents within a document; the first ones with their content."""
        is_asked = request.options is None or request.options.attachments
        most = self.config.max_attachments
        return [
            Attachment(
                name=part.name,
                size_bytes=len(part.data),
                media_type=part.media_type,
                content=part.data if is_asked and index < most else None,
                error=(
                    "it was not asked for, or is within an attachment"
                    if not is_asked
                    else f"only {most} are parsed (max_attachments of document-parser)"
                    if index >= most
                    else None
                ),
            )
            for index, part in enumerate(parts)
        ]

    def _max_bytes(self, request: ParseRequest) -> int:
        asked = request.options.max_bytes if request.options else None
        return self.config.max_bytes if asked is None else asked

    def _media_type(self, request: ParseRequest) -> str:
        with opened(request.document, self._max_bytes(request)) as file:
            return identify(file, request.document.name)


def _extract(media_type: str, source: Source) -> Extracted:
    # Imported here, so that a text needs no PDF library, and the host none of them.
    module = importlib.import_module(
        f"qtforge_builtin_plugins.documents.formats.{MODULES[media_type]}"
    )
    extracted: Extracted = module.extract(source)
    return extracted


def _tidy(text: str) -> str:
    """Return a text with Unix line endings, no spaces before them, and single blank lines."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n\n").replace("\0", "")
    # Not by a pattern: one that looks for space before a line end takes quadratic time.
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    text = _GAP.sub("\n\n", text).strip("\n")
    # A broken PDF font may give half of a surrogate pair, which no encoding can carry.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _with_places(text: str, unread: Sequence[tuple[int, int]]) -> tuple[str, list[UnreadPage]]:
    """Return a text as `_tidy` does, and the places of the pages that are pictures."""
    pages = []
    parts: list[str] = []
    lines = start = 0
    for page, end in [*unread, (0, len(text))]:
        part = _tidy(text[start:end])
        if part:
            lines += part.count("\n") + (2 if parts else 1)  # with the blank line before it
            parts.append(part)
        start = end
        if page:
            pages.append(UnreadPage(page=page, line=lines))
    return "\n\n".join(parts), pages


def _with_recognized(response: ParseResponse, found: OcrResponse) -> ParseResponse:
    """Return a document's text with that of its pages that are pictures, each at its place."""
    texts = {each.page: _tidy(each.text) for each in found.by_page}
    lines = response.parsed_content.split("\n") if response.parsed_content else []
    parts: list[str] = []
    added: list[tuple[int, int]] = []  # after which line, how many lines
    still: list[UnreadPage] = []
    start = 0
    for unread in response.unread_pages:
        parts.append("\n".join(lines[start : unread.line]).strip("\n"))
        start = unread.line
        if unread.page not in texts:
            before = sum(count for _, count in added)
            still.append(msgspec.structs.replace(unread, line=unread.line + before))
        elif texts[unread.page]:
            parts.append(texts[unread.page])
            added.append((unread.line, texts[unread.page].count("\n") + 2))
    parts.append("\n".join(lines[start:]).strip("\n"))
    if not found.by_page or not response.unread_pages:  # one of the plugins knows no pages
        parts.append(_tidy(found.text))

    def moved(line: int) -> int:
        return line + sum(count for after, count in added if after < line)

    text = "\n\n".join(part for part in parts if part)
    return msgspec.structs.replace(
        response,
        parsed_content=text,
        confidence=found.confidence,
        metadata=msgspec.structs.replace(response.metadata, words=len(text.split())),
        warnings=(*response.warnings, *found.warnings),
        sections=tuple(
            msgspec.structs.replace(each, line=moved(each.line)) for each in response.sections
        ),
        unread_pages=tuple(still),
    )


def _sections(headings: Sequence[tuple[int, str]], text: str) -> tuple[Section, ...]:
    """Return the headings that occur as lines in the text, each after the previous one."""
    if not headings:
        return ()
    lines = [" ".join(line.split()).casefold() for line in text.split("\n")]
    places: dict[str, list[int]] = {}
    for number in range(len(lines), 0, -1):
        places.setdefault(lines[number - 1], []).append(number)
    found: list[Section] = []
    for level, heading in headings:
        candidates = places.get(heading.casefold(), [])
        while candidates and found and candidates[-1] <= found[-1].line:
            candidates.pop()
        if candidates:
            found.append(Section(level=level, text=heading, line=candidates.pop()))
    return tuple(found)


def _one_line(text: str | None) -> str | None:
    return " ".join(_tidy(text).split()) or None if text else None


def _unsupported(document: Document) -> OperationError:
    if document.media_type in IMAGES:
        return OperationError(
            "document.unsupported", f"no plugin reads the format of {document.name}",
            f"its type is {document.media_type}, and document-ocr is not active",
            "pip install 'qtforge-host[ocr]' and apt-get install tesseract-ocr",
        )  # fmt: skip
    return OperationError(
        "document.unsupported", f"no plugin reads the format of {document.name}",
        f"its type is {document.media_type}",
        "convert it to PDF, DOCX, XLSX, HTML, Markdown or text, or install a plugin that"
        " answers document.parse for it",
    )  # fmt: skip
