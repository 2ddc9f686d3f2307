"""notifier: send notifications to the log and by e-mail."""

from __future__ import annotations

import hashlib
import uuid
from typing import Final, Literal

import msgspec

from qtforge_builtin_plugins.approval.messages import (
    Delivery,
    NotificationRequest,
    NotificationSent,
    Person,
)
from qtforge_builtin_plugins.approval.smtp_config import SmtpConfig
from qtforge_sdk import OperationContext, OperationError, Plugin, PluginContext, operation
from qtforge_sdk.durations import seconds
from qtforge_sdk.secrets import Secrets

__all__ = ["Notifier", "NotifierConfig"]

_NO_DOMAIN: Final = "qtforge.invalid"  # RFC 2606; used when the sender has no domain


class NotifierConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of notifier.

    Attributes:
        channels: The channels of a notification, in order.
        smtp: The server for e-mail; without one, e-mail is skipped.
    """

    channels: tuple[Literal["log", "email"], ...] = ("log", "email")
    smtp: SmtpConfig | None = None


class Notifier(Plugin):
    """Sends notifications; the answer has the delivery on each channel."""

    Config = NotifierConfig
    config: NotifierConfig
    _secrets: Secrets

    async def start(self, context: PluginContext) -> None:
        """Get the secrets for the login."""
        self._secrets = context.secrets

    @operation("notification.send", trylast=True)
    def send(self, request: NotificationRequest, context: OperationContext) -> NotificationSent:
        """Send a notification on each channel.

        A step that runs again because its outcome is unknown sends an e-mail with the same
        ``Message-ID``, which mail programs show once.

        Raises:
            OperationError: See `qtforge_builtin_plugins.approval.mail.send`.
        """
        message_id = f"<{_unique(context)}@{self._domain()}>"
        deliveries = [
            self._by_email(request, message_id, context)
            if channel == "email"
            else _by_log(request, context)
            for channel in dict.fromkeys(self.config.channels)
        ]
        return NotificationSent(message_id=message_id, deliveries=deliveries)

    def _by_email(
        self, request: NotificationRequest, message_id: str, context: OperationContext
    ) -> Delivery:
        smtp, to = self.config.smtp, request.recipient
        if smtp is None:
            return _skipped("no SMTP server is configured for notifier")
        if to is None or not to.email:
            return _skipped("the recipient has no address")
        from qtforge_builtin_plugins.approval import mail  # imports smtplib and ssl

        reveal = self._secrets.reveal
        login = (reveal(smtp.username), reveal(smtp.password)) if smtp.username else None
        letter = mail.Letter(
            to_name=to.name,
            to_email=to.email,
            subject=request.subject,
            text=request.text,
            message_id=message_id,
        )
        left_s = context.remaining_s()
        longest_s = seconds(smtp.timeout)
        wait_s = longest_s if left_s is None else max(0.1, min(longest_s, left_s))
        try:
            mail.send(letter, smtp, login, wait_s)
        except OperationError as error:
            error.why = self._secrets.mask(error.why)  # a server may repeat the login
            raise
        return Delivery(channel="email", delivered=True, detail=to.email)

    def _domain(self) -> str:
        smtp = self.config.smtp
        return _NO_DOMAIN if smtp is None else smtp.sender.rpartition("@")[2].strip("> ")


def _by_log(request: NotificationRequest, context: OperationContext) -> Delivery:
    who = _shown(request.recipient)
    if context.attempt == 1:
        context.logger.info("to %s: %s", who, request.subject)
    return Delivery(channel="log", delivered=True, detail=who)


def _skipped(why: str) -> Delivery:
    return Delivery(channel="email", delivered=False, detail=why)


def _shown(person: Person | None) -> str:
    if person is None:
        return "nobody in particular"
    return person.name or person.email or "somebody without a name"


def _unique(context: OperationContext) -> str:
    if context.idempotency_key is None:
        return uuid.uuid4().hex
    return hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:32]
