"""A virtual environment as a user has it, made of links to what is installed here.

A checkout is installed editable, and the import hook of that costs every Python start more
than Python itself. Links to the packages make an ordinary installation, at once and without
a network.
"""

from __future__ import annotations

import importlib.util
import os
import sysconfig
import venv
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "SCRIPT",
    "Installation",
    "install",
    "install_operation",
    "install_plugin",
    "install_plugins",
    "link_packages",
]

_PACKAGES = ("qtforge_host", "qtforge_builtin_plugins", "qtforge_sdk")
SCRIPT = """\
import sys
from qtforge_host.cli.main import main
sys.exit(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Where things are.

    Attributes:
        python: The environment's interpreter.
        script: What ``qtforge-host`` starts.
        plugins: A folder with installed plugins, for PYTHONPATH.
        plugin_modules: The modules in it.
    """

    python: Path
    script: Path
    plugins: Path
    plugin_modules: frozenset[str]


def install(folder: Path, plugins: int) -> Installation:
    """Make an environment, and beside it a folder with so many plugins."""
    environment = folder / "environment"
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(environment)
    variables = {"base": str(environment), "platbase": str(environment)}
    paths = sysconfig.get_paths("venv", variables)
    site = Path(paths["purelib"])
    link_packages(site)
    _link_own_packages(site)
    scripts = Path(paths["scripts"])
    script = scripts / "qtforge-host"
    script.write_text(SCRIPT, encoding="utf-8")
    plugins_folder = folder / "plugins"
    modules = frozenset(install_plugin(plugins_folder, number) for number in range(plugins))
    return Installation(
        python=scripts / ("python.exe" if os.name == "nt" else "python"),
        script=script,
        plugins=plugins_folder,
        plugin_modules=modules,
    )


def link_packages(site: Path, *, without: Set[str] = frozenset()) -> None:
    """Link what is installed here into another environment, editable installs excepted.

    Args:
        site: The other environment's ``site-packages``; what it has already stays.
        without: Distributions whose metadata is not linked, by their normalized names.
    """
    for source in {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}:
        for each in source.iterdir():
            if each.suffix == ".pth" or each.name.startswith("__"):
                continue
            if each.suffix == ".dist-info" and _distribution(each) in without:
                continue
            if not (site / each.name).exists():
                (site / each.name).symlink_to(each)


def _distribution(metadata: Path) -> str:
    return metadata.stem.rpartition("-")[0].replace("_", "-").lower()


def _link_own_packages(site: Path) -> None:
    for package in _PACKAGES:
        link = site / package
        spec = importlib.util.find_spec(package)
        if not link.exists() and spec is not None and spec.submodule_search_locations:
            link.symlink_to(Path(spec.submodule_search_locations[0]).absolute())


def install_plugin(site: Path, number: int) -> str:
    """Write a plugin as pip would install it; return the module's name."""
    module = f"bench_plugin_{number:02}"
    source = (
        "from qtforge_sdk import Plugin\n\n\nclass Example(Plugin):\n"
        '    requires = ("document-storage >= 1.0",)\n'
    )
    _install(site, module, f"1.{number}.0", source)
    return module


def install_operation(site: Path, topic: str) -> str:
    """Write a plugin with one operation that does nothing; return the module's name."""
    module = "bench_operation"
    source = (
        "from typing import Any\n\nfrom qtforge_sdk import Plugin, operation\n\n\n"
        f"class Example(Plugin):\n    @operation({topic!r})\n"
        "    async def answer(self, message: dict[str, Any]) -> dict[str, Any]:\n"
        "        return {}\n"
    )
    _install(site, module, "1.0.0", source)
    return module


def install_plugins(site: Path, count: int, import_s: float = 0.0) -> None:
    """Write plugins with an operation and a subscriber each, that import something slow.

    Args:
        site: The folder.
        count: How many.
        import_s: How long the import of each takes, in seconds.
    """
    for number in range(count):
        topic = f"many.plugin-{number}"
        source = (
            "import time\nfrom typing import Any\n\n"
            "from qtforge_sdk import Plugin, operation, subscriber\n\n"
            f"time.sleep({import_s})\n\n\nclass Example(Plugin):\n"
            f"    @operation({topic!r})\n"
            "    async def answer(self, message: dict[str, Any]) -> dict[str, Any]:\n"
            "        return {}\n\n"
            f"    @subscriber('{topic}.done')\n"
            "    async def hear(self, message: dict[str, Any]) -> None: ...\n"
        )
        _install(site, f"many_plugin_{number:03}", "1.0.0", source)


def _install(site: Path, module: str, version: str, source: str) -> None:
    metadata = site / f"{module}-{version}.dist-info"
    metadata.mkdir(parents=True)
    name = module.replace("_", "-")
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n"
        "Summary: One of many\nRequires-Python: >=3.11\nRequires-Dist: qtforge-sdk<2,>=1.0\n\n"
        "The long description of a plugin.\n",
        encoding="utf-8",
    )
    (metadata / "entry_points.txt").write_text(
        f"[qtforge.plugins]\n{name} = {module}:Example\n", encoding="utf-8"
    )
    (site / f"{module}.py").write_text(source, encoding="utf-8")
