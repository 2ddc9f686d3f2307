"""`WebSession`: send requests, and follow redirects that are safe."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx2

from qtforge_builtin_plugins.collectors.web.addresses import AddressRule, literal_address
from qtforge_builtin_plugins.collectors.web.decoding import ACCEPTED
from qtforge_builtin_plugins.collectors.web.failures import TRANSPORT_ERRORS, transport_error
from qtforge_builtin_plugins.collectors.web.resolving import Resolver, SystemResolver
from qtforge_builtin_plugins.collectors.web.settings import WebConfig
from qtforge_builtin_plugins.collectors.web.transport import GuardedTransport
from qtforge_sdk.durations import seconds
from qtforge_sdk.errors import OperationError
from qtforge_sdk.secrets import Secrets

__all__ = ["WebSession"]

_SCHEMES: Final = ("http", "https")
# Headers that are sent to another host too; any other one may be a credential.
_HARMLESS: Final = (
    "accept", "accept-encoding", "accept-language", "connection", "content-length",
    "content-type", "host", "user-agent",
)  # fmt: skip
_OTHER_HOST: Final = "it redirects to another host"


class WebSession:
    """The connections of one collector; opened at its first request, and closed with it.

    Args:
        config: Allowed addresses and timeouts.
        secrets: Reveals ``${secret.NAME}`` in the proxy's URL.
        subject: The first word of its errors' codes, such as ``http``.
        user_agent: The value of the header ``User-Agent``.
        resolver: Resolves names.

    Raises:
        OperationError: ``<subject>.invalid_config``: ca_file or proxy can't be used.
    """

    def __init__(
        self,
        config: WebConfig,
        secrets: Secrets,
        subject: str,
        user_agent: str,
        resolver: Resolver | None = None,
    ) -> None:
        self._config = config
        self._subject = subject
        self._rule = AddressRule(config.allow)
        self._user_agent = user_agent
        context = _ssl_context(config.ca_file, subject)
        if config.proxy is None:
            self._transport: httpx2.AsyncBaseTransport = GuardedTransport(
                self._rule, resolver or SystemResolver(), context, subject
            )
        else:
            proxy = _proxy(str(secrets.reveal(config.proxy)), subject)
            self._transport = httpx2.AsyncHTTPTransport(verify=context, proxy=proxy)

    def client(self) -> httpx2.AsyncClient:
        """Return a client with cookies of its own, for the requests of one call.

        It is not closed: the connections are the session's.
        """
        config = self._config
        # Waiting for a free connection is not the server's fault: only the deadline ends it.
        timeout = httpx2.Timeout(
            seconds(config.read_timeout), connect=seconds(config.connect_timeout), pool=None
        )
        return httpx2.AsyncClient(
            transport=self._transport,
            timeout=timeout,
            trust_env=False,  # or its proxies would connect without a check of the address
            headers={"User-Agent": self._user_agent, "Accept-Encoding": ACCEPTED},
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    @asynccontextmanager
    async def answer(
        self, client: httpx2.AsyncClient, request: httpx2.Request, label: str
    ) -> AsyncIterator[httpx2.Response]:
        """Yield the answer at the end of the redirects, its body unread; close it afterwards.

        Args:
            client: From `client`.
            request: A request made with the client.
            label: The source, without secrets.

        Raises:
            OperationError: ``<subject>.address_refused``, ``.unknown_host``, ``.unreachable``,
                ``.timeout``, ``.tls_failed``, ``.connection_lost``, ``.invalid_answer``,
                ``.too_many_redirects``, ``.redirect_refused``, also for failures while the
                body is read.
        """
        response: httpx2.Response | None = None
        try:
            response = await self._final(client, request, label)
            yield response
        except TRANSPORT_ERRORS as error:
            raise transport_error(error, label, self._subject) from error
        finally:
            if response is not None:
                await response.aclose()

    async def _final(
        self, client: httpx2.AsyncClient, request: httpx2.Request, label: str
    ) -> httpx2.Response:
        for _ in range(self._config.max_redirects + 1):
            self.check(request.url, label)
            response = await client.send(request, stream=True, follow_redirects=False)
            following = response.next_request
            if following is None and not response.has_redirect_location:
                return response
            await response.aclose()
            if following is None:
                raise self._error("invalid_answer", f"{label} redirects to an invalid URL", "")
            request = self.onward(request, following, label)
        why = f"more than {self._config.max_redirects}"
        raise self._error("too_many_redirects", f"{label} redirects too often", why)

    def check(self, url: httpx2.URL, label: str) -> None:
        """Refuse a URL that is not allowed, as far as its text shows that.

        Raises:
            OperationError: ``<subject>.invalid_endpoint`` or ``.address_refused``.
        """
        if url.scheme not in _SCHEMES or not url.host or not 0 < (url.port or 80) <= 65535:
            why = "it has no host" if url.scheme in _SCHEMES else "it is neither http nor https"
            if url.host and url.scheme in _SCHEMES:
                why = f"there is no port {url.port}"
            fix = "write it as https://host/path"
            raise self._error("invalid_endpoint", f"{label} can't be requested", why, fix)
        # The transport checks names. This check works with a proxy too, which resolves names.
        literal = literal_address(url.host)
        if literal is not None and not self._rule.allows(literal, url.host):
            raise self._rule.refusal([literal], url.host, self._subject)

    def onward(
        self, request: httpx2.Request, following: httpx2.Request, label: str
    ) -> httpx2.Request:
        """Return the request that follows an answer, without credentials for another host.

        Args:
            request: The request that was answered.
            following: The request that the answer leads to.
            label: The source, without secrets.

        Raises:
            OperationError: ``<subject>.redirect_refused``: it leads from https to http, or
                would send the body to another host.
        """
        before, after = request.url, following.url
        if before.scheme == "https" and after.scheme == "http" and not self._config.allow_downgrade:
            fix = (
                "request the address that it leads to, or set allow_downgrade in the configuration"
            )
            why = "it leads from https to http, which is not encrypted"
            raise self._error("redirect_refused", f"the redirect of {label} is refused", why, fix)
        if _same_place(before, after):
            return following
        if following.headers.get("content-length", "0") != "0":
            why = f"{_OTHER_HOST}, which would receive the request's body"
            raise self._error("redirect_refused", f"the redirect of {label} is refused", why)
        for name in [each for each in following.headers if each.lower() not in _HARMLESS]:
            del following.headers[name]
        return following

    def _error(self, code: str, what: str, why: str, fix: str = "") -> OperationError:
        return OperationError(f"{self._subject}.{code}", what, why, fix, retryable=False)


def _same_place(before: httpx2.URL, after: httpx2.URL) -> bool:
    if before.origin == after.origin:
        return True
    default = before.port is None and after.port is None
    return default and before.host == after.host and (before.scheme, after.scheme) == _SCHEMES


def _ssl_context(ca_file: str | None, subject: str) -> ssl.SSLContext:
    if ca_file is None:
        return httpx2.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=Path(ca_file).expanduser())
    except OSError as error:  # an SSLError, for a file without certificates, is one too
        raise _unusable(subject, "ca_file", error.strerror or str(error)) from error


def _proxy(url: str, subject: str) -> httpx2.Proxy:
    make: Callable[[str], httpx2.Proxy] = httpx2.Proxy
    try:
        proxy = make(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise _unusable(subject, "proxy", "it is not the URL of a proxy") from error
    if proxy.url.scheme not in _SCHEMES:
        raise _unusable(subject, "proxy", "its scheme is neither http nor https")
    return proxy


def _unusable(subject: str, key: str, why: str) -> OperationError:
    return OperationError(
        f"{subject}.invalid_config",
        f"{key} of {subject}-collector can't be used",
        why,
        f"correct {key} in [plugins.{subject}-collector.config]",
        retryable=False,
    )
