"""Settings from TOML: defaults, overrides, and errors with their place."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
import pytest

from qtforge_host.config.settings import Settings, load_settings, plugin_config, user_folder
from qtforge_sdk.errors import ConfigError


class Limits(msgspec.Struct, frozen=True):
    max_bytes: int = 1


class AcmeConfig(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    limits: Limits = Limits()
    sources: list[Limits] = []


@dataclasses.dataclass
class ZetaConfig:
    depth: int = 3


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def _load(file: Path, text: str, managed: str | None = None) -> Settings:
    file.write_text(text, encoding="utf-8")
    if managed is not None:
        file.with_name("config.plugins.toml").write_text(managed, encoding="utf-8")
    return load_settings(file, environ={})


def _error(file: Path, text: str, managed: str | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        _load(file, text, managed)
    return raised.value


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))

    settings = load_settings(None, environ={})

    assert settings == Settings(
        config_path=tmp_path / "c" / "qtforge" / "config.toml",
        state_dir=tmp_path / "s" / "qtforge",
    )
    assert settings.import_timeout_s == settings.start_timeout_s == 10.0
    assert settings.request_timeout_s == 30.0
    assert settings.quarantine_after == 3
    assert settings.step_crash_limit == 3
    assert settings.plugin("anything").enabled


@pytest.mark.parametrize("base", [None, "", " ", "/srv/base", "relative/base", "~/base"])
@pytest.mark.parametrize("home", ["/home/ann", None])
@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_the_users_folders_are_those_that_platformdirs_names(
    monkeypatch: pytest.MonkeyPatch, base: str | None, home: str | None, platform: str
) -> None:
    given = {"XDG_CONFIG_HOME": base, "XDG_STATE_HOME": base, "HOME": home}
    for name, value in given.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert user_folder("config") == platformdirs.user_config_path("qtforge")
    assert user_folder("state") == platformdirs.user_state_path("qtforge")


def test_every_key_of_host_is_read(file: Path) -> None:
    settings = _load(
        file,
        """
        [host]
        import_timeout = "1m30s"
        start_timeout = "500ms"
        stop_timeout = "2s"
        request_timeout = "1h"
        quarantine_after = 5
        step_crash_limit = 8
        max_value = "1 MiB"
        publication_capacity = 7
        publication_age = "2h"
        block = ["evil-*"]
        worker_threads = 4
        worker_processes = 2
        worker_memory = "512 MiB"
        expression_loop_cost = 10
        expression_max_cost = 1000
        expression_timeout = "2s"
        expression_max_result = "1 MiB"
        """,
    )

    assert settings.import_timeout_s == 90.0
    assert settings.start_timeout_s == 0.5
    assert settings.stop_timeout_s == 2.0
    assert settings.request_timeout_s == 3600.0
    assert settings.quarantine_after == 5
    assert settings.step_crash_limit == 8
    assert settings.max_value_bytes == 1 << 20
    assert (settings.publication_capacity, settings.publication_age_s) == (7, 7200.0)
    assert settings.block == ("evil-*",)
    assert (settings.worker_threads, settings.worker_processes) == (4, 2)
    assert settings.worker_memory_bytes == 512 << 20
    assert (settings.expression_loop_cost, settings.expression_max_cost) == (10, 1000)
    assert settings.expression_timeout_s == 2.0
    assert settings.expression_max_result_bytes == 1 << 20


@pytest.mark.parametrize(
    "line",
    [
        "expression_loop_cost = 0",
        "expression_max_cost = 'much'",
        "expression_timeout = '0s'",
        "expression_max_result = '1 byte'",
        "max_value = '1 kB'",
        "publication_capacity = 0",
        "publication_age = 'long'",
    ],
)
def test_a_limit_that_is_none_is_refused(file: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=line.partition(" ")[0]):
        _load(file, f"[host]\n{line}\n")


@pytest.mark.parametrize("size", ['"much"', '"2 elephants"', "-1", '"1 kB"', '"99999 TiB"', '""'])
def test_a_size_that_no_worker_can_have_is_refused(file: Path, size: str) -> None:
    with pytest.raises(ConfigError, match=r"host\.worker_memory"):
        _load(file, f"[host]\nworker_memory = {size}\n")


def test_a_plugins_table_is_read(file: Path) -> None:
    said = _load(
        file,
        '[plugins.acme]\nenabled = false\ndistribution = "Acme_Tools"\nconfig = {a = 1}\n',
    ).plugin("acme")

    assert (said.enabled, said.distribution, said.config) == (False, "Acme_Tools", {"a": 1})


def test_the_file_of_the_commands_overrides_single_keys(file: Path) -> None:
    settings = _load(
        file,
        '[plugins.acme]\nenabled = false\ndistribution = "a"\nconfig = {a = 1}\n[plugins.b]\n',
        "[plugins.acme]\nenabled = true\n[plugins.c]\nenabled = false\n",
    )

    acme = settings.plugin("acme")
    assert (acme.enabled, acme.distribution, acme.config) == (True, "a", {"a": 1})
    assert settings.plugin("b").enabled
    assert not settings.plugin("c").enabled


def test_the_command_line_wins_over_the_environment(tmp_path: Path) -> None:
    for name in ("a.toml", "b.toml"):
        (tmp_path / name).write_text("")
    environ = {"QTFORGE_CONFIG": str(tmp_path / "a.toml"), "QTFORGE_STATE_DIR": str(tmp_path / "a")}

    by_environment = load_settings(None, environ=environ)
    by_option = load_settings(tmp_path / "b.toml", environ=environ, state_dir=tmp_path / "b")

    assert by_environment.config_path == tmp_path / "a.toml"
    assert by_environment.state_dir == tmp_path / "a"
    assert (by_option.config_path, by_option.state_dir) == (tmp_path / "b.toml", tmp_path / "b")


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml.*No such file.*--config"):
        load_settings(tmp_path / "absent.toml", environ={})
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load_settings(None, environ={"QTFORGE_CONFIG": str(tmp_path / "absent.toml")})


def test_a_folder_in_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load_settings(tmp_path, environ={})


def test_a_home_that_can_not_be_looked_into_gives_the_defaults_and_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(self: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "stat", refuse)

    with caplog.at_level(logging.WARNING):
        settings = load_settings(None, environ={})

    assert settings.quarantine_after == 3
    assert settings.step_crash_limit == 3
    assert "Permission denied" in caplog.text


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("[host]\nimport_timout = '1s'\n", "host.import_timout", "'import_timeout'"),
        ("[hosts]\n", "hosts", "'host'"),
        ("[plugins.acme]\nenable = true\n", "plugins.acme.enable", "'enabled'"),
        ("[host]\nquarantine_after = '3'\n", "host.quarantine_after", "expected int"),
        ("[host]\nquarantine_after = 0\n", "host.quarantine_after", ">= 1"),
        ("[host]\nblock = 'evil'\n", "host.block", "expected array"),
        ("[host]\nblock = ['a', 1]\n", "host.block[1]", "expected str"),
        ("[host]\nimport_timeout = true\n", "host.import_timeout", "expected float | str"),
        ("[host]\nimport_timeout = -3\n", "host.import_timeout", "-3.0 is not above zero"),
        ("[host]\nimport_timeout = '10'\n", "host.import_timeout", "'10' is not a duration"),
        ("[host]\nstop_timeout = '-1s'\n", "host.stop_timeout", "not above zero"),
        ("host = 1\n", "host", "must be a table"),
        ("[topics.'a.b'.limits]\nrate = '10 per s'\n", 'topics."a.b".limits', "10/s, 300/m"),
        ("[topics.'a.b'.breaker]\nopen_for = '30 sec'\n", 'topics."a.b".breaker', "30 sec"),
        ("plugins = []\n", "plugins", "must be a table"),
        ("[plugins]\nacme = true\n", "plugins.acme", "must be a table"),
        ("[plugins.acme]\nenabled = 'yes'\n", "plugins.acme.enabled", "expected bool"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_file_and_path(
    file: Path, text: str, where: str, words: str
) -> None:
    error = _error(file, text)

    assert error.where == f"{file}: {where}"
    assert words in str(error)
    assert error.code == "config.invalid"


def test_a_toml_error_has_line_and_column(file: Path) -> None:
    error = _error(file, "[host]\nimport_timeout = = 1\n")

    assert error.where == str(file)
    assert "line 2, column 18" in error.why


def test_a_file_that_is_nested_too_deeply_is_an_error(file: Path) -> None:
    error = _error(file, f"deep = {'[' * 5000}{']' * 5000}\n")

    assert error.where == str(file)
    assert "nested more than 100 deep" in error.why


def test_a_file_that_is_not_utf8_is_an_error(file: Path) -> None:
    file.write_bytes(b"# \xff\n")

    with pytest.raises(ConfigError, match="not UTF-8"):
        load_settings(file, environ={})


def test_an_error_in_the_managed_file_names_that_file(file: Path) -> None:
    assert "config.plugins.toml" in _error(file, "", "[plugins.acme]\nenabled = 1\n").where
    assert "config.plugins.toml" in _error(file, "", "[host]\n").where


def _config(file: Path, table: str) -> Settings:
    return _load(file, f"[plugins.acme.config]\n{table}\n")


def test_a_plugins_configuration_becomes_its_own_type(file: Path) -> None:
    settings = _config(file, "token = 'x'\nlimits = {max_bytes = 5}\nsources = [{}]")

    assert plugin_config("acme", AcmeConfig, settings) == AcmeConfig(
        token="x", limits=Limits(5), sources=[Limits()]
    )
    assert plugin_config("zeta", ZetaConfig, settings) == ZetaConfig()
    assert plugin_config("other", None, settings) is None


@pytest.mark.parametrize(
    ("table", "where", "words"),
    [
        ("token = 1", ".token", "expected str, got int"),
        ("", ".token", "is missing"),
        ("tokn = 'x'", ".tokn", "did you mean 'token'?"),
        ("token = 'x'\nlimits = {max_byte = 1}", ".limits.max_byte", "did you mean 'max_bytes'?"),
        ("token = 'x'\nlimits = {max_bytes = '1'}", ".limits.max_bytes", "expected int"),
        ("token = 'x'\nsources = [{}, {y = 1}]", ".sources[1].y", "max_bytes"),
    ],
)
def test_a_plugins_wrong_configuration_is_named_with_file_and_path(
    file: Path, table: str, where: str, words: str
) -> None:
    settings = _config(file, table)

    with pytest.raises(ConfigError) as raised:
        plugin_config("acme", AcmeConfig, settings)

    assert raised.value.where == f"{file}: plugins.acme.config{where}"
    assert words in str(raised.value)


def test_every_error_of_a_configuration_is_named(file: Path) -> None:
    settings = _config(file, "token = 1\nlimit = {}\nlimits = {max_byte = 1}")

    with pytest.raises(ConfigError) as raised:
        plugin_config("acme", AcmeConfig, settings)

    assert raised.value.where == str(file)
    assert raised.value.why.splitlines() == [
        "plugins.acme.config.limit: unknown key; did you mean 'limits'?",
        "plugins.acme.config.token: expected str, got int",
        "plugins.acme.config.limits.max_byte: unknown key; did you mean 'max_bytes'?",
    ]


def test_a_plugin_without_a_type_takes_no_configuration(file: Path) -> None:
    with pytest.raises(ConfigError, match="takes no configuration"):
        plugin_config("acme", None, _config(file, "a = 1"))


def test_a_type_that_can_not_describe_a_table_is_the_authors_fault(file: Path) -> None:
    class Bare:
        def __init__(self) -> None: ...

    for unusable in (Bare, int, "text"):
        with pytest.raises(ConfigError) as raised:
            plugin_config("acme", unusable, _config(file, "a = 1"))  # type: ignore[arg-type]
        assert raised.value.why


def test_a_dictionary_type_takes_any_key(file: Path) -> None:
    value: Mapping[str, Any] | None = plugin_config("acme", dict[str, int], _config(file, "a = 1"))

    assert value == {"a": 1}


def test_the_option_names_the_journal_before_the_variable_and_that_before_the_file(
    file: Path,
) -> None:
    file.write_text('[host]\njournal = "memory"\n', encoding="utf-8")
    environ = {"QTFORGE_JOURNAL": "postgresql://variable/runs"}

    by_file = load_settings(file, environ={"QTFORGE_JOURNAL": ""})
    by_variable = load_settings(file, environ=environ)
    by_option = load_settings(file, environ=environ, journal="sqlite")

    assert [(each.journal, each.journal_source) for each in (by_file, by_variable, by_option)] == [
        ("memory", f"{file}: host.journal"),
        ("postgresql://variable/runs", "QTFORGE_JOURNAL"),
        ("sqlite", "--journal"),
    ]


@pytest.mark.parametrize(
    "text", ["", "me:s3cr3t@db/runs", "://me:s3cr3t@db", "postgresql:/me:s3cr3t@db", "-x", "a b"]
)
def test_what_is_neither_a_name_nor_an_address_is_refused_and_not_repeated(
    file: Path, text: str
) -> None:
    file.touch()
    with pytest.raises(ConfigError, match="neither the name nor the address") as raised:
        load_settings(file, environ={}, journal=text)
    assert raised.value.where == "--journal"
    assert "s3cr3t" not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "/srv/shared", "file://srv", "file://host/a", "file:///", "file:///a?b=c", "file:///a#b",
        "file:///a%00b", "ftp://x/y", "s3://", "s3:///a", "memory://x", "s3://b c",
        "s3://b\\u001b", "s3://b/\\u001b[2J", "s3://b/\\u0000", "s3://[b", "s3://b/é", "s3://bé",
        "s3://.b", "s3://b?a=\\u202e", "s3://b#c", "file:///a\\u001b", "file:///a\\u202eb",
        "file:///a%ff",
    ],
)  # fmt: skip
def test_what_is_no_address_of_files_is_refused(file: Path, text: str) -> None:
    file.write_text(f'[host]\nfiles = "{text}"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="not the address of a folder or an object") as raised:
        load_settings(file, environ={})
    assert raised.value.where == f"{file}: host.files"


@pytest.mark.parametrize(
    "text",
    [
        "file:///srv/shared", "file:///srv/gemeinsam%20f%C3%BCr", "file:///srv/für", "s3://b",
        "s3://b/folder", "s3://my.bucket-1/a/b?region=eu-1&endpoint=http://localhost:9000",
        "s3://${secret.KEY}:${secret.VALUE}@bucket/x", "gs://b/f", "az://container/f",
        "abfss://container@account.dfs.core.windows.net/f",
    ],
)  # fmt: skip
def test_an_address_of_files_is_taken_as_it_is(file: Path, text: str) -> None:
    file.write_text(f'[host]\nfiles = "{text}"\n', encoding="utf-8")
    assert load_settings(file, environ={}).files == text


@pytest.mark.parametrize("name", ["a\\u001bb", "a\\nb", "\\u0000", "", "x" * 201, "\\u202e"])
def test_a_schedule_whose_name_can_not_be_shown_or_stored_is_refused(file: Path, name: str) -> None:
    file.write_text(f'[schedules."{name}"]\nworkflow = "w"\ncron = "@daily"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="can't be the name of a schedule"):
        load_settings(file, environ={})
    file.write_text('[schedules."team/für alle"]\nworkflow = "w"\ncron = "@daily"\n', "utf-8")
    assert [*load_settings(file, environ={}).schedules] == ["team/für alle"]


@pytest.mark.parametrize("address", ["postgresql://a\udcffb/c", "postgresql://a\x1bb/c"])
def test_an_address_of_a_journal_or_a_bus_has_no_control_characters(
    file: Path, address: str
) -> None:
    for variable in ("QTFORGE_JOURNAL", "QTFORGE_BUS"):
        with pytest.raises(ConfigError) as caught:
            load_settings(None, environ={variable: address})
        assert "\x1b" not in str(caught.value)


def test_files_of_runs_are_shared_by_machines_that_share_a_journal_and_a_folder(
    tmp_path: Path,
) -> None:
    def run_files(machine: str, journal: str, files: str) -> Path:
        path = tmp_path / f"{machine}.toml"
        path.write_text(f'[host]\njournal = "{journal}"\nfiles = "{files}"\n', encoding="utf-8")
        return load_settings(path, environ={}, state_dir=tmp_path / machine).run_files_dir

    shared, database = "file:///srv/shared%20files", "postgresql://a:1@db/runs"
    one = run_files("one", database, shared)
    assert one.parent == Path("/srv/shared files/.run-files")
    assert run_files("two", "postgresql://b:2@db/runs", shared) == one
    assert run_files("two", "postgresql://b:2@db/others", shared) != one
    for journal, files in ((database, ""), (database, "s3://bucket"), ("sqlite", shared)):
        assert run_files("two", journal, files) == tmp_path / "two" / "run-files"


def test_files_are_shown_without_their_credentials(file: Path) -> None:
    url = "s3://me:s3cr3t@bucket/qtforge?secret_access_key=s3cr3t"
    file.write_text(f'[host]\nfiles = "{url}"\nfiles_timeout = "5s"\n', encoding="utf-8")
    settings = load_settings(file, environ={})
    assert (settings.files, settings.files_timeout_s) == (url, 5.0)
    assert settings.shown_files == "s3://bucket/qtforge"


@pytest.mark.parametrize(
    ("journal", "shown"),
    [
        ("sqlite", "sqlite"),
        ("postgresql://db/runs", "postgresql://db/runs"),
        ("postgresql://me:s3cr3t@db:1/runs?schema=a&password=s3cr3t", "postgresql://db:1/runs"),
        ("postgresql://me:s3@c/r?3t@db/runs", "postgresql://db/runs"),
    ],
)
def test_a_journal_is_shown_without_user_and_password(file: Path, journal: str, shown: str) -> None:
    file.touch()
    assert load_settings(file, environ={}, journal=journal).shown_journal == shown
