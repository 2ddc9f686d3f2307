"""What ``serve`` and ``worker`` have in common: options, and the process that stays up."""

from __future__ import annotations

import os

import click

from qtforge_host import event_loop
from qtforge_host.api.extras import SERVING, check_installed
from qtforge_host.api.queueing import check_node, check_pool
from qtforge_host.cli.output import data_only
from qtforge_host.cli.session import Session
from qtforge_host.serving.options import ServeOptions
from qtforge_host.serving.successor import Successor

__all__ = ["node_name", "node_option", "pool_names", "pool_option", "reexec_option", "stay_up"]

pool_option = click.option(
    "--pool", "pools", default="default", show_default=True,
    help="Execute runs of these pools, separated by commas.",
)  # fmt: skip
node_option = click.option(
    "--node", default="", metavar="NAME",
    help="Its name in 'nodes list'.  [default: the host's name, and the number of the process]",
)  # fmt: skip
reexec_option = click.option(
    "--no-reexec", is_flag=True,
    help="Do not execute this command again when an installed plugin was upgraded.",
)  # fmt: skip


def pool_names(text: str) -> tuple[str, ...]:
    """Return the pools of ``--pool``.

    Raises:
        QueueInvalidError: One is no name.
    """
    names = tuple(dict.fromkeys(each.strip() for each in text.split(",")))
    for name in names:
        check_pool(name)
    return names


def node_name(text: str) -> str:
    """Return the name of ``--node``; "" for none.

    Raises:
        QueueInvalidError: It is no name.
    """
    if text:
        check_node(text)
    return text


def stay_up(session: Session, options: ServeOptions) -> None:
    """Serve, or take runs, until a signal ends that; the process may replace itself.

    Raises:
        ServeNotInstalledError: The libraries of the extra are not installed.
        QtForgeError: It can't begin.
    """
    check_installed(SERVING)
    # It imports the libraries of the extra, which may not be there.
    from qtforge_host.serving.process import serve

    def say(text: str) -> None:
        print(text, file=data, flush=True)

    before = Successor.from_environment(os.environ)
    with data_only() as data:
        successor = event_loop.run(serve(session.read_settings, options, say, before))
    if successor is not None:
        successor.replace_this_process()
