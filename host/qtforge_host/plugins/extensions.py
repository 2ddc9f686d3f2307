"""Load what entry-point groups other than plugins name: orchestrators, journals, transports."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from qtforge_host.config.secrets import revealed_address
from qtforge_host.config.settings import Settings
from qtforge_host.plugin_code import Author, discard_awaitable
from qtforge_host.plugin_files import FilesMaker, files_maker
from qtforge_host.plugins.candidates import (
    JOURNAL_GROUP,
    ORCHESTRATOR_GROUP,
    TRANSPORT_GROUP,
    Candidate,
)
from qtforge_host.plugins.journals import journal_settings, own_journal
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.resolution import Resolution
from qtforge_host.workflows.plugin_orchestrator import PluginOrchestrator
from qtforge_sdk import Orchestrator
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.journal import Journal, JournalFactory
from qtforge_sdk.secrets import Secrets
from qtforge_sdk.transport import Transport, TransportFactory, TransportSettings
from qtforge_sdk.validation import did_you_mean

__all__ = ["Orchestrators", "add_orchestrator", "load_files", "load_journal", "load_transport"]

_LOG = logging.getLogger("qtforge.host")
# Distributions of journals and transports that are no part of this one, by the schemes of their
# addresses.
_DISTRIBUTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "postgresql": "qtforge-postgresql",
        "postgres": "qtforge-postgresql",
        "nats": "qtforge-nats",
        "tls": "qtforge-nats",
    }
)


def load_journal(
    resolution: Resolution, loader: PluginLoader, settings: Settings, secrets: Secrets
) -> Journal:
    """Make the configured journal; it is not opened.

    ``journal`` is the name of one, or the address of a shared one, whose scheme is the name.

    Raises:
        ConfigError: None of that name is installed, it can't be loaded, its address is not one, or
            contains a secret that there is not.
    """
    own = own_journal(settings, secrets)
    if own is not None:
        return own
    where = settings.journal_source
    name = settings.journal_name
    make: JournalFactory = _load(resolution, loader, settings, JOURNAL_GROUP, name, where)
    return make(journal_settings(settings, secrets))


def load_transport(
    resolution: Resolution,
    loader: PluginLoader,
    settings: Settings,
    secrets: Secrets,
    name: str,
    instance: str,
) -> Transport:
    """Make the transport of the configured bus; it is not opened.

    Args:
        resolution: What is installed.
        loader: Imports it.
        settings: The configuration, with a bus.
        secrets: Those that the address refers to.
        name: The name of this node.
        instance: Distinguishes processes of the name.

    Raises:
        ConfigError: None of that scheme is installed, it can't be loaded, its address is not one,
            or contains a secret that there is not.
    """
    where = settings.bus_source
    scheme = settings.bus.partition("://")[0]
    make: TransportFactory = _load(resolution, loader, settings, TRANSPORT_GROUP, scheme, where)
    url = revealed_address(settings.bus, secrets, where)
    try:
        return make(TransportSettings(url=url, name=name, instance=instance))
    except ConfigError as error:
        raise ConfigError(where, error.why, error.fix) from None


def load_files(settings: Settings, secrets: Secrets) -> FilesMaker:
    """Return what gives each plugin its files.

    Args:
        settings: The configuration.
        secrets: Those that the address refers to.

    Raises:
        ConfigError: The address can't be used, contains a secret that there is not, or needs a
            library that is not installed.
    """
    where = settings.files_source
    url = revealed_address(settings.files, secrets, where)
    return files_maker(
        url, where, settings.shown_files, settings.files_timeout_s, shared=settings.files_folder
    )


def _load(
    resolution: Resolution,
    loader: PluginLoader,
    settings: Settings,
    group: str,
    name: str,
    where: str,
) -> Any:
    """Return what an entry point of a group names, and the configuration chooses."""
    offered = {one.name: one for one in resolution.others if one.group == group}
    if name not in offered:
        kind = "journal" if group == JOURNAL_GROUP else "transport"
        distribution = _DISTRIBUTIONS.get(name)
        fix = f"pip install {distribution}" if distribution else did_you_mean(name, sorted(offered))
        raise ConfigError(where, f"no {kind} '{name}' is installed", fix)
    outcome = loader.load(
        [offered[name]], import_timeout_s=settings.import_timeout_s, construct=False
    )
    for status in outcome.failed.values():
        raise ConfigError(where, status.reason, status.fix)
    return outcome.loaded[0].plugin_class


class Orchestrators(Mapping[str, Orchestrator[Any]]):
    """The orchestrators of the entry points, by the kind that they execute.

    Each is imported when its kind is looked up: a run needs one of them, and the imports of the
    others take longer than all that it does. Where it is not known which is of a kind, all are.

    Args:
        resolution: What is installed.
        loader: Imports them.
        settings: The configuration.
        kinds: The kind of each entry point by its key, where that is known.
    """

    def __init__(
        self,
        resolution: Resolution,
        loader: PluginLoader,
        settings: Settings,
        kinds: Mapping[str, str],
    ) -> None:
        self._loader = loader
        self._timeout_s = settings.import_timeout_s
        self._found: dict[str, Orchestrator[Any]] = {}
        self._waiting = [one for one in resolution.others if one.group == ORCHESTRATOR_GROUP]
        self._by_kind: dict[str, Candidate] = {}
        if all(one.key in kinds for one in self._waiting):
            for one in self._waiting:
                self._by_kind.setdefault(kinds[one.key], one)

    def __getitem__(self, kind: str) -> Orchestrator[Any]:
        if kind not in self._found:
            one = self._by_kind.pop(kind, None)
            if one is not None and one in self._waiting:
                self._load([one])
            if kind not in self._found:
                self.load_all()
        return self._found[kind]

    def __iter__(self) -> Iterator[str]:
        self.load_all()
        return iter(self._found)

    def __len__(self) -> int:
        self.load_all()
        return len(self._found)

    def add(self, contributed: Mapping[str, Orchestrator[Any]]) -> None:
        """Add orchestrators of kinds that no entry point is of."""
        self._found.update(contributed)

    def load_all(self) -> None:
        """Import those that were not looked up until now."""
        if self._waiting:
            self._load(self._waiting)

    def _load(self, wanted: Sequence[Candidate]) -> None:
        self._waiting = [one for one in self._waiting if one not in wanted]
        outcome = self._loader.load(wanted, import_timeout_s=self._timeout_s)
        for key, status in outcome.failed.items():
            _LOG.warning("%s is %s: %s", key, status.state, status.reason)
        for one in outcome.loaded:
            author = Author(one.candidate.name, one.candidate.version)
            add_orchestrator(self._found, one.plugin, author)


def add_orchestrator(
    kinds: dict[str, Orchestrator[Any]], orchestrator: object, author: Author
) -> None:
    """Add an orchestrator under its kind, or log why it can't be used.

    Args:
        kinds: The orchestrators so far, by kind.
        orchestrator: The object that a plugin offers as one.
        author: That plugin.
    """
    plugin = author.plugin
    if not isinstance(orchestrator, Orchestrator):
        discard_awaitable(orchestrator)
        name = type(orchestrator).__name__
        fix = "derive it from qtforge_sdk.Orchestrator"
        _LOG.warning("%s: %s is not an orchestrator (fix: %s)", plugin, name, fix)
    elif not orchestrator.kind or not isinstance(orchestrator.kind, str):
        name = type(orchestrator).__name__
        _LOG.warning("%s: %s has no kind (fix: set its attribute kind)", plugin, name)
    elif orchestrator.kind in kinds:
        _LOG.warning("%s: the kind '%s' is taken", plugin, orchestrator.kind)
    else:
        kinds[orchestrator.kind] = PluginOrchestrator(orchestrator, author)
