"""stream-collector: the rows of a stream within a window; answers ``stream.read``."""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec

from qtforge_builtin_plugins.collectors.masking import errors_masked, masked
from qtforge_builtin_plugins.collectors.parameters import (
    invalid_parameter,
    read_parameters,
    seconds,
)
from qtforge_builtin_plugins.collectors.row_sink import RowSink
from qtforge_builtin_plugins.collectors.streams.connections import tcp_pieces
from qtforge_builtin_plugins.collectors.streams.files import (
    StreamPaths,
    file_pieces,
    path_of,
    pipe_pieces,
)
from qtforge_builtin_plugins.collectors.streams.lines import TooLong, split
from qtforge_builtin_plugins.collectors.streams.window import Intake, Window
from qtforge_builtin_plugins.collectors.web.addresses import AddressRule
from qtforge_builtin_plugins.collectors.web.endpoints import label_of, revealed
from qtforge_builtin_plugins.collectors.web.resolving import SystemResolver
from qtforge_builtin_plugins.collectors.web.settings import WebConfig
from qtforge_sdk import Duration, OperationContext, OperationError, Plugin, PluginContext, operation
from qtforge_sdk.durations import wait_seconds
from qtforge_sdk.messages import Collected, CollectRequest

if TYPE_CHECKING:
    from qtforge_builtin_plugins.collectors.web.session import WebSession

__all__ = ["StreamCollector", "StreamConfig", "StreamParameters"]

_NAME: Final = "stream-collector"
_WEB: Final = ("http", "https")
# The window ends before the deadline, so that the rows so far are an answer and not a timeout.
_MARGIN: Final = 0.1
_LONGEST_MARGIN_S: Final = 1.0

Lines = AsyncGenerator[list[bytes | TooLong], None]


class StreamConfig(WebConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of stream-collector.

    Attributes:
        roots: Folders that files and pipes are read from; by default the working directory.
        max_line_bytes: The longest line or event, in bytes.
    """

    roots: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = (".",)
    max_line_bytes: Annotated[int, msgspec.Meta(ge=1)] = 1024 * 1024


class StreamParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a source of the type ``stream``.

    Attributes:
        count: End after this number of rows.
        time: End after this duration.
        idle: End when nothing has arrived for this duration, or None.
        start: ``from``: where to start in a file.
        strict: Whether a line that is not JSON is an error; otherwise it is counted.
        headers: Headers for http and https.
    """

    count: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    time: Duration = "10s"
    idle: Duration | None = None
    start: Literal["beginning", "end"] = msgspec.field(name="from", default="beginning")
    strict: bool = False
    headers: dict[str, str] = {}


class StreamCollector(Plugin):
    """Read JSON lines from a growing file, a pipe or TCP, and server-sent events."""

    Config = StreamConfig
    config: StreamConfig
    _context: PluginContext
    _roots: StreamPaths
    _rule: AddressRule
    _session: WebSession | None = None

    async def start(self, context: PluginContext) -> None:
        """Prepare the allowed addresses and paths."""
        self._context = context
        self._roots = StreamPaths(self.config.roots, _NAME)
        self._rule = AddressRule(self.config.allow)
        self._session = None

    async def stop(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    @operation("stream.read", trylast=True)
    async def read(self, request: CollectRequest, context: OperationContext) -> Collected:
        """Return the rows that arrive within the window.

        Raises:
            OperationError: ``stream.invalid_parameters``, ``.invalid_endpoint``,
                ``.address_refused``, ``.unknown_host``, ``.unreachable``, ``.timeout``,
                ``.tls_failed``, ``.connection_lost``, ``.status``, ``.invalid_answer``,
                ``.invalid_line``, ``.too_many_redirects``, ``.redirect_refused``,
                ``.not_installed``, ``.invalid_config``; ``file.outside_roots``,
                ``.not_found``, ``.not_regular``, ``.unreadable``; and ``secret.missing``.
        """
        parameters = read_parameters(request.parameters, StreamParameters, "stream")
        window = _window(parameters, self.config, context)
        secrets = self._context.secrets
        endpoint = revealed(request.endpoint, secrets)
        headers = secrets.reveal(parameters.headers)
        uses_secrets = (endpoint, headers) != (request.endpoint.strip(), parameters.headers)
        label = label_of(request.endpoint)
        folder = self._context.run_dir(context.run_id)
        with (
            errors_masked(secrets.mask),
            RowSink(folder, context.step or request.name or "stream") as sink,
        ):
            hide = functools.partial(masked, mask=secrets.mask) if uses_secrets else None
            intake = Intake(window, sink, label, strict=parameters.strict, hide=hide)
            lines = self._lines(endpoint, label, parameters, headers)
            ended_by = await intake.take(lines)
            return sink.finish({"ended_by": ended_by, "invalid": intake.invalid})

    def _lines(
        self, endpoint: str, label: str, parameters: StreamParameters, headers: dict[str, str]
    ) -> Lines:
        scheme, separator, _ = endpoint.partition("://")
        scheme = scheme.lower() if separator else "file"
        if headers and scheme not in _WEB:
            raise invalid_parameter("stream", f"headers are for http and https, not for {scheme}")
        most = self.config.max_line_bytes
        if scheme in _WEB:
            return self._web(endpoint, label, headers)
        if scheme == "tcp":
            resolver, wait_s = SystemResolver(), wait_seconds(self.config.connect_timeout)
            return split(tcp_pieces(endpoint, label, self._rule, resolver, wait_s), most)
        if scheme == "file":
            path = self._roots.absolute(path_of(endpoint))
            real, is_pipe = self._roots.source(path)
            if is_pipe:
                return split(pipe_pieces(real), most)
            return split(file_pieces(path, self._roots, parameters.start), most)
        raise OperationError(
            "stream.invalid_endpoint",
            f"{label} can't be read as a stream",
            f"its scheme is '{scheme}'",
            "use a path, file://, tcp://host:port, http:// or https://",
            retryable=False,
        )

    def _web(self, url: str, label: str, headers: dict[str, str]) -> Lines:
        try:
            # Here, because they import the HTTP library, which files and TCP do not need.
            from qtforge_builtin_plugins.collectors.streams.events import web_lines
            from qtforge_builtin_plugins.collectors.web.session import WebSession
        except ModuleNotFoundError as error:
            raise OperationError(
                "stream.not_installed",
                "streams over http need a library that is not installed",
                f"there is no {error.name}",
                "pip install 'qtforge-host[http]'",
                retryable=False,
            ) from error
        secrets = self._context.secrets
        if self._session is None:
            name = f"qtforge-{self._context.name}/{self._context.version}"
            self._session = WebSession(self.config, secrets, "stream", name)
        most = self.config.max_line_bytes
        return web_lines(self._session, url, label, headers, most, secrets.mask)


def _window(
    parameters: StreamParameters, config: StreamConfig, context: OperationContext
) -> Window:
    remaining_s, deadline = context.remaining_s(), None
    if remaining_s is not None:
        margin_s = min(_LONGEST_MARGIN_S, remaining_s * _MARGIN)
        deadline = time.monotonic() + remaining_s - margin_s
    idle = parameters.idle
    return Window(
        count=parameters.count,
        time_s=seconds(parameters.time, "time", "stream"),
        opening_s=wait_seconds(config.connect_timeout) + wait_seconds(config.read_timeout),
        idle_s=None if idle is None else seconds(idle, "idle", "stream"),
        deadline=deadline,
    )
