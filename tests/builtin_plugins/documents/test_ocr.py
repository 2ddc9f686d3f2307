"""document-ocr with the real Tesseract, on pages that the tests draw."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from fpdf import FPDF
from PIL import Image

from qtforge_builtin_plugins.documents.messages import OcrResponse
from qtforge_builtin_plugins.documents.ocr import DocumentOcr, OcrConfig
from qtforge_builtin_plugins.documents.parser import DocumentParser
from qtforge_host.testing import PluginTestHost
from qtforge_sdk import Document, OperationError, PluginContext
from qtforge_sdk.errors import HandlerFailedError, PluginError
from qtforge_sdk.messages import ParseResponse, UnreadPage

LETTER = "Invoice number 4711\nTotal 120.50 EUR\n\nPlease pay within thirty days of this letter."
WORDS = LETTER.split()
SECOND = "And a second page of words."


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    """A function that draws a page with a text, as a scanner would see it."""

    def draw(text: str = LETTER) -> Image.Image:
        pdf = FPDF()
        pdf.set_font("helvetica", size=12)
        pdf.add_page()
        pdf.multi_cell(0, 5, text)
        page = pypdfium2.PdfDocument(bytes(pdf.output()))[0]
        drawn: Image.Image = page.render(scale=200 / 72, grayscale=True).to_pil()
        return drawn

    return draw


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, dpi=(200, 200), **options)
    return target.getvalue()


def scan_of(*images: Image.Image) -> bytes:
    """Return a PDF whose pages are pictures."""
    pdf = FPDF()
    for image in images:
        pdf.add_page()
        pdf.image(image, 0, 0, pdf.w, pdf.h)
    return bytes(pdf.output())


def parse(host: PluginTestHost, content: bytes, name: str = "scan", **more: Any) -> ParseResponse:
    request = {"document": Document(name=name, content=content), **more}
    return host.request("document.parse", request, response_type=ParseResponse, timeout=120)


def noise() -> bytes:
    """Return a picture on which Tesseract works for minutes."""
    return saved(Image.frombytes("L", (3000, 3000), os.urandom(9_000_000)), "PNG")


@pytest.fixture
def both(host: PluginTestHost, tesseract: str) -> PluginTestHost:
    host.add(DocumentParser())
    host.add(DocumentOcr(), config={"languages": ["eng"]})
    return host


def test_a_scanned_pdf_has_its_text_which_is_said_to_be_guessed(
    both: PluginTestHost, picture: Any
) -> None:
    response = parse(both, scan_of(picture(), picture(SECOND)))
    assert response.parsed_content.split() == [*WORDS, *SECOND.split()]
    assert response.warnings == ("scan", "ocr")
    assert response.confidence is not None
    assert 0.8 < response.confidence <= 1
    assert response.metadata.words == len(WORDS) + 6
    assert response.metadata.pages == 2
    assert response.metadata.media_type == "application/pdf"


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("TIFF", "image/tiff"),
        ("WEBP", "image/webp"),
    ],
)
def test_pictures_are_documents(
    both: PluginTestHost, picture: Any, kind: str, media_type: str
) -> None:
    content = saved(picture(), kind)
    response = parse(both, content)
    assert response.parsed_content.split() == WORDS
    assert response.metadata.media_type == media_type
    assert response.metadata.size_bytes == len(content)
    assert response.warnings == ("scan", "ocr")
    assert response.confidence is not None


def test_lines_and_paragraphs_are_kept(both: PluginTestHost, picture: Any) -> None:
    text = "One line of words\nand the next of them\n\n\nA second paragraph"
    found = parse(both, saved(picture(text), "PNG")).parsed_content
    assert found == "One line of words\nand the next of them\n\nA second paragraph"


def test_all_pages_of_a_tiff_are_read(both: PluginTestHost, picture: Any) -> None:
    others = [picture(SECOND)]
    content = saved(picture(), "TIFF", save_all=True, append_images=others)
    response = parse(both, content)
    assert response.parsed_content.split() == [*WORDS, *SECOND.split()]
    assert response.metadata.pages == 2


def test_a_page_on_its_side_is_turned(both: PluginTestHost, picture: Any) -> None:
    content = saved(picture(LETTER + "\n" + LETTER).rotate(90, expand=True), "PNG")
    assert parse(both, content).parsed_content.split() == WORDS * 2


def test_an_attached_scan_is_read(both: PluginTestHost, picture: Any) -> None:
    message = EmailMessage()
    message["From"] = "ann@example.com"
    message["Date"] = "Mon, 05 Jan 2026 10:00:00 +0000"
    message["Subject"] = "A scan"
    message.set_content("See below.")
    message.add_attachment(saved(picture(), "PNG"), maintype="image", subtype="png")
    (attached,) = parse(both, message.as_bytes(), "a.eml").attachments
    assert attached.response is not None
    assert attached.response.parsed_content.split() == WORDS


def test_a_picture_without_words_has_no_text(both: PluginTestHost) -> None:
    response = parse(both, saved(Image.new("L", (800, 600), 255), "PNG"))
    assert (response.parsed_content, response.confidence) == ("", None)
    assert response.warnings == ("scan", "ocr")


def test_a_pdf_with_text_is_not_recognised(
    both: PluginTestHost, make_pdf: Any, picture: Any
) -> None:
    response = parse(both, make_pdf([LETTER]))
    assert response.warnings == ()
    assert response.confidence is None


def mixed(*pages: Any) -> bytes:
    """Return a PDF whose pages are pictures, and texts below a heading with a bookmark."""
    pdf = FPDF()
    pdf.set_font("helvetica", size=12)
    for page in pages:
        pdf.add_page()
        if isinstance(page, str):
            pdf.start_section(page.split("\n", 1)[0])
            pdf.multi_cell(0, 5, page)
        else:
            pdf.image(page, 0, 0, pdf.w, pdf.h)
    return bytes(pdf.output())


def test_the_text_of_a_page_that_is_a_picture_is_at_its_place(
    both: PluginTestHost, picture: Any
) -> None:
    first, last = "Cover letter\nIt has an annex.", "Closing words\nThis is the end of it."
    response = parse(
        both, mixed(picture("Page one"), first, picture("Page three"), picture("Page four"), last)
    )
    assert response.parsed_content == "\n\n".join(
        ["Page one", first, "Page three", "Page four", last]
    )
    assert [each.line for each in response.sections] == [3, 10]
    assert response.warnings == ("scan", "ocr")
    assert response.unread_pages == ()
    assert response.metadata.words == len(response.parsed_content.split())


def test_a_page_that_is_not_reached_is_named_with_its_place(
    host: PluginTestHost, picture: Any, tesseract: str
) -> None:
    host.add(DocumentParser())
    host.add(DocumentOcr(), config={"languages": ["eng"], "max_pages": 1})
    first, last = "Cover letter\nIt has an annex.", "Closing words\nThis is the end of it."
    pages = mixed(first, picture("Page two"), picture("Page three"), last, picture("Page five"))
    response = parse(host, pages)
    assert response.parsed_content == "\n\n".join([first, "Page two", last])
    assert response.warnings == ("scan", "ocr", "ocr_incomplete")
    assert response.unread_pages == (UnreadPage(page=3, line=4), UnreadPage(page=5, line=7))


def test_without_the_plugin_the_pages_that_are_pictures_are_named(
    host: PluginTestHost, picture: Any
) -> None:
    host.add(DocumentParser())
    first = "Cover letter\nIt has an annex."
    response = parse(host, mixed(first, picture(), picture(), first))
    assert response.unread_pages == (UnreadPage(page=2, line=2), UnreadPage(page=3, line=2))
    assert response.warnings == ("scan",)
    assert response.parsed_content == f"{first}\n\n{first}"


def test_pages_that_do_not_exist_are_refused(both: PluginTestHost, picture: Any) -> None:
    document = Document(name="scan.pdf", content=scan_of(picture()))
    with pytest.raises(HandlerFailedError) as caught:
        both.request("document.ocr", {"document": document, "pages": [2]}, timeout=60)
    assert isinstance(caught.value.__cause__, OperationError)
    assert caught.value.__cause__.code == "document.no_such_page"


def test_pages_above_the_limit_are_said_to_be_left_out(
    host: PluginTestHost, tesseract: str, picture: Any
) -> None:
    host.add(DocumentParser())
    host.add(DocumentOcr(), config={"max_pages": 1})
    response = parse(host, scan_of(picture(), picture("The second page")))
    assert response.parsed_content.split() == WORDS
    assert response.warnings == ("scan", "ocr", "ocr_incomplete")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_picture_that_is_cut_off_is_an_error(
    both: PluginTestHost, picture: Any, kind: str, share: float
) -> None:
    content = saved(picture(), kind)
    with pytest.raises(HandlerFailedError, match="is damaged") as caught:
        parse(both, content[: int(share * len(content))])
    assert caught.value.fix == "get a complete copy of it"


def test_a_page_that_takes_too_long_is_ended_with_its_program(
    host: PluginTestHost, tesseract: str
) -> None:
    host.add(DocumentOcr(), config={"page_timeout": 0.5, "timeout": "500ms"})
    document = Document(name="noise.png", content=noise())
    with pytest.raises(HandlerFailedError, match="was ended after") as caught:
        host.request("document.ocr", {"document": document}, timeout=120)
    assert isinstance(caught.value.__cause__, Exception)
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = [pid for file in children for pid in file.read_text().split()]
    names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]
    assert "tesseract" not in names


def test_a_scan_that_can_not_be_recognised_in_time_keeps_its_metadata(
    host: PluginTestHost, tesseract: str
) -> None:
    host.add(DocumentParser())
    host.add(DocumentOcr(), config={"timeout": 0.5})
    response = parse(host, scan_of(Image.open(io.BytesIO(noise()))))
    assert response.warnings == ("scan", "ocr_failed")
    assert response.parsed_content == ""
    assert response.metadata.pages == 1


def test_a_large_page_of_a_pdf_is_drawn_smaller(host: PluginTestHost, tesseract: str) -> None:
    pdf = FPDF(unit="pt", format=(14_000, 14_000))
    pdf.add_page()
    pdf.set_font("helvetica", size=600)
    pdf.text(1000, 3000, "A very large page")
    host.add(DocumentOcr(), config={"max_pixels": 1_000_000})
    document = Document(name="a.pdf", content=bytes(pdf.output()))
    found = host.request(
        "document.ocr", {"document": document}, response_type=OcrResponse, timeout=120
    )
    assert found.text == "A very large page"


def test_other_content_is_refused_and_no_list_of_files(
    both: PluginTestHost, picture: Any, tmp_path: Path
) -> None:
    # Tesseract takes unknown content for the names of the pictures to read.
    secret = tmp_path / "secret.png"
    secret.write_bytes(saved(picture(), "PNG"))
    for media_type in (None, "image/png"):
        document = Document(name="a.png", content=f"{secret}\n".encode(), media_type=media_type)
        with pytest.raises(HandlerFailedError) as caught:
            both.request("document.ocr", {"document": document})
        assert "PNG, JPEG, TIFF" in caught.value.why


# Without Tesseract.


def start(config: OcrConfig) -> None:
    plugin = DocumentOcr()
    plugin.config = config
    context: Any = PluginContext
    asyncio.run(plugin.start(context))


def test_without_the_program_the_plugin_is_unmet() -> None:
    with pytest.raises(PluginError) as caught:
        start(OcrConfig(program="no-such-program"))
    assert caught.value.code == "plugin.unmet"
    assert caught.value.why == "the program 'no-such-program' is not installed"
    assert caught.value.fix == "apt-get install tesseract-ocr"


def test_without_a_configured_language_the_plugin_is_unmet(tesseract: str) -> None:
    with pytest.raises(PluginError) as caught:
        start(OcrConfig(languages=("eng", "xxx_yy")))
    assert caught.value.code == "plugin.unmet"
    assert caught.value.fix == "apt-get install tesseract-ocr-xxx-yy"


def test_without_the_plugin_a_scan_has_no_text(host: PluginTestHost, picture: Any) -> None:
    host.add(DocumentParser())
    response = parse(host, scan_of(picture()))
    assert (response.parsed_content, response.warnings) == ("", ("scan",))
    assert response.confidence is None


def test_without_the_plugin_the_error_of_a_picture_says_what_to_install(
    host: PluginTestHost, picture: Any
) -> None:
    host.add(DocumentParser())
    with pytest.raises(HandlerFailedError) as caught:
        parse(host, saved(picture(), "PNG"))
    assert "image/png" in caught.value.why
    assert caught.value.fix == ("pip install 'qtforge-host[ocr]' and apt-get install tesseract-ocr")


def test_the_modules_need_no_library_of_another_extra() -> None:
    # Blocked as they are not there: the extra has imagesize and pypdfium2 only.
    code = """
import sys
for name in ("chardet", "lxml", "numpy", "olefile", "PIL", "puremagic", "selectolax"):
    sys.modules[name] = None
from qtforge_builtin_plugins.documents import ocr
from qtforge_builtin_plugins.documents.formats import pdf
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
