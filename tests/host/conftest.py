"""Hand-written installations: ``.dist-info`` folders and modules, no pip."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from qtforge_host.config.settings import PluginSettings, Settings
from qtforge_host.plugins.candidates import Candidate, Status
from qtforge_host.plugins.discovery import scan
from qtforge_host.plugins.quarantine import FailureMemory
from qtforge_host.plugins.resolution import Resolution, resolve

SDK_VERSION = "1.0.0"


class Site:
    """A folder that looks like site-packages."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = Settings(config_path=root / "config.toml", state_dir=root / "state")
        self.distribution("qtforge-sdk", SDK_VERSION)

    @property
    def path(self) -> list[str]:
        return [str(self.root)]

    def distribution(
        self,
        name: str,
        version: str = "1.0.0",
        *,
        entry_points: str | bytes | None = None,
        requires: Sequence[str] = (),
        metadata: str | None = "",
        extras: Sequence[str] = (),
    ) -> Path:
        """Write a distribution; ``metadata=None`` leaves METADATA out."""
        folder = self.root / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True, exist_ok=True)
        if metadata is not None:
            lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
            lines += [f"Provides-Extra: {extra}" for extra in extras]
            lines += [f"Requires-Dist: {line}" for line in requires]
            text = metadata or "\n".join(lines) + "\n\nA long description: with colons.\n"
            (folder / "METADATA").write_text(text, encoding="utf-8")
        if isinstance(entry_points, bytes):
            (folder / "entry_points.txt").write_bytes(entry_points)
        elif entry_points is not None:
            (folder / "entry_points.txt").write_text(entry_points, encoding="utf-8")
        return folder

    def plugin(
        self,
        name: str,
        version: str = "1.0.0",
        *,
        distribution: str | None = None,
        requires: Sequence[str] = ("qtforge-sdk>=1.0,<2",),
        plugins: Sequence[str] = (),
        after: Sequence[str] = (),
        source: str | None = None,
        extras: str = "",
        group: str = "qtforge.plugins",
    ) -> str:
        """Write a distribution of one plugin with its module; return the module's name."""
        module = f"{(distribution or name).replace('-', '_')}_module"
        self.distribution(
            distribution or name,
            version,
            entry_points=f"[{group}]\n{name} = {module}:Example{extras}\n",
            requires=requires,
        )
        if source is None:
            source = (
                "from qtforge_sdk import Plugin\n\n\nclass Example(Plugin):\n"
                f"    requires = {tuple(plugins)!r}\n    after = {tuple(after)!r}\n"
            )
        self.module(module, source)
        return module

    def module(self, name: str, source: str) -> Path:
        file = self.root / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source), encoding="utf-8")
        return file

    def configure(
        self,
        *,
        safe_mode: bool = False,
        block: tuple[str, ...] = (),
        plugins: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        file = self.root / "config.toml"
        self.settings = Settings(
            config_path=file,
            state_dir=self.root / "state",
            safe_mode=safe_mode,
            block=block,
            plugins={
                name: PluginSettings(file=file, **said)  # type: ignore[arg-type]
                for name, said in (plugins or {}).items()
            },
        )

    @property
    def failures(self) -> FailureMemory:
        return FailureMemory(self.settings.state_dir)

    def candidates(self) -> dict[str, Candidate]:
        return {candidate.key: candidate for candidate in scan(self.path).candidates}

    def resolve(self, sdk_version: str = SDK_VERSION) -> Resolution:
        return resolve(
            scan(self.path), self.settings, sdk_version=sdk_version, failures=self.failures
        )

    def statuses(self, sdk_version: str = SDK_VERSION) -> Mapping[str, Status]:
        return self.resolve(sdk_version).statuses

    def accepted(self) -> list[str]:
        return [candidate.name for candidate in self.resolve().accepted]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site-packages with nothing but qtforge-sdk in it."""
    return Site(tmp_path)


@pytest.fixture
def new_site(tmp_path: Path) -> Callable[[str], Site]:
    """Make further ones, by folder name."""
    return lambda name: Site(tmp_path / name)


@pytest.fixture
def importable(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The site on ``sys.path``; what is imported from it is forgotten afterwards."""
    monkeypatch.syspath_prepend(str(site.root))
    before = set(sys.modules)
    yield site
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(site.root)):
            del sys.modules[name]
