"""The third step: start the plugin in a host, and ask its operations what they can answer."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from qtforge_host.app import Host
from qtforge_host.config.settings import Settings
from qtforge_host.plugin_check.findings import Finding, Level, attributed, from_status, split_place
from qtforge_host.plugin_check.importing import class_place
from qtforge_host.plugin_check.job import Answer, Job, Topic
from qtforge_host.plugin_check.replaying import replay_runs
from qtforge_host.plugin_check.subject import Subject
from qtforge_host.plugin_code import (
    clean_text,
    describe,
    discard_awaitable,
    explain,
    folder_of,
    is_interruption,
    place_of_function,
)
from qtforge_host.plugins.candidates import PLUGIN_GROUP, Candidate
from qtforge_host.plugins.declarations import declared_by
from qtforge_host.plugins.workflow_files import files_in
from qtforge_host.runs.serialization import normalize
from qtforge_host.workflows.catalog import located
from qtforge_sdk.conversion import convert, is_untyped
from qtforge_sdk.errors import HandlerFailedError, QtForgeError
from qtforge_sdk.operations import handler_signature, operation_spec
from qtforge_sdk.topics import matches
from qtforge_sdk.validation import nearest
from qtforge_sdk.workflows import PythonWorkflow

__all__ = ["try_plugins"]

_BLOCKED_AFTER_S: Final = 0.1
_LONG_S: Final = 1.0
_PUBLISHED: Final = re.compile(r"""publish\(\s*(?:f?["'][^"'\n]*["'],\s*)?["']([a-z0-9_.-]+)["']""")
_ACTION: Final = re.compile(r"""^\s*topic\s*=\s*["']([a-z0-9_.-]+)["']""", re.MULTILINE)
_MOST_FILES: Final = 500


def try_plugins(job: Job) -> Answer:
    """Start a target's plugins, and try their operations with their examples."""
    subject = Subject(job)
    settings = msgspec.structs.replace(subject.settings, blocked_after_s=_BLOCKED_AFTER_S)
    return asyncio.run(_try(subject, settings, job))


async def _try(subject: Subject, settings: Settings, job: Job) -> Answer:
    findings: list[Finding] = []
    tried = 0
    async with Host(settings) as host:
        await host.start_all()
        for candidate in subject.plugins:
            if candidate.group != PLUGIN_GROUP or candidate.key in job.skip:
                continue
            entry = host.registry[candidate.key]
            if entry.status.state != "active":
                found = from_status(entry.status, class_place(subject, candidate))
                if found.code == "plugin.invalid_config" and _lacks_key(found, candidate, settings):
                    found = _needs_config(found, candidate)
                findings.append(attributed(found, candidate))
                continue
            own, count = await _of_plugin(host, entry.plugin, candidate, job.commands)
            place = class_place(subject, candidate)
            own += _of_declared_workflows(host, entry.plugin, place)
            findings += [attributed(each, candidate) for each in own]
            tried += count
        active = [
            each for each in subject.plugins if host.registry[each.key].status.state == "active"
        ]
        own, replayed = await replay_runs(host, active, job)
        findings += own
        topics = list(host.bus.known_topics())
    findings += _of_topics(job.topics, topics, subject)
    return Answer(findings=findings, operations=tried, replayed=replayed)


def _lacks_key(found: Finding, candidate: Candidate, settings: Settings) -> bool:
    return not settings.plugin(candidate.name).config and "missing" in found.what


def _needs_config(found: Finding, candidate: Candidate) -> Finding:
    what = found.what.rpartition(".toml: ")[2]
    return msgspec.structs.replace(
        found,
        level="advice",
        code="config.required",
        what=f"it needs a configuration: {what}",
        why="it was not started here",
        fix=f"say in its readme what [plugins.{candidate.name}.config] must have, or give defaults",
    )


def _at(
    function: object, level: Level, code: str, what: str, why: str = "", fix: str = ""
) -> Finding:
    _, file, line = split_place(f"({place_of_function(function)})")
    return Finding(level=level, code=code, what=what, why=why, fix=fix, file=file, line=line)


async def _of_plugin(
    host: Host, plugin: Any, candidate: Candidate, commands: Collection[str]
) -> tuple[list[Finding], int]:
    found: list[Finding] = []
    looks: dict[str, Callable[[Any, Any], list[Finding]]] = {
        "qtforge_workflows": lambda hook, answer: _of_workflows(host, plugin, hook, answer),
        "qtforge_commands": lambda hook, answer: _of_commands(hook, answer, commands),
        "qtforge_orchestrators": _of_orchestrators,
    }
    for hook, look in looks.items():
        function = getattr(type(plugin), hook, None)
        if function is None or not hasattr(function, "qtforge_impl"):
            continue
        try:
            answer = await asyncio.to_thread(getattr(plugin, hook))
        except BaseException as error:
            if is_interruption(error):
                raise
            text, file, line = split_place(explain(error, plugin))
            found.append(
                Finding(
                    level="error", code="hook.failed", file=file, line=line,
                    what=f"{hook} raised {text}", why="what it contributes is ignored",
                    fix="correct it",
                )
            )  # fmt: skip
            continue
        if discard_awaitable(answer):
            found.append(_at(function, "error", "hook.async", f"{hook} is async",
                             "the host does not await it", f"write def {hook}"))  # fmt: skip
            continue
        found += look(function, answer)
    operations, count = await _of_operations(host, plugin, candidate)
    return [*found, *operations], count


def _items(function: Any, hook: str, answer: Any, found: list[Finding]) -> list[Any]:
    """Return the items of what a hook has returned; what is no list of items is a finding."""
    if isinstance(answer, str | Path | PythonWorkflow | click.Command | type):
        kind = type(answer).__name__
        found.append(_at(function, "error", "hook.no_list", f"{hook} returns one {kind}",
                         "the host expects a list of them", "write return [...]"))  # fmt: skip
        return []
    try:
        return list(answer or ())
    except TypeError as error:
        found.append(_at(function, "error", "hook.no_list", f"{hook} returns no list",
                         clean_text(error), "write return [...]"))  # fmt: skip
        return []


def _of_workflows(host: Host, plugin: Any, function: Any, answer: Any) -> list[Finding]:
    found: list[Finding] = []
    items = _items(function, "qtforge_workflows", answer, found)
    named = _names_files(function)
    # A plugin whose configuration says what it contributes may contribute nothing by default.
    if not items and not found and (named or not _reads_config(function)):
        what = "qtforge_workflows returns nothing"
        fix = "check that the files are in the wheel: [tool.setuptools.package-data]"
        found.append(_at(function, "error" if named else "advice",
                         "workflow.none", what, "no workflow is contributed", fix))  # fmt: skip
    for item in items:
        content = located(item, plugin) if isinstance(item, str | Path) else item
        if isinstance(content, Path) and not content.is_file():
            found.append(
                _at(
                    function, "error", "workflow.no_file",
                    f"qtforge_workflows names {item}, which is not there",
                    f"there is no file {content}",
                    "if the file is in the project, the wheel lacks it: name it in"
                    " [tool.setuptools.package-data]; relative paths begin at the module's folder",
                )
            )  # fmt: skip
        elif not isinstance(content, str | Path | PythonWorkflow):
            found.append(_at(function, "error", "workflow.no_definition",
                             f"qtforge_workflows returns a {type(item).__name__}",
                             "it is no path, no TOML text and no function marked @workflow",
                             "return paths, texts or marked functions"))  # fmt: skip
    hook = _at(function, "error", "workflow.invalid", "")
    return [*found, *_of_definitions(host, plugin, items, hook, texts=True)]


def _of_declared_workflows(
    host: Host, plugin: Any, place: tuple[Path | None, int | None]
) -> Iterator[Finding]:
    """Find what is wrong with the workflows that a class declares by ``workflows``."""
    folder = folder_of(plugin)
    if folder is None:
        return
    file = "" if place[0] is None else str(place[0])
    given = Finding(level="error", code="workflow.invalid", what="", file=file, line=place[1])
    for pattern in declared_by(type(plugin)).workflows:
        files = files_in(folder, (pattern,))
        if not any(each.is_file() for each in files):
            yield msgspec.structs.replace(
                given, code="workflow.no_file",
                what=f"workflows names {pattern}, and there is no such file",
                why="no workflow is contributed by it",
                fix="if the file is in the project, the wheel lacks it: name it in"
                " [tool.setuptools.package-data]; paths begin at the module's folder",
            )  # fmt: skip
        yield from _of_definitions(host, plugin, files, given, texts=False)


def _of_definitions(
    host: Host, plugin: Any, items: Sequence[Any], given: Finding, *, texts: bool
) -> Iterator[Finding]:
    """Find what is wrong with definitions that a plugin contributes.

    Args:
        host: The host.
        plugin: The plugin.
        items: What it contributes.
        given: A finding with the place of the contribution, where a definition has none.
        texts: Whether the plugin's definitions that are no files are looked at too.
    """
    author = _author(host, plugin)
    for parsed in host.catalog.all():
        if not _is_of(parsed, author if texts else "", items, plugin):
            continue
        for problem in host.problems(parsed, typed=True):
            if parsed.source.endswith(".toml") and not Path(parsed.source).is_file():
                continue  # it is a finding already
            file = problem.source if Path(problem.source).is_file() else ""
            name = f"the workflow '{parsed.name}'" if parsed.name else "a workflow"
            if not parsed.name and file:
                name = f"the workflow in {Path(file).name}"
            where = f"{problem.path}: " if problem.path else ""
            twice = problem.what.endswith(f"is also defined in {author}")
            yield msgspec.structs.replace(
                given, what=f"{name} can't run: {where}{problem.what}",
                why="it is contributed by the plugin",
                fix="contribute it once" if twice else problem.fix or "correct the definition",
                file=file or given.file, line=problem.line if file else given.line,
            )  # fmt: skip


def _author(host: Host, plugin: Any) -> str:
    """Return name and version of a running plugin, as the catalog shows them."""
    for entry in host.registry:
        if entry.plugin is plugin:
            return f"{entry.candidate.name} {entry.candidate.version}"
    return ""


def _is_of(parsed: Any, author: str, items: Sequence[Any], plugin: Any) -> bool:
    """Return whether a plugin contributes a definition."""
    if parsed.source == author:
        return True
    paths = {str(located(each, plugin)) for each in items if isinstance(each, str | Path)}
    return parsed.source in paths


def _names_files(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    constants = [] if code is None else [each for each in code.co_consts if isinstance(each, str)]
    return any(".toml" in each for each in constants[1:] or constants)


def _reads_config(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return code is not None and "config" in code.co_names


def _of_commands(function: Any, answer: Any, taken: Collection[str]) -> list[Finding]:
    found: list[Finding] = []
    for item in _items(function, "qtforge_commands", answer, found):
        if not isinstance(item, click.Command):
            name = getattr(item, "__name__", type(item).__name__)
            found.append(_at(function, "error", "command.no_command",
                             f"qtforge_commands returns {name}, which is no click command",
                             "it is ignored", "write @click.command() above it"))  # fmt: skip
        elif item.name in taken:
            found.append(_at(function, "error", "command.taken",
                             f"the command '{item.name}' has the name of one of the host's",
                             "the host's own is executed", "give it another name"))  # fmt: skip
    return found


def _of_orchestrators(function: Any, answer: Any) -> list[Finding]:
    found: list[Finding] = []
    for item in _items(function, "qtforge_orchestrators", answer, found):
        if not isinstance(item, type):
            found.append(_at(function, "error", "kind.no_class",
                             "qtforge_orchestrators returns what is no class",
                             "it is ignored", "return classes, not instances"))  # fmt: skip
    return found


async def _of_operations(
    host: Host, plugin: Any, candidate: Candidate
) -> tuple[list[Finding], int]:
    found: list[Finding] = []
    tried = 0
    for name in dir(type(plugin)):
        function = getattr(type(plugin), name, None)
        spec = operation_spec(function)
        if spec is None or spec.example is None or spec.wrapper:
            continue
        tried += 1
        before = host.blocked().get(candidate.name, (0, 0.0))[1]
        found += await _ask(host, function, spec.topic, spec.example, candidate)
        after = (await host.all_blocked()).get(candidate.name, (0, 0.0))[1]
        if after > before:
            level: Level = "error" if after - before >= _LONG_S else "advice"
            found.append(_at(function, level, "operation.blocked_loop",
                             f"'{spec.topic}' blocked the event loop for {after - before:.1f} s",
                             "nothing else of the host happens meanwhile",
                             "write 'def' instead of 'async def'"))  # fmt: skip
    return found, tried


async def _ask(
    host: Host, function: Any, topic: str, example: Any, candidate: Candidate
) -> Iterator[Finding]:
    began = time.monotonic()
    try:
        answer = await host.bus.request(topic, example, plugin=candidate.name)
    except HandlerFailedError as error:
        finding = _at(function, "error", error.cause_code or error.code,
                      f"'{topic}' failed with its example: {clean_text(error.what)}",
                      clean_text(error.why), error.fix or "correct it, or the example")  # fmt: skip
        if error.place:
            _, file, line = split_place(f"({error.place})")
            finding = msgspec.structs.replace(finding, file=file, line=line)
        return iter([finding])
    except QtForgeError as error:
        took = time.monotonic() - began
        return iter([_at(function, "error", error.code,
                         f"'{topic}' did not answer its example: {clean_text(error.what)}",
                         error.why or f"after {took:.1f} s", error.fix)])  # fmt: skip
    try:
        plain = normalize(answer)
        signature = handler_signature(function, candidate.name, extra=2)
        if not is_untyped(signature.response_type):
            convert(plain, signature.response_type)
    except (TypeError, ValueError) as error:
        return iter([_at(function, "error", "run.not_storable",
                         f"the answer of '{topic}' does not survive the journal",
                         describe(error), "answer with plain values")])  # fmt: skip
    return iter(())


def _of_topics(named: list[Topic], known: list[str], subject: Subject) -> Iterator[Finding]:
    published = _published(subject)
    for each in named:
        level: Level
        if each.how == "request" and each.topic not in known:
            near = nearest(each.topic, known)
            level = "error" if near else "advice"
            yield _of_topic(each, level, "topic.unknown",
                            f"no plugin handles '{each.topic}'", "the request would fail",
                            f"did you mean '{near}'?" if near else
                            "name the plugin that handles it in requires")  # fmt: skip
        elif each.how == "subscribe" and not any(matches(each.topic, one) for one in published):
            near = nearest(each.topic, published)
            if near:
                yield _of_topic(each, "advice", "topic.never_published",
                                f"no plugin here publishes '{each.topic}'", "",
                                f"did you mean '{near}'?")  # fmt: skip


def _of_topic(topic: Topic, level: Level, code: str, what: str, why: str, fix: str) -> Finding:
    return Finding(level=level, code=code, what=what, why=why, fix=fix, file=topic.file,
                   line=topic.line, plugin=topic.plugin, version=topic.version)  # fmt: skip


def _published(subject: Subject) -> list[str]:
    """Return the topics that installed plugins publish, as far as their sources show."""
    found: dict[str, None] = {}
    files: Mapping[Path, re.Pattern[str]]
    for folder in {subject.folder_of(each) for each in subject.resolution.candidates}:
        if folder is None or not folder.is_dir():
            continue
        files = {
            **dict.fromkeys(list(folder.rglob("*.py"))[:_MOST_FILES], _PUBLISHED),
            **dict.fromkeys(list(folder.rglob("*.toml"))[:_MOST_FILES], _ACTION),
        }
        for path, pattern in files.items():
            try:
                found |= dict.fromkeys(pattern.findall(path.read_text("utf-8", "replace")))
            except OSError:
                continue
    return list(found)
