"""document-ocr: the text of pictures and of scanned PDFs, by Tesseract."""

from __future__ import annotations

import asyncio
import hashlib
import time
from functools import cached_property
from typing import Annotated, Final

import msgspec

from qtforge_builtin_plugins.documents.formats import IMAGES, PDF, Source
from qtforge_builtin_plugins.documents.identification import image_type
from qtforge_builtin_plugins.documents.messages import OcrRequest, OcrResponse, RecognizedPage
from qtforge_builtin_plugins.documents.pictures import Pages, image_pages, pdf_pages
from qtforge_builtin_plugins.documents.reading import read
from qtforge_builtin_plugins.documents.tesseract import INSTALL, Page, Tesseract, find_program
from qtforge_sdk import OperationContext, OperationError, Plugin, PluginContext, operation
from qtforge_sdk.durations import Duration, check_duration, seconds
from qtforge_sdk.errors import PluginError
from qtforge_sdk.messages import Document, DocumentMetadata, ParseRequest, ParseResponse

__all__ = ["DocumentOcr", "OcrConfig"]

_ACCEPTS: Final = f"message.document.media_type in [{', '.join(map(repr, IMAGES))}]"
_SHARE_OF_TIME: Final = 0.9  # of the time until the deadline; the rest is for the answer
_TIMEOUT: Final = "ocr.timeout"
_HEAD_BYTES: Final = 1024  # in which the header of a PDF is

Language = Annotated[str, msgspec.Meta(pattern="^[A-Za-z][A-Za-z0-9_]{1,31}$")]


class OcrConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of document-ocr.

    Attributes:
        languages: The languages to read, as Tesseract names them, such as ``eng``; empty for
            those of the usual ones that are installed.
        program: The program's name or path.
        max_bytes: Refuse larger files, in bytes; ``max_bytes`` of a request overrides it.
        max_pages: The most pages of a document that are read.
        max_pixels: Refuse a picture with more pixels; a page of a PDF is drawn with fewer.
        dpi: The resolution in which pages of a PDF are drawn, in dots per inch.
        page_timeout: The most time for a page.
        timeout: The most time for a document; never longer than the request's.
    """

    languages: tuple[Language, ...] = ()
    program: Annotated[str, msgspec.Meta(min_length=1)] = "tesseract"
    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 64 * 1024 * 1024
    max_pages: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 50
    max_pixels: Annotated[int, msgspec.Meta(ge=10_000, le=500_000_000)] = 40_000_000
    dpi: Annotated[int, msgspec.Meta(ge=70, le=1200)] = 300
    page_timeout: Duration = "60s"
    timeout: Duration = "300s"

    def __post_init__(self) -> None:
        """Check the times.

        Raises:
            DurationError: One is not a duration above zero.
        """
        check_duration(self, "page_timeout", least_s=0.001)
        check_duration(self, "timeout", least_s=0.001)


class DocumentOcr(Plugin):
    """Reads pictures by Tesseract, in worker processes that are ended at the deadline."""

    Config = OcrConfig
    config: OcrConfig = OcrConfig()

    async def start(self, context: PluginContext) -> None:
        """Check that Tesseract and the configured languages are installed.

        Raises:
            PluginError: ``plugin.unmet``: they are not.
        """
        program = find_program(self.config.program)
        if program is None:
            why = f"the program '{self.config.program}' is not installed"
            raise PluginError("document-ocr", "plugin.unmet", why, INSTALL)
        if self.config.languages:
            try:
                await asyncio.to_thread(Tesseract, program, self.config.languages)
            except OperationError as error:
                why = f"{error.what}: {error.why}"
                raise PluginError("document-ocr", "plugin.unmet", why, error.fix) from error

    @operation("document.ocr", execution="process", trylast=True)
    def recognize(self, request: OcrRequest, context: OperationContext) -> OcrResponse:
        """Return the text of a picture, or of the pages of a PDF as they are drawn.

        Raises:
            OperationError: ``document.not_found``, ``.is_folder``, ``.empty``, ``.too_large``,
                ``.unreadable``, ``.encrypted``, ``.damaged``, ``.unsupported``, ``.no_such_page``;
                ``ocr.timeout``, ``.missing_language``, ``.failed``.
        """
        return self._recognize(request, self._read(request), context)

    @operation("document.parse", accepts=_ACCEPTS, execution="process", trylast=True)
    def parse(self, request: ParseRequest, context: OperationContext) -> ParseResponse:
        """Return the text of a picture and its metadata.

        Raises:
            OperationError: Those of `recognize`.
        """
        document = request.document
        max_bytes = request.options.max_bytes if request.options else None
        asked = OcrRequest(document=document, max_bytes=max_bytes)
        data = self._read(asked)
        found = self._recognize(asked, data, context)
        media_type = image_type(data) or document.media_type or ""
        return ParseResponse(
            parsed_content=found.text,
            metadata=DocumentMetadata(
                name=document.name,
                media_type=media_type,
                size_bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
                words=len(found.text.split()),
                pages=found.pages,
            ),
            warnings=("scan", *found.warnings),
            confidence=found.confidence,
        )

    @cached_property
    def _tesseract(self) -> Tesseract:
        return Tesseract(
            find_program(self.config.program) or self.config.program, self.config.languages
        )

    def _read(self, request: OcrRequest) -> bytes:
        asked = request.max_bytes
        return read(request.document, self.config.max_bytes if asked is None else asked)

    def _recognize(
        self, request: OcrRequest, data: bytes, context: OperationContext
    ) -> OcrResponse:
        document = request.document
        remaining_s = context.remaining_s()
        allowed_s = seconds(self.config.timeout)
        if remaining_s is not None:
            allowed_s = min(allowed_s, _SHARE_OF_TIME * remaining_s)
        end = time.monotonic() + allowed_s
        page_timeout_s = seconds(self.config.page_timeout)
        pages = self._pages(request, data)
        read_pages: dict[int, Page] = {}
        left_out: list[OperationError] = []
        count = min(len(pages.wanted), self.config.max_pages)
        if count == 0:
            raise _no_such_page(request, pages.total)
        for done, (number, picture) in enumerate(
            zip(pages.wanted, pages.pictures, strict=False), start=1
        ):
            left_s = end - time.monotonic()
            try:
                if left_s <= 0:
                    raise _out_of_time(document, number, allowed_s)
                timeout_s = min(page_timeout_s, left_s)
                read_pages[number] = self._tesseract.read(picture, document.name, timeout_s)
            except OperationError as error:
                if error.code != _TIMEOUT:
                    raise
                left_out.append(error)
                if time.monotonic() >= end:
                    break
            context.progress(done, count, f"page {number}")
        if not read_pages:
            raise left_out[0]
        warnings = ["ocr"]
        if len(read_pages) < len(pages.wanted):
            context.logger.warning(
                "%s: %d of %d pages were read", document.name, len(read_pages), len(pages.wanted)
            )
            warnings.append("ocr_incomplete")
        confidences = [each for page in read_pages.values() for each in page.confidences]
        return OcrResponse(
            text="\n\n".join(page.text for page in read_pages.values() if page.text),
            confidence=round(sum(confidences) / len(confidences), 3) if confidences else None,
            pages=pages.total,
            pages_read=len(read_pages),
            warnings=tuple(warnings),
            by_page=tuple(
                RecognizedPage(page=number, text=page.text) for number, page in read_pages.items()
            ),
        )

    def _pages(self, request: OcrRequest, data: bytes) -> Pages:
        config, document = self.config, request.document
        source = Source(
            name=document.name, data=data, encoding=None, max_unpacked_bytes=config.max_bytes,
            progress=lambda done, total: None,
        )  # fmt: skip
        if document.media_type == PDF or b"%PDF-" in data[:_HEAD_BYTES]:
            return pdf_pages(
                source, request.pages,
                max_pages=config.max_pages, max_pixels=config.max_pixels, dpi=config.dpi,
            )  # fmt: skip
        if document.media_type not in IMAGES and image_type(data) is None:
            raise OperationError(
                "document.unsupported", f"{document.name} is not a picture",
                "it is no PNG, JPEG, TIFF, WebP or PDF file", "convert it to one of them",
            )  # fmt: skip
        return image_pages(
            source, request.pages, max_pages=config.max_pages, max_pixels=config.max_pixels
        )


def _no_such_page(request: OcrRequest, total: int) -> OperationError:
    return OperationError(
        "document.no_such_page", f"{request.document.name} has none of the requested pages",
        f"it has {total}; requested was page {', '.join(map(str, request.pages[:10]))}",
        "request pages that it has, from 1",
        retryable=False,
    )  # fmt: skip


def _out_of_time(document: Document, number: int, allowed_s: float) -> OperationError:
    return OperationError(
        _TIMEOUT, f"the text of {document.name} was not read in time",
        f"page {number} was not begun within {allowed_s:.1f} s",
        "give the request more time, or raise timeout_s in the configuration of document-ocr",
    )  # fmt: skip
