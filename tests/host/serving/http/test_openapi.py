"""The interface is what its OpenAPI document says: schemathesis asks, and compares."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from tests.serving import Server

schemathesis = pytest.importorskip("schemathesis", reason="the extra 'dev' is not installed")

from hypothesis import HealthCheck, given, settings  # noqa: E402 - after the library that may be absent
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
    ignored_auth,
]
ENDLESS = "/v1/events"  # its answer does not end


@pytest.fixture(scope="module")
def described(module_server: Server) -> Any:
    for name in ("quick", "waits"):  # so that there is something to list
        module_server.start(name, word="a")
    document = module_server.get("/openapi.json").json()
    return schemathesis.openapi.from_dict(document)


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_answer_is_as_the_document_says(
    described: Any, module_server: Server, mode: str
) -> None:
    generation = schemathesis.GenerationMode(mode)
    headers = {"Authorization": f"Bearer {module_server.token}"}
    tried = set()
    for found in described.exclude(path=ENDLESS).get_all_operations():
        operation = found.ok()
        if mode == "negative" and not (operation.query or operation.body):
            continue  # nothing in it can be wrong but the path

        @settings(
            max_examples=12, deadline=None, suppress_health_check=list(HealthCheck),
            derandomize=True, database=None,
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=generation))
        def ask(case: Any) -> None:
            case.call_and_validate(
                base_url=module_server.url, headers=headers, checks=CHECKS, timeout=120
            )

        ask()
        tried.add(operation.label)
    assert len(tried) >= (18 if mode == "positive" else 10)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_ten_minutes_of_requests_meet_no_server_error(
    described: Any, module_server: Server
) -> None:
    headers = {"Authorization": f"Bearer {module_server.token}"}
    operations = [each.ok() for each in described.exclude(path=ENDLESS).get_all_operations()]
    asked = 0
    end = time.monotonic() + 600

    for operation, mode in itertools.cycle(itertools.product(operations, ("positive", "negative"))):
        if time.monotonic() > end:
            break
        if mode == "negative" and not (operation.query or operation.body):
            continue

        @settings(
            max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), database=None
        )
        @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(
                base_url=module_server.url,
                headers=headers,
                checks=[not_a_server_error],
                timeout=120,
            )

        ask()
    print(f"{asked} requests")
    assert module_server.process.poll() is None
    assert module_server.get("/readyz").status_code == 200


def test_what_there_is_is_answered_as_the_document_says(
    described: Any, module_server: Server
) -> None:
    """Schemathesis guesses no run's name, so those are asked for by hand."""
    run_id = module_server.start("steps", word="a")["run_id"]
    event = {"name": "x"}
    asked: list[tuple[str, str, Any]] = [
        ("GET", "/v1/runs/{run_id}", None),
        ("GET", "/v1/runs/{run_id}/records", None),
        ("POST", "/v1/runs/{run_id}/events", event),
        ("POST", "/v1/runs/{run_id}/pause", None),
        ("POST", "/v1/runs/{run_id}/resume", None),
        ("POST", "/v1/runs/{run_id}/cancel", None),
        ("GET", "/v1/workflows/{name}", None),
        ("GET", "/v1/workflows/{name}/graph", None),
        ("GET", "/v1/workflows/{name}/patches", None),
        ("GET", "/v1/kinds/{kind}/schema", None),
        ("GET", "/v1/config/schema", None),
    ]
    for method, path, body in asked:
        filled = path.format(run_id=run_id, name="steps", kind="sequential")
        answer = module_server.client.request(method, filled, json=body)
        assert answer.status_code in (200, 202), answer.text
        described[path][method].validate_response(answer)
