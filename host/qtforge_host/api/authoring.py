"""What the authors of plugins and workflows ask for: projects and definitions to begin with."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from qtforge_host.api.documents import PluginCreated
from qtforge_host.scaffold.plugin import write_plugin

__all__ = ["new_plugin"]


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
