"""Install, update and uninstall plugins; a change after which the host fails is undone."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from qtforge_host.api.documents import (
    DistributionChange,
    PluginRow,
    PluginsChanged,
    PluginsLocked,
)
from qtforge_host.api.errors import NotFoundError
from qtforge_host.environment import Environment, InstallFailedError
from qtforge_host.installer import Installer
from qtforge_host.plugin_check.check import PluginChecker
from qtforge_host.plugins.candidates import (
    HOST_DISTRIBUTION,
    PLUGIN_GROUP,
    SDK_DISTRIBUTION,
    canonical_name,
)
from qtforge_host.plugins.discovery import scan
from qtforge_host.plugins.requirements import applies
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.files import write_atomically
from qtforge_sdk.validation import did_you_mean

__all__ = ["PluginInstaller", "PluginsUndoneError", "hashed"]

_START_TIMEOUT_S: Final = 600
_USABLE: Final = ("active", "ready")
_OWN: Final = (HOST_DISTRIBUTION, SDK_DISTRIBUTION)
_ENTRY: Final = re.compile(r"^[^\s#].*(?:\n[ \t].*)*", re.MULTILINE)  # of requirements
_LOCK_HEADING: Final = (
    "# Written by `qtforge-host plugins lock`; `qtforge-host plugins sync` installs it.\n"
)


class PluginsUndoneError(QtForgeError):
    """A change was undone, or not begun, since plugins that worked would not work any more.

    Args:
        what: What happened, in one line.
        why: The cause.
        fix: How to fix it.
    """

    code = "plugins.undone"


class PluginInstaller:
    """Changes the environment that runs.

    Args:
        options: The options of the command line that name configuration and so on.
        config: The host's configuration file; None for the default.
        environment: What is changed; None for pip, or uv where there is no pip.
    """

    def __init__(
        self,
        options: Sequence[str],
        config: Path | None,
        environment: Environment | None = None,
    ) -> None:
        self._options: Final = list(options)
        self._config: Final = config
        self._environment: Final = environment or Environment(Installer.found())

    def install(self, words: Sequence[str], *, upgrade: bool = False) -> PluginsChanged:
        """Install or update distributions.

        Args:
            words: Requirements, paths of wheels and projects.
            upgrade: Whether newer versions replace those that are there.

        Raises:
            InstallFailedError: pip or uv can't install it; nothing was changed.
            PluginsUndoneError: The host or a plugin that worked would not work any more.
        """
        given = [*(["--upgrade"] if upgrade else []), *words]

        def planned(scratch: Path) -> list[str]:
            plan = self._environment.plan(given, scratch)
            if plan is None:
                return list(self._environment.versions())
            versions: dict[str, str] = {
                canonicalize_name(each["metadata"]["name"]): each["metadata"]["version"]
                for each in plan
            }
            _refuse_own(versions, self._environment.versions())
            return list(versions)

        return self._change(planned, lambda: self._environment.call("install", *given))

    def update(self, names: Sequence[str]) -> PluginsChanged:
        """Update the distributions of plugins; all that are not the host's where none is named.

        Raises:
            NotFoundError: No distribution of a plugin has one of the names.
            InstallFailedError: As `install`.
            PluginsUndoneError: As `install`.
        """
        return self.install(self._distributions(names) or _all_distributions(), upgrade=True)

    def uninstall(self, names: Sequence[str], *, force: bool = False) -> PluginsChanged:
        """Uninstall the distributions of plugins.

        Args:
            names: Names of plugins or distributions.
            force: Also where other plugins require them.

        Raises:
            NotFoundError: No distribution of a plugin has one of the names.
            InstallFailedError: pip or uv can't uninstall it.
            PluginsUndoneError: Plugins that worked would not work any more.
        """
        found = self._distributions(names)
        uninstall = ["--", *found] if self._environment.installer.name == "pip" else found
        return self._change(
            lambda scratch: found,
            lambda: self._environment.call("uninstall", *uninstall),
            gone=found,
            force=force,
        )

    def lock(self, file: Path) -> PluginsLocked:
        """Write the exact versions of the plugins and of all that they need, with hashes.

        Raises:
            InstallFailedError: The index does not have one of them.
        """
        wanted = sorted(_closure([*_OWN, *_all_distributions()]))
        local = [name for name in wanted if _is_local(name)]
        pins = [
            f"{name}=={importlib.metadata.version(name)}" for name in wanted if name not in local
        ]
        lines: list[str] = []
        if pins:
            with tempfile.TemporaryDirectory(prefix="qtforge-lock-") as folder:
                lines = hashed(self._environment, pins, Path(folder))
        write_atomically(file, (_LOCK_HEADING + "".join(f"{line}\n" for line in lines)).encode())
        return PluginsLocked(
            installer=self._environment.installer.name, file=str(file), locked=pins, left_out=local
        )

    def sync(self, file: Path) -> PluginsChanged:
        """Install what a lock file says, and uninstall the plugins that it does not have.

        Raises:
            NotFoundError: There is no such file.
            InstallFailedError: It can't be installed, or a hash differs.
            PluginsUndoneError: The host would not start any more.
        """
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            fix = "write it with: qtforge-host plugins lock"
            raise NotFoundError(f"{file} can't be read", str(error), fix) from error
        pins = [line.split()[0].split("==") for line in text.splitlines() if _is_pin(line)]
        locked = {canonicalize_name(name): version for name, version in pins}
        superfluous = [
            name for name in _all_distributions() if name not in locked and not _is_local(name)
        ]
        now = self._environment.versions()
        changed = [name for name, version in locked.items() if now.get(name) != version]

        def change() -> None:
            if changed:
                words = ("--require-hashes", "--no-deps", "-r", str(file))
                self._environment.call("install", *words)
            if superfluous:
                self._environment.call("uninstall", *superfluous)

        return self._change(
            lambda scratch: [*changed, *superfluous], change, gone=superfluous, force=True
        )

    def _change(
        self,
        planned: Callable[[Path], Sequence[str]],
        change: Callable[[], object],
        gone: Sequence[str] = (),
        *,
        force: bool = False,
    ) -> PluginsChanged:
        before = self._states()
        if before is None and not gone:
            raise PluginsUndoneError(
                "the host does not start as it is",
                "so it can't be said whether the change would break it; nothing was changed",
                "qtforge-host plugins check shows why",
            )
        with tempfile.TemporaryDirectory(prefix="qtforge-install-") as folder:
            scratch = Path(folder)
            (scratch / "saved").mkdir()
            saved = self._environment.save(planned(scratch), scratch / "saved")
            try:
                change()
            except InstallFailedError:
                self._environment.restore(saved)
                raise
            after = self._states()
            why = _harm(before or {}, after, gone, force=force)
            if why:
                self._environment.restore(saved)
                raise PluginsUndoneError(
                    "the change was undone",
                    why,
                    "install versions that fit each other; qtforge-host plugins check PATH or"
                    " WHEEL shows what is wrong with one",
                )
            now = self._environment.versions()
            changes = [
                DistributionChange(
                    distribution=name,
                    before=saved.versions.get(name, ""),
                    after=now.get(name, ""),
                )
                for name in sorted({*saved.versions, *now})
                if saved.versions.get(name) != now.get(name)
            ]
        touched = {each.distribution for each in changes if each.after}
        rows = [
            row for row in (after or {}).values() if canonicalize_name(row.distribution) in touched
        ]
        checker = PluginChecker(self._config)
        findings = [
            finding
            for row in rows
            for finding in checker.check(row.name).findings
            if finding.level == "error"
        ]
        return PluginsChanged(
            installer=self._environment.installer.name,
            changes=changes,
            plugins=rows,
            findings=findings,
        )

    def _states(self) -> dict[str, PluginRow] | None:
        """Return the state of each plugin after a start of all; None where the host fails."""
        with tempfile.TemporaryDirectory(prefix="qtforge-start-") as folder:
            command = [
                sys.executable, "-P", "-m", "qtforge_host.cli.main", *self._options,
                "--state-dir", folder, "--journal", "memory", "plugins", "check", "--json",
            ]  # fmt: skip
            try:
                done = subprocess.run(
                    command, capture_output=True, timeout=_START_TIMEOUT_S,
                    stdin=subprocess.DEVNULL,
                )  # fmt: skip
                rows: list[dict[str, Any]] = json.loads(done.stdout)["plugins"]
            except (subprocess.TimeoutExpired, ValueError, KeyError):
                return None
        return {f"{row['distribution']}:{row['name']}": PluginRow(**row) for row in rows}

    def _distributions(self, names: Sequence[str]) -> list[str]:
        """Return the distributions of plugins that are named by either.

        Raises:
            NotFoundError: There is none, or it is the host's own.
        """
        found: dict[str, None] = {}
        candidates = [each for each in scan().candidates if each.group == PLUGIN_GROUP]
        for name in names:
            matching = {
                each.distribution
                for each in candidates
                if name == each.name or canonical_name(name) == each.distribution
            }
            if not matching:
                fix = did_you_mean(name, [each.name for each in candidates])
                raise NotFoundError(f"there is no plugin '{name}'", "", fix)
            if matching & set(_OWN):
                raise NotFoundError(
                    f"'{name}' belongs to the host",
                    f"it is part of {HOST_DISTRIBUTION}",
                    f"qtforge-host plugins disable {name}",
                )
            found |= dict.fromkeys(sorted(matching))
        return list(found)


def hashed(environment: Environment, pins: Sequence[str], scratch: Path) -> list[str]:
    """Return lines of a lock file: exact versions with the hashes of what would be installed.

    Args:
        environment: pip or uv.
        pins: Requirements as ``name==version``.
        scratch: A folder for files that are read once.

    Raises:
        InstallFailedError: The index does not have one of them, or no hash of it and it is asked
            by uv; pip downloads what has none.
    """
    if environment.installer.name == "uv":
        given = scratch / "pins.txt"
        given.write_text("\n".join(pins))
        words = ("--generate-hashes", "--no-deps", "--no-header", "--no-annotate", str(given))
        text = environment.call("compile", *words)
        bare = [each.split()[0] for each in _ENTRY.findall(text) if "--hash=" not in each]
        if bare:
            raise InstallFailedError(
                "nothing was written",
                f"the index has no hash of {', '.join(bare)}, and uv computes none",
                "let its links end in #sha256=..., or install pip here, which downloads them",
            )
        return text.splitlines()
    lines = []
    for each in environment.plan(["--ignore-installed", "--no-deps", *pins], scratch) or ():
        name, version = each["metadata"]["name"], each["metadata"]["version"]
        hashes: dict[str, str] = each["download_info"].get("archive_info", {}).get("hashes", {})
        options = " ".join(f"--hash={kind}:{value}" for kind, value in sorted(hashes.items()))
        lines.append(f"{canonicalize_name(name)}=={version} {options}")
    return sorted(lines)


def _all_distributions() -> list[str]:
    """Return the distributions of plugins, but for the host's."""
    return sorted({each.distribution for each in scan().candidates} - set(_OWN))


def _refuse_own(planned: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Refuse to replace the host that is running.

    Raises:
        PluginsUndoneError: It would be.
    """
    for name in _OWN:
        if name in planned and now.get(name) != planned[name]:
            raise PluginsUndoneError(
                "nothing was changed",
                f"it would replace {name} {now.get(name)}, which runs, by {planned[name]}",
                f"pip install '{name}=={planned[name]}', and then try again",
            )


def _harm(
    before: Mapping[str, PluginRow],
    after: Mapping[str, PluginRow] | None,
    gone: Sequence[str],
    *,
    force: bool,
) -> str:
    """Return what a change has broken, or ""."""
    if after is None:
        return "the host would not start any more"
    if force:
        return ""
    harmed = [
        f"{row.name} {row.version} would be {now.state}: {now.reason}" if now is not None
        else f"{row.name} {row.version} would be gone"
        for key, row in before.items()
        if row.state in _USABLE
        and canonicalize_name(row.distribution) not in gone
        and ((now := after.get(key)) is None or now.state not in _USABLE)
    ]  # fmt: skip
    return "\n".join(harmed)


def _closure(names: Sequence[str]) -> set[str]:
    """Return distributions and all that they need, with the extras that they ask for."""
    found: dict[str, set[str]] = {}
    left: list[tuple[str, frozenset[str]]] = [(name, frozenset()) for name in names]
    while left:
        name, extras = left.pop()
        known = found.get(name)
        if known is not None and extras <= known:
            continue
        try:
            requires = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found[name] = {*extras, *(known or ())}
        left += _needed(requires, found[name])
    return set(found)


def _needed(lines: Sequence[str], extras: set[str]) -> Iterator[tuple[str, frozenset[str]]]:
    for line in lines:
        try:
            wanted = Requirement(line)
            is_needed = any(applies(wanted, extra) for extra in ["", *extras])
        except InvalidRequirement:
            continue
        if is_needed:
            yield canonicalize_name(wanted.name), frozenset(map(canonicalize_name, wanted.extras))


def _is_pin(line: str) -> bool:
    """Return whether a line of a lock file names a version; uv continues it with the hashes."""
    return not line.startswith(("#", " ")) and line.split(" ")[0].count("==") == 1


def _is_local(name: str) -> bool:
    """Return whether a distribution was installed from a folder, a file or a repository."""
    try:
        return importlib.metadata.distribution(name).read_text("direct_url.json") is not None
    except importlib.metadata.PackageNotFoundError:
        return False
