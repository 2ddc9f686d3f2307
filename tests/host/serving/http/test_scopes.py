"""Every route with every scope, and the commands that make tokens."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

from tests.serving import Server, Serving, until

from qtforge_host.serving.http.routes import ENDPOINTS
from qtforge_host.serving.tokens import SCOPES, TokenScope

SCOPE_OF_ROUTES = {
    "read": {
        "GET /v1/runs", "GET /v1/runs/count", "GET /v1/runs/{run_id}",
        "GET /v1/runs/{run_id}/records",
        "GET /v1/runs/{run_id}/logs", "GET /v1/runs/{run_id}/logs/live",
        "GET /v1/runs/{run_id}/graph", "GET /v1/runs/{run_id}/export", "GET /v1/inbox",
        "GET /v1/workflows", "GET /v1/workflows/{name}", "GET /v1/workflows/{name}/graph",
        "GET /v1/workflows/{name}/patches",
        "GET /v1/kinds/{kind}/schema", "GET /v1/config/schema",
        "GET /v1/plugins", "GET /v1/plugins/{name}", "GET /v1/topics", "GET /v1/health",
        "GET /v1/schedules", "GET /v1/schedules/{name}", "GET /v1/planned-times",
        "GET /v1/status", "GET /v1/events", "GET /readyz", "GET /metrics",
        "GET /v1/nodes", "GET /v1/nodes/{name}", "GET /v1/pools",
    },
    "approve": {"POST /v1/runs/{run_id}/events"},
    "operate": {
        "POST /v1/runs", "POST /v1/runs/resume", "POST /v1/runs/{run_id}/cancel",
        "POST /v1/runs/{run_id}/pause", "POST /v1/runs/{run_id}/resume",
        "POST /v1/runs/{run_id}/retry", "POST /v1/runs/{run_id}/fork",
        "POST /v1/runs/{run_id}/rerun", "POST /v1/runs/{run_id}/tags", "POST /v1/runs/plan",
        "POST /v1/runs/replay", "POST /v1/runs/replay-archive",
        "POST /v1/runs/cancel", "POST /v1/runs/pause", "POST /v1/runs/retry",
        "POST /v1/runs/{run_id}/amend", "POST /v1/request", "POST /v1/publish",
        "POST /v1/schedules/{name}/pause", "POST /v1/schedules/{name}/resume",
        "POST /v1/schedules/{name}/trigger", "POST /v1/schedules/{name}/backfill",
    },
    "admin": {
        "POST /v1/runs/prune", "POST /v1/runs/import",
        "POST /v1/nodes/{name}/drain", "POST /v1/nodes/{name}/resume",
        "POST /v1/pools/{name}/pause", "POST /v1/pools/{name}/resume",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def tokens(module_server: Server, module_serving: Serving) -> dict[str, str]:
    """A token of each scope, made while the process serves."""
    made: dict[str, str] = {}
    for scope in SCOPES:
        done = module_serving.json("tokens", "create", "--scope", scope, "--json")
        assert done["scope"] == scope
        made[scope] = done["token"]
    return made


@pytest.fixture
def stranger(module_server: Server) -> Iterator[httpx2.Client]:
    """A client without a token."""
    with httpx2.Client(base_url=module_server.url, timeout=60) as client:
        yield client


def ask(client: httpx2.Client, method: str, path: str, token: str | None) -> tuple[int, Any, Any]:
    """Ask for a route with nothing in the request, and return status, document and headers."""
    path = path.replace("{run_id}", "no-such-run").replace("{name}", "no-such-workflow")
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    with client.stream(method, path, headers=headers) as answer:
        if answer.status_code < 400:
            return answer.status_code, None, answer.headers  # a stream does not end
        answer.read()
        return answer.status_code, answer.json(), answer.headers


def test_every_route_has_the_scope_that_the_table_says() -> None:
    found: dict[str, set[str]] = {scope: set() for scope in SCOPES}
    for each in ENDPOINTS:
        found[each.scope].add(f"{each.method} {each.path}")
    assert found == SCOPE_OF_ROUTES


@pytest.mark.parametrize("granted", [None, *SCOPES])
def test_every_route_is_answered_for_its_scopes_alone(
    stranger: httpx2.Client, tokens: dict[str, str], granted: TokenScope | None
) -> None:
    for each in ENDPOINTS:
        token = None if granted is None else tokens[granted]
        status, document, headers = ask(stranger, each.method, each.path, token)
        where = f"{each.method} {each.path}: {document}"
        if granted is None:
            assert (status, document["error"]["code"]) == (401, "http.unauthorized"), where
            assert headers["WWW-Authenticate"] == "Bearer"
        elif SCOPES.index(granted) < SCOPES.index(each.scope):
            assert (status, document["error"]["code"]) == (403, "http.forbidden"), where
            assert f"its scope is '{granted}', and this needs '{each.scope}'" in str(document)
            assert f'scope="{each.scope}"' in headers["WWW-Authenticate"]
        else:
            assert status not in (401, 403), where


def test_the_openapi_document_says_the_scopes(
    stranger: httpx2.Client, tokens: dict[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {tokens['read']}"}
    paths = stranger.get("/openapi.json", headers=headers).json()["paths"]
    for each in ENDPOINTS:
        operation = paths[each.path][each.method.lower()]
        assert operation["security"] == [{"token": [each.scope]}]
        assert {"401", "403"} <= set(operation["responses"])


def test_a_decision_needs_no_more_than_to_approve(
    module_server: Server, stranger: httpx2.Client, tokens: dict[str, str]
) -> None:
    run_id = module_server.start("waits")["run_id"]
    headers = {"Authorization": f"Bearer {tokens['approve']}"}
    sent = stranger.post(
        f"/v1/runs/{run_id}/events", json={"name": "go"}, headers=headers, params={"wait": "30s"}
    )
    assert sent.status_code == 200, sent.text
    assert until(lambda: module_server.run(run_id)["status"] == "succeeded")


def test_a_token_is_refused_as_soon_as_it_is_revoked(
    module_server: Server, module_serving: Serving, stranger: httpx2.Client
) -> None:
    made = module_serving.json("tokens", "create", "--scope", "read", "--name", "x", "--json")
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert stranger.get("/v1/runs", headers=headers).status_code == 200
    assert module_serving.json("tokens", "revoke", made["id"], "--json")["revoked"] == made["id"]
    assert stranger.get("/v1/runs", headers=headers).status_code == 401
    assert module_serving.cli("tokens", "revoke", made["id"]).returncode == 3


def test_a_token_is_refused_when_it_has_expired(
    module_server: Server, module_serving: Serving, stranger: httpx2.Client
) -> None:
    made = module_serving.json(
        "tokens", "create", "--scope", "read", "--expires", "1500ms", "--json"
    )
    headers = {"Authorization": f"Bearer {made['token']}"}
    until(lambda: stranger.get("/v1/runs", headers=headers).status_code == 401)
    expires_at = datetime.datetime.fromisoformat(made["expires_at"])
    assert expires_at < datetime.datetime.now(datetime.UTC)


@pytest.mark.usefixtures("module_server")
def test_the_list_shows_every_token_but_no_text(
    module_serving: Serving, tokens: dict[str, str]
) -> None:
    listed = module_serving.json("tokens", "list", "--json")["tokens"]
    assert (listed[0]["id"], listed[0]["scope"]) == ("first", "admin")
    assert {each["scope"] for each in listed} == set(SCOPES)
    shown = module_serving.cli("tokens", "list").stdout
    for text in tokens.values():
        assert text not in shown + str(listed)
        assert text.split("_")[1] in shown


@pytest.mark.parametrize(
    "words",
    [
        ("create",),
        ("create", "--scope", "root"),
        ("create", "--scope", "read", "--expires", "soon"),
        ("create", "--scope", "read", "--expires", "0s"),
        ("revoke",),
    ],
)
def test_a_command_that_says_too_little_is_refused(
    module_serving: Serving, words: tuple[str, ...]
) -> None:
    assert module_serving.cli("tokens", *words).returncode == 2
