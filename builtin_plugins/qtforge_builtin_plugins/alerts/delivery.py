"""alert-delivery: deliver the messages of alerts."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from qtforge_builtin_plugins.alerts.messages import (
    AddressRequest,
    AlertAddress,
    ConfirmRequest,
    PostReceipt,
    PostRequest,
)
from qtforge_sdk import OperationContext, OperationError, Plugin, PluginContext, operation
from qtforge_sdk.secrets import Secrets

__all__ = ["AlertDelivery", "AlertDeliveryConfig", "AlertDestinations"]

_LONGEST_S: Final = 20.0  # as long as the specification gives a server


class AlertDestinations(msgspec.Struct, frozen=True, kw_only=True):
    """Where an alert is sent, as ``[alerts.NAME]`` says.

    Attributes:
        to: The destinations.
        secrets: The keys with which its webhooks are signed.
    """

    to: tuple[str, ...]
    secrets: tuple[str, ...] = ()


class AlertDeliveryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of alert-delivery.

    Attributes:
        alerts: The alerts, by name; the host takes them from ``[alerts]``.
    """

    alerts: dict[str, AlertDestinations] = {}


class AlertDelivery(Plugin):
    """Posts the messages of alerts to webhooks, and contributes ``alert-delivery``.

    A message goes only to destinations of the configuration, so that nobody who may start a run
    can send what a secret stands for elsewhere.
    """

    Config = AlertDeliveryConfig
    config: AlertDeliveryConfig
    workflows = ("alert-delivery.toml",)
    _secrets: Secrets

    async def start(self, context: PluginContext) -> None:
        """Get the secrets for addresses and signatures."""
        self._secrets = context.secrets

    @operation("alert.address")
    async def address(self, request: AddressRequest, context: OperationContext) -> AlertAddress:
        """Return how a destination is reached.

        Raises:
            OperationError: ``alert.unknown_destination``; ``secret.missing``.
        """
        self._alert(request.alert, request.destination)
        kind, _, address = request.destination.partition(":")
        return AlertAddress(email=self._secrets.reveal(address) if kind == "email" else "")

    @operation("alert.confirm")
    async def confirm(self, request: ConfirmRequest, context: OperationContext) -> None:
        """Check that the notifier has sent a message by e-mail.

        Raises:
            OperationError: ``alert.not_mailed``: it has not, such as without an SMTP server.
        """
        by_mail = [each for each in request.deliveries if each.channel == "email"]
        if not any(each.delivered for each in by_mail):
            raise OperationError(
                "alert.not_mailed", "the message was not sent by e-mail",
                by_mail[0].detail if by_mail else "email is not among the channels of notifier",
                "give notifier an SMTP server, and email among its channels", retryable=False,
            )  # fmt: skip

    @operation("alert.post")
    def post(self, request: PostRequest, context: OperationContext) -> PostReceipt:
        """Post a message to a webhook.

        Raises:
            OperationError: ``alert.unknown_destination``; ``secret.missing``; and those of
                `qtforge_builtin_plugins.alerts.webhooks`.
        """
        from qtforge_builtin_plugins.alerts import webhooks  # imports http.client and ssl

        alert = self._alert(request.alert, request.destination)
        url = self._secrets.reveal(request.destination.partition(":")[2])
        body = msgspec.json.encode(_body(request.message))
        keys = [self._secrets.reveal(each) for each in alert.secrets]
        headers = webhooks.signed_headers(request.id, int(time.time()), body, keys)
        left_s = context.remaining_s()
        wait_s = _LONGEST_S if left_s is None else max(0.1, min(_LONGEST_S, left_s))
        try:
            return PostReceipt(status=webhooks.post(url, headers, body, wait_s))
        except OperationError as error:
            error.what = self._secrets.mask(error.what)  # the host may be part of a secret
            error.why = self._secrets.mask(error.why)
            raise

    def _alert(self, name: str, destination: str) -> AlertDestinations:
        alert = self.config.alerts.get(name)
        if alert is None or destination not in alert.to:
            raise OperationError(
                "alert.unknown_destination", f"the alert '{name}' has no such destination now",
                "the configuration may have changed meanwhile",
                f"check 'to' of [alerts.{name}]", retryable=False,
            )  # fmt: skip
        return alert


def _body(message: dict[str, Any]) -> dict[str, Any]:
    """Return the body that the specification recommends."""
    data = {key: value for key, value in message.items() if key not in ("type", "at")}
    return {"type": message.get("type"), "timestamp": message.get("at"), "data": data}
