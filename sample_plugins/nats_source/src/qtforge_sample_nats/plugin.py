"""The plugin: it answers a topic of the host's own, for endpoints that only it accepts."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
import urllib.parse
from typing import Annotated, Any, Final

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from qtforge_sdk import (
    Duration,
    OperationContext,
    OperationError,
    Plugin,
    PluginContext,
    operation,
)
from qtforge_sdk.durations import wait_seconds
from qtforge_sdk.messages import Collected, CollectRequest

__all__ = ["NatsSource", "NatsSourceConfig", "Parameters"]

_SUBJECT: Final = re.compile(r"[^\s.]+(\.[^\s.]+)*")
_MARGIN_S: Final = 0.5  # the rows so far are an answer, a timeout is none
_CONNECT_S: Final = 3
_JSON: Final = msgspec.json.Decoder(dict[str, Any])


class NatsSourceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[plugins.nats-source.config]``.

    Attributes:
        servers: ``HOST:PORT`` of the servers that a workflow may name.
        max_rows: The most rows of one source.
        max_bytes: The most bytes of all its messages.
    """

    servers: tuple[str, ...] = ("127.0.0.1:4222", "localhost:4222")
    max_rows: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 32 << 20


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a source of the type ``stream`` at NATS takes.

    Attributes:
        count: End after so many rows.
        time: End after this duration.
        idle: End when nothing has arrived for this duration, or None.
        strict: Whether a message that is no JSON object is an error; otherwise it is counted.
    """

    count: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    time: Duration = "10s"
    idle: Duration | None = None
    strict: bool = False


class NatsSource(Plugin):
    """Reads JSON objects from a NATS subject, from now on."""

    Config = NatsSourceConfig
    config: NatsSourceConfig
    _context: PluginContext

    async def start(self, context: PluginContext) -> None:
        """Keep the secrets for endpoints."""
        self._context = context

    @operation(
        "stream.read",
        accepts="message.endpoint.startsWith('nats://') || message.endpoint.startsWith('tls://')",
    )
    async def read(self, request: CollectRequest, context: OperationContext) -> Collected:
        """Return a row for each JSON object that is published within the window.

        Raises:
            OperationError: ``nats.invalid_parameters``, ``.invalid_endpoint``,
                ``.server_refused``, ``.unreachable``, ``.connection_lost`` or
                ``.invalid_message``, and ``secret.missing``.
        """
        parameters, longest_s, idle_s = _parameters(request)
        left_s = context.remaining_s()
        if left_s is not None:
            longest_s = min(longest_s, max(0.0, left_s - _MARGIN_S))
        url = self._context.secrets.reveal(request.endpoint, encode=_quoted)
        server, subject, credentials = self._place(request.name, url)
        window = _Window(self.config, parameters, time.monotonic() + longest_s, idle_s)
        client = Client()
        try:
            await _connect(client, server, credentials, request.name)
            ended_by = await window.fill(await client.subscribe(subject), client, request.name)
        finally:
            with contextlib.suppress(Exception):
                await client.close()
        return Collected(
            rows=window.rows,
            count=len(window.rows),
            truncated=ended_by in ("max_rows", "max_bytes"),
            details={"ended_by": ended_by, "invalid": window.invalid},
        )

    def _place(self, name: str, url: str) -> tuple[str, str, dict[str, str]]:
        fix = "give one such as nats://HOST:4222/SUBJECT"
        try:
            parts = urllib.parse.urlsplit(url)
            host, port = parts.hostname, parts.port or 4222
        except ValueError:
            host, port = None, 0
        subject = urllib.parse.unquote(parts.path.removeprefix("/")) if host else ""
        if host is None or _SUBJECT.fullmatch(subject) is None or parts.query:
            raise OperationError(
                "nats.invalid_endpoint", f"the endpoint of '{name}' is no NATS subject", "", fix,
                retryable=False,
            )  # fmt: skip
        if f"{host}:{port}" not in self.config.servers:
            raise OperationError(
                "nats.server_refused", f"'{name}' may not be read from {host}:{port}", "",
                "add it to plugins.nats-source.config.servers", retryable=False,
            )  # fmt: skip
        user, password = (
            urllib.parse.unquote(each or "") for each in (parts.username, parts.password)
        )
        credentials = {"user": user, "password": password} if password else {"token": user}
        place = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{place}:{port}", subject, credentials if user else {}


class _Window:
    """The rows of a stream until a limit ends it."""

    def __init__(
        self, config: NatsSourceConfig, wanted: Parameters, end_s: float, idle_s: float | None
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self.invalid = 0
        self._config = config
        self._wanted = wanted
        self._end_s = end_s
        self._idle_s = idle_s
        self._bytes_left = config.max_bytes

    async def fill(self, subscription: Subscription, client: Client, name: str) -> str:
        """Take messages; return what ended it."""
        while True:
            left_s = self._end_s - time.monotonic()
            if left_s <= 0:
                return "time"
            wait_s = left_s if self._idle_s is None else min(left_s, self._idle_s)
            try:
                message = await subscription.next_msg(wait_s)
            except (nats.errors.TimeoutError, TimeoutError):
                if client.is_closed:
                    raise _lost(name) from None
                return "idle" if self._idle_s is not None and wait_s < left_s else "time"
            except nats.errors.Error:
                raise _lost(name) from None
            ended_by = self._take(message.data, name)
            if ended_by:
                return ended_by

    def _take(self, data: bytes, name: str) -> str:
        self._bytes_left -= len(data)
        if self._bytes_left < 0:
            return "max_bytes"
        try:
            self.rows.append(_JSON.decode(data))
        except (msgspec.DecodeError, RecursionError) as error:
            if self._wanted.strict:
                raise OperationError(
                    "nats.invalid_message", f"a message of '{name}' is no JSON object", str(error),
                    "publish objects, or leave strict out", retryable=False,
                ) from error  # fmt: skip
            self.invalid += 1
        if len(self.rows) >= self._wanted.count:
            return "count"
        return "max_rows" if len(self.rows) >= self._config.max_rows else ""


async def _connect(client: Client, server: str, credentials: dict[str, str], name: str) -> None:
    try:
        async with asyncio.timeout(_CONNECT_S):
            await client.connect(
                servers=[server], connect_timeout=_CONNECT_S, allow_reconnect=False,
                max_reconnect_attempts=1, error_cb=_ignore, user=credentials.get("user"),
                password=credentials.get("password"), token=credentials.get("token"),
            )  # fmt: skip
    except (OSError, TimeoutError, nats.errors.Error) as error:
        why = str(error).removeprefix("nats: ") or "no answer in time"
        raise OperationError(
            "nats.unreachable", f"the server of '{name}' can't be reached", why,
            "check the address and the credentials", retryable=True,
        ) from None  # fmt: skip


def _parameters(request: CollectRequest) -> tuple[Parameters, float, float | None]:
    try:
        found = msgspec.convert(request.parameters, Parameters)
        idle_s = None if found.idle is None else wait_seconds(found.idle)
        return found, wait_seconds(found.time), idle_s
    except ValueError as error:  # msgspec.ValidationError as well
        raise OperationError(
            "nats.invalid_parameters", f"the parameters of '{request.name}' can't be used",
            str(error), "they are count, time, idle and strict", retryable=False,
        ) from error  # fmt: skip


def _lost(name: str) -> OperationError:
    return OperationError(
        "nats.connection_lost", f"the connection of '{name}' was lost", retryable=True
    )


def _quoted(secret: str) -> str:
    return urllib.parse.quote(secret, safe="")


async def _ignore(error: Exception) -> None:
    """The operation itself raises what matters."""
