"""Send one e-mail over SMTP; every failure is an error that says whether it is retryable."""

from __future__ import annotations

import email.errors
import email.headerregistry
import email.message
import email.policy
import email.utils
import smtplib
import ssl
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NoReturn

import msgspec

from qtforge_builtin_plugins.approval.smtp_config import SmtpConfig
from qtforge_sdk import OperationError

__all__ = ["Letter", "send"]

_PORTS: Final[Mapping[str, int]] = MappingProxyType({"starttls": 587, "tls": 465, "none": 25})


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """An e-mail.

    Attributes:
        to_name: The recipient's name, or "".
        to_email: The recipient's address.
        subject: One line; line breaks become spaces.
        text: The message.
        message_id: The ``Message-ID``, with angle brackets.
    """

    to_name: str
    to_email: str
    subject: str
    text: str
    message_id: str


def send(letter: Letter, config: SmtpConfig, login: tuple[str, str] | None, wait_s: float) -> None:
    """Send an e-mail.

    Args:
        letter: The e-mail.
        config: The server.
        login: User name and password, or None.
        wait_s: The timeout of each answer, in seconds.

    Raises:
        OperationError: ``notification.address``, ``.refused``, ``.login``, ``.tls``,
            ``.unreachable``, ``.server``; each says whether it is retryable.
    """
    message = _message(letter, config.sender)
    try:
        context = None if config.security == "none" else _tls(config)
        with _connected(config, context, wait_s) as server:
            if config.security == "starttls":
                server.starttls(context=context)
            if login is not None:
                server.login(*login)
            server.send_message(message)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        _refuse(error, letter, config)


def _connected(config: SmtpConfig, context: ssl.SSLContext | None, wait_s: float) -> smtplib.SMTP:
    port = config.port or _PORTS[config.security]
    if config.security == "tls":
        return smtplib.SMTP_SSL(config.host, port, timeout=wait_s, context=context)
    return smtplib.SMTP(config.host, port, timeout=wait_s)


def _tls(config: SmtpConfig) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=config.ca_file)
    except OSError as error:
        raise OperationError(
            "notification.tls", f"ca_file {config.ca_file} can't be read", str(error),
            "check smtp.ca_file in the configuration of notifier", retryable=False,
        ) from error  # fmt: skip


def _message(letter: Letter, sender: str) -> email.message.EmailMessage:
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    try:
        to = email.headerregistry.Address(letter.to_name, addr_spec=letter.to_email)
        # The library refuses line breaks in headers; file names may contain some.
        message["Subject"] = " ".join(letter.subject.split())
        message["From"] = sender
        message["To"] = to
    except (ValueError, IndexError, email.errors.MessageError) as error:
        raise OperationError(
            "notification.address", f"'{letter.to_email}' is not an e-mail address", str(error),
            "write it as name@example.org", retryable=False,
        ) from error  # fmt: skip
    message["Date"] = email.utils.localtime()
    message["Message-ID"] = letter.message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic reply
    message.set_content(letter.text)
    return message


def _refuse(error: Exception, letter: Letter, config: SmtpConfig) -> NoReturn:
    server = f"{config.host}:{config.port or _PORTS[config.security]}"
    if isinstance(error, ssl.SSLError | smtplib.SMTPNotSupportedError):
        raise OperationError(
            "notification.tls", f"no secure connection to {server}", str(error),
            "check smtp.host, smtp.security and smtp.ca_file of notifier", retryable=False,
        ) from error  # fmt: skip
    if isinstance(error, smtplib.SMTPAuthenticationError):
        raise OperationError(
            "notification.login", f"{server} refused the login", _answer(error),
            "check smtp.username and smtp.password of notifier",
            retryable=400 <= error.smtp_code < 500,
        ) from error  # fmt: skip
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, answer = next(iter(error.recipients.values()))
        raise OperationError(
            "notification.refused", f"{server} does not accept mail for {letter.to_email}",
            f"{code} {answer.decode(errors='replace')}", "check the address",
            retryable=400 <= code < 500,
        ) from error  # fmt: skip
    if isinstance(error, smtplib.SMTPResponseException):
        raise OperationError(
            "notification.server", f"{server} did not accept the message", _answer(error),
            "check the server's answer", retryable=400 <= error.smtp_code < 500,
        ) from error  # fmt: skip
    raise OperationError(
        "notification.unreachable", f"{server} can't be reached",
        str(error) or type(error).__name__, "check smtp.host and smtp.port of notifier",
        retryable=True,
    ) from error  # fmt: skip


def _answer(error: smtplib.SMTPResponseException) -> str:
    answer = error.smtp_error
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    return f"{error.smtp_code} {text}"
