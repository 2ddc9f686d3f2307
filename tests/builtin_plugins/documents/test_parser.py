"""document-parser as a whole: identify, read, extract, refuse."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qtforge_builtin_plugins.documents.parser import DocumentParser, ParserConfig
from qtforge_sdk import Document, OperationContext, OperationError
from qtforge_sdk.errors import NoHandlerError
from qtforge_sdk.messages import DocumentMetadata, ParseRequest, ParseResponse, Section
from qtforge_sdk.operations import operation_spec

HEAVY = {
    "pypdfium2",
    "olefile",
    "oxmsg",
    "striprtf",
    "python_calamine",
    "docx",
    "lxml",
    "selectolax",
    "markdown_it",
    "chardet",
    "puremagic",
    "numpy",
}


def plugin() -> DocumentParser:
    parser = DocumentParser()
    parser.config = ParserConfig()
    return parser


def context() -> OperationContext:
    return OperationContext("document.parse", "document-parser")


def request(name: str, content: bytes, media_type: str | None = None) -> ParseRequest:
    return ParseRequest(document=Document(name=name, content=content, media_type=media_type))


def test_the_metadata_describe_the_file(parse: Any, tmp_path: Path) -> None:
    content = b"# Notes\r\n\r\nThree more words\r\n"
    path = tmp_path / "notes.md"
    path.write_bytes(content)
    response = parse(path)
    assert response == ParseResponse(
        parsed_content="Notes\n\nThree more words",
        metadata=DocumentMetadata(
            name="notes.md",
            media_type="text/markdown",
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            words=4,
            title="Notes",
            encoding="utf-8",
        ),
        sections=(Section(level=1, text="Notes", line=1),),
    )


def test_white_space_is_tidied_but_indents_stay(parse: Any) -> None:
    text = parse(b"one  \r\n\r\n\r\n\r\n  two\rthree\x0cfour\n\n").parsed_content
    assert text == "one\n\n  two\nthree\n\nfour"


def test_only_white_space_is_a_document_without_words(parse: Any) -> None:
    response = parse(b"  \n \n")
    assert response.parsed_content == ""
    assert response.metadata.words == 0


def test_half_a_surrogate_pair_does_not_spoil_the_text(parse: Any) -> None:
    text = parse(b"a&#xD800;b", "a.html", media_type="text/html").parsed_content
    assert text.encode("utf-8")


def test_the_size_may_be_limited_for_one_request(parse: Any) -> None:
    with pytest.raises(OperationError) as caught:
        parse(b"eleven byte", max_bytes=10)
    assert caught.value.code == "document.too_large"
    assert parse(b"eleven byte", max_bytes=11).metadata.size_bytes == 11


def test_the_size_may_be_limited_by_the_configuration(parse: Any) -> None:
    small = ParserConfig(max_bytes=10)
    with pytest.raises(OperationError) as caught:
        parse(b"eleven byte", config=small)
    assert caught.value.code == "document.too_large"
    assert parse(b"eleven byte", config=small, max_bytes=11).parsed_content == "eleven byte"


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `max_byte`"):
        msgspec.convert({"max_byte": 1}, ParserConfig)


def test_a_document_with_a_type_is_passed_on_untouched() -> None:
    asked = request("film.srt", b"", "application/x-subrip")
    seen: list[object] = []
    answer = ParseResponse(
        parsed_content="",
        metadata=DocumentMetadata(
            name="film.srt", media_type="application/x-subrip", size_bytes=0, sha256="", words=0
        ),
    )

    async def proceed(message: object) -> ParseResponse:
        seen.append(message)
        return answer

    assert asyncio.run(plugin().identify(asked, context(), proceed)) is answer
    assert seen == [asked]


def test_the_handlers_are_asked_with_the_type_that_was_found() -> None:
    asked = request("film.srt", b"1\n00:00:01,000 --> 00:00:02,000\nHello\n")

    async def proceed(message: ParseRequest) -> ParseResponse:
        assert message.document.media_type == "text/plain"
        assert message.document.name == "film.srt"
        raise OperationError("srt.seen", "asked")

    with pytest.raises(OperationError) as caught:
        asyncio.run(plugin().identify(asked, context(), proceed))
    assert caught.value.code == "srt.seen"


def test_what_nobody_reads_is_unsupported_and_its_type_is_named() -> None:
    async def proceed(message: object) -> ParseResponse:
        raise NoHandlerError("document.parse")

    png = request("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40))
    with pytest.raises(OperationError, match="image/png") as caught:
        asyncio.run(plugin().identify(png, context(), proceed))
    assert caught.value.code == "document.unsupported"
    assert isinstance(caught.value.__cause__, NoHandlerError)


def test_another_topic_without_a_handler_is_not_hidden() -> None:
    async def proceed(message: object) -> ParseResponse:
        raise NoHandlerError("http.request")

    with pytest.raises(NoHandlerError):
        asyncio.run(plugin().identify(request("a", b"x"), context(), proceed))


def test_an_unsupported_type_is_refused_without_the_wrapper_too() -> None:
    with pytest.raises(OperationError) as caught:
        plugin().parse(request("a.png", b"x", "image/png"), context())
    assert caught.value.code == "document.unsupported"


def test_it_is_asked_last_and_in_a_worker_process() -> None:
    spec = operation_spec(DocumentParser.parse)
    assert spec is not None
    assert spec.execution == "process"
    assert "'application/pdf'" in (spec.accepts or "")
    assert DocumentParser.parse.qtforge_impl["trylast"]  # type: ignore[attr-defined]


def test_a_warning_goes_to_the_plugins_log(
    parse: Any, make_pdf: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "qtforge.plugin.document-parser"):
        response = parse(make_pdf([""]), "scan.pdf")
    assert response.parsed_content == ""
    assert "no text layer" in caplog.text


@pytest.mark.parametrize("module", ["parser", "analyzer", "enricher", "storage", "workflows"])
def test_importing_a_plugin_loads_no_heavy_library(module: str) -> None:
    code = (
        "import sys, qtforge_builtin_plugins.documents." + module + "\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    heavy = HEAVY | {"yake", "dateparser", "phonenumbers", "py3langid", "stdnum", "sqlite3"}
    assert heavy.isdisjoint(done.stdout.split())


def test_errors_survive_the_way_back_from_the_worker_process() -> None:
    import pickle

    with pytest.raises(OperationError) as caught:
        plugin().parse(request("a.pdf", b"%PDF-1.7", "application/pdf"), context())
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.code, str(copy)) == ("document.damaged", str(caught.value))
