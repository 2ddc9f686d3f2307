"""http-collector against a real server."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.servers.http import HttpServer, Received, Reply

from qtforge_builtin_plugins.collectors.http import HttpCollector
from qtforge_host.testing import PluginTestHost
from qtforge_sdk import OperationContext
from qtforge_sdk.errors import ConfigError, OperationError
from qtforge_sdk.messages import Collected, CollectRequest
from qtforge_sdk.secrets import Secrets

pytest.importorskip("httpx2", reason="the extra 'http' is not installed")

Ask = Callable[..., Collected]
SECRET = "s3cr3t/p@ss word+é"
KEY = "k3y-4711"


@pytest.fixture
def collector(host: PluginTestHost) -> HttpCollector:
    host.secrets = Secrets({"TOKEN": SECRET, "KEY": KEY}.get)
    return host.add(HttpCollector(), "http-collector", config={"allow": ["127.0.0.1"]})


@pytest.fixture
def ask(host: PluginTestHost, collector: HttpCollector) -> Ask:
    def asked(
        endpoint: str, run_id: str | None = None, timeout: float = 20, **parameters: Any
    ) -> Collected:
        request = CollectRequest(name="source", endpoint=endpoint, parameters=parameters)
        context = OperationContext("http.request", "http-collector", run_id=run_id, step="source")
        return host.run(collector.request(request, context), timeout=timeout)

    return asked


@pytest.fixture
def refused(ask: Ask) -> Callable[..., OperationError]:
    def error_of(endpoint: str, **parameters: Any) -> OperationError:
        with pytest.raises(OperationError) as caught:
            ask(endpoint, **parameters)
        return caught.value

    return error_of


Refused = Callable[..., OperationError]


def test_a_list_of_objects_is_rows(server: HttpServer, ask: Ask) -> None:
    server["/rows"] = Reply.json([{"id": 1}, {"id": 2, "name": "é"}])
    found = ask(f"{server.url}/rows")
    assert found.rows == [{"id": 1}, {"id": 2, "name": "é"}]
    assert (found.count, found.truncated) == (2, False)
    assert found.details == {"status": 200, "pages": 1}


@pytest.mark.parametrize(
    ("answer", "path", "rows"),
    [
        ({"id": 1}, None, [{"id": 1}]),
        ({"data": {"items": [{"id": 1}]}}, "data.items", [{"id": 1}]),
        ([{"items": [{"id": 1}]}], "0.items", [{"id": 1}]),
        ([1, None, {"a": 2}], None, [{"value": 1}, {"value": None}, {"a": 2}]),
        ({"data": None}, "data", []),
        (None, None, []),
        ("text", None, [{"value": "text"}]),
    ],
)
def test_rows_are_found_where_the_source_says(
    server: HttpServer, ask: Ask, answer: Any, path: str | None, rows: list[Any]
) -> None:
    server["/"] = Reply.json(answer)
    assert ask(f"{server.url}/", **({"rows": path} if path else {})).rows == rows


def test_a_path_that_leads_nowhere_names_the_keys_that_are_there(
    server: HttpServer, refused: Refused
) -> None:
    server["/"] = Reply.json({"items": [], "meta": {}})
    error = refused(f"{server.url}/", rows="data.items")
    assert error.code == "http.no_rows"
    assert "items, meta" in error.why


def test_an_empty_answer_has_no_rows(server: HttpServer, ask: Ask) -> None:
    server["/"] = Reply(status=204)
    found = ask(f"{server.url}/")
    assert (found.rows, found.details["status"]) == ([], 204)


def test_method_headers_query_and_body_are_sent(server: HttpServer, ask: Ask) -> None:
    server["/q"] = Reply.json([])
    ask(
        f"{server.url}/q?from=url",
        method="post",
        headers={"X-Test": "one"},
        query={"a": "b c&d", "list": [1, 2]},
        json={"k": [1, None]},
    )
    ask(f"{server.url}/q", method="PUT", text="plain é", headers={"content-type": "text/x"})
    first, second = server.requests
    assert (first.method, first.headers["x-test"]) == ("POST", "one")
    assert first.query == {"from": ["url"], "a": ["b c&d"], "list": ["1", "2"]}
    assert first.headers["content-type"] == "application/json"
    assert msgspec.json.decode(first.body) == {"k": [1, None]}
    assert first.headers["user-agent"].startswith("qtforge-http-collector/")
    assert (second.method, second.body.decode()) == ("PUT", "plain é")
    assert second.headers["content-type"] == "text/x"


def test_head_gives_the_headers_as_one_row(server: HttpServer, ask: Ask) -> None:
    server["/"] = Reply.json([1], X_Total="7")
    (row,) = ask(f"{server.url}/", method="HEAD").rows or []
    assert (row["status"], row["headers"]["x-total"]) == (200, "7")


def test_text_and_json_lines_are_read(server: HttpServer, ask: Ask) -> None:
    latin = {"Content-Type": "text/plain; charset=latin-1"}
    server["/text"] = Reply(body="é".encode("latin-1"), headers=latin)
    server["/lines"] = Reply(body=b'{"a": 1}\r\n\n{"a": 2}')
    assert ask(f"{server.url}/text", format="text").rows == [{"text": "é"}]
    assert ask(f"{server.url}/lines", format="jsonl").rows == [{"a": 1}, {"a": 2}]


def test_a_line_that_is_not_json_is_named(server: HttpServer, refused: Refused) -> None:
    server["/"] = Reply(body=b'{"a": 1}\n\n{oops\n')
    error = refused(f"{server.url}/", format="jsonl")
    assert error.code == "http.invalid_answer"
    assert error.what.startswith("line 3 of ")


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'["\\ud800"]', b"\xff"]
)
@pytest.mark.parametrize("format", ["json", "jsonl"])
def test_json_that_no_one_can_use_is_an_error(
    server: HttpServer, refused: Refused, body: bytes, format: str
) -> None:
    server["/"] = Reply(body=body)
    assert refused(f"{server.url}/", format=format).code == "http.invalid_answer"


def test_a_byte_order_mark_is_left_out(server: HttpServer, ask: Ask) -> None:
    server["/"] = Reply(body=b'\xef\xbb\xbf{"a": 1}')
    for format in ("json", "jsonl"):
        assert ask(f"{server.url}/", format=format).rows == [{"a": 1}]


@pytest.mark.parametrize("charset", ["nonsense", "idna", "base64"])
def test_an_encoding_that_is_none_is_taken_as_utf_8(
    server: HttpServer, ask: Ask, charset: str
) -> None:
    kind = {"Content-Type": f"text/plain; charset={charset}"}
    server["/"] = Reply(body="é\xff".encode("latin-1") + b"ok", headers=kind)
    (row,) = ask(f"{server.url}/", format="text").rows or []
    assert row["text"].endswith("ok")


def test_a_small_answer_that_unpacks_twice_to_a_large_one_is_given_up(
    server: HttpServer, refused: Refused
) -> None:
    bomb = gzip.compress(gzip.compress(b" " * 80_000_000, 9), 9)
    server["/"] = Reply(body=bomb, headers={"Content-Encoding": "gzip, gzip"})
    assert refused(f"{server.url}/").code == "http.too_large"


def test_an_answer_that_is_not_json_tells_its_type(server: HttpServer, refused: Refused) -> None:
    server["/"] = Reply(body=b"<html>", headers={"Content-Type": "text/html"})
    error = refused(f"{server.url}/")
    assert (error.code, error.retryable) == ("http.invalid_answer", False)
    assert "text/html" in error.why


def test_many_rows_go_to_a_file_of_the_run(server: HttpServer, ask: Ask) -> None:
    lines = b"".join(b'{"n": %d, "pad": "%s"}\n' % (n, b"x" * 90) for n in range(30_000))
    server["/"] = Reply(parts=[lines[start : start + 4099] for start in range(0, len(lines), 4099)])
    found = ask(f"{server.url}/", run_id="run-1", format="jsonl")
    assert found.rows is None
    assert found.dataset is not None
    assert found.dataset.path.endswith("/run-files/run-1/source.jsonl")
    content = Path(found.dataset.path).read_bytes()
    rows = [msgspec.json.decode(line) for line in content.splitlines()]
    assert [row["n"] for row in rows] == list(range(30_000))
    assert found.count == 30_000


def test_a_limit_cuts_off_and_asks_for_no_further_page(server: HttpServer, ask: Ask) -> None:
    next_page = f'<{server.url}/two>; rel="next"'
    server["/one"] = Reply.json([{"n": 1}, {"n": 2}], Link=next_page)
    found = ask(f"{server.url}/one", limit=2, pagination="link")
    assert (found.count, found.truncated) == (2, True)
    assert len(server.requests) == 1


def test_pages_are_followed_by_the_link_header(server: HttpServer, ask: Ask) -> None:
    server["/one"] = Reply.json([{"n": 1}], Link='</two?p=2>; rel="next", </one>; rel="first"')
    server["/two"] = Reply.json([{"n": 2}])
    found = ask(f"{server.url}/one", pagination="link", query={"q": "x"}, headers={"X-Key": "k"})
    assert found.rows == [{"n": 1}, {"n": 2}]
    assert found.details["pages"] == 2
    assert server.requests[1].query == {"p": ["2"]}
    assert server.requests[1].headers["x-key"] == "k"


def test_a_link_has_several_relation_types_and_quoted_texts(server: HttpServer, ask: Ask) -> None:
    link = '<other>; title="a, <b>; rel=next"; rel="alternate", <../two>; rel="prefetch next"'
    server["/a/b/one"] = Reply.json([{"n": 1}], Link=link)
    server["/a/two"] = Reply.json([{"n": 2}])
    found = ask(f"{server.url}/a/b/one", pagination="link")
    assert found.rows == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("cursors", "sent"),
    [
        ([0, 1, None], ["0", "1"]),
        ([0.5, 2**60, ""], ["0.5", "1152921504606846976"]),
        (["0", True, False], ["0", "true"]),
        ([[1, "a"], []], ['[1,"a"]']),
        ([{"id": 0}, {}], ['{"id":0}']),
        ([5, -1], ["5"]),  # with end = -1
    ],
)
def test_a_cursor_may_be_of_any_type(
    server: HttpServer, ask: Ask, cursors: list[Any], sent: list[str]
) -> None:
    def page(request: Received) -> Reply:
        return Reply.json({"items": [1], "next": cursors[len(server.requests) - 1]})

    server["/"] = page
    found = ask(f"{server.url}/", rows="items", pagination={"from": "next", "as": "c", "end": -1})
    assert found.count == len(cursors)
    assert [request.query["c"][0] for request in server.requests[1:]] == sent


def test_a_cursor_that_shall_be_a_url_is_text(server: HttpServer, refused: Refused) -> None:
    server["/"] = Reply.json({"items": [1], "next": 0})
    error = refused(f"{server.url}/", rows="items", pagination={"from": "next"})
    assert (error.code, "'next'" in error.what) == ("http.invalid_answer", True)


def test_pages_are_followed_by_a_cursor(server: HttpServer, ask: Ask) -> None:
    def page(request: Received) -> Reply:
        number = int(request.query.get("cursor", ["1"])[0])
        following = number + 1 if number < 3 else None
        return Reply.json({"items": [{"n": number}], "meta": {"next": following}})

    server["/"] = page
    pagination = {"from": "meta.next", "as": "cursor"}
    found = ask(f"{server.url}/", rows="items", pagination=pagination, query={"size": 1})
    assert [row["n"] for row in found.rows or []] == [1, 2, 3]
    assert [request.query["size"] for request in server.requests] == [["1"]] * 3
    found = ask(f"{server.url}/", rows="items", pagination=pagination, max_pages=2)
    assert (found.count, found.truncated) == (2, True)


def test_a_cursor_can_be_the_next_pages_url_and_keeps_the_credentials(
    server: HttpServer, ask: Ask
) -> None:
    server["/one"] = Reply.json({"rows": [{"n": 1}], "next": "/two"})
    server["/two"] = Reply.json({"rows": [{"n": 2}], "next": ""})
    endpoint = f"{server.url}/one".replace("//", "//user:${secret.TOKEN}@")
    found = ask(endpoint, rows="rows", pagination={"from": "next"})
    assert found.count == 2
    first, second = server.requests
    assert first.headers["authorization"] == second.headers["authorization"]


def test_pages_that_lead_back_are_an_error(server: HttpServer, refused: Refused) -> None:
    server["/"] = Reply.json({"rows": [], "next": "again"})
    error = refused(f"{server.url}/", rows="rows", pagination={"from": "next", "as": "c"})
    assert error.code == "http.endless_pages"
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429, 408])
def test_a_busy_server_may_be_asked_again(
    server: HttpServer, refused: Refused, status: int
) -> None:
    server["/"] = Reply(status=status, headers={"Retry-After": "7"}, body=b"try\nlater\x00")
    error = refused(f"{server.url}/")
    assert (error.code, error.retryable, error.retry_after_s) == ("http.status", True, 7.0)
    assert str(status) in error.what
    assert error.why == "try later"
    assert len(server.requests) == 1


def test_retry_after_may_be_a_date(server: HttpServer, refused: Refused) -> None:
    when = formatdate(time.time() + 60, usegmt=True)
    server["/"] = Reply(status=429, headers={"Retry-After": when})
    wait = refused(f"{server.url}/").retry_after_s
    assert wait is not None
    assert 50 < wait <= 60


@pytest.mark.parametrize("status", [400, 401, 404, 501])
def test_a_refusal_is_final(server: HttpServer, refused: Refused, status: int) -> None:
    server["/"] = Reply(status=status, headers={"Retry-After": "soon"})
    error = refused(f"{server.url}/")
    assert (error.retryable, error.retry_after_s) == (False, None)


def test_another_status_can_be_taken_as_an_answer(server: HttpServer, ask: Ask) -> None:
    server["/"] = lambda request: Reply(status=404, body=b'{"found": false}')
    found = ask(f"{server.url}/", accept_status=[404])
    assert (found.rows, found.details["status"]) == ([{"found": False}], 404)


def test_a_refused_connection_may_be_tried_again(server: HttpServer, refused: Refused) -> None:
    error = refused("http://127.0.0.1:1/")
    assert (error.code, error.retryable) == ("http.unreachable", True)


def test_an_answer_that_breaks_off_may_be_tried_again(server: HttpServer, refused: Refused) -> None:
    server["/"] = Reply(headers={"Content-Length": "100"}, parts=[b"[1,"])
    error = refused(f"{server.url}/")
    assert (error.code, error.retryable) == ("http.connection_lost", True)


def test_a_gzip_bomb_is_given_up_early(server: HttpServer, refused: Refused) -> None:
    bomb = gzip.compress(b" " * 80_000_000, 9)
    server["/"] = Reply(body=bomb, headers={"Content-Encoding": "gzip"})
    assert len(bomb) < 100_000
    error = refused(f"{server.url}/")
    assert error.code == "http.too_large"
    assert "52428800" in error.why


@pytest.mark.parametrize("format", ["json", "jsonl", "text"])
def test_a_large_answer_is_refused_whether_its_length_is_told_or_not(
    server: HttpServer, refused: Refused, format: str
) -> None:
    server["/told"] = Reply(body=b"1\n" * 600)
    server["/untold"] = Reply(parts=[b"1\n" * 100] * 6)
    for path in ("/told", "/untold"):
        error = refused(f"{server.url}{path}", format=format, max_bytes=1000)
        assert (error.code, error.retryable) == ("http.too_large", False)


def test_gzip_is_unpacked(server: HttpServer, ask: Ask) -> None:
    server["/"] = Reply(body=gzip.compress(b"[1]"), headers={"Content-Encoding": "gzip"})
    assert ask(f"{server.url}/").rows == [{"value": 1}]


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("size", [1, 10_000])
def test_every_member_of_a_gzip_is_read(
    server: HttpServer, ask: Ask, members: int, size: int
) -> None:
    lines = [b'{"n": %d}\n' % number for number in range(members)]
    body = b"".join(map(gzip.compress, lines)) + b"\0" * 8  # padding, as tapes have it
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    server["/"] = Reply(parts=parts, headers={"Content-Encoding": "x-gzip, identity"})
    found = ask(f"{server.url}/", format="jsonl")
    assert [row["n"] for row in found.rows or []] == list(range(members))


@pytest.mark.parametrize("wbits", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
def test_deflate_is_unpacked_with_and_without_its_header(
    server: HttpServer, ask: Ask, wbits: int
) -> None:
    packer = zlib.compressobj(wbits=wbits)
    body = packer.compress(b"[1]") + packer.flush()
    server["/"] = Reply(parts=[bytes([each]) for each in body],
                        headers={"Content-Encoding": "deflate"})  # fmt: skip
    assert ask(f"{server.url}/").rows == [{"value": 1}]


@pytest.mark.parametrize("format", ["json", "jsonl", "text"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("cut", [1, 9, 40])
def test_compressed_data_without_an_end_is_an_error(
    server: HttpServer, refused: Refused, format: str, encoding: str, cut: int
) -> None:
    rows = b"".join(b'{"n": %d}\n' % number for number in range(50))
    packed = gzip.compress(rows) if encoding == "gzip" else zlib.compress(rows)
    first = packed if encoding == "gzip" else b""
    server["/"] = Reply(body=first + packed[:-cut], headers={"Content-Encoding": encoding})
    error = refused(f"{server.url}/", format=format)
    assert (error.code, error.retryable) == ("http.connection_lost", True)
    assert error.what.endswith("is cut off")


def test_compressed_data_that_is_wrong_is_an_error(server: HttpServer, refused: Refused) -> None:
    packed = gzip.compress(b"[1]")
    server["/"] = Reply(body=packed + b"more", headers={"Content-Encoding": "gzip"})
    assert refused(f"{server.url}/").code == "http.invalid_answer"


def test_a_server_that_falls_silent_is_given_up(server: HttpServer, host: PluginTestHost) -> None:
    def silent() -> Iterator[bytes]:
        yield b"["
        server.ended.wait(20)

    server["/"] = Reply(parts=silent())
    config = {"allow": ["127.0.0.1"], "read_timeout": 0.2}
    collector = host.add(HttpCollector(), "http-collector", config=config)
    request = CollectRequest(endpoint=f"{server.url}/")
    with pytest.raises(OperationError) as caught:
        host.run(collector.request(request, OperationContext("http.request")))
    assert (caught.value.code, caught.value.retryable) == ("http.timeout", True)


def test_a_slow_body_ends_with_its_deadline(server: HttpServer, ask: Ask) -> None:
    def drops() -> Iterator[bytes]:
        while not server.ended.wait(0.05):
            yield b" "

    server["/"] = Reply(parts=drops())
    with pytest.raises(TimeoutError):
        ask(f"{server.url}/", timeout=0.4)


def test_a_cancelled_read_leaves_no_file(
    server: HttpServer, ask: Ask, host: PluginTestHost
) -> None:
    lines = b"".join(b'{"n": %d, "pad": "%s"}\n' % (n, b"x" * 90) for n in range(30_000))

    def then_silence() -> Iterator[bytes]:
        yield lines
        server.ended.wait(20)

    server["/"] = Reply(parts=then_silence())
    with pytest.raises(TimeoutError):
        ask(f"{server.url}/", run_id="run-1", format="jsonl", timeout=1)
    assert list((host.data_dir / "run-files").rglob("*.*")) == []


@pytest.mark.parametrize(
    ("parameters", "why", "fix"),
    [
        ({"metod": "GET"}, "metod: unknown key", "did you mean 'method'?"),
        ({"Authorization": "x"}, "Authorization: unknown key", "goes into headers"),
        ({"method": "TRACE"}, "method: invalid enum value 'TRACE'", ""),
        ({"limit": 0}, "limit: expected int >= 1", ""),
        ({"pagination": {"from": "a", "to": "b"}}, "pagination.to: unknown key", ""),
        ({"json": 1, "text": "a"}, "json and text are both given", ""),
        ({"format": "text", "rows": "a"}, "rows and a cursor are paths", ""),
        ({"headers": {"Host": "a"}}, "the header 'Host' is set by", ""),
        ({"headers": {"X": "a\r\nY: b"}}, "the header 'X' has a line break", ""),
        ({"headers": {"X": "ß"}}, "can't be sent", ""),
    ],
)
def test_wrong_parameters_are_named(
    refused: Refused, parameters: dict[str, Any], why: str, fix: str
) -> None:
    error = refused("http://127.0.0.1:1/", **parameters)
    assert (error.code, error.retryable) == ("http.invalid_parameters", False)
    assert why in error.why
    assert fix in error.fix


def test_parameters_may_be_text_as_in_the_original(server: HttpServer, ask: Ask) -> None:
    server["/"] = Reply.json([1, 2, 3])
    assert ask(f"{server.url}/", limit="2").count == 2


@pytest.mark.parametrize(
    "endpoint",
    ["ftp://example.org/x", "/only/a/path", "", "http://", "http://h:99999/", "http://[::1/",
     "file:///etc/passwd", "http://ex\nmple/"],
)  # fmt: skip
def test_what_is_no_web_url_is_refused(refused: Refused, endpoint: str) -> None:
    error = refused(endpoint)
    assert (error.code, error.retryable) == ("http.invalid_endpoint", False)


def test_a_certificate_is_verified_and_ca_file_trusts_another(
    safe_server: HttpServer, ca_file: Path, refused: Refused, host: PluginTestHost
) -> None:
    safe_server["/"] = Reply.json([1])
    error = refused(f"{safe_server.url}/")
    assert (error.code, error.retryable) == ("http.tls_failed", False)
    assert "ca_file" in error.fix
    config = {"allow": ["127.0.0.1"], "ca_file": str(ca_file)}
    trusting = host.add(HttpCollector(), "trusting", config=config)
    request = CollectRequest(endpoint=f"{safe_server.url}/")
    found = host.run(trusting.request(request, OperationContext("http.request")))
    assert found.count == 1


@pytest.mark.parametrize(
    ("config", "key"),
    [({"ca_file": "/nowhere.pem"}, "ca_file"), ({"proxy": "socks5://h:1"}, "proxy")],
)
def test_a_configuration_that_can_not_be_used_is_named(
    host: PluginTestHost, config: dict[str, str], key: str
) -> None:
    collector = host.add(HttpCollector(), "http-collector", config=config)
    request = CollectRequest(endpoint="http://example.org/")
    with pytest.raises(OperationError, match=f"correct {key}") as caught:
        host.run(collector.request(request, OperationContext("http.request")))
    assert caught.value.code == "http.invalid_config"


def test_an_entry_of_allow_that_means_nothing_is_refused_at_start(host: PluginTestHost) -> None:
    with pytest.raises(ConfigError, match=r"10\.0\.0\.0/99"):
        host.add(HttpCollector(), "http-collector", config={"allow": ["10.0.0.0/99"]})


def test_secrets_are_sent_and_rows_do_not_give_them_back(server: HttpServer, ask: Ask) -> None:
    def echo(request: Received) -> Reply:
        headers = dict(request.headers)
        return Reply.json({"headers": headers, "query": request.query, f"key {SECRET}": SECRET})

    server["/"] = echo
    endpoint = f"{server.url}/".replace("//", "//user:${secret.TOKEN}@", 1)
    headers = {"X-Key": "Bearer ${secret.KEY}"}
    found = ask(endpoint, query={"token": "${secret.TOKEN}"}, headers=headers)
    assert server.requests[0].headers["x-key"] == f"Bearer {KEY}"
    assert server.requests[0].query == {"token": [SECRET]}
    assert SECRET not in str(found)
    assert KEY not in str(found)
    assert found.rows is not None
    assert found.rows[0]["query"] == {"token": ["***"]}
    assert "***" in found.rows[0]["headers"]["authorization"]


def test_secrets_that_a_server_sends_back_in_an_error_are_hidden(
    server: HttpServer, refused: Refused
) -> None:
    server["/"] = lambda request: Reply(
        status=403, body=b"x" * 150 + f"no access for {request.query['t'][0]}".encode() * 500
    )
    error = refused(f"{server.url}/", query={"t": "${secret.TOKEN}"})
    assert SECRET not in str(error)
    assert "no access for ***" in error.why
    assert len(error.why) < 250


def test_a_secret_that_is_missing_is_named(refused: Refused) -> None:
    assert refused("http://${secret.NONE}/").code == "secret.missing"


def test_a_url_that_is_a_secret_as_a_whole_is_never_shown(
    server: HttpServer, host: PluginTestHost
) -> None:
    url = f"{server.url}/hooks/T0PS3CR3T?sig=abc"
    host.secrets = Secrets({"URL": url}.get)
    collector = host.add(HttpCollector(), "http-collector", config={"allow": ["127.0.0.1"]})
    server["/hooks/T0PS3CR3T"] = lambda request: Reply(status=500, body=b"T0PS3CR3T sig=abc")
    request = CollectRequest(endpoint="${secret.URL}")
    with pytest.raises(OperationError) as caught:
        host.run(collector.request(request, OperationContext("http.request")))
    assert "T0PS3CR3T" not in str(caught.value)
    assert "abc" not in str(caught.value)
    assert "${secret.URL} answered 500" in caught.value.what


def test_secrets_among_an_answers_keys_or_in_a_redirect_are_hidden(
    server: HttpServer, refused: Refused
) -> None:
    server["/keys"] = Reply.json({KEY: 1})
    server["/away"] = Reply(status=302, headers={"Location": f"http://{KEY}.invalid/"})
    headers = {"X-Key": "${secret.KEY}"}
    error = refused(f"{server.url}/keys", rows="data", headers=headers)
    assert error.why == "the answer has ***"
    error = refused(f"{server.url}/away", headers=headers)
    assert error.code == "http.unknown_host"
    for text in (str(error), repr(error), str(error.args)):
        assert KEY not in text
        assert "***" in text
