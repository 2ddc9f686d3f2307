"""Authentication: the Host and Origin headers, the token and its scope, the rate."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from qtforge_host.policies.token_bucket import TokenBucket
from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.options import origin_of
from qtforge_host.serving.tokens import TokenChecker, TokenScope, allows
from qtforge_sdk.policies import ParsedRate

__all__ = ["Gate", "Network", "RateGate", "check_scope", "client_address", "host_name"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_CLIENTS: Final = 4096


class RateGate:
    """A token bucket for each client; the least recent client is forgotten.

    Args:
        rate: The most requests of each client.
        now_s: The time, in seconds.
    """

    def __init__(self, rate: ParsedRate, now_s: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._now_s = now_s
        self._buckets: OrderedDict[tuple[str, bool], TokenBucket] = OrderedDict()

    def check(self, client: str, known: bool) -> None:
        """Count a request.

        Args:
            client: Its address.
            known: Whether it sent a valid token; requests without one have a bucket of their own.

        Raises:
            RefusedError: The client has exceeded the rate.
        """
        key = (client, known)
        bucket = self._buckets.setdefault(key, TokenBucket(self._rate))
        self._buckets.move_to_end(key)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        now_s = self._now_s()
        if not bucket.take(now_s):
            wait_s = max(1, round(bucket.available_at_s() - now_s + 0.5))
            raise RefusedError(
                429,
                "http.too_many_requests",
                "there were too many requests",
                f"{self._rate.count} in {self._rate.period_s:g} s are allowed",
                "send fewer requests, or raise --rate",
                {"Retry-After": str(wait_s)},
            )


class Gate:
    """Checks each request before it is handled.

    Args:
        tokens: Checks bearer tokens.
        allowed_hosts: Names that the Host header may have, besides those of this machine.
        rate: Limits the requests of each client.
        public_url: The URL at which a proxy publishes the host; "" for none.
        proxies: Where proxies are whose ``X-Forwarded-For`` header is believed.
    """

    def __init__(
        self,
        tokens: TokenChecker,
        allowed_hosts: Iterable[str],
        rate: RateGate,
        public_url: str = "",
        proxies: Sequence[Network] = (),
    ) -> None:
        self._tokens = tokens
        self._allowed = {each.lower() for each in allowed_hosts}
        self._public_origin = origin_of(public_url) if public_url else None
        if public_url:
            self._allowed.add(urlsplit(public_url).hostname or "")
        self._rate = rate
        self._proxies = tuple(proxies)

    def check(self, scope: Scope, *, needs_token: bool) -> TokenScope | None:
        """Check a request, and return the scope of its token; None without a valid one.

        Raises:
            RefusedError: The request is refused.
        """
        headers = Headers(scope=scope)
        self.check_site(scope)
        granted = self._granted(headers)
        knows = granted is not None
        self.check_rate(scope, known=knows)
        if needs_token and not knows:
            raise RefusedError(
                401,
                "http.unauthorized",
                "the token is missing or wrong, was revoked, or has expired",
                "",
                "send 'Authorization: Bearer TOKEN'; 'serve' says which file holds the first one,"
                " and 'qtforge-host tokens create' makes another",
                {"WWW-Authenticate": "Bearer"},
            )
        return granted

    def check_site(self, scope: Scope) -> None:
        """Check that a request is for this host, and from no page of another site.

        Raises:
            RefusedError: It is not.
        """
        headers = Headers(scope=scope)
        self._check_host(headers, scope)
        self._check_origin(headers)

    def check_rate(self, scope: Scope, *, known: bool) -> None:
        """Count a request of a client.

        Raises:
            RefusedError: The client has exceeded the rate.
        """
        client = scope.get("client")
        address = client[0] if client else ""
        if self._proxies:
            forwarded = Headers(scope=scope).getlist("x-forwarded-for")
            address = client_address(address, forwarded, self._proxies)
        self._rate.check(address, known)

    def _check_host(self, headers: Headers, scope: Scope) -> None:
        # A page of another site whose name resolves to this machine (DNS rebinding) sends that
        # name; a numeric address can't be made to resolve elsewhere.
        given = headers.get("host", "")
        name = host_name(given)
        server = scope.get("server")
        own = {"localhost", *([server[0].lower()] if server else [])}
        if name not in own | self._allowed and not _is_loopback(name):
            raise RefusedError(
                421,
                "http.host_refused",
                f"this is not '{given}'",
                "the Host header names another host",
                "use its address, or start it with --allow-host NAME",
            )

    def _check_origin(self, headers: Headers) -> None:
        # A browser names the site of the page: it must be the one that the request is for. A
        # proxy that ends TLS leaves the Host header as it was, or is named by the public URL.
        origin = headers.get("origin")
        if origin is None:
            return
        host = headers.get("host", "").lower()
        own = {_origin(f"http://{host}"), _origin(f"https://{host}"), self._public_origin}
        if origin.lower() not in own:
            raise RefusedError(
                403,
                "http.origin_refused",
                "the request comes from a page of another site",
                f"its Origin is '{origin}'",
                "send it from a program, or start it with --public-url URL if a proxy publishes it",
            )

    def _granted(self, headers: Headers) -> TokenScope | None:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        return self._tokens.scope_of(given.strip().encode("utf-8", "surrogateescape"))


def _origin(url: str) -> str:
    """Return the origin of a URL without its scheme's own port, which a proxy may add."""
    try:
        return origin_of(url)
    except ValueError:  # such as a port that is none
        return url


def check_scope(granted: TokenScope, needed: TokenScope) -> None:
    """Check that the scope of a token allows a request.

    Raises:
        RefusedError: It does not.
    """
    if not allows(granted, needed):
        raise RefusedError(
            403,
            "http.forbidden",
            "the token may not do that",
            f"its scope is '{granted}', and this needs '{needed}'",
            f"use a token of 'qtforge-host tokens create --scope {needed}'",
            {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{needed}"'},
        )


def client_address(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """Return the address of a client that proxies may stand before.

    Each proxy adds the address that it was called from at the end of the header, so that is
    believed as far as proxies that are trusted have written it; a client may write anything
    before it.

    Args:
        peer: The address that the connection comes from.
        forwarded: The values of the header ``X-Forwarded-For``.
        proxies: Where the trusted proxies are.

    >>> trusted = [ipaddress.ip_network("127.0.0.0/8")]
    >>> client_address("127.0.0.1", ["6.6.6.6, 203.0.113.5"], trusted)
    '203.0.113.5'
    >>> client_address("203.0.113.9", ["6.6.6.6"], trusted)
    '203.0.113.9'
    """
    address = peer
    for each in reversed([hop.strip() for hop in ",".join(forwarded).split(",")]):
        if not _is_within(address, proxies):
            break
        found = _parsed_address(each)
        if found is None:  # it does not tell clients apart
            break
        address = str(found)
    return address


def _is_within(address: str, networks: Sequence[Network]) -> bool:
    found = _parsed_address(address)
    return found is not None and any(found in each for each in networks)


def _parsed_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address as a proxy may write it, also with a port; None for anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def host_name(header: str) -> str:
    """Return the name in a Host header, without the port and the brackets of IPv6.

    >>> host_name("[::1]:8321"), host_name("Localhost:8321")
    ('::1', 'localhost')
    """
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower()


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
