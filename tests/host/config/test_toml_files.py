"""The file that commands write next to the configuration."""

from __future__ import annotations  # noqa: I001

import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_host.config import toml_files
from qtforge_sdk.files import exclusive_lock, write_atomically
from qtforge_host.config.settings import load_settings
from qtforge_host.config.toml_files import disable, enable, managed_path, prefer
from qtforge_sdk.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new" / "folder" / "config.toml"


def test_commands_are_read_back_and_comments_of_the_configuration_stay(file: Path) -> None:
    file.parent.mkdir(parents=True)
    text = "# mine\n[plugins.acme] # also mine\nenabled = true\n"
    file.write_text(text)

    disable(file, "acme")
    prefer(file, "acme", "acme-tools")
    disable(file, "other")
    enable(file, "other")

    settings = load_settings(file, environ={})
    assert not settings.plugin("acme").enabled
    assert settings.plugin("acme").distribution == "acme-tools"
    assert settings.plugin("other").enabled
    assert file.read_text() == text
    assert managed_path(file).read_text().startswith("# Written by")


def test_the_folder_is_made(file: Path) -> None:
    disable(file, "acme")

    assert tomllib.loads(managed_path(file).read_text()) == {
        "plugins": {"acme": {"enabled": False}}
    }


@given(name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_name_survives_the_way_through_toml(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    file = tmp_path_factory.mktemp("names") / "config.toml"

    disable(file, name)

    file.touch()
    assert not load_settings(file, environ={}).plugin(name).enabled


def test_a_file_that_can_not_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"can't be written.*--config") as raised:
        disable(tmp_path / "file" / "config.toml", "acme")

    assert raised.value.where.endswith("config.plugins.toml")


def test_a_lock_held_by_another_ends_in_a_clear_error(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toml_files, "_LOCK_TIMEOUT_S", 0.05)
    with (
        exclusive_lock(managed_path(file), 1.0),
        pytest.raises(ConfigError, match="another process has held"),
    ):
        disable(file, "acme")


def test_a_damaged_managed_file_is_an_error_and_stays(file: Path) -> None:
    file.parent.mkdir(parents=True)
    managed_path(file).write_text("[plugins\n")

    with pytest.raises(ConfigError, match="not TOML"):
        disable(file, "acme")

    assert managed_path(file).read_text() == "[plugins\n"


def test_a_table_of_another_type_is_an_error(file: Path) -> None:
    file.parent.mkdir(parents=True)
    managed_path(file).write_text("plugins = 1\n")

    with pytest.raises(ConfigError, match="must be a table"):
        disable(file, "acme")


def test_a_write_that_fails_leaves_the_old_content_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
