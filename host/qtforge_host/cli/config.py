"""``qtforge-host config``."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import get_completion_class

from qtforge_host.api.documents import ConfigDocument, ConfigFiles
from qtforge_host.cli.output import json_option, print_json
from qtforge_host.cli.pager import paged
from qtforge_host.cli.session import Session
from qtforge_host.cli.terminal import echo, echo_lines
from qtforge_host.config.settings import Settings
from qtforge_host.config.toml_files import managed_path

__all__ = ["completion", "config"]


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
    """Show the configuration in force."""


@config.command()
@json_option
@click.pass_obj
@paged
def show(session: Session, as_json: bool) -> None:
    """Show every setting as TOML, and the files that it is from."""
    settings = session.settings
    content = _content(settings)
    if as_json:
        files = ConfigFiles(
            config=str(settings.config_path),
            managed=str(managed_path(settings.config_path)),
            state_dir=str(settings.state_dir),
        )
        print_json(ConfigDocument(files=files, **content))
        return
    import tomli_w  # only here

    for title, path in (
        ("configuration", settings.config_path),
        ("written by commands", managed_path(settings.config_path)),
        ("state directory", settings.state_dir),
    ):
        echo(f"# {title}: {path}{'' if path.exists() else ' (not there)'}")
    echo()
    echo_lines(tomli_w.dumps(content), nl=False)


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
