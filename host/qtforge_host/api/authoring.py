"""What the authors of plugins ask for: checks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qtforge_host.api.documents import PluginChecks
from qtforge_host.plugin_check.check import PluginChecker

__all__ = ["check_plugins"]


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
