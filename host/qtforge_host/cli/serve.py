"""``qtforge-host serve``: the process that stays up."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from urllib.parse import urlsplit

import click

from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.session import Session, bus_option, journal_option
from qtforge_host.cli.staying_up import (
    node_name,
    node_option,
    pool_names,
    pool_option,
    reexec_option,
    stay_up,
)
from qtforge_host.serving.options import ServeOptions, origin_of
from qtforge_sdk.policies import ParsedRate, parse_rate

__all__ = ["serve"]

_MEGA = 1_000_000


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8321, show_default=True,
    help="The port; 0 for any that is free.",
)  # fmt: skip
@click.option("--no-http", is_flag=True, help="Only runs and schedules.")
@click.option(
    "--allow-host", "allowed_hosts", multiple=True, metavar="NAME",
    help="A further name that clients may use in the Host header; repeat.",
)  # fmt: skip
@click.option(
    "--public-url", default="", metavar="URL",
    help="Where a proxy publishes it, such as https://forge.example; its pages may call it.",
)  # fmt: skip
@click.option(
    "--root-path", default="", metavar="PATH",
    help="The path beneath which a proxy publishes it.  [default: that of --public-url]",
)  # fmt: skip
@click.option(
    "--trusted-proxy",
    "trusted_proxies",
    multiple=True,
    metavar="ADDRESS",
    help="An address or network of proxies whose X-Forwarded-For names the client; repeat.",
)
@click.option(
    "--grace", default="10s", show_default=True, help="How long runs may execute at the end."
)
@click.option("--rate", default="100/s", show_default=True, help="Requests of one client.")
@click.option(
    "--max-body", type=click.IntRange(1, 1000), default=10, show_default=True,
    help="The largest request, in MB.",
)  # fmt: skip
@click.option(
    "--max-connections", type=click.IntRange(1, 100_000), default=None,
    help="Open connections at once.  [default: 1000, fewer where few files may be open]",
)  # fmt: skip
@click.option(
    "--max-requests", type=click.IntRange(1, 100_000), default=512, show_default=True,
    help="Requests in progress at once.",
)  # fmt: skip
@click.option(
    "--head-timeout", default="10s", show_default=True,
    help="How long the head of a request may take to arrive.",
)  # fmt: skip
@click.option(
    "--idle-timeout", default="5s", show_default=True,
    help="How long a connection is kept after a response.",
)  # fmt: skip
@click.option(
    "--log-rate", default="10/m", show_default=True,
    help="Log lines of one kind about bad requests; more are counted.",
)  # fmt: skip
@click.option(
    "--max-streams", type=click.IntRange(0, 400), default=32, show_default=True,
    help="Clients of live events at once.",
)  # fmt: skip
@click.option(
    "--max-runs", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True,
    help="Runs in memory at once.",
)  # fmt: skip
@pool_option
@node_option
@reexec_option
@journal_option
@bus_option
@click.pass_obj
def serve(
    session: Session,
    host: str,
    port: int,
    no_http: bool,
    allowed_hosts: tuple[str, ...],
    public_url: str,
    root_path: str,
    trusted_proxies: tuple[str, ...],
    grace: str,
    rate: str,
    max_body: int,
    max_connections: int | None,
    max_requests: int,
    head_timeout: str,
    idle_timeout: str,
    log_rate: str,
    max_streams: int,
    max_runs: int,
    pools: str,
    node: str,
    no_reexec: bool,
) -> None:
    """Stay up: resume interrupted runs, start scheduled ones, answer over HTTP.

    One for each state directory; the other commands work beside it. It restarts when the
    configuration changes, or at SIGHUP, and executes itself again when an installed plugin was
    upgraded. SIGTERM or Ctrl-C end it: runs may execute for --grace,
    and the next process resumes those that have not ended.

    Exit code 4 when another process serves the state directory.
    """
    public_url = _public_url(public_url)
    options = ServeOptions(
        http=not no_http,
        host=host,
        port=port,
        allowed_hosts=allowed_hosts,
        public_url=public_url,
        root_path=_root_path(root_path or urlsplit(public_url).path),
        proxies=tuple(map(_network, trusted_proxies)),
        grace_s=duration_option("--grace", grace).total_seconds(),
        max_body_bytes=max_body * _MEGA,
        max_connections=max_connections,
        max_requests=max_requests,
        head_timeout_s=_at_least_a_second("--head-timeout", head_timeout),
        idle_timeout_s=_at_least_a_second("--idle-timeout", idle_timeout),
        log_rate=_rate("--log-rate", log_rate),
        max_streams=max_streams,
        max_runs=max_runs,
        pools=pool_names(pools),
        node=node_name(node),
        rate=_rate("--rate", rate),
        reexec=not no_reexec,
    )
    stay_up(session, options)


def _public_url(url: str) -> str:
    if url:
        try:
            origin_of(url)
        except ValueError as error:
            raise click.UsageError(f"--public-url: {error}") from error
    return url


def _root_path(path: str) -> str:
    path = path.rstrip("/")
    if path and (not path.startswith("/") or not path.isprintable() or set(path) & set("?#%")):
        raise click.UsageError(f"--root-path: '{path}' is not a path such as /forge")
    return path


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise click.UsageError(f"--trusted-proxy: {error}") from error


def _rate(option: str, text: str) -> ParsedRate:
    try:
        return parse_rate(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from error


def _at_least_a_second(option: str, text: str) -> float:
    found = duration_option(option, text).total_seconds()
    if found < 1:
        raise click.UsageError(f"{option}: it must be at least 1s, not {text}")
    return found
