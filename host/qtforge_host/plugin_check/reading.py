"""The first step: what metadata and sources show, without an import."""

from __future__ import annotations

import email
import email.message
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from qtforge_host.plugin_check.findings import Finding, Level, attributed, from_status
from qtforge_host.plugin_check.job import Answer, Job, Topic
from qtforge_host.plugin_check.source_rules import read_source
from qtforge_host.plugin_check.subject import Subject
from qtforge_host.plugins.candidates import PLUGIN_GROUP, SDK_DISTRIBUTION, Candidate
from qtforge_host.plugins.declarations import read_declarations
from qtforge_host.plugins.python_source import parse_source
from qtforge_sdk.validation import nearest

__all__ = ["read"]

_MOST_FILES: Final = 500
_MAX_SOURCE_BYTES: Final = 1 << 20
_NOT_IMPORTABLE: Final = (
    "plugin.invalid_entry_points",
    "plugin.no_class",
    "plugin.no_module",
    "plugin.syntax",
)
_UNUSABLE: Final = ("broken", "conflict", "incompatible", "unmet")


def read(job: Job) -> Answer:
    """Read a target's metadata and sources."""
    subject = Subject(job)
    if not subject.plugins:
        return Answer(
            findings=[
                Finding(
                    level="error",
                    code="wheel.no_plugin",
                    what="it has no entry point of the host",
                    why="the host finds plugins by entry points of the group qtforge.plugins",
                    fix='[project.entry-points."qtforge.plugins"] in pyproject.toml, and below it'
                    ' name = "module:Class"',
                )
            ],
        )
    findings: list[Finding] = []
    topics: list[Topic] = []
    unusable: list[str] = []
    for candidate in subject.plugins:
        own = [*_of_status(subject, candidate), *_of_declarations(subject, candidate)]
        for path in itertools.islice(subject.sources(candidate), _MOST_FILES):
            read_findings, read_topics = _of_source(path, candidate)
            own += read_findings
            topics += read_topics
        own += _of_entry_point(subject, candidate)
        if any(each.code in _NOT_IMPORTABLE for each in own):
            unusable.append(candidate.key)
        findings += [attributed(each, candidate) for each in own]
    for candidate in {each.metadata_path: each for each in subject.plugins}.values():
        findings += [attributed(each, candidate) for each in _of_metadata(candidate)]
    names = [
        f"{each.name} {each.version}" for each in subject.plugins if each.group == PLUGIN_GROUP
    ]
    keys = [each.key for each in subject.plugins]
    return Answer(findings=findings, plugins=names, topics=topics, keys=keys, unusable=unusable)


def _of_status(subject: Subject, candidate: Candidate) -> Iterator[Finding]:
    status = subject.resolution.statuses[candidate.key]
    if status.state not in _UNUSABLE:
        return
    place = _declared_at(subject, candidate, "requires|after|placement")
    if status.code in ("plugin.invalid_entry_points", "plugin.invalid_name"):
        place = (Path(candidate.metadata_path) / "entry_points.txt", None)
    elif status.state in ("incompatible", "conflict") or place[1] is None:
        place = (Path(candidate.metadata_path) / "METADATA", None)
    yield from_status(status, place)


def _of_declarations(subject: Subject, candidate: Candidate) -> Iterator[Finding]:
    if candidate.group != PLUGIN_GROUP:
        return
    place = _declared_at(subject, candidate, "requires|after|placement")
    if not read_declarations(candidate).known and place[1] is not None:
        yield Finding(
            level="advice", code="plugin.not_literal", file=str(place[0]), line=place[1],
            what="requires, after or placement is not a literal",
            why="the host can't read it without importing the plugin, and imports it for every"
            " command that needs the bus",
            fix="write the values themselves: requires = ('document-storage >= 1.0',)",
        )  # fmt: skip


def _declared_at(
    subject: Subject, candidate: Candidate, words: str
) -> tuple[Path | None, int | None]:
    """Return where the source of a plugin declares something, else its first file."""
    first: Path | None = None
    pattern = re.compile(rf"^[ \t]+(?:{words})\b[^=\n]*=", re.MULTILINE)
    for path in itertools.islice(subject.sources(candidate), _MOST_FILES):
        first = first or path
        text = _text(path)
        found = pattern.search(text)
        if found is not None:
            return path, text.count("\n", 0, found.start()) + 1
    return first, None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_SOURCE_BYTES:
            return ""
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _of_source(path: Path, candidate: Candidate) -> tuple[list[Finding], list[Topic]]:
    try:
        tree = parse_source(_text(path))
    except SyntaxError as error:
        finding = Finding(
            level="error", code="plugin.syntax", file=str(path), line=error.lineno,
            what=f"{path.name} is not Python: {error.msg}",
            why="the module can't be imported", fix="correct the line",
        )  # fmt: skip
        return [finding], []
    facts = read_source(tree)
    return (
        [msgspec.structs.replace(each, file=str(path)) for each in facts.findings],
        [
            Topic(
                plugin=candidate.name, version=candidate.version, how=each.how, topic=each.topic,
                file=str(path), line=each.line,
            )
            for each in facts.mentions
        ],
    )  # fmt: skip


def _of_entry_point(subject: Subject, candidate: Candidate) -> Iterator[Finding]:
    """Find a module or class that the entry point names and that is not there."""
    module, _, attribute = candidate.entry_point.value.partition("[")[0].partition(":")
    module, attribute = module.strip(), attribute.strip()
    place = str(Path(candidate.metadata_path) / "entry_points.txt")
    point = f"{candidate.name} = {candidate.entry_point.value}"
    if candidate.problem is not None:
        return  # it is the plugin's status
    root = Path(candidate.location)
    top = module.partition(".")[0]
    if subject.folder_of(candidate) is None:
        modules = [each.stem for each in root.glob("*.py")]
        modules += [each.parent.name for each in root.glob("*/__init__.py")]
        near = nearest(top, modules)
        yield Finding(
            level="error", code="plugin.no_module", file=place,
            what=f"the entry point '{point}' names the module '{top}', which is not there",
            why="the plugin can't be imported",
            fix=f"did you mean '{near}'?" if near else "name the module, and check that the wheel"
            " has it: [tool.setuptools.packages.find] where",
        )  # fmt: skip
        return
    file = _file_of(root, module)
    if file is None:
        return
    try:
        facts = read_source(parse_source(_text(file)))
    except SyntaxError:
        return
    if facts.names is not None and attribute.partition(".")[0] not in facts.names:
        near = nearest(attribute, facts.classes)
        yield Finding(
            level="error", code="plugin.no_class", file=place,
            what=f"the entry point '{point}' names '{attribute}', which {module} does not define",
            why="the plugin can't be imported",
            fix=f"did you mean '{near}'?" if near else "name the plugin's class",
        )  # fmt: skip


def _file_of(root: Path, module: str) -> Path | None:
    path = root.joinpath(*module.split("."))
    for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if file.is_file():
            return file
    return None


def _of_metadata(candidate: Candidate) -> Iterator[Finding]:
    file = Path(candidate.metadata_path) / "METADATA"
    read_headers = email.message_from_string(_text(file))
    ranges = [each for each in candidate.requires_dist if _requires_sdk(each)]

    def advice(code: str, what: str, why: str, fix: str, level: Level = "advice") -> Finding:
        return Finding(level=level, code=code, what=what, why=why, fix=fix, file=str(file))

    if not ranges:
        yield advice(
            "wheel.no_sdk",
            f"{SDK_DISTRIBUTION} is not among its dependencies",
            "it is unknown with which versions it works",
            'dependencies = ["qtforge-sdk>=1,<2"]',
        )
    elif not any("<" in each or "~=" in each or "==" in each for each in ranges):
        yield advice(
            "wheel.sdk_range",
            f"its range of {SDK_DISTRIBUTION} has no end",
            "the next major version may break it",
            'dependencies = ["qtforge-sdk>=1,<2"]',
        )
    if not read_headers.get_payload() and not read_headers["Description"]:
        yield advice("wheel.readme", "it has no readme", "users can't tell what it is for",
                     'readme = "README.md" in [project]')  # fmt: skip
    if not read_headers["License-Expression"] and not read_headers["License"]:
        yield advice("wheel.license", "it names no licence", "users can't tell what they may do",
                     'license = "MIT" in [project], or another SPDX expression')  # fmt: skip
    package = _package(candidate)
    if package is not None and not (package / "py.typed").is_file():
        yield advice("wheel.py_typed", f"{package.name} has no py.typed",
                     "type checkers ignore its annotations",
                     "add the empty file, and name it in package-data")  # fmt: skip


def _requires_sdk(line: str) -> bool:
    return re.match(rf"{SDK_DISTRIBUTION.replace('-', '[-_.]')}(?![\w.-])", line, re.I) is not None


def _package(candidate: Candidate) -> Path | None:
    top = candidate.entry_point.value.partition(":")[0].strip().partition(".")[0]
    folder = Path(candidate.location) / top
    return folder if (folder / "__init__.py").is_file() else None
