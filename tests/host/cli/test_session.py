"""``--journal`` and ``QTFORGE_JOURNAL``: before and after the command, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from tests.host.cli.conftest import Cli

from qtforge_host.cli.main import cli as root

# They neither read nor write a run; before the command they take the option as all do.
WITHOUT = {
    "help", "tokens create", "tokens list", "tokens revoke", "schedules test", "plugins list",
    "plugins info", "plugins enable", "plugins disable", "plugins prefer",
    "plugins commands", "plugins new", "dev", "workflows new",
    "workflows list", "workflows show", "workflows validate",
    "workflows graph", "bus topics", "bus request", "health", "config show",
    "config path", "config edit", "config validate", "config schema",
    "workflows schema", "completion",
    "plugins install", "plugins lock", "plugins sync", "plugins uninstall", "plugins update",
}  # fmt: skip
# They have it as an argument.
ARGUMENT = {"journal init"}


def commands(
    group: click.Group, ctx: click.Context, path: str = ""
) -> Iterator[tuple[str, set[str]]]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        whole = f"{path} {name}".strip()
        if isinstance(command, click.Group):
            yield from commands(command, ctx, whole)
        else:
            yield whole, {each.name or "" for each in command.params}


def test_every_command_that_reads_or_writes_runs_takes_the_journal() -> None:
    found = dict(commands(root, click.Context(root)))
    without = {name for name, parameters in found.items() if "journal" not in parameters}
    assert without == WITHOUT | ARGUMENT


@pytest.mark.parametrize(
    "words",
    [
        ("--journal", "memory", "runs", "list"),
        ("runs", "--journal", "memory", "list"),
        ("runs", "list", "--journal", "memory"),
        ("--journal", "sqlite", "runs", "list", "--journal", "memory"),
    ],
)
def test_the_journal_is_named_before_or_after_the_command(cli: Cli, words: tuple[str, ...]) -> None:
    assert cli("run", "document-approval", "--set", "document.text=x").code == 0
    assert len(cli("runs", "list", "--json").json["runs"]) == 1
    assert cli(*words, "--json").json["runs"] == []


def test_the_variable_names_the_journal_unless_an_option_does(cli: Cli) -> None:
    assert cli("run", "document-approval", "--set", "document.text=x").code == 0
    found = cli("runs", "list", "--json", QTFORGE_JOURNAL="memory")
    assert found.json["runs"] == []
    found = cli("runs", "list", "--journal", "sqlite", "--json", QTFORGE_JOURNAL="memory")
    assert len(found.json["runs"]) == 1
    shown = cli("config", "show", "--json", QTFORGE_JOURNAL="memory")
    assert shown.json["host"]["journal"] == "memory"


@pytest.mark.parametrize(
    ("journal", "texts"),
    [
        ("postgrsql://me:s3cr3t@db/runs", ["no journal 'postgrsql'", "mean 'postgresql'?"]),
        ("me:s3cr3t@db/runs", ["neither the name nor the address", "postgresql://"]),
        ("sqlite:///s3cr3t", ["it has no address", "--state-dir"]),
        ("memory://s3cr3t", ["it has no address"]),
    ],
)
def test_a_journal_that_cannot_be_used_is_an_error_without_the_password(
    cli: Cli, journal: str, texts: list[str]
) -> None:
    for words in (("--journal", journal, "runs", "list"), ("runs", "list", "--journal", journal)):
        said = cli(*words)
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith("error[")
        assert all(each in said.err for each in texts), said.err
        assert "s3cr3t" not in said.err
    said = cli("runs", "list", QTFORGE_JOURNAL=journal)
    assert (said.code, "s3cr3t" in said.err) == (2, False)
