from __future__ import annotations

from pathlib import Path

import pytest

from qtforge_host.config.secrets import SecretStore
from qtforge_sdk.errors import ConfigError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "secrets.toml"
    file.write_text('TOKEN = "from the file"\nNUMBER = 3\n')
    file.chmod(0o600)
    return file


def test_the_environment_goes_before_the_file(path: Path) -> None:
    store = SecretStore(path, {"QTFORGE_SECRET_TOKEN": "from outside"})
    assert store.find("TOKEN") == "from outside"
    assert SecretStore(path, {}).find("TOKEN") == "from the file"


def test_without_a_file_there_is_none(tmp_path: Path) -> None:
    assert SecretStore(tmp_path / "none.toml", {}).find("TOKEN") is None


def test_a_file_that_others_may_read_is_refused_with_the_command_that_mends_it(path: Path) -> None:
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read it") as caught:
        SecretStore(path, {}).find("TOKEN")
    assert caught.value.fix == f"chmod 600 {path}"


def test_a_secret_that_is_no_text_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="a secret is a text"):
        SecretStore(path, {}).find("NUMBER")
