"""What the authors of plugins and workflows ask for: projects and definitions to begin with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from qtforge_host.api.documents import PluginChecks, PluginCreated
from qtforge_host.plugin_check.check import PluginChecker
from qtforge_host.scaffold.plugin import write_plugin

__all__ = ["check_plugins", "new_plugin"]


def check_plugins(
    targets: Sequence[str], config: Path | None, commands: Sequence[str] = ()
) -> PluginChecks:
    """Check plugins as their authors do; see `qtforge_host.plugin_check.check.PluginChecker`.

    Args:
        targets: Names of installed plugins, folders of projects, and wheels.
        config: The host's configuration file; None for the default.
        commands: The host's own commands, which a plugin can't have.

    Raises:
        CheckTargetError: There is no such target.
        PackageError: A project can't be built, or a wheel can't be read.
    """
    checker = PluginChecker(config, commands)
    reports = [checker.check(target) for target in targets]
    found = [each.level for report in reports for each in report.findings]
    errors = found.count("error")
    return PluginChecks(targets=reports, errors=errors, advice=len(found) - errors)


def new_plugin(
    name: str, features: Collection[str], parent: Path, license_expression: str = "MIT"
) -> PluginCreated:
    """Write a plugin's project; see `qtforge_host.scaffold.plugin.write_plugin`.

    Raises:
        ScaffoldError: The name can't be used or is taken, or it can't be written.
    """
    made = write_plugin(name, features, parent, license_expression)
    return PluginCreated(
        name=made.name,
        folder=str(made.folder),
        files=list(made.files),
        commands=list(made.commands),
    )
