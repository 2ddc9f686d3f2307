"""The catalog of workflows: contributed by plugins, or files in the user's folder."""

from __future__ import annotations

import inspect
import os
import stat
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from qtforge_host.file_states import FileState
from qtforge_host.plugin_code import NO_AUTHOR, Author, folder_of
from qtforge_host.sizes import size_text
from qtforge_host.workflows.code_versions import newest_first, specifier_problem
from qtforge_host.workflows.definitions import (
    AttributedOrchestrator,
    Parsed,
    Problem,
    Workflow,
    parse,
    parse_header,
)
from qtforge_host.workflows.file_names import FileNames
from qtforge_sdk import Definition, DefinitionChecker, Orchestrator, Run
from qtforge_sdk.errors import WorkflowInvalidError, WorkflowNotFoundError
from qtforge_sdk.graphs import Edge, Graph, Node
from qtforge_sdk.members import Members, members_of
from qtforge_sdk.validation import did_you_mean
from qtforge_sdk.workflows import PythonWorkflow

__all__ = [
    "Catalog",
    "Contribution",
    "PythonOrchestrator",
    "located",
    "read_file",
    "read_header",
]

_MAX_BYTES: Final = 4 << 20
_ONE_OFF: Final = (
    "disable one of the plugins, or put a definition of that name into your own folder"
)


class PythonOrchestrator(AttributedOrchestrator[Definition]):
    """Executes one `qtforge_sdk.workflow` function.

    Args:
        workflow: The function with its definition.
        author: The plugin that contributed it; empty where there is none.
    """

    kind: ClassVar[str] = "python"

    def __init__(self, workflow: PythonWorkflow, author: Author = NO_AUTHOR) -> None:
        self.identity = author
        self.function = self._function = workflow.function
        self.resumes = workflow.resumes
        self._takes_input = len(inspect.signature(workflow.function).parameters) > 1

    def check(self, definition: Definition, checker: DefinitionChecker) -> None:
        """Find no problem: the function's steps are known only when it runs."""

    def result_members(self, definition: Definition, checker: DefinitionChecker) -> Members:
        """Return what is known of the type that the function is annotated to return."""
        try:
            returned = typing.get_type_hints(self._function).get("return")
        except (NameError, TypeError, AttributeError):  # it can't be resolved
            return None
        return members_of([returned])

    def graph(self, definition: Definition) -> Graph:
        """Return one node: the function's steps are known only when it runs."""
        name = getattr(self._function, "__qualname__", "function")
        nodes = (
            Node(id="start", label="start", kind="start"),
            Node(id="function", label=f"{definition.name}\nPython: {name}"),
            Node(id="end", label="end", kind="end"),
        )
        edges = (Edge(source="start", target="function"), Edge(source="function", target="end"))
        return Graph(title=definition.name, nodes=nodes, edges=edges)

    async def execute(self, run: Run) -> Any:
        """Call the function; its return value is the result."""
        if self._takes_input:
            return await self._function(run, run.input)
        return await self._function(run)


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """A contributed definition.

    Attributes:
        content: TOML text, the path of a file, or a function.
        contributor: Name and version of the plugin, to be shown.
        author: The plugin; empty where there is none.
        builtin: Whether the plugin is part of the host's distribution.
    """

    content: str | Path | PythonWorkflow
    contributor: str
    author: Author = NO_AUTHOR
    builtin: bool = False


class Catalog:
    """Workflows by name; a definition in the user's folder replaces a plugin's.

    Args:
        orchestrators: The orchestrator of each kind.
        file_names: The names in files; such a file is read when its workflow is asked for.
    """

    def __init__(
        self, orchestrators: Mapping[str, Orchestrator[Any]], file_names: FileNames | None = None
    ) -> None:
        self._orchestrators = orchestrators
        self._file_names = file_names or FileNames()
        self._known: dict[str, Parsed | Path] = {}  # a path has not been read yet
        self._refused: list[Parsed] = []
        self._older: dict[str, list[Parsed]] = {}  # functions of one name, without the newest

    @property
    def definition_types(self) -> Mapping[str, type[Definition]]:
        """The type of a definition of each kind."""
        return {kind: each.definition_type for kind, each in self._orchestrators.items()}

    def add(self, contributions: Iterable[Contribution]) -> None:
        """Add contributed definitions; two with one name make that name unusable.

        A definition with the name of a built-in workflow is refused alone.
        """
        in_order = sorted(contributions, key=lambda each: not each.builtin)
        builtin: set[str] = set()
        for each in in_order:
            name, unread = self._named(each.content)
            if unread is not None and name not in self._known:
                self._known[name] = unread
                if each.builtin:
                    builtin.add(name)
                continue
            parsed = self._read(each)
            name = parsed.name or parsed.source
            earlier = self._find(name)
            if each.builtin:
                builtin.add(name)
            elif name in builtin and earlier is not None:
                self._refused.append(_has_name_of_builtin(parsed, earlier, each.contributor))
                continue
            if earlier is not None and _are_versions(earlier, parsed):
                self._add_version(name, parsed)
            elif earlier is None:
                self._known[name] = parsed
            else:
                self._known[name] = _duplicate(earlier, parsed, _ONE_OFF)

    def replace(self, contribution: Contribution) -> Parsed:
        """Read a definition that goes before one of the same name, and return it.

        A function whose version differs is there beside the other one.
        """
        parsed = self._read(contribution)
        name = parsed.name or parsed.source
        earlier = self._find(name)
        if earlier is not None and _are_versions(earlier, parsed):
            self._add_version(name, parsed)
        else:
            self._known[name] = parsed
            self._older.pop(name, None)
        return parsed

    def add_folder(self, folder: Path) -> None:
        """Add the user's definitions; they replace a plugin's of the same name.

        Two of them with one name make that name unusable.
        """
        found: dict[str, Parsed | Path] = {}
        for path in sorted(folder.glob("*.toml")):
            name, unread = self._named(path)
            if unread is not None and name not in found:
                found[name] = unread
                continue
            parsed = self._read_file(path)
            name = parsed.name or parsed.source
            earlier = found.get(name)
            if isinstance(earlier, Path):
                earlier = self._read_file(earlier)
            if earlier is not None:
                parsed = _duplicate(earlier, parsed, "give one of them another name")
            found[name] = parsed
        self._known.update(found)
        for name in found:
            self._older.pop(name, None)

    def all(self) -> list[Parsed]:
        """Return every definition, including those with problems, sorted by name."""
        known = [self._get(name) for name in sorted(self._known)]
        return sorted([*known, *self._refused], key=lambda parsed: parsed.name or parsed.source)

    def older(self) -> list[Parsed]:
        """Return the functions that are there beside a newer one of their name."""
        return [each for name in sorted(self._older) for each in self._older[name]]

    def versions(self, name: str) -> list[Workflow]:
        """Return the workflows of a name that can be read, newest first."""
        known = self._find(name)
        found = [*([] if known is None else [known]), *self._older.get(name, ())]
        return newest_first(each.workflow for each in found if each.workflow is not None)

    def names(self) -> Collection[str]:
        """Return the names of all definitions, including those with problems."""
        return self._known.keys()

    def find(self, name: str, *, files: bool = True) -> Parsed:
        """Return a definition by its name, or read the file at that path.

        Args:
            name: The name, or the path of a TOML file.
            files: Whether a path is read; what is not trusted may give names only.

        Raises:
            WorkflowNotFoundError: There is neither.
        """
        if name in self._known:
            return self._get(name)
        path = Path(name)
        if files and name.endswith(".toml") and path.is_file():
            return read_file(path, self._orchestrators)
        otherwise = "qtforge-host workflows list shows them"
        if files and name.endswith(".toml"):
            otherwise = "there is no such file: check the path's spelling"
        raise WorkflowNotFoundError(name, did_you_mean(name, self._known, otherwise))

    def readable(self, name: str) -> Workflow | None:
        """Return the workflow of a name; None where there is none, or it has problems."""
        parsed = self._find(name)
        return None if parsed is None else parsed.workflow

    def get(self, name: str, *, files: bool = True) -> Workflow:
        """Return a workflow that was read without a problem; see `find` for the arguments.

        Raises:
            WorkflowNotFoundError: There is none.
            WorkflowInvalidError: It has problems.
        """
        parsed = self.find(name, files=files)
        if parsed.workflow is None:
            raise WorkflowInvalidError(name, "\n".join(map(str, parsed.problems)))
        return parsed.workflow

    def _add_version(self, name: str, parsed: Parsed) -> None:
        """Add a function of another version; the same version again replaces it."""
        found = [self._get(name), *self._older.get(name, ())]
        by_version = {_version(each): each for each in [*found, parsed]}
        workflows = newest_first(filter(None, (each.workflow for each in by_version.values())))
        ordered = [by_version[each.definition.version] for each in workflows]
        self._known[name], self._older[name] = ordered[0], ordered[1:]

    def _named(self, content: str | Path | PythonWorkflow) -> tuple[str, Path | None]:
        """Return the name in a file that need not be read now, and its path."""
        if not isinstance(content, Path) or not (name := self._file_names.find(content)):
            return "", None
        return name, content

    def _find(self, name: str) -> Parsed | None:
        return self._get(name) if name in self._known else None

    def _get(self, name: str) -> Parsed:
        """Return what is known by a name; read now where it was not read before."""
        found = self._known[name]
        if isinstance(found, Path):
            found = self._known[name] = self._read_file(found)
        return found

    def _read_file(self, path: Path) -> Parsed:
        state = FileState.of(str(path))
        parsed = read_file(path, self._orchestrators)
        self._file_names.learn(state, parsed.name)
        return parsed

    def _read(self, contribution: Contribution) -> Parsed:
        if isinstance(contribution.content, Path):
            return self._read_file(contribution.content)
        if isinstance(contribution.content, PythonWorkflow):
            return _of_function(contribution.content, contribution)
        return parse(contribution.content, contribution.contributor, self._orchestrators)


def located(content: str | Path | PythonWorkflow, plugin: object) -> str | Path | PythonWorkflow:
    """Return what a plugin contributes, with a path that can be opened from anywhere.

    A text in one line that ends with ``.toml`` is a path. A relative path begins at the folder
    of the plugin's module.
    """
    if isinstance(content, str) and content.endswith(".toml") and "\n" not in content:
        content = Path(content)
    if not isinstance(content, Path) or content.is_absolute():
        return content
    folder = folder_of(plugin)
    return content if folder is None else folder / content


def read_file(path: Path, orchestrators: Mapping[str, Orchestrator[Any]]) -> Parsed:
    """Read a definition from a file; an unreadable file is a problem of the result."""
    return _read_with(path, lambda text, source: parse(text, source, orchestrators))


def read_header(path: Path, kinds: Collection[str]) -> Parsed:
    """Find what is wrong with a file without its orchestrator; see `parse_header`."""
    return _read_with(path, lambda text, source: parse_header(text, source, kinds))


def _read_with(path: Path, read: Callable[[str, str], Parsed]) -> Parsed:
    source = os.fsencode(path).decode(errors="backslashreplace")
    try:
        text = _text_of(path)
    except (OSError, ValueError) as error:
        problem = Problem(
            source=source, line=None, path="", what=f"it can't be read: {error}", fix=""
        )
        return Parsed(name="", source=source, workflow=None, problems=(problem,))
    return read(text, source)


def _text_of(path: Path) -> str:
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):  # to open a named pipe waits for its writer
        raise ValueError("it is not a file")
    if state.st_size > _MAX_BYTES:
        raise ValueError(f"it is larger than {size_text(_MAX_BYTES)}")
    return path.read_text(encoding="utf-8")


def _of_function(offered: PythonWorkflow, contribution: Contribution) -> Parsed:
    contributor = contribution.contributor
    workflow = Workflow(
        definition=offered.definition,
        orchestrator=PythonOrchestrator(offered, contribution.author),
        source=contributor,
        text="",
    )
    name = offered.definition.name
    if why := specifier_problem(offered.resumes):
        problem = Problem(
            source=contributor,
            line=None,
            path="resumes",
            what=f"'{offered.resumes}' is no set of versions: {why}",
            fix="write PEP 440 specifiers, such as >=1.3,<3",
        )
        return Parsed(name=name, source=contributor, workflow=None, problems=(problem,))
    return Parsed(name=name, source=contributor, workflow=workflow, problems=())


def _are_versions(one: Parsed, other: Parsed) -> bool:
    """Return whether both are functions of one contributor, with different versions."""
    first, second = one.workflow, other.workflow
    return (
        first is not None
        and second is not None
        and isinstance(first.orchestrator, PythonOrchestrator)
        and isinstance(second.orchestrator, PythonOrchestrator)
        and one.source == other.source
        and first.definition.version != second.definition.version
    )


def _version(parsed: Parsed) -> str:
    return "" if parsed.workflow is None else parsed.workflow.definition.version


def _has_name_of_builtin(one: Parsed, builtin: Parsed, contributor: str) -> Parsed:
    problem = Problem(
        source=one.source,
        line=None,
        path="name",
        what=f"{contributor} contributes '{one.name}', the name of the built-in workflow in"
        f" {builtin.source}, which is used",
        fix="give it another name; a definition in your own folder may replace a built-in",
    )
    return Parsed(name=one.name, source=one.source, workflow=None, problems=(problem,))


def _duplicate(one: Parsed, other: Parsed, fix: str) -> Parsed:
    problem = Problem(
        source=one.source,
        line=None,
        path="name",
        what=f"'{one.name}' is also defined in {other.source}",
        fix=fix,
    )
    return Parsed(name=one.name, source=one.source, workflow=None, problems=(problem,))
