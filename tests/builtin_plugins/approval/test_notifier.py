"""notifier against real SMTP servers: plain, TLS, STARTTLS, logins, refusals, none at all."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from qtforge_builtin_plugins.approval.messages import (
    Delivery,
    NotificationRequest,
    NotificationSent,
    Person,
)
from qtforge_builtin_plugins.approval.notifier import Notifier, NotifierConfig
from qtforge_builtin_plugins.approval.smtp_config import SmtpConfig
from qtforge_host.testing import PluginTestHost
from qtforge_sdk import OperationContext, OperationError, PluginContext
from qtforge_sdk.errors import BusError, ConfigError
from qtforge_sdk.secrets import Secrets

PASSWORD = "correct horse"


class Mailbox:
    """Keeps what a server is handed, and answers as it is told."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []
        self.answers: list[str] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("gone@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        letter = message_from_bytes(content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 OK"


def authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    known = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=known, handled=known)


class ImplicitTls(Controller):
    """A server with TLS from the first byte."""

    def __init__(self, mailbox: Mailbox, context: ssl.SSLContext) -> None:
        super().__init__(mailbox, hostname="127.0.0.1", port=free_port(), ssl_context=context)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(controller: Controller) -> Iterator[int]:
    controller.start()
    try:
        yield int(controller.port)
    finally:
        controller.stop()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def plain(mailbox: Mailbox) -> Iterator[dict[str, Any]]:
    with serving(Controller(mailbox, hostname="127.0.0.1", port=free_port())) as port:
        yield {"host": "127.0.0.1", "port": port, "sender": "host@example.org", "security": "none"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def starttls(
    mailbox: Mailbox, server_tls: ssl.SSLContext, trusted: str
) -> Iterator[dict[str, Any]]:
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=server_tls,
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=True,
    )
    with serving(controller) as port:
        yield {
            "host": "127.0.0.1", "port": port, "sender": "Host <host@example.org>",
            "ca_file": trusted, "username": "host", "password": "${secret.SMTP_PASSWORD}",
        }  # fmt: skip


def notifier(host: PluginTestHost, smtp: dict[str, Any] | None, **config: Any) -> None:
    host.add(Notifier(), config={**config, **({} if smtp is None else {"smtp": smtp})})


def tell(host: PluginTestHost, email: str = "anna@example.org", **message: Any) -> NotificationSent:
    given = {
        "recipient": {"name": "Anna Ä", "email": email},
        "subject": "Please review: offer.md",
        "text": "It waits § for you.\n",
        **message,
    }
    found: NotificationSent = host.request(
        "notification.send", given, response_type=NotificationSent
    )
    return found


def refused(host: PluginTestHost, **message: Any) -> OperationError:
    with pytest.raises(BusError) as caught:
        tell(host, **message)
    cause = caught.value.__cause__
    assert isinstance(cause, OperationError)
    return cause


def test_a_letter_arrives_as_it_was_written(
    host: PluginTestHost, mailbox: Mailbox, plain: dict[str, Any]
) -> None:
    notifier(host, plain)
    sent = tell(host)
    (letter,) = mailbox.letters
    assert letter["To"] == "Anna Ä <anna@example.org>"
    assert letter["From"] == "host@example.org"
    assert letter["Subject"] == "Please review: offer.md"
    assert letter["Message-ID"] == sent.message_id
    assert letter["Auto-Submitted"] == "auto-generated"
    assert letter.get_content() == "It waits § for you.\r\n"
    assert sent.deliveries == [
        Delivery(channel="log", delivered=True, detail="Anna Ä"),
        Delivery(channel="email", delivered=True, detail="anna@example.org"),
    ]


def test_starttls_and_a_login_with_a_secret(
    host: PluginTestHost, mailbox: Mailbox, starttls: dict[str, Any]
) -> None:
    host.secrets = Secrets({"SMTP_PASSWORD": PASSWORD}.get)
    notifier(host, starttls)
    tell(host)
    assert len(mailbox.letters) == 1


def test_tls_from_the_first_byte(
    host: PluginTestHost, mailbox: Mailbox, server_tls: ssl.SSLContext, trusted: str
) -> None:
    with serving(ImplicitTls(mailbox, server_tls)) as port:
        smtp = {"host": "127.0.0.1", "port": port, "sender": "a@b.org", "security": "tls"}
        notifier(host, {**smtp, "ca_file": trusted})
        tell(host)
    assert len(mailbox.letters) == 1


def test_a_wrong_password_is_told_and_not_tried_again(
    host: PluginTestHost, mailbox: Mailbox, starttls: dict[str, Any]
) -> None:
    host.secrets = Secrets({"SMTP_PASSWORD": "wrong one"}.get)
    notifier(host, starttls)
    error = refused(host)
    assert (error.code, error.retryable) == ("notification.login", False)
    assert "wrong one" not in str(error)
    assert mailbox.letters == []


def test_a_secret_that_is_missing_is_told(host: PluginTestHost, starttls: dict[str, Any]) -> None:
    notifier(host, starttls)
    assert refused(host).code == "secret.missing"


def test_a_certificate_that_nobody_trusts_is_refused(
    host: PluginTestHost, mailbox: Mailbox, starttls: dict[str, Any]
) -> None:
    host.secrets = Secrets({"SMTP_PASSWORD": PASSWORD}.get)
    notifier(host, {key: value for key, value in starttls.items() if key != "ca_file"})
    error = refused(host)
    assert (error.code, error.retryable) == ("notification.tls", False)
    assert mailbox.letters == []


def test_a_server_without_starttls_gets_nothing(
    host: PluginTestHost, mailbox: Mailbox, plain: dict[str, Any]
) -> None:
    notifier(host, {**plain, "security": "starttls"})
    assert refused(host).code == "notification.tls"
    assert mailbox.letters == []


def test_certificates_that_are_not_there_are_told(
    host: PluginTestHost, plain: dict[str, Any]
) -> None:
    notifier(host, {**plain, "security": "starttls", "ca_file": "/nowhere/ca.pem"})
    error = refused(host)
    assert (error.code, "ca.pem" in str(error)) == ("notification.tls", True)


def test_a_server_that_is_down_is_worth_another_try(host: PluginTestHost) -> None:
    smtp = {"host": "127.0.0.1", "port": free_port(), "sender": "a@b.org", "security": "none"}
    notifier(host, smtp)
    error = refused(host)
    assert (error.code, error.retryable) == ("notification.unreachable", True)


def test_a_server_that_says_nothing_is_left_after_the_timeout(host: PluginTestHost) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        smtp = {"host": "127.0.0.1", "port": port, "sender": "a@b.org", "security": "none"}
        notifier(host, {**smtp, "timeout": 0.2})
        error = refused(host)
    assert (error.code, error.retryable) == ("notification.unreachable", True)


@pytest.mark.parametrize(
    ("answer", "retryable"), [("451 try later", True), ("554 no spam here", False)]
)
def test_what_the_server_says_decides_whether_to_try_again(
    host: PluginTestHost, mailbox: Mailbox, plain: dict[str, Any], answer: str, retryable: bool
) -> None:
    mailbox.answers = [answer]
    notifier(host, plain)
    error = refused(host)
    assert (error.code, error.retryable) == ("notification.server", retryable)
    assert answer in str(error)


def test_a_mailbox_that_does_not_exist_is_told(host: PluginTestHost, plain: dict[str, Any]) -> None:
    notifier(host, plain)
    error = refused(host, email="gone@example.org")
    assert (error.code, error.retryable) == ("notification.refused", False)
    assert "550 no such mailbox" in str(error)


@pytest.mark.parametrize("email", ["anna", "anna@", "a@b.org\r\nBcc: all@b.org", "a b@c.org"])
def test_what_is_no_address_is_refused_before_anything_is_sent(
    host: PluginTestHost, mailbox: Mailbox, plain: dict[str, Any], email: str
) -> None:
    notifier(host, plain)
    assert refused(host, email=email).code == "notification.address"
    assert mailbox.letters == []


def test_a_line_break_in_a_name_makes_no_header(
    host: PluginTestHost, mailbox: Mailbox, plain: dict[str, Any]
) -> None:
    notifier(host, plain)
    tell(host, subject="Please review: a\r\nBcc: all@example.org")
    (letter,) = mailbox.letters
    assert letter["Bcc"] is None
    assert letter["Subject"] == "Please review: a Bcc: all@example.org"


def test_without_a_server_only_the_log_is_told_and_the_answer_says_so(
    host: PluginTestHost, caplog: pytest.LogCaptureFixture
) -> None:
    notifier(host, None)
    with caplog.at_level(logging.INFO, "qtforge.plugin.notifier"):
        sent = tell(host)
    assert [each.delivered for each in sent.deliveries] == [True, False]
    assert sent.deliveries[1].detail == "no SMTP server is configured for notifier"
    assert "to Anna Ä: Please review: offer.md" in caplog.text


def test_nobody_in_particular_is_told_in_the_log_alone(
    host: PluginTestHost, mailbox: Mailbox, plain: dict[str, Any]
) -> None:
    notifier(host, plain)
    sent = tell(host, recipient=None)
    assert sent.deliveries[1] == Delivery(
        channel="email", delivered=False, detail="the recipient has no address"
    )
    assert mailbox.letters == []


def test_a_login_over_an_open_line_is_refused_when_it_is_configured(host: PluginTestHost) -> None:
    smtp = {"host": "h", "sender": "a@b.org", "security": "none", "username": "me"}
    with pytest.raises(ConfigError, match="or it is not encrypted"):
        notifier(host, smtp)


def test_a_step_that_is_done_again_sends_the_same_message_id(
    host: PluginTestHost, mailbox: Mailbox, plain: dict[str, Any]
) -> None:
    notifier(host, plain)
    plugin = Notifier()
    plugin.config = NotifierConfig(smtp=msgspec.convert(plain, SmtpConfig))
    context = PluginContext(
        name="notifier", version="1.0.0", bus=host.bus, data_dir=host.data_dir, host_version="1"
    )
    host.run(plugin.start(context))
    request = NotificationRequest(recipient=Person(email="a@example.org"), subject="s", text="t")
    for step, attempt in (("1", 1), ("1", 2), ("2", 1)):
        asked = OperationContext("notification.send", "notifier", attempt=attempt,
                                 idempotency_key=f"run/{step}")  # fmt: skip
        plugin.send(request, asked)
    first, again, other = (letter["Message-ID"] for letter in mailbox.letters)
    assert first == again != other
    assert first.endswith("@example.org>")
