"""The document plugins by themselves: no host, real files made on the spot."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from fpdf import FPDF

from qtforge_builtin_plugins.documents.analyzer import AnalyzerConfig, ContentAnalyzer
from qtforge_builtin_plugins.documents.enricher import DocumentEnricher, EnricherConfig
from qtforge_builtin_plugins.documents.messages import (
    AnalyzeRequest,
    AnalyzeResponse,
    EnrichRequest,
    EnrichResponse,
)
from qtforge_builtin_plugins.documents.parser import DocumentParser, ParserConfig
from qtforge_sdk import Document, OperationContext
from qtforge_sdk.errors import NoHandlerError
from qtforge_sdk.messages import DocumentMetadata, ParseOptions, ParseRequest, ParseResponse

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "documents"


class Parse(Protocol):
    """Parses a file, or bytes under a name, as the bus would: identified first."""

    def __call__(
        self,
        source: Path | bytes,
        name: str | None = None,
        *,
        media_type: str | None = None,
        config: ParserConfig | None = None,
        progress: list[tuple[float, float | None]] | None = None,
        max_bytes: int | None = None,
        encoding: str | None = None,
    ) -> ParseResponse: ...


class OneTopic:
    """The bus as far as the parser needs it; `test_attachments` has the real one."""

    def __init__(self, handle: Callable[[Any], Any]) -> None:
        self._handle = handle

    async def request(
        self, topic: str, message: object, *, timeout: float | None = None, response_type: type
    ) -> Any:
        if topic == "document.ocr":
            raise NoHandlerError(topic)
        assert (topic, response_type) == ("document.parse", ParseResponse)
        return await self._handle(message)


@pytest.fixture
def parse() -> Parse:
    def parse_it(
        source: Path | bytes,
        name: str | None = None,
        *,
        media_type: str | None = None,
        config: ParserConfig | None = None,
        progress: list[tuple[float, float | None]] | None = None,
        max_bytes: int | None = None,
        encoding: str | None = None,
    ) -> ParseResponse:
        plugin = DocumentParser()
        plugin.config = config or ParserConfig()
        is_path = isinstance(source, Path)
        document = Document(
            name=name or (source.name if isinstance(source, Path) else "document"),
            path=str(source) if is_path else None,
            content=None if isinstance(source, Path) else source,
            media_type=media_type,
        )
        steps = progress if progress is not None else []
        context = OperationContext(
            "document.parse",
            "document-parser",
            listener=lambda done, total, text: steps.append((done, total)),
        )
        options = ParseOptions(max_bytes=max_bytes, encoding=encoding)

        async def proceed(request: Any) -> Any:
            return plugin.parse(request, context)

        plugin._bus = OneTopic(  # type: ignore[assignment]
            lambda message: plugin.identify(message, context, proceed)
        )
        request = ParseRequest(document=document, options=options)
        return asyncio.run(plugin.identify(request, context, proceed))

    return parse_it


@pytest.fixture
def analyze() -> Callable[[str], AnalyzeResponse]:
    plugin = ContentAnalyzer()
    plugin.config = AnalyzerConfig()
    context = OperationContext("content.analyze", "content-analyzer")
    return lambda text: plugin.analyze(AnalyzeRequest(parsed_content=text), context)


class Enrich(Protocol):
    """Enriches a text."""

    def __call__(
        self,
        text: str,
        language: str | None = "en",
        document_type: str | None = None,
        recipients: tuple[str, ...] = (),
    ) -> EnrichResponse: ...


@pytest.fixture
def enrich() -> Enrich:
    plugin = DocumentEnricher()
    plugin.config = EnricherConfig()
    context = OperationContext("document.enrich", "document-enricher")

    def enrich_it(
        text: str,
        language: str | None = "en",
        document_type: str | None = None,
        recipients: tuple[str, ...] = (),
    ) -> EnrichResponse:
        request = EnrichRequest(
            parsed_content=text,
            metadata=DocumentMetadata(
                name="a.eml", media_type="message/rfc822", size_bytes=1, sha256="0" * 64,
                words=1, recipients=recipients,
            ) if recipients else None,
            language=language,
            document_type=document_type,
        )  # fmt: skip
        return plugin.enrich(request, context)

    return enrich_it


class MakePdf(Protocol):
    """Makes a PDF with one text for each page."""

    def __call__(self, pages: Sequence[str], *, password: str | None = None) -> bytes: ...


@pytest.fixture
def make_pdf() -> MakePdf:
    def make(pages: Sequence[str], *, password: str | None = None) -> bytes:
        pdf = FPDF()
        pdf.set_title("Made for a test")
        pdf.set_author("A. Tester")
        pdf.set_font("helvetica", size=12)
        if password is not None:
            pdf.set_encryption(owner_password=f"{password}!", user_password=password)
        for text in pages:
            pdf.add_page()
            pdf.multi_cell(0, 8, text)
        return bytes(pdf.output())

    return make


@pytest.fixture
def make_zip() -> Callable[[dict[str, str | bytes]], bytes]:
    def make(parts: dict[str, str | bytes]) -> bytes:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for name, part in parts.items():
                archive.writestr(name, part)
        return target.getvalue()

    return make


@pytest.fixture
def make_docx() -> Callable[..., bytes]:
    import docx

    def make(fill: Callable[[Any], None]) -> bytes:
        document = docx.Document()
        fill(document)
        target = io.BytesIO()
        document.save(target)
        return target.getvalue()

    return make


@pytest.fixture
def examples() -> Path:
    return ROOT / "examples" / "documents"


@pytest.fixture
def shared_documents() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared documents are not beside the checkout")
    return SHARED
