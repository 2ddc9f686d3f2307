"""The options before the command, and what commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from qtforge_host.config.settings import Settings, config_path_of, load_settings

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from qtforge_host.api.client import RunClient
    from qtforge_host.app import Host
    from qtforge_host.bus.message_bus import MessageBus

__all__ = ["Session", "bus_option", "journal_option"]

F = TypeVar("F", bound=Callable[..., Any])


class Session(msgspec.Struct, eq=False):
    """The object in every command's ``click.Context.obj``.

    Attributes:
        config: ``--config``, or None.
        state_dir: ``--state-dir``, or None.
        journal: ``--journal``, or None.
        bus_url: ``--bus``, or None.
        safe_mode: ``--safe-mode``.
        debug: ``--debug``.
        pager: Whether long output is shown in a pager: not ``--no-pager``.
        host: The running host, for the commands that plugins contribute; else None.
    """

    config: Path | None = None
    state_dir: Path | None = None
    journal: str | None = None
    bus_url: str | None = None
    safe_mode: bool = False
    debug: bool = False
    pager: bool = True
    host: Host | None = None
    _settings: Settings | None = None

    @property
    def settings(self) -> Settings:
        """The configuration, read once.

        Raises:
            ConfigError: It can't be read, or is not valid.
        """
        if self._settings is None:
            self._settings = self.read_settings()
        return self._settings

    @property
    def config_path(self) -> Path:
        """The configuration file, which need neither exist nor be valid."""
        return config_path_of(self.config, os.environ)

    def read_settings(self) -> Settings:
        """Read the configuration as it is now; see `settings`."""
        return load_settings(
            self.config,
            environ=os.environ,
            state_dir=self.state_dir,
            journal=self.journal,
            bus=self.bus_url,
            safe_mode=self.safe_mode,
        )

    def client(self, *, in_memory: bool = False) -> AbstractAsyncContextManager[RunClient]:
        """Give a client of the state directory; it starts the host when it is first needed.

        Args:
            in_memory: Whether runs are kept in memory only, and forgotten with the client.
        """
        from qtforge_host.api.client import RunClient  # heavy: a listing does without it

        settings = self.settings
        if in_memory:
            settings = settings.with_journal("memory", "--dry-run")
        return RunClient.of_settings(settings, by="the command line")

    @property
    def bus(self) -> MessageBus:
        """The running host's bus, for the commands that plugins contribute."""
        if self.host is None:
            raise RuntimeError("this command was not given a running host")
        return self.host.bus


def _set_journal(ctx: click.Context, _: click.Parameter, journal: str | None) -> None:
    if journal is not None and not ctx.resilient_parsing:
        ctx.ensure_object(Session).journal = journal


def journal_option(command: F) -> F:
    """Add ``--journal`` to a command that reads or writes runs, or to a group of them.

    It is an option before the command too; the last one counts.
    """
    option = click.option(
        "--journal",
        metavar="URL",
        expose_value=False,
        callback=_set_journal,
        help="Where the runs are: an address such as postgresql://HOST/DATABASE, or sqlite.",
    )
    return option(command)


def _set_bus(ctx: click.Context, _: click.Parameter, bus: str | None) -> None:
    if bus is not None and not ctx.resilient_parsing:
        ctx.ensure_object(Session).bus_url = bus


def bus_option(command: F) -> F:
    """Add ``--bus`` to a command that asks plugins, or to a group of them."""
    option = click.option(
        "--bus",
        metavar="URL",
        expose_value=False,
        callback=_set_bus,
        help="Plugins on other machines are asked over this bus, such as nats://HOST:4222.",
    )
    return option(command)
