"""``qtforge-host config``."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import get_completion_class

from qtforge_host.api.documents import (
    ConfigChecked,
    ConfigDocument,
    ConfigFiles,
    ConfigPath,
    Setting,
)
from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.output import json_option, print_json, run_async, state
from qtforge_host.cli.pager import paged
from qtforge_host.cli.schemas import output_option, write_schema
from qtforge_host.cli.session import Session
from qtforge_host.cli.tables import text_width
from qtforge_host.cli.terminal import echo, echo_lines, style
from qtforge_host.config.in_force import settings_in_force
from qtforge_host.config.settings import Settings
from qtforge_host.config.toml_files import managed_path
from qtforge_host.schema_files import config_schema_path
from qtforge_host.toml import toml_key, toml_value

__all__ = ["completion", "config"]

_WIDEST: Final = 60  # of a setting, so that its source is beside it
_NEW: Final = """\
#:schema ./{schema}
# The configuration of QtForge Host. 'plugins enable' and 'dev' renew the schema above, with which
# an editor checks it; so does: qtforge-host config schema -o {schema}
"""


@click.command(epilog='For bash: eval "$(qtforge-host completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell."""
    root = click.get_current_context().find_root().command
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"click can't complete for {shell}")
    echo_lines(found(root, {}, "qtforge-host", "_QTFORGE_HOST_COMPLETE").source())


@click.group()
def config() -> None:
    """Show, edit and check the configuration."""


@config.command()
@json_option
@click.pass_obj
@paged
def show(session: Session, as_json: bool) -> None:
    """Show every setting in force as TOML, each with the place that it is from.

    That is a file with its line, an option, an environment variable, or the default. What may
    be a secret is shown as ***.
    """
    settings = session.settings
    found = list(settings_in_force(settings))
    if as_json:
        files = ConfigFiles(
            config=str(settings.config_path),
            managed=str(managed_path(settings.config_path)),
            state_dir=str(settings.state_dir),
        )
        places = [
            Setting(key=list(each.key), value=each.value, source=each.source) for each in found
        ]
        print_json(ConfigDocument(files=files, settings=places, **_content(settings)))
        return
    for title, path in (
        ("configuration", settings.config_path),
        ("written by commands", managed_path(settings.config_path)),
        ("state directory", settings.state_dir),
    ):
        echo(f"# {title}: {path}{'' if path.exists() else ' (not there)'}")
    for table, group in itertools.groupby(found, key=lambda each: each.key[:-1]):
        echo()
        if table:
            echo(f"[{'.'.join(map(toml_key, table))}]")
        rows = [(f"{toml_key(each.key[-1])} = {toml_value(each.value)}", each) for each in group]
        width = min(max(text_width(text) for text, _ in rows), _WIDEST)
        for text, each in rows:
            source = style(f"# {each.source}", dim=True)
            echo(f"{text}{' ' * (width - text_width(text))}  {source}")


@config.command()
@json_option
@click.pass_obj
def path(session: Session, as_json: bool) -> None:
    """Print the path of the configuration file, whether it is there or not."""
    file = session.config_path
    if as_json:
        print_json(ConfigPath(path=str(file), exists=file.exists()))
    else:
        echo_lines(str(file))


@config.command()
@click.pass_obj
def edit(session: Session) -> int:
    """Open the configuration in the editor of VISUAL or EDITOR, and check it then.

    It is made where it is not there. Exit code 1 when it has a problem.
    """
    file = session.config_path
    if not file.exists():
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            text = _NEW.format(schema=config_schema_path(file).name)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"{file}: {error.strerror or error}") from error
        run_async(_refresh_schema(session))
    click.edit(filename=str(file))
    return _validate(session, as_json=False)


async def _refresh_schema(session: Session) -> None:
    from qtforge_host.api.authoring import refresh_config_schema  # heavy

    await refresh_config_schema(session.read_settings())  # as it is now


@config.command()
@json_option
@click.pass_obj
@paged
def validate(session: Session, as_json: bool) -> int:
    """Check the configuration: keys, types, schedules, what it names, options of plugins.

    Starts the plugins. Exit code 1 when it has a problem, 2 when it can't be read.
    """
    return _validate(session, as_json=as_json)


def _validate(session: Session, *, as_json: bool) -> int:
    settings = session.settings

    async def checked() -> ConfigChecked:
        from qtforge_host.api.config_checks import check_configuration  # heavy

        return await check_configuration(settings)

    found = run_async(checked())
    if as_json:
        print_json(found)
    elif not found.problems:
        there = "" if settings.config_path.exists() else " (not there; the defaults are used)"
        echo(f"{state('succeeded')}: {found.file}{there}")
    for each in found.problems if not as_json else ():
        echo(f"{each.where}: {each.what}")
        if each.fix:
            echo(f"  fix: {each.fix}")
    return FAILED if found.problems else 0


@config.command()
@output_option
@click.pass_obj
def schema(session: Session, output: Path | None) -> None:
    """Print the JSON Schema of the configuration, with which an editor checks it.

    It has the options of the installed plugins, which are started for it, and their topics. Name
    it in the first line of the configuration: #:schema FILE.
    """

    async def found() -> dict[str, Any]:
        async with session.client() as client:
            return await client.host.config_schema()

    write_schema(run_async(found()), output)


def _content(settings: Settings) -> dict[str, Any]:
    host = {
        "import_timeout": f"{settings.import_timeout_s:g}s",
        "start_timeout": f"{settings.start_timeout_s:g}s",
        "stop_timeout": f"{settings.stop_timeout_s:g}s",
        "request_timeout": f"{settings.request_timeout_s:g}s",
        "quarantine_after": settings.quarantine_after,
        "step_crash_limit": settings.step_crash_limit,
        "rest_after": f"{settings.rest_after_s:g}s",
        "max_value_bytes": settings.max_value_bytes,
        "publication_capacity": settings.publication_capacity,
        "publication_age": f"{settings.publication_age_s:g}s",
        "block": list(settings.block),
        "journal": settings.shown_journal,
        "bus": settings.shown_bus or None,
        "files": settings.shown_files or None,
        "files_timeout": f"{settings.files_timeout_s:g}s",
        "worker_threads": settings.worker_threads,
        "worker_processes": settings.worker_processes,
        "worker_memory_bytes": settings.worker_memory_bytes,
        "expression_loop_cost": settings.expression_loop_cost,
        "expression_max_cost": settings.expression_max_cost,
        "expression_timeout_s": settings.expression_timeout_s,
        "expression_max_result_bytes": settings.expression_max_result_bytes,
    }
    plugins = {
        name: {
            "enabled": said.enabled,
            **({"distribution": said.distribution} if said.distribution else {}),
            **({"config": dict(said.config)} if said.config else {}),
        }
        for name, said in settings.plugins.items()
    }
    return {
        "host": {key: value for key, value in host.items() if value is not None},
        "plugins": plugins,
    }
