from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from qtforge_sample_subtitles import SubtitleConfig, SubtitleParser

from qtforge_host.testing import PluginTestHost
from qtforge_sdk.errors import ConfigError, HandlerFailedError, NoHandlerError
from qtforge_sdk.messages import (
    Document,
    ParseOptions,
    ParseRequest,
    ParseResponse,
)

TALK = """1
00:00:01,000 --> 00:00:02,500
Welcome to <i>our</i> meeting,
everybody.

2
00:00:03,000 --> 00:00:04,000
{\\an8}Please sit down.

3
00:00:09,000 --> 00:00:11,000
Now to the budget.
"""


def parse(host: PluginTestHost, document: Document, **options: object) -> ParseResponse:
    request = {"document": document, "options": options or None}
    return host.request("document.parse", request, response_type=ParseResponse)


def failure_of(host: PluginTestHost, document: Document, **options: object) -> HandlerFailedError:
    with pytest.raises(HandlerFailedError) as caught:
        parse(host, document, **options)
    assert caught.value.fix
    return caught.value


def test_it_gives_the_words_a_line_each_and_paragraphs_at_pauses(host: PluginTestHost) -> None:
    host.add(SubtitleParser())
    response = parse(host, Document(name="talk.srt", content=TALK.encode()))
    assert response.parsed_content == (
        "Welcome to our meeting, everybody.\nPlease sit down.\n\nNow to the budget."
    )


def test_metadata_describes_the_file(host: PluginTestHost, tmp_path: Path) -> None:
    host.add(SubtitleParser())
    path = tmp_path / "talk.srt"
    path.write_bytes(TALK.encode())
    metadata = parse(host, Document(name="talk.srt", path=str(path))).metadata
    assert metadata.media_type == "application/x-subrip"
    assert metadata.sha256 == hashlib.sha256(TALK.encode()).hexdigest()
    assert (metadata.size_bytes, metadata.words) == (len(TALK.encode()), 12)
    assert (metadata.name, metadata.encoding) == ("talk.srt", "utf-8")


def test_it_is_asked_for_subtitles_only_in_either_case(host: PluginTestHost) -> None:
    host.add(SubtitleParser())
    assert parse(host, Document(name="TALK.SRT", content=TALK.encode())).metadata.words == 12
    for name in ("talk.txt", "talk.srt.pdf", "srt"):
        with pytest.raises(NoHandlerError):
            parse(host, Document(name=name, content=TALK.encode()))


def test_it_runs_in_a_thread(host: PluginTestHost) -> None:
    host.add(SubtitleParser(), version="1.0.0")
    [handler] = host.bus.topics()["document.parse"]
    assert (handler.plugin, handler.execution) == ("subtitle-parser", "thread")


@pytest.mark.parametrize(
    ("encoding", "asked"),
    [("utf-8-sig", None), ("utf-16", None), ("cp1251", "cp1251")],
)
def test_it_reads_other_encodings(host: PluginTestHost, encoding: str, asked: str | None) -> None:
    host.add(SubtitleParser())
    content = TALK.replace("budget", "бюджет").encode(encoding)
    request = ParseRequest(
        document=Document(name="talk.srt", content=content), options=ParseOptions(encoding=asked)
    )
    response = host.request("document.parse", request, response_type=ParseResponse)
    assert response.parsed_content.startswith("Welcome")
    assert response.parsed_content.endswith("Now to the бюджет.")


# From 1.9 on pysubs2 warns of what the plugin makes an error.
@pytest.mark.filterwarnings("ignore:Possible missed subtitle")
@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "document.empty", "is empty"),
        (b"just some prose", "document.damaged", "no subtitle"),
        (TALK.replace("00:00:09,000 -", "nine o'clock -").encode(), "document.damaged", "nine o'"),
        ("1\n00:00:01,000 --> 00:00:02,000\n\u00fc".encode("latin-1"), "document.undecodable", ""),
    ],
)
def test_a_broken_file_is_a_clear_error(
    host: PluginTestHost, content: bytes, code: str, words: str
) -> None:
    host.add(SubtitleParser(), version="1.0.0")
    error = failure_of(host, Document(name="talk.srt", content=content))
    assert error.cause_code == code
    assert words in str(error)
    assert (error.plugin, error.version) == ("subtitle-parser", "1.0.0")


def test_a_path_that_is_no_file_is_a_clear_error(host: PluginTestHost, tmp_path: Path) -> None:
    host.add(SubtitleParser())
    absent, folder = tmp_path / "absent.srt", tmp_path / "folder.srt"
    folder.mkdir()
    for path, code in (
        (str(absent), "document.not_found"),
        (str(folder), "document.is_folder"),
        (None, "document.not_found"),
        ("a\0.srt", "document.not_found"),
        ("/dev/null", "document.unreadable"),
    ):
        assert failure_of(host, Document(name="x.srt", path=path)).cause_code == code


def test_a_large_file_is_refused_by_configuration_or_request(
    host: PluginTestHost, tmp_path: Path
) -> None:
    host.add(SubtitleParser(), config={"max_bytes": 100})
    path = tmp_path / "talk.srt"
    path.write_bytes(TALK.encode())
    document = Document(name="talk.srt", path=str(path))
    assert failure_of(host, document).cause_code == "document.too_large"
    assert parse(host, document, max_bytes=1000).metadata.words == 12
    assert failure_of(host, document, max_bytes=5).cause_code == "document.too_large"


def test_an_unknown_encoding_is_a_clear_error(host: PluginTestHost) -> None:
    host.add(SubtitleParser())
    document = Document(name="talk.srt", content=TALK.encode())
    assert failure_of(host, document, encoding="klingon").cause_code == "document.undecodable"


def test_the_pause_is_configurable(host: PluginTestHost) -> None:
    host.add(SubtitleParser(), config=SubtitleConfig(pause="1m"))
    response = parse(host, Document(name="talk.srt", content=TALK.encode()))
    assert "\n\n" not in response.parsed_content


def test_a_wrong_configuration_is_refused(host: PluginTestHost) -> None:
    for wrong in ({"max_bytes": 0}, {"pause": "soon"}, {"pauses": 1}):
        with pytest.raises(ConfigError, match=r"plugins\.subtitle-parser"):
            host.add(SubtitleParser(), config=wrong)
