"""`WebSession`: sends requests, and follows redirects as far as is safe."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx2

from qtforge_builtin_plugins.collectors.web.addresses import AddressRule, literal_address
from qtforge_builtin_plugins.collectors.web.failures import TRANSPORT_ERRORS, told
from qtforge_builtin_plugins.collectors.web.resolving import Resolver, SystemResolver
from qtforge_builtin_plugins.collectors.web.settings import WebConfig
from qtforge_builtin_plugins.collectors.web.transport import GuardedTransport
from qtforge_sdk.errors import OperationError
from qtforge_sdk.secrets import Secrets

__all__ = ["WebSession"]

_SCHEMES: Final = ("http", "https")
# What is sent to another host than the source's own; all else may be a credential.
_HARMLESS: Final = (
    "accept", "accept-encoding", "accept-language", "connection", "content-length",
    "content-type", "host", "user-agent",
)  # fmt: skip
_OTHER_HOST: Final = "the answer leads to another host"


class WebSession:
    """Holds the connections of one collector; opened at its first request, and closed with it.

    Args:
        config: Who may be asked, and how patiently.
        secrets: What stands for ``${secret.NAME}`` in the proxy's URL.
        subject: The first word of its errors, such as ``http``.
        user_agent: How it names itself to servers.
        resolver: Finds the addresses of a name.

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
        # Waiting for one's turn is no fault of a server: only the deadline ends that.
        timeout = httpx2.Timeout(config.read_timeout_s, connect=config.connect_timeout_s, pool=None)
        return httpx2.AsyncClient(
            transport=self._transport,
            timeout=timeout,
            trust_env=False,  # else its proxies would connect, and no address be checked
            headers={"User-Agent": self._user_agent},
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    @asynccontextmanager
    async def answer(
        self, client: httpx2.AsyncClient, request: httpx2.Request, label: str
    ) -> AsyncIterator[httpx2.Response]:
        """Give the answer at the end of the redirects, its body unread; closed afterwards.

        Args:
            client: From `client`.
            request: Made with it.
            label: The source, without secrets.

        Raises:
            OperationError: ``<subject>.address_refused``, ``.unknown_host``, ``.unreachable``,
                ``.timeout``, ``.tls_failed``, ``.connection_lost``, ``.invalid_answer``,
                ``.too_many_redirects``, ``.redirect_refused``, also for what goes wrong
                while the body is read.
        """
        response: httpx2.Response | None = None
        try:
            response = await self._final(client, request, label)
            yield response
        except TRANSPORT_ERRORS as error:
            raise told(error, label, self._subject) from error
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
                raise self._error("invalid_answer", f"{label} redirects to what is no URL", "")
            request = self.onward(request, following, label)
        why = f"more than {self._config.max_redirects}"
        raise self._error("too_many_redirects", f"{label} redirects on and on", why)

    def check(self, url: httpx2.URL, label: str) -> None:
        """Refuse a URL that is not to be asked, as far as it can be told by its text.

        Raises:
            OperationError: ``<subject>.invalid_endpoint`` or ``.address_refused``.
        """
        if url.scheme not in _SCHEMES or not url.host or not 0 < (url.port or 80) <= 65535:
            why = "it has no host" if url.scheme in _SCHEMES else "it is neither http nor https"
            if url.host and url.scheme in _SCHEMES:
                why = f"there is no port {url.port}"
            fix = "write it as https://host/path"
            raise self._error("invalid_endpoint", f"{label} can't be asked", why, fix)
        # The transport checks names. This holds behind a proxy, too, which resolves them itself.
        literal = literal_address(url.host)
        if literal is not None and not self._rule.allows(literal, url.host):
            raise self._rule.refusal([literal], url.host, self._subject)

    def onward(
        self, request: httpx2.Request, following: httpx2.Request, label: str
    ) -> httpx2.Request:
        """Return the request that an answer leads to, without what its host must not see.

        Args:
            request: The one that was answered.
            following: The one that the answer asks for.
            label: The source, without secrets.

        Raises:
            OperationError: ``<subject>.redirect_refused``: it leads from https to http, or
                would take the body to another host.
        """
        before, after = request.url, following.url
        if before.scheme == "https" and after.scheme == "http" and not self._config.allow_downgrade:
            fix = (
                "ask for the address that it leads to, or set allow_downgrade in the configuration"
            )
            why = "it leads from https to http, where anybody may read along"
            raise self._error("redirect_refused", f"{label} is not followed", why, fix)
        if _same_place(before, after):
            return following
        if following.headers.get("content-length", "0") != "0":
            why = f"{_OTHER_HOST}, and the request's body would go there"
            raise self._error("redirect_refused", f"{label} is not followed", why)
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
        raise _unusable(subject, "proxy", "it is no URL of a proxy") from error
    if proxy.url.scheme not in _SCHEMES:
        raise _unusable(subject, "proxy", "its scheme is neither http nor https")
    return proxy


def _unusable(subject: str, key: str, why: str) -> OperationError:
    return OperationError(
        f"{subject}.invalid_config",
        f"{key} of {subject}-collector can't be used",
        why,
        f"mend {key} below [plugins.{subject}-collector.config]",
        retryable=False,
    )
