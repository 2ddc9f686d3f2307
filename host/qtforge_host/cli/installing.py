"""``qtforge-host plugins install | uninstall | update | lock | sync``."""

from __future__ import annotations

from pathlib import Path

import click

from qtforge_host.api.documents import PluginsChanged
from qtforge_host.api.installing import PluginInstaller
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json, state
from qtforge_host.cli.session import Session
from qtforge_host.cli.terminal import echo

__all__ = ["install", "lock", "sync", "uninstall", "update"]

_lock_argument = click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False), default=Path("qtforge.lock")
)


@click.command()
@click.argument("requirements", nargs=-1, required=True, metavar="REQUIREMENT|PATH|WHEEL...")
@json_option
@click.pass_obj
def install(session: Session, requirements: tuple[str, ...], as_json: bool) -> int:
    """Install plugins into the environment of the host, with pip or uv.

    Undone when the host or a plugin that works would not work any more. Exit code 1 when a new
    plugin has errors.
    """
    return _show(_installer(session).install(requirements), as_json)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_option
@click.pass_obj
def update(session: Session, names: tuple[str, ...], as_json: bool) -> int:
    """Update plugins, or all that are not the host's; undone as by 'install'."""
    return _show(_installer(session).update(names), as_json)


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help="Also where other plugins require them.")
@json_option
@click.pass_obj
def uninstall(session: Session, names: tuple[str, ...], force: bool, as_json: bool) -> int:
    """Uninstall plugins; undone where others that work would not work any more."""
    return _show(_installer(session).uninstall(names, force=force), as_json)


@click.command()
@_lock_argument
@json_option
@click.pass_obj
def lock(session: Session, file: Path, as_json: bool) -> None:
    """Write the exact versions of all plugins and of what they need, with hashes.

    The default FILE is qtforge.lock.
    """
    written = _installer(session).lock(file)
    if as_json:
        print_json(written)
        return
    echo(f"wrote {len(written.locked)} versions to {written.file} ({written.installer})")
    for name in written.left_out:
        echo(f"left out: {name} was installed from a folder, a file or a repository")


@click.command()
@_lock_argument
@json_option
@click.pass_obj
def sync(session: Session, file: Path, as_json: bool) -> int:
    """Install what a lock file says, and uninstall the plugins that it does not have.

    The default FILE is qtforge.lock.
    """
    return _show(_installer(session).sync(file), as_json)


def _installer(session: Session) -> PluginInstaller:
    session.read_settings()  # so that a wrong configuration is not taken for a plugin's fault
    options = [] if session.config is None else ["--config", str(session.config.absolute())]
    return PluginInstaller(options, session.config)


def _show(changed: PluginsChanged, as_json: bool) -> int:
    failed = bool(changed.findings) or any(
        row.state not in ("active", "ready", "disabled") for row in changed.plugins
    )
    if as_json:
        print_json(changed)
        return FAILED if failed else 0
    if not changed.changes:
        echo(f"nothing to change ({changed.installer})")
    for each in changed.changes:
        if not each.before:
            echo(f"installed {each.distribution} {each.after} ({changed.installer})")
        elif not each.after:
            echo(f"uninstalled {each.distribution} {each.before} ({changed.installer})")
        else:
            versions = f"{each.before} -> {each.after}"
            echo(f"updated {each.distribution} {versions} ({changed.installer})")
    for row in changed.plugins:
        echo(f"{state(row.state)}: {row.name} {row.version}")
        if row.reason:
            echo(f"  why: {row.reason}")
            echo(f"  fix: {row.fix}")
    for finding in changed.findings:
        echo(f"error[{finding.code}]: {finding.plugin} {finding.version}: {finding.what}")
    return FAILED if failed else 0
