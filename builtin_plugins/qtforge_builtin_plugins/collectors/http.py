"""http-collector: rows from web services; answers ``http.request``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from qtforge_builtin_plugins.collectors.cancellable_threads import CancellableThreads
from qtforge_builtin_plugins.collectors.masking import errors_masked, masked
from qtforge_builtin_plugins.collectors.row_sink import RowSink
from qtforge_builtin_plugins.collectors.web.endpoints import label_of, revealed
from qtforge_builtin_plugins.collectors.web.settings import WebConfig
from qtforge_sdk import OperationContext, Plugin, PluginContext, operation
from qtforge_sdk.messages import Collected, CollectRequest

if TYPE_CHECKING:
    from qtforge_builtin_plugins.collectors.web.session import WebSession

__all__ = ["HttpCollector", "HttpConfig"]

_READERS: Final = 4  # answers that are parsed at once; parsing is work for the processor


class HttpConfig(WebConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of http-collector.

    Attributes:
        max_bytes: The largest answer, in bytes after decompression; a source may override it.
    """

    max_bytes: Annotated[int, msgspec.Meta(ge=1)] = 50 * 1024 * 1024


class HttpCollector(Plugin):
    """Request a URL, page by page.

    It requests each page once: the error says whether and when a retry makes sense, for the
    run's retry policy.
    """

    Config = HttpConfig
    config: HttpConfig
    _context: PluginContext
    _threads: CancellableThreads
    _session: WebSession | None = None

    async def start(self, context: PluginContext) -> None:
        """Prepare the threads; connections are opened at the first request."""
        self._context = context
        self._threads = CancellableThreads(context.name, _READERS)
        self._session = None

    async def stop(self) -> None:
        """Cancel the running reads, and close the connections."""
        await self._threads.close()
        if self._session is not None:
            await self._session.close()

    @operation("http.request", trylast=True)
    async def request(self, request: CollectRequest, context: OperationContext) -> Collected:
        """Return the rows of a web service's answer.

        Raises:
            OperationError: ``http.invalid_parameters``, ``.invalid_endpoint``,
                ``.address_refused``, ``.unknown_host``, ``.unreachable``, ``.timeout``,
                ``.tls_failed``, ``.connection_lost``, ``.status``, ``.invalid_answer``,
                ``.no_rows``, ``.too_large``, ``.too_many_redirects``, ``.redirect_refused``,
                ``.endless_pages``, ``.invalid_config``, and ``secret.missing``.
        """
        # Here, because they import the HTTP library, which other commands do not need.
        from qtforge_builtin_plugins.collectors.web.pages import Pages
        from qtforge_builtin_plugins.collectors.web.request import http_parameters

        secrets = self._context.secrets
        parameters = http_parameters(request.parameters)
        url = revealed(request.endpoint, secrets)
        sent: dict[str, Any] = {
            "headers": parameters.headers, "query": parameters.query,
            "json": parameters.json, "text": parameters.text,
        }  # fmt: skip
        with_secrets = secrets.reveal(sent)
        uses_secrets = url != request.endpoint.strip() or with_secrets != sent
        hide = functools.partial(masked, mask=secrets.mask) if uses_secrets else None
        parameters = msgspec.structs.replace(
            parameters, max_bytes=parameters.max_bytes or self.config.max_bytes, **with_secrets
        )
        folder, name = self._context.run_dir(context.run_id), context.step or request.name
        with (
            errors_masked(secrets.mask),
            RowSink(folder, name or "http", parameters.limit) as sink,
        ):
            label = label_of(request.endpoint)
            session, threads = self._opened(), self._threads
            pages = Pages(session, threads, url, parameters, label, secrets.mask, hide)
            return sink.finish(await pages.collect(sink, context.progress))

    def _opened(self) -> WebSession:
        from qtforge_builtin_plugins.collectors.web.session import WebSession  # loads httpx2

        if self._session is None:
            name = f"qtforge-{self._context.name}/{self._context.version}"
            self._session = WebSession(self.config, self._context.secrets, "http", name)
        return self._session
