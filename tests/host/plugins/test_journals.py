"""The host's own journals are made without a look at what is installed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path

import pytest

from qtforge_host.config.settings import PluginSettings, Settings
from qtforge_host.plugins.journals import OWN_JOURNALS, own_journal
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.secrets import Secrets

NO_SECRETS = Secrets(lambda name: None)


def settings(
    folder: Path,
    journal: str = "sqlite",
    block: tuple[str, ...] = (),
    plugins: Mapping[str, PluginSettings] | None = None,
) -> Settings:
    return Settings(
        config_path=folder / "config.toml",
        state_dir=folder,
        journal=journal,
        block=block,
        plugins=plugins or {},
    )


def test_they_are_the_entry_points_of_the_hosts_distribution() -> None:
    points = importlib.metadata.distribution("qtforge-host").entry_points
    installed = {each.name: each.load() for each in points if each.group == "qtforge.journals"}
    assert {name: load() for name, load in OWN_JOURNALS.items()} == installed


@pytest.mark.parametrize("name", sorted(OWN_JOURNALS))
def test_each_is_made_with_what_the_configuration_says(name: str, tmp_path: Path) -> None:
    given = settings(tmp_path, name)
    journal = own_journal(given, NO_SECRETS)
    assert journal is not None
    assert journal.max_value_bytes == given.max_value_bytes


def test_an_address_is_refused_by_the_journal_that_has_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="it has no address"):
        own_journal(settings(tmp_path, "sqlite://somewhere"), NO_SECRETS)


def test_another_journal_is_looked_for_among_what_is_installed(tmp_path: Path) -> None:
    assert own_journal(settings(tmp_path, "postgresql://host/runs"), NO_SECRETS) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"enabled": False},
        {"distribution": "another"},
    ],
    ids=str,
)
def test_where_the_configuration_speaks_of_the_name_the_scan_decides(
    changed: dict[str, object], tmp_path: Path
) -> None:
    table = PluginSettings(file=tmp_path / "config.toml", **changed)  # type: ignore[arg-type]
    given = settings(tmp_path, plugins={"sqlite": table})
    assert own_journal(given, NO_SECRETS) is None


@pytest.mark.parametrize("pattern", ["sqlite", "qtforge-*"])
def test_a_blocked_one_is_not_made(pattern: str, tmp_path: Path) -> None:
    assert own_journal(settings(tmp_path, block=(pattern,)), NO_SECRETS) is None
