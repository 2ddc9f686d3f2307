"""alert-delivery posts webhooks as the specification says, to configured places alone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from standardwebhooks import Webhook
from tests.servers.http import HttpServer, Reply, running_http_server

from qtforge_builtin_plugins.alerts.delivery import AlertDelivery
from qtforge_builtin_plugins.alerts.messages import AlertAddress, PostReceipt
from qtforge_host.testing import PluginTestHost
from qtforge_sdk import OperationError
from qtforge_sdk.errors import BusError

OLD, NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
MESSAGE = {"type": "run.failed", "at": "2026-12-01T06:30:00Z", "run_id": "run", "code": "http.x"}


@pytest.fixture
def web() -> Iterator[HttpServer]:
    with running_http_server() as server:
        yield server


def ask(host: PluginTestHost, topic: str, destination: str, answer: type[Any]) -> Any:
    given: dict[str, Any] = {"alert": "ops", "destination": destination}
    if topic == "alert.post":
        given |= {"id": "alert-1", "message": MESSAGE}
    return host.request(topic, given, response_type=answer)


def refused(host: PluginTestHost, destination: str, topic: str = "alert.post") -> OperationError:
    with pytest.raises(BusError) as caught:
        ask(host, topic, destination, PostReceipt)
    assert isinstance(caught.value.__cause__, OperationError)
    return caught.value.__cause__


def add(host: PluginTestHost, *to: str, secrets: tuple[str, ...] = ()) -> None:
    config = {"alerts": {"ops": {"to": list(to), "secrets": list(secrets)}}}
    host.add(AlertDelivery(), config=config)


def test_a_webhook_is_signed_with_every_key(host: PluginTestHost, web: HttpServer) -> None:
    web.routes["/hook"] = lambda request: Reply(status=202)
    to = f"webhook:http://127.0.0.1:{web.port}/hook?a=b"
    add(host, to, secrets=(OLD, NEW))
    assert ask(host, "alert.post", to, PostReceipt) == PostReceipt(status=202)
    (request,) = web.requests
    expected = {
        "type": "run.failed",
        "timestamp": "2026-12-01T06:30:00Z",
        "data": {"run_id": "run", "code": "http.x"},
    }
    for key in (OLD, NEW):
        assert Webhook(key).verify(request.body, request.headers) == expected
    assert request.headers["webhook-id"] == "alert-1"
    assert request.query == {"a": ["b"]}


def test_without_a_key_a_webhook_is_not_signed(host: PluginTestHost, web: HttpServer) -> None:
    web.routes["/"] = lambda request: Reply()
    to = f"webhook:http://127.0.0.1:{web.port}"
    add(host, to)
    ask(host, "alert.post", to, PostReceipt)
    assert "webhook-signature" not in web.requests[0].headers
    assert msgspec.json.decode(web.requests[0].body)["type"] == "run.failed"


@pytest.mark.parametrize(
    ("reply", "code", "retryable", "wait_s"),
    [
        (Reply(status=410), "alert.gone", False, None),
        (Reply(status=500), "alert.refused", True, None),
        (Reply(status=404), "alert.refused", True, None),
        (Reply(status=302, headers={"Location": "/other"}), "alert.refused", True, None),
        (Reply(status=429, headers={"Retry-After": "7"}), "alert.refused", True, 7.0),
        (Reply(status=429, headers={"Retry-After": "soon"}), "alert.refused", True, None),
    ],
)
def test_the_answer_says_whether_to_try_again(
    host: PluginTestHost,
    web: HttpServer,
    reply: Reply,
    code: str,
    retryable: bool,
    wait_s: float | None,
) -> None:
    web.routes["/hook"] = lambda request: reply
    to = f"webhook:http://127.0.0.1:{web.port}/hook"
    add(host, to)
    error = refused(host, to)
    assert (error.code, error.retryable, error.retry_after_s) == (code, retryable, wait_s)
    assert len(web.requests) == 1


def test_a_server_that_is_down_is_worth_another_try(host: PluginTestHost) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        to = f"webhook:http://127.0.0.1:{unused.getsockname()[1]}/hook"
        add(host, to)
        error = refused(host, to)
    assert (error.code, error.retryable) == ("alert.unreachable", True)


@pytest.mark.parametrize("address", ["https://", "file:///etc/passwd", "http://a:b/", "http://ä/"])
def test_what_is_no_address_is_refused(host: PluginTestHost, address: str) -> None:
    add(host, f"webhook:{address}")
    error = refused(host, f"webhook:{address}")
    assert (error.code, error.retryable) == ("alert.invalid_url", False)


@pytest.mark.parametrize("topic", ["alert.post", "alert.address"])
def test_a_message_goes_to_configured_destinations_alone(host: PluginTestHost, topic: str) -> None:
    add(host, "email:ops@example.org")
    error = refused(host, "webhook:https://example.org/${secret.KEY}", topic)
    assert (error.code, error.retryable) == ("alert.unknown_destination", False)


def test_only_an_address_of_mail_is_one(host: PluginTestHost) -> None:
    add(host, "email:ops@example.org", "webhook:https://example.org")
    found = ask(host, "alert.address", "email:ops@example.org", AlertAddress)
    assert found == AlertAddress(email="ops@example.org")
    assert ask(host, "alert.address", "webhook:https://example.org", AlertAddress).email == ""


@pytest.mark.parametrize(
    ("deliveries", "why"),
    [
        ([], "email is not among the channels of notifier"),
        ([{"channel": "log", "delivered": True}], "email is not among the channels of notifier"),
        ([{"channel": "email", "delivered": False, "detail": "no server"}], "no server"),
    ],
)
def test_a_mail_that_was_not_sent_is_a_failure(
    host: PluginTestHost, deliveries: list[dict[str, Any]], why: str
) -> None:
    add(host, "email:ops@example.org")
    with pytest.raises(BusError) as caught:
        host.request("alert.confirm", {"deliveries": deliveries})
    cause = caught.value.__cause__
    assert isinstance(cause, OperationError)
    assert (cause.code, cause.why) == ("alert.not_mailed", why)
