"""``qtforge-host plugins``: states, reasons and fixes, without importing a plugin."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from qtforge_host.api.documents import (
    PluginCommand,
    PluginCommands,
    PluginCreated,
    Plugins,
)
from qtforge_host.api.errors import NotFoundError
from qtforge_host.api.plugins import installed_plugins, plugin_details, plugins_named
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json, run_async, state
from qtforge_host.cli.pager import paged
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo, style
from qtforge_host.cli.texts import refuse_bad_texts
from qtforge_host.config.settings import Settings
from qtforge_host.config.toml_files import disable as disable_in
from qtforge_host.config.toml_files import enable as enable_in
from qtforge_host.config.toml_files import managed_path
from qtforge_host.config.toml_files import prefer as prefer_in
from qtforge_host.plugin_code import clean_text, describe, is_interruption
from qtforge_host.plugins.candidates import canonical_name
from qtforge_host.plugins.quarantine import FailureMemory
from qtforge_host.plugins.resolution import resolve_installed
from qtforge_sdk.errors import QtForgeError

if TYPE_CHECKING:
    from qtforge_host.plugin_check.findings import CheckReport
    from qtforge_host.plugins.wiring import ContributedCommand

__all__ = ["plugins"]

_INSTALLING: Final = ("install", "lock", "sync", "uninstall", "update")


class _Plugins(click.Group):
    """The commands that change the environment are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_INSTALLING])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _INSTALLING:
            module = importlib.import_module("qtforge_host.cli.installing")
            found: click.Command = getattr(module, cmd_name)
            return refuse_bad_texts(found)
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Plugins)
def plugins() -> None:
    """List, inspect, write, check, enable and disable plugins."""


@plugins.command("list")
@json_option
@click.pass_obj
@paged
def list_plugins(session: Session, as_json: bool) -> None:
    """Show every plugin found, its state, why, and the fix. Imports none of them."""
    _show(installed_plugins(session.settings), as_json)


@plugins.command()
@click.argument("name")
@json_option
@click.pass_obj
@paged
def info(session: Session, name: str, as_json: bool) -> None:
    """Show one plugin in detail. Does not import it."""
    installed = resolve_installed(session.settings)
    for candidate in plugins_named(installed.resolution, name):
        details = plugin_details(candidate, installed, session.settings)
        if as_json:
            print_json(details)
            continue
        facts = msgspec.structs.asdict(details)
        del facts["schema_version"]
        width = max(map(len, facts))
        for key, value in facts.items():
            text = ", ".join(value) if isinstance(value, list) else str(value)
            if text:
                echo(f"{key:<{width}}  {state(text) if key == 'state' else text}")


@plugins.command()
@click.argument("name")
@click.pass_obj
def enable(session: Session, name: str) -> None:
    """Let a plugin load, and forget its earlier failures.

    The configuration's schema for editors, such as config.schema.json beside it, is renewed.
    """
    settings = session.settings
    plugins_named(resolve_installed(settings).resolution, name)
    enable_in(settings.config_path, name)
    FailureMemory(settings.state_dir).forget(name)
    _confirm(f"{name} is enabled", settings)
    _refresh_schema(session)


@plugins.command()
@click.argument("name")
@click.pass_obj
def disable(session: Session, name: str) -> None:
    """Keep a plugin from loading."""
    settings = session.settings
    plugins_named(resolve_installed(settings).resolution, name)
    disable_in(settings.config_path, name)
    _confirm(f"{name} is disabled", settings)


@plugins.command()
@click.argument("name")
@click.argument("distribution")
@click.pass_obj
def prefer(session: Session, name: str, distribution: str) -> None:
    """Choose the distribution of a plugin that two distributions provide."""
    settings = session.settings
    found = plugins_named(resolve_installed(settings).resolution, name)
    offered = sorted({candidate.distribution for candidate in found})
    preferred = canonical_name(distribution)
    if preferred not in offered:
        raise NotFoundError(
            f"the distribution '{distribution}' does not provide '{name}'",
            "",
            f"these do: {', '.join(offered)}",
        )
    prefer_in(settings.config_path, name, preferred)
    _confirm(f"{name} is provided by {preferred}", settings)


@plugins.command()
@click.argument("name")
@click.option(
    "--with", "features", default="operation,workflow", show_default=True, metavar="FEATURES",
    help="Some of operation, subscriber, workflow, machine, python, command, kind, process;"
    " separated by commas.",
)  # fmt: skip
@click.option(
    "--dir", "parent", type=click.Path(path_type=Path), default=Path(),
    help="Where the folder NAME is made.  [default: the current folder]",
)  # fmt: skip
@click.option(
    "--license", "license_expression", default="MIT", show_default=True, metavar="SPDX",
    help="The licence, as an SPDX expression.",
)  # fmt: skip
@json_option
@click.pass_obj
def new(
    session: Session,
    name: str,
    features: str,
    parent: Path,
    license_expression: str,
    as_json: bool,
) -> None:
    """Write a plugin to begin with: source, workflow, tests, metadata."""
    wanted = [each.strip() for each in features.split(",") if each.strip()]

    async def written() -> PluginCreated:
        async with session.client() as client:
            return await client.host.new_plugin(name, wanted, parent, license_expression)

    made = run_async(written())
    if as_json:
        print_json(made)
        return
    echo(f"wrote {len(made.files)} files to {made.folder}; continue with")
    echo()
    for command in made.commands:
        echo(f"  {command}")


@plugins.command()
@click.argument("targets", nargs=-1, metavar="[NAME|PATH|WHEEL]...")
@click.option("--strict", is_flag=True, help="Exit code 1 for advice too.")
@click.option(
    "--replay", is_flag=True,
    help="Also replay unfinished runs, and exported ones in a PATH; name those that the code"
    " would not continue.",
)  # fmt: skip
@json_option
@journal_option
@click.pass_context
def check(
    ctx: click.Context, targets: tuple[str, ...], strict: bool, replay: bool, as_json: bool
) -> int:
    """Check plugins as an author or a user would meet them.

    A NAME is an installed plugin, a PATH a project's folder, whose wheel is built. Each is read,
    imported, started and tried in processes of its own, and nothing installed is changed. Without
    any, every installed plugin is started, and its state is shown.

    Exit code 1 when there is an error, or with --replay when a run would be blocked.
    """
    session: Session = ctx.obj
    if targets:
        group = ctx.find_root().command
        commands = group.list_commands(ctx) if isinstance(group, click.Group) else []
        return _check_targets(session, targets, commands, strict, replay, as_json)
    return _check_installed(session, replay, as_json)


def _check_targets(
    session: Session,
    targets: tuple[str, ...],
    commands: list[str],
    strict: bool,
    replay: bool,
    as_json: bool,
) -> int:
    from qtforge_host.api.authoring import check_plugins, exported_runs

    settings = session.settings  # read before: its mistakes are not the plugin's
    with tempfile.TemporaryDirectory(prefix="qtforge-runs-") as folder:
        exports = run_async(exported_runs(settings, Path(folder))) if replay else None
        found = check_plugins(targets, session.config, commands, exports)
    if as_json:
        print_json(found)
    else:
        for report in found.targets:
            _show_findings(report)
    return FAILED if found.errors or (strict and found.advice) else 0


def _show_findings(report: CheckReport) -> None:
    names = ", ".join(report.plugins) or report.target
    for each in report.findings:
        line = "" if each.line is None else f":{each.line}"
        place = f"{_shortened(each.file)}{line}: " if each.file else ""
        color = "red" if each.level == "error" else "yellow"
        echo(f"{style(f'{each.level}[{each.code}]', fg=color)}: {place}{each.what}")
        for text in each.why.splitlines():
            echo(f"  why: {text}")
        if each.fix:
            echo(f"  fix: {each.fix}")
    errors = sum(each.level == "error" for each in report.findings)
    advice = len(report.findings) - errors
    counted = [f"{errors} error{'' if errors == 1 else 's'}", f"{advice} advice"]
    if report.operations:
        counted.append(f"{report.operations} operation{'s' * (report.operations > 1)} tried")
    if report.replayed:
        counted.append(f"{report.replayed} run{'s' * (report.replayed > 1)} replayed")
    if report.ignored:
        counted.append(f"{report.ignored} ignored")
    echo(f"{state('failed' if errors else 'ok')}: {names}: {', '.join(counted)}")


def _shortened(file: str) -> str:
    """Return a path relative to the working directory, where it is below it."""
    path = Path(file)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def _check_installed(session: Session, replay: bool, as_json: bool) -> int:
    async def started() -> Plugins:
        async with session.client() as client:
            found = await client.host.plugins()
            if not replay:
                return found
            rows = [row async for row in client.host.replay() if row.verdict == "diverged"]
            return msgspec.structs.replace(found, diverged=rows)

    found = run_async(started())
    _show(found, as_json)
    diverged = found.diverged or []
    if replay and not as_json:
        echo()
        if diverged:
            rows = ((row.run_id, row.workflow, row.text) for row in diverged)
            table(("RUN", "WORKFLOW", "THE CODE THAT IS HERE"), rows)
        count = "1 unfinished run" if len(diverged) == 1 else f"{len(diverged)} unfinished runs"
        echo(f"{count} would be blocked")
    failed = any(each.state in ("broken", "quarantined") for each in found.plugins)
    return FAILED if failed or diverged else 0


@plugins.command()
@json_option
@click.pass_obj
@paged
def commands(session: Session, as_json: bool) -> None:
    """List the commands that plugins contribute. Starts them."""
    from qtforge_host.app import Host

    async def offered() -> dict[str, str]:
        async with Host(session.settings, scope="asked") as host:
            found = await host.commands()
            return {name: _short_help(offered) for name, offered in found.items()}

    found = run_async(offered())
    if as_json:
        rows = [PluginCommand(name=name, help=text) for name, text in sorted(found.items())]
        print_json(PluginCommands(commands=rows))
    elif found:
        table(("COMMAND", "WHAT IT DOES"), sorted(found.items()))
    else:
        echo("no plugin contributes a command")


def _short_help(offered: ContributedCommand) -> str:
    try:
        text: str = offered.command.get_short_help_str(80)
    except BaseException as error:
        if is_interruption(error):
            raise
        return f"its help can't be read: {describe(error)}"
    return clean_text(text)


def _show(found: Plugins, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    table(
        ("STATE", "PLUGIN", "VERSION", "DISTRIBUTION"),
        (
            (state(each.state), each.name, each.version or "?", each.distribution)
            for each in found.plugins
        ),
        short=("DISTRIBUTION",),
    )
    faults = [
        (f"{each.name} ({each.distribution})", each.reason, each.fix)
        for each in found.plugins
        if each.reason
    ]
    notes = [(each.where, each.reason, each.fix) for each in found.problems]
    for where, reason, fix in [*faults, *notes]:
        echo()
        echo(f"{where}: {reason}")
        if fix:
            echo(f"  fix: {fix}")


def _refresh_schema(session: Session) -> None:
    """Renew the configuration's schema; it is no reason to fail that it can't be."""
    from qtforge_host.api.authoring import refresh_config_schema

    try:
        run_async(refresh_config_schema(session.read_settings()))
    except QtForgeError as error:
        echo(f"the schema of the configuration was not renewed: {error}", err=True)


def _confirm(text: str, settings: Settings) -> None:
    echo(f"{text} (written to {managed_path(settings.config_path)})")
