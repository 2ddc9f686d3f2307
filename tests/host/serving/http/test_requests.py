"""Authentication, and requests that are refused."""

from __future__ import annotations

import datetime
import gzip
import re
import socket
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, cast

import httpx2
import msgspec
import pytest
from tests.serving import Server, Serving

from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.http.requests import Endpoint, read_query
from qtforge_host.serving.http.routes import ENDPOINTS


def code_of(answer: httpx2.Response) -> str:
    document = answer.json()
    assert set(document["error"]) == {"code", "message", "why", "fix"}
    code: str = document["error"]["code"]
    return code


@pytest.mark.parametrize("path", ["/", "/v1/runs", "/readyz", "/metrics", "/openapi.json", "/no"])
@pytest.mark.parametrize("token", [None, "Bearer", "Bearer wrong", "Basic x", "Bearer tökén"])
def test_nothing_but_liveness_is_answered_without_the_token(
    module_server: Server, path: str, token: str | None
) -> None:
    headers = {} if token is None else {b"Authorization": token.encode()}
    with httpx2.Client(base_url=module_server.url) as stranger:
        refused = stranger.get(path, headers=headers)
        assert (refused.status_code, code_of(refused)) == (401, "http.unauthorized")
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert stranger.get("/healthz", headers=headers).json()["status"] == "alive"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:1", "127.0.0.1.evil", ""])
def test_another_host_name_is_refused(module_server: Server, host: str) -> None:
    refused = module_server.get("/v1/runs", headers={"Host": host})
    assert (refused.status_code, code_of(refused)) == (421, "http.host_refused")
    assert module_server.get("/healthz", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "127.0.0.1:8321", "[::1]:8321"])
def test_every_name_of_this_machine_is_right(module_server: Server, host: str) -> None:
    assert module_server.get("/readyz", headers={"Host": host}).status_code == 200


def test_a_name_that_is_allowed_is_right(serving: Serving) -> None:
    server = serving.serve("--allow-host", "forge.example")
    assert server.get("/readyz", headers={"Host": "forge.example:8321"}).status_code == 200
    assert server.get("/readyz", headers={"Host": "other.example:8321"}).status_code == 421


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_site_is_refused(module_server: Server, origin: str) -> None:
    refused = module_server.post("/v1/runs", {"workflow": "quick"}, headers={"Origin": origin})
    assert (refused.status_code, code_of(refused)) == (403, "http.origin_refused")
    assert "access-control-allow-origin" not in refused.headers


def test_the_same_origin_is_right(module_server: Server) -> None:
    origin = {"Origin": module_server.url}
    assert module_server.get("/readyz", headers=origin).status_code == 200


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("allowed.example", "http://allowed.example", 200),
        ("Allowed.example:443", "https://allowed.example", 200),
        ("allowed.example:80", "http://allowed.example", 200),
        ("allowed.example:8321", "http://allowed.example:8321", 200),
        ("allowed.example:443", "http://allowed.example", 403),
        ("allowed.example:8321", "http://allowed.example", 403),
        ("allowed.example:x", "http://allowed.example", 403),
        ("127.0.0.1:8321", "https://allowed.example", 403),
        ("allowed.example", "http://evil.example", 403),
        ("evil.example", "http://evil.example", 421),
    ],
)
def test_an_allowed_host_may_be_asked_by_its_own_pages_alone(
    module_server: Server, host: str, origin: str, status: int
) -> None:
    answer = module_server.get("/readyz", headers={"Host": host, "Origin": origin})
    assert answer.status_code == status


def test_a_request_that_is_too_large_is_refused_whether_it_says_so_or_not(
    serving: Serving,
) -> None:
    server = serving.serve("--max-body", "1")
    body = b'{"workflow": "quick", "input": {"word": "' + b"x" * 1_100_000 + b'"}}'
    kind = {"Content-Type": "application/json"}
    said = server.client.post("/v1/runs", content=body, headers=kind)
    assert (said.status_code, code_of(said)) == (413, "http.too_large")
    parts = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
    found = server.client.post("/v1/runs", content=parts, headers=kind)
    assert (found.status_code, code_of(found)) == (413, "http.too_large")
    assert server.get("/readyz").status_code == 200


def test_too_many_requests_are_refused_until_a_moment_has_passed(serving: Serving) -> None:
    server = serving.serve("--rate", "5/m")
    answers = [server.get("/readyz") for _ in range(6)]
    assert [each.status_code for each in answers] == [200] * 5 + [429]
    assert code_of(answers[-1]) == "http.too_many_requests"
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 13
    # Somebody without the token has a bucket of his own, so that he can't shut others out.
    with httpx2.Client(base_url=server.url) as stranger:
        assert stranger.get("/readyz").status_code == 401


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "code"),
    [
        ("/v1/runs", b"{", {}, 400, "http.invalid_request"),
        ("/v1/runs", b'"x"', {}, 400, "http.invalid_request"),
        ("/v1/runs", b'{"workflow": 1}', {}, 400, "http.invalid_request"),
        ("/v1/runs", b'{"workflow": "quick", "inputs": {}}', {}, 400, "http.invalid_request"),
        ("/v1/runs", b'{"workflow": "a\xff"}', {}, 400, "http.invalid_request"),
        ("/v1/runs", b'{"workflow":"quick","input":{"a":' + b"[" * 5000, {}, 400,
         "http.invalid_request"),
        ("/v1/runs", b"{}", {"Content-Type": "text/plain"}, 415, "http.unsupported_media_type"),
        ("/v1/runs?wait=5", b'{"workflow": "quick"}', {}, 400, "http.invalid_request"),
        ("/v1/runs?wait=1s&wait=2s", b'{"workflow": "quick"}', {}, 400, "http.invalid_request"),
        ("/v1/runs?weight=1s", b'{"workflow": "quick"}', {}, 400, "http.invalid_request"),
        ("/v1/runs", b'{"workflow": "quikc"}', {}, 404, "workflow.not_found"),
        ("/v1/runs", b'{"workflow": "/etc/x.toml"}', {}, 404, "workflow.not_found"),
        ("/v1/runs/no/events", b'{"name": "x"}', {}, 404, "run.not_found"),
        ("/v1/publish", b'{"topic": "not a topic"}', {}, 400, "bus.invalid_topic"),
        ("/v1/runs", b'{"workflow": "quick", "input": {"word": 123456789012345678901234567890}}',
         {}, 422, "run.not_storable"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_the_reason(
    module_server: Server,
    path: str,
    content: bytes,
    headers: Mapping[str, str],
    status: int,
    code: str,
) -> None:
    kind = {"Content-Type": "application/json", **headers}
    refused = module_server.client.post(path, content=content, headers=kind)
    assert (refused.status_code, code_of(refused)) == (status, code)


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    count: Annotated[int, msgspec.Meta(ge=0)] | None = None
    ratio: float = 0.0
    deep: bool = False
    at: Annotated[datetime.datetime, msgspec.Meta(tz=True)] | None = None
    name: str | None = None
    sizes: list[int] = []


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "7", 7), ("count", "0", 0), ("ratio", "7", 7.0), ("ratio", "-1.5e3", -1500.0),
        ("deep", "true", True), ("deep", "false", False), ("sizes", "3", [3]),
        ("name", "7", "7"), ("name", "null", "null"), ("name", "true", "true"),
        ("at", "2026-01-31T12:00:00Z", datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)),
        ("at", "2026-01-31T12:00:00.5+00:00",
         datetime.datetime(2026, 1, 31, 12, 0, 0, 500_000, tzinfo=datetime.UTC)),
    ],
)  # fmt: skip
def test_a_parameter_is_written_as_in_json(name: str, text: str, value: Any) -> None:
    read = getattr(read_query([(name, text)], Parameters), name)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("at", text) for text in ("7", "7.5", "1e9", "null", "", "2026-01-31", "true",
                                    "2026-01-31T12:00:00")),
        *(("deep", text) for text in ("1", "0", "TRUE", "True", "null", "yes", "")),
        *(("count", text) for text in ("null", "true", "+7", "07", " 7", "7 ", "7_0", "\u0667",
                                       "-1", "0x7", "7.5", "", "9" * 9000, "1e999")),
        *(("ratio", text) for text in ("nan", "inf", "-Infinity", ".5", "5.", "true", "null",
                                       "1e999")),
        ("sizes", "true"), ("sizes", "null"),
    ],
)  # fmt: skip
def test_a_parameter_in_a_form_that_its_schema_forbids_is_refused(name: str, text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_query([(name, text)], Parameters)
    assert (caught.value.code, caught.value.http_status) == ("http.invalid_request", 400)
    assert name in caught.value.why


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/runs?since=7", 400), ("/v1/runs?until=null", 400), ("/v1/runs?limit=null", 400),
        ("/v1/runs?since=2026-01-31T12:00:00Z", 200),
        # Beyond the calendar in UTC.
        ("/v1/runs?since=0001-01-01T00:00:00%2B05:00", 200),
        ("/v1/runs?until=9999-12-31T23:59:59-05:00", 200),
        ("/v1/events?after=a%20b", 400), ("/v1/runs/no/records?after=1e400", 400),
    ],
)  # fmt: skip
def test_every_parameter_is_checked_as_its_schema_says(
    module_server: Server, path: str, status: int
) -> None:
    assert module_server.get(path).status_code == status


def test_no_pattern_of_what_clients_send_takes_a_line_break_at_its_end() -> None:
    sent = {each.query for each in ENDPOINTS} | {each.body for each in ENDPOINTS} - {None, bytes}
    schemas = msgspec.json.schema_components(list(sent))[1]
    patterns = list(_patterns(schemas))
    assert len(patterns) >= 4
    assert all(each.endswith(r"(?!\n)$") for each in patterns), patterns


def _patterns(schema: Any) -> Iterator[str]:
    inner = schema.values() if isinstance(schema, dict) else schema
    if isinstance(schema, dict) and isinstance(schema.get("pattern"), str):
        yield schema["pattern"]
    for each in inner if isinstance(schema, dict | list | tuple) else ():
        yield from _patterns(each)


def test_every_body_whose_keys_may_all_be_left_out_may_be_left_out() -> None:
    structs = [each for each in ENDPOINTS if each.body not in (None, bytes)]
    may_be_empty = {
        each.name for each in structs if not _required(cast("type[msgspec.Struct]", each.body))
    }
    one_of_its_keys = {"pruneRuns", "cancelRuns", "pauseRuns", "retryRuns"}
    assert may_be_empty - one_of_its_keys == {each.name for each in structs if each.body_optional}


def _required(struct: type[msgspec.Struct]) -> list[str]:
    return [each.name for each in msgspec.structs.fields(struct) if each.required]


@pytest.mark.parametrize(
    ("path", "body", "lines"),
    [
        (
            "/v1/runs?wait=1h",
            {"workflow": "quick"},
            ["query.wait: '1h' has the wrong form; write it as in '10s'"],
        ),
        (
            "/v1/runs",
            {"workflw": "quick", "queue": {"pool": "a b", "priority": "high"}},
            [
                "body.workflw: unknown key; did you mean 'workflow'?",
                "body.queue.pool: 'a b' has the wrong form; write it as in 'reports'",
                "body.queue.priority: expected int, got str",
            ],
        ),
        (
            "/v1/runs/any/amend",
            {"patch": [1] * 50},
            [f"body.patch[{each}]: expected object, got int" for each in range(20)]
            + ["and 30 more"],
        ),
        ("/v1/runs", [], ["body: expected object, got array"]),
    ],
)
def test_every_error_of_a_request_is_told_with_its_path(
    module_server: Server, path: str, body: Any, lines: list[str]
) -> None:
    refused = module_server.post(path, body)
    assert (refused.status_code, code_of(refused)) == (400, "http.invalid_request")
    assert refused.json()["error"]["why"].split("\n") == lines


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'{"workflow": 1, "input": {"a": ', "body: Expected `str`, got `int`"),
        (b'{"workflow": 1, "input": {"a": ' + b"[" * 60_000, "body: Expected `str`, got `int`"),
        (b'{"workflow": 1, "input": {"a": "' + b"x" * 100_000 + b'"}}', "body: Expected `str`"),
        (b'{"workflow": ', "body: it is not JSON: "),
        (b"\xff", "body: it is not JSON: "),
    ],
    ids=["truncated", "deep", "large", "no JSON", "no UTF-8"],
)
def test_what_is_wrong_and_no_json_or_large_is_refused_too(
    module_server: Server, content: bytes, why: str
) -> None:
    headers = {"Content-Type": "application/json"}
    refused = module_server.client.post("/v1/runs", content=content, headers=headers)
    assert (refused.status_code, code_of(refused)) == (400, "http.invalid_request")
    assert refused.json()["error"]["why"].startswith(why)


@pytest.mark.parametrize("cron", ["* * *", "@dayly", "0 0 31 2 *"])
def test_planned_times_of_what_is_no_cron_expression_are_refused(
    module_server: Server, cron: str
) -> None:
    refused = module_server.get("/v1/planned-times", params={"cron": cron})
    assert (refused.status_code, code_of(refused)) == (400, "http.invalid_request")
    assert cron in refused.json()["error"]["why"]


# Python's $ matches before a last line break, too.
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/runs?wait=5s%0A", {"workflow": "quick"}),
        ("/v1/runs/prune", {"older_than": "30d\n"}),
        ("/v1/request", {"topic": "step.one", "timeout": "5s\n"}),
    ],
)
def test_a_duration_has_no_line_break_at_its_end(
    module_server: Server, path: str, body: dict[str, Any]
) -> None:
    assert module_server.post(path, body).status_code == 400


@pytest.mark.parametrize(
    "endpoint",
    [each for each in ENDPOINTS if each.body is not None],
    ids=lambda each: each.name,
)
@pytest.mark.parametrize("encoding", [["gzip"], ["identity", "br"], ["X-Own"]])
def test_a_compressed_body_is_refused_by_its_encoding_at_every_endpoint(
    module_server: Server, endpoint: Endpoint, encoding: list[str]
) -> None:
    path = re.sub(r"\{\w+\}", "any", endpoint.path)
    headers = [("Content-Type", endpoint.body_type)]
    headers += [("Content-Encoding", each) for each in encoding]
    refused = module_server.client.request(
        endpoint.method, path, content=gzip.compress(b"{}"), headers=headers
    )
    assert (refused.status_code, code_of(refused)) == (415, "http.unsupported_encoding")
    assert f"'{', '.join(encoding)}'" in refused.json()["error"]["why"]
    assert refused.headers["Accept-Encoding"] == "identity"


def test_a_body_that_says_it_is_not_compressed_is_read(module_server: Server) -> None:
    headers = {"Content-Encoding": "Identity"}
    made = module_server.client.post("/v1/runs", json={"workflow": "quick"}, headers=headers)
    assert made.status_code in (200, 201, 202)


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [("PUT", "/v1/runs", 405, "GET, POST"), ("POST", "/healthz", 405, "GET"),
     ("DELETE", "/v1/plugins", 405, "GET"), ("GET", "/v1/nothing", 404, None),
     ("GET", "/v1/runs/", 404, None), ("GET", "//", 404, None)],
)  # fmt: skip
def test_another_method_or_path_is_refused(
    module_server: Server, method: str, path: str, status: int, allowed: str | None
) -> None:
    refused = module_server.client.request(method, f"{module_server.url}{path}")
    assert refused.status_code == status
    assert refused.headers.get("Allow") == allowed
    assert code_of(refused) in ("http.method_not_allowed", "http.not_found")


def test_garbage_on_the_line_harms_nobody(module_server: Server) -> None:
    host, _, port = module_server.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as line:
        line.sendall(b"\x00\xff not http\r\n\r\n")
        assert line.recv(4096).startswith(b"HTTP/1.1 400")
    assert module_server.get("/readyz").status_code == 200
    assert "Traceback" not in module_server.error


def test_head_is_as_get_without_the_content(module_server: Server) -> None:
    found = module_server.client.head("/v1/workflows")
    assert (found.status_code, found.content) == (200, b"")


def test_what_the_configuration_lacks_is_no_server_error(module_server: Server) -> None:
    answer = module_server.post("/v1/runs/prune", {"policy": True, "dry_run": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "retention.missing")
