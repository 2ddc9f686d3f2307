"""Alerts reach a mail server and a webhook, whatever dies meanwhile."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from standardwebhooks import Webhook
from tests.servers.http import HttpServer, Received, Reply, running_http_server
from tests.serving import DEADLINE_S, Serving, until

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
CONFIG = """
[alerts.on-call]
recovered = true
workflows = ["quick"]
to = ["email:ops@example.org", "webhook:http://127.0.0.1:{http}/${{secret.PLACE}}"]
secret = "${{secret.KEY}}"

[plugins.notifier.config.smtp]
host = "127.0.0.1"
port = {smtp}
sender = "host@example.org"
security = "none"
"""


class Mailbox:
    """Keeps the letters that a server receives."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        letter = message_from_bytes(content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 OK"

    @property
    def subjects(self) -> dict[str, str]:
        """The subjects by message: one that came twice is one for a mail program."""
        return {str(each["Message-ID"]): str(each["Subject"]) for each in self.letters}


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def smtp_port(mailbox: Mailbox) -> Iterator[int]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield port
    controller.stop()


@pytest.fixture
def web() -> Iterator[HttpServer]:
    with running_http_server() as server:
        yield server


def posted(web: HttpServer) -> dict[str, dict[str, Any]]:
    """Return the bodies that came, each signed, by the id of the message."""
    return {
        each.headers["webhook-id"]: Webhook(KEY).verify(each.body, each.headers)
        for each in web.requests
    }


def test_a_failure_and_the_recovery_are_told_once_over_kill_9(
    serving: Serving, mailbox: Mailbox, smtp_port: int, web: HttpServer
) -> None:
    arrived, released = threading.Event(), threading.Event()

    def hook(request: Received) -> Reply:
        if not arrived.is_set():  # the first attempt: its process dies while it waits
            arrived.set()
            released.wait(DEADLINE_S)
        return Reply(status=204)

    web.routes["/hook"] = hook
    serving.config.write_text(CONFIG.format(http=web.port, smtp=smtp_port))
    secrets = serving.folder / "secrets.toml"
    secrets.touch(mode=0o600)
    secrets.write_text(f'KEY = "{KEY}"\nPLACE = "hook"\n')
    server = serving.serve()
    failed = server.start("quick", wait="60s")
    assert failed["status"] == "failed"
    assert arrived.wait(DEADLINE_S)
    server.end(signal.SIGKILL)
    released.set()
    while_nobody_serves = serving.cli("run", "quick")
    assert while_nobody_serves.returncode == 1

    server = serving.serve()
    until(lambda: len(posted(web)) == 2 and len(mailbox.subjects) == 2)
    assert server.start("quick", wait="60s", word="x")["status"] == "succeeded"
    until(lambda: len(posted(web)) == 3 and len(mailbox.subjects) == 3)

    def are_done() -> bool:
        found = serving.json("runs", "list", "--workflow", "alert-delivery", "--json")["runs"]
        return [each["status"] for each in found] == ["succeeded"] * 6

    until(are_done)
    server.end()
    bodies = sorted(posted(web).values(), key=lambda each: each["timestamp"])
    assert [each["type"] for each in bodies] == ["run.failed", "run.failed", "run.recovered"]
    assert bodies[0]["data"]["run_id"] == failed["run_id"]
    assert [each["data"]["failures"] for each in bodies] == [1, 2, 2]
    assert sorted(mailbox.subjects.values()) == [
        "quick failed", "quick failed", "quick succeeded again",
    ]  # fmt: skip
    assert msgspec.json.decode(web.requests[0].body)["data"]["alert"] == "on-call"
