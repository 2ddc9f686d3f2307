"""Check targets: installed plugins, projects and wheels."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

import msgspec

from qtforge_host.plugin_check.findings import CheckReport, Finding
from qtforge_host.plugin_check.job import Answer, Job, Step
from qtforge_host.plugin_check.wheels import PackageError, build_wheel, read_project, unpack
from qtforge_host.plugin_code import clean_text
from qtforge_host.plugins.candidates import PLUGIN_GROUP, canonical_name
from qtforge_host.plugins.discovery import scan
from qtforge_host.run_files import EXPORT_SUFFIX
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.validation import did_you_mean

__all__ = ["CheckTargetError", "PluginChecker"]

_DEADLINES_S: Final[dict[Step, float]] = {"read": 60, "import": 120, "try": 300}
_DOING: Final[dict[Step, str]] = {
    "read": "reading it", "import": "importing it", "try": "starting and trying it",
}  # fmt: skip
_TAIL: Final = 10  # lines of what a process that died has said
_WHEEL: Final = ".whl"
_MOST_KEPT: Final = 1000  # exported runs in a project


class CheckTargetError(QtForgeError):
    """There is no plugin, project or wheel of that name.

    Args:
        what: What happened, in one line.
        why: The cause.
        fix: How to fix it.
    """

    code = "cli.not_found"
    exit_code = 3
    http_status = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """What is checked.

    Attributes:
        text: As it was given.
        site: Where its wheel was unpacked; None for an installed plugin.
        project: The project's folder; None without one.
        ignore: Patterns of codes that are left out.
    """

    text: str
    site: Path | None = None
    project: Path | None = None
    ignore: tuple[str, ...] = ()


class PluginChecker:
    """Checks targets, each step in a process of its own.

    Args:
        config: The host's configuration file; None for the default.
        commands: The host's own commands, which a plugin can't have.
        exports: Files of exported runs, to replay those that execute a target's code, and with
            them those that a project keeps in its folder; None to replay nothing.
    """

    def __init__(
        self,
        config: Path | None,
        commands: Sequence[str] = (),
        exports: Sequence[Path] | None = None,
    ) -> None:
        self._config = config
        self._commands = list(commands)
        self._exports = exports

    def check(self, text: str) -> CheckReport:
        """Check one target.

        Args:
            text: The name of an installed plugin or distribution, a project's folder, or a wheel.

        Raises:
            CheckTargetError: It is none of them.
            PackageError: The project can't be built, or the wheel can't be read.
        """
        with tempfile.TemporaryDirectory(prefix="qtforge-check-") as folder:
            target = _prepared(text, Path(folder))
            return self._report(target, Path(folder))

    def _report(self, target: _Target, scratch: Path) -> CheckReport:
        answers = [self._step("read", target, scratch, ())]
        steps: tuple[Step, ...] = ("import", "try")
        for step in steps:
            skip = [key for answer in answers for key in answer.unusable]
            if set(answers[0].keys) <= set(skip):
                break
            answers.append(self._step(step, target, scratch, answers))
        found = list(_without_repetitions(answers))
        if target.site is not None:
            if target.project is not None:
                found += _missing_files(target.project, target.site)
            found = [_in_project(each, target.site, target.project) for each in found]
        kept = [each for each in found if not _is_ignored(each, target.ignore)]
        kept.sort(key=lambda each: (each.level != "error", each.file, each.line or 0))
        return CheckReport(
            target=target.text,
            findings=kept,
            plugins=answers[0].plugins,
            operations=answers[-1].operations,
            replayed=answers[-1].replayed,
            ignored=len(found) - len(kept),
        )

    def _step(self, step: Step, target: _Target, scratch: Path, before: Sequence[Answer]) -> Answer:
        state = scratch / step
        state.mkdir()
        job = Job(
            step=step,
            site="" if target.site is None else str(target.site),
            name=target.text,
            config="" if self._config is None else str(self._config.absolute()),
            state_dir=str(state),
            topics=before[0].topics if before else [],
            commands=self._commands,
            skip=[key for answer in before for key in answer.unusable],
        )
        if step == "try" and self._exports is not None:
            job = msgspec.structs.replace(
                job,
                exports=[str(each.absolute()) for each in self._exports],
                kept=[str(each) for each in _kept_runs(target.project)],
            )
        file = state / "answer.json"
        died, said = _run(job, file, _DEADLINES_S[step])
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(file.read_bytes(), type=Answer)
        known = before[0].plugins if before else []
        name, _, version = next(iter(known), target.text).partition(" ")
        finding = Finding(
            level="error",
            code="plugin.check_died",
            what=f"{_DOING[step]} {died}",
            why=clean_text(said),
            fix="find what ends, blocks or kills the process in the plugin's code",
            plugin=name,
            version=version,
        )
        return Answer(findings=[finding], unusable=before[0].keys if before else [])


def _run(job: Job, file: Path, deadline_s: float) -> tuple[str, str]:
    """Execute a step; return how it failed where there is no answer, and what it has said."""
    log = file.with_name("output.txt")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "qtforge_host.plugin_check.child", str(file)],
            stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            process.communicate(msgspec.json.encode(job), timeout=deadline_s)
            died = f"ended the process with exit code {process.returncode}"
        except subprocess.TimeoutExpired:
            died = f"did not end within {deadline_s:g} s"
        finally:
            with contextlib.suppress(ProcessLookupError):  # its children too
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return died, "\n".join(lines[-_TAIL:])


def _prepared(text: str, scratch: Path) -> _Target:
    path = Path(text)
    site = scratch / "site"
    if text.endswith(_WHEEL):
        unpack(path, site)
        return _Target(text=text, site=site)
    if _is_installed(text):
        return _Target(text=text)
    if path.is_dir():
        ignore = _ignored(read_project(path), path)
        (scratch / "build").mkdir()
        unpack(build_wheel(path, scratch / "build"), site)
        return _Target(text=text, site=site, project=path.resolve(), ignore=ignore)
    found = [each.name for each in scan().candidates if each.group == PLUGIN_GROUP]
    otherwise = "give an installed plugin, a project's folder or a wheel"
    raise CheckTargetError(f"there is no plugin '{text}'", "", did_you_mean(text, found, otherwise))


def _is_installed(text: str) -> bool:
    return any(
        (each.group == PLUGIN_GROUP and each.name == text)
        or (each.distribution == canonical_name(text) and not each.builtin)
        for each in scan().candidates
    )


def _ignored(project: dict[str, Any], folder: Path) -> tuple[str, ...]:
    """Return the codes that a project leaves out.

    Raises:
        PackageError: They are no list of texts.
    """
    tool: Any = project.get("tool", {})
    for key in ("qtforge", "check"):
        tool = tool.get(key, {}) if isinstance(tool, dict) else {}
    codes = tool.get("ignore", []) if isinstance(tool, dict) else []
    if not isinstance(codes, list) or not all(isinstance(each, str) for each in codes):
        raise PackageError(
            f"{folder / 'pyproject.toml'}: [tool.qtforge.check] ignore is no list of texts",
            "",
            'write ignore = ["wheel.readme"]',
        )
    return tuple(codes)


def _is_ignored(finding: Finding, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(finding.code, pattern) for pattern in patterns)


def _without_repetitions(answers: Sequence[Answer]) -> Iterator[Finding]:
    """Yield the findings; what a later step sees again is left out."""
    before: set[tuple[str, str]] = set()
    for answer in answers:
        for each in answer.findings:
            if (each.plugin, each.code) not in before:
                yield each
        before |= {(each.plugin, each.code) for each in answer.findings}


def _missing_files(project: Path, site: Path) -> Iterator[Finding]:
    """Find TOML files beside the package's modules that are not in the wheel."""
    for package in [each.parent for each in site.glob("*/__init__.py")]:
        source = _source_of(project, package.name)
        if source is None:
            continue
        for file in sorted(source.rglob("*.toml")):
            inner = file.relative_to(source)
            if (package / inner).is_file():
                continue
            folder = "/".join([*inner.parts[:-1], "*.toml"])
            yield Finding(
                level="error", code="wheel.no_toml", file=str(file),
                what=f"{inner} is not in the wheel",
                why="an installed plugin does not have the file",
                fix=f'{package.name} = ["{folder}"] in [tool.setuptools.package-data]',
            )  # fmt: skip


def _kept_runs(project: Path | None) -> list[Path]:
    """Return the exported runs that a project keeps, such as for its tests."""
    if project is None:
        return []
    found = (
        each
        for each in project.rglob(f"*{EXPORT_SUFFIX}")
        if not any(part.startswith(".") for part in each.relative_to(project).parts)
    )
    return sorted(itertools.islice(found, _MOST_KEPT))


def _source_of(project: Path, package: str) -> Path | None:
    for folder in (project / "src" / package, project / package):
        if (folder / "__init__.py").is_file():
            return folder
    return None


def _in_project(finding: Finding, site: Path, project: Path | None) -> Finding:
    """Return a finding with the project's own file, or a wheel's, in place of the unpacked one."""
    root = f"{site}{os.sep}"
    finding = msgspec.structs.replace(
        finding,
        what=finding.what.replace(root, ""),
        why=finding.why.replace(root, ""),
        fix=finding.fix.replace(root, ""),
    )
    if not finding.file.startswith(root):
        return finding
    inner = Path(finding.file.removeprefix(root))
    if project is not None:
        metadata = inner.parts[0].endswith(".dist-info")
        own = ["pyproject.toml"] if metadata else [Path("src") / inner, inner]
        for file in (project / each for each in own):
            if file.is_file():
                return msgspec.structs.replace(finding, file=str(file))
    return msgspec.structs.replace(finding, file=str(inner))
