from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qtforge_host.cli.logs import JsonFormatter, TextFormatter
from qtforge_host.cli.terminal import CleanStream
from qtforge_host.config.secrets import MaskingFilter, SecretStore
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


def test_a_file_that_others_may_read_is_refused_with_the_command_that_fixes_it(path: Path) -> None:
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read it") as caught:
        SecretStore(path, {}).find("TOKEN")
    assert caught.value.fix == f"chmod 600 {path}"


def test_a_secret_that_is_no_text_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="a secret is a text"):
        SecretStore(path, {}).find("NUMBER")


def test_a_variable_that_is_not_utf_8_is_refused_by_its_name(path: Path) -> None:
    value = b"s3cret-\xff-value".decode(errors="surrogateescape")
    with pytest.raises(ConfigError, match="QTFORGE_SECRET_TOKEN: it is not text") as caught:
        SecretStore(path, {"QTFORGE_SECRET_TOKEN": value}).find("TOKEN")
    assert "s3cret" not in str(caught.value)


@pytest.fixture(params=[TextFormatter("%(message)s"), JsonFormatter()], ids=["text", "json"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param)
    logging.getLogger().addHandler(handler)
    masking = MaskingFilter(lambda text: text.replace("s3cret", "***"))
    masking.attach()
    yield stream
    masking.detach()
    logging.getLogger().removeHandler(handler)


def test_a_secret_stays_out_of_messages_and_tracebacks(written: io.StringIO) -> None:
    try:
        raise ValueError("no access with s3cret")
    except ValueError:
        logging.getLogger("some.library").exception("GET %s", "https://u:s3cret@host/")
    text = written.getvalue()
    assert "s3cret" not in text
    assert "https://u:***@host/" in text
    assert "no access with ***" in text


def test_a_secret_stays_out_of_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    outer = CleanStream(written)
    monkeypatch.setattr("sys.stderr", outer)
    masking = MaskingFilter(lambda text: text.replace("s3cret", "***"))
    masking.attach()
    masking.attach()
    lines = CleanStream(written, masks_of=sys.stderr)  # as where progress is shown
    for stream in (outer, lines):
        assert stream.write("it is s3cret\n") == len("it is s3cret\n")
    masking.detach()
    outer.write("s3cret no more")
    assert written.getvalue() == "it is ***\n" * 2 + "s3cret no more"
