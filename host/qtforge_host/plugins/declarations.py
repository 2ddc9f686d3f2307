"""Read what a plugin declares, such as ``requires``, from its source, without importing it.

Only literals can be read; the SDK demands literals. A declaration that can't be read is unknown,
and is checked again when the plugin has been imported.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from os.path import isdir
from pathlib import Path
from typing import Final

import msgspec

from qtforge_host.file_states import FileState
from qtforge_host.plugin_code import valid_text, value_text
from qtforge_host.plugins.candidates import Candidate
from qtforge_host.plugins.python_source import parse_source
from qtforge_sdk.placement import ANY_NODE, ONE_NODE

__all__ = [
    "UNKNOWN",
    "ClassSource",
    "Declarations",
    "declared_by",
    "find_class",
    "read_declarations",
    "source_folder",
]

_FIELDS: Final = ("requires", "after", "workflows")
_PLACEMENT: Final = "placement"
_ASSIGNMENT = re.compile(rb"^[ \t]+(?:requires|after|workflows|placement)\b[^=\n]*=", re.MULTILINE)
_MAX_HOPS: Final = 4
_MAX_SOURCE_BYTES: Final = 1 << 20


class Declarations(msgspec.Struct, frozen=True, kw_only=True):
    """What a plugin declares about other plugins, and the files of its workflows.

    Attributes:
        requires: Requirement texts, such as ``document-storage >= 1.0.0``.
        after: Plugin names.
        workflows: Patterns of TOML files, relative to the folder of the plugin's module.
        placement: Whether any node answers with it, or one alone.
        known: False when they could not be read; then the tuples are empty.
        problem: Why a declaration can't be used, or "".
    """

    requires: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    workflows: tuple[str, ...] = ()
    placement: str = ANY_NODE
    known: bool = True
    problem: str = ""


UNKNOWN: Final = Declarations(known=False)


def declared_by(plugin_class: object) -> Declarations:
    """Return the declarations of an imported plugin class."""
    values: dict[str, object] = {field: getattr(plugin_class, field, ()) for field in _FIELDS}
    values[_PLACEMENT] = getattr(plugin_class, _PLACEMENT, ANY_NODE)
    return _declarations(values)


def read_declarations(candidate: Candidate) -> Declarations:
    """Return the declarations in the source of a candidate's class.

    Returns:
        `UNKNOWN` when there is no source (a zip file, an extension module), when the class is
        not found in it, or when a value is not a literal.
    """
    found = find_class(candidate, _declares_nothing)
    if found is None:
        return UNKNOWN
    return Declarations() if found.definition is None else _declarations_in(found.definition)


class ClassSource(msgspec.Struct, frozen=True, kw_only=True):
    """The source of a plugin's class.

    Attributes:
        path: The file that defines the class.
        name: The name of the class there.
        files: Every file that was read to find it, and the folders that they were found in, as
            they were before; a zip file is not among them.
        module: That file; None where it was not parsed.
        definition: The class; None where the file was not parsed.
    """

    path: Path
    name: str
    files: tuple[FileState, ...]
    module: ast.Module | None = None
    definition: ast.ClassDef | None = None


def find_class(
    candidate: Candidate, is_enough: Callable[[str, bytes], bool] = lambda name, text: False
) -> ClassSource | None:
    """Return the source of the class that a candidate's entry point names.

    Args:
        candidate: The candidate.
        is_enough: Given a name and the text of a file, tells that the file defines the class and
            need not be parsed.

    Returns:
        None when there is no source (a zip file, an extension module), or when the class is not
        found in it.
    """
    module, _, attribute = candidate.entry_point.value.partition("[")[0].partition(":")
    module, attribute = module.strip(), attribute.strip()
    if not attribute or "." in attribute:
        return None
    files: list[FileState] = []
    for _ in range(_MAX_HOPS):
        source = _source(module, candidate.location)
        if source is None:
            return None
        path, text, states = source
        files += states
        if is_enough(attribute, text):
            return ClassSource(path=path, name=attribute, files=tuple(files))
        tree = _parse(text)
        if tree is None:
            return None
        found = _class_or_import(tree, attribute)
        if isinstance(found, ast.ClassDef):
            return ClassSource(
                path=path, name=attribute, files=tuple(files), module=tree, definition=found
            )
        if found is None:
            return None
        module, attribute = _imported(found, module, attribute, path.name == "__init__.py")
    return None


def _declares_nothing(name: str, text: bytes) -> bool:
    defined = re.search(rb"^class[ \t]+%b\b" % re.escape(name).encode(), text, re.M)
    return defined is not None and not _ASSIGNMENT.search(text)


def source_folder(candidate: Candidate) -> Path | None:
    """Return the folder of a candidate's package, or the file of its module, without importing it.

    Returns:
        None where there is no source, such as in a zip file.
    """
    top = candidate.entry_point.value.partition(":")[0].partition(".")[0].strip()
    spec = _find_spec(top, candidate.location)
    if spec is None:
        return None
    if spec.origin is not None and spec.origin.endswith(".py"):
        path = Path(spec.origin)
        found = path.parent if path.name == "__init__.py" else path
    else:
        found = Path(next(iter(spec.submodule_search_locations or ()), ""))
    return found if found.exists() and found != Path() else None


def _source(module: str, location: str) -> tuple[Path, bytes, Sequence[FileState]] | None:
    spec = _find_spec(module, location)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin)
    try:
        if path.is_file():
            depth = module.count(".") + (2 if path.name == "__init__.py" else 1)
            places = [path, *path.parents[:depth]]
            states = [FileState.of(str(each)) for each in places]  # before it is read
            return (path, path.read_bytes(), states) if _is_short(path) else None
        read = getattr(spec.loader, "get_data", None)  # of a zip file
        text = read(spec.origin) if read is not None else b""
    except OSError:  # gone
        return None
    return (path, text, ()) if text and len(text) <= _MAX_SOURCE_BYTES else None


def _is_short(path: Path) -> bool:
    return path.stat().st_size <= _MAX_SOURCE_BYTES


def _find_spec(module: str, location: str) -> ModuleSpec | None:
    """Find a module as an import would, but without importing its parent packages."""
    top, *below = module.split(".")
    spec = PathFinder.find_spec(top, [location]) or _find_on_meta_path(top, None)
    name = top
    folders = _folders(spec)
    for part in below:
        if not folders:
            return None
        name = f"{name}.{part}"
        spec = _find_on_meta_path(name, folders)
        # A namespace package asks for its parent among the imported modules, and so is not found.
        namespace = [each for each in (os.path.join(one, part) for one in folders) if isdir(each)]
        folders = _folders(spec) or namespace
    return spec


def _folders(spec: ModuleSpec | None) -> list[str]:
    return [] if spec is None else list(spec.submodule_search_locations or ())


def _find_on_meta_path(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    # Editable installs add finders of their own.
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(name, path)
        except Exception:  # noqa: BLE001, S112  a foreign finder; the next may know the module
            continue
        if spec is not None:
            return spec
    return None


def _parse(text: bytes) -> ast.Module | None:
    try:
        return parse_source(text)
    except SyntaxError:  # the import will report it, with the line
        return None


def _class_or_import(tree: ast.Module, name: str) -> ast.ClassDef | ast.ImportFrom | None:
    found: ast.ClassDef | ast.ImportFrom | None = None
    for node in tree.body:  # the last one wins, as at run time
        match node:
            case ast.ClassDef() if node.name == name:
                found = node
            case ast.ImportFrom() if name in [one.asname or one.name for one in node.names]:
                found = node
    return found


def _imported(node: ast.ImportFrom, module: str, name: str, is_package: bool) -> tuple[str, str]:
    original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
    if node.level == 0:
        return node.module or "", original
    parts = module.split(".")
    levels_up = node.level - 1 if is_package else node.level
    package = parts[: len(parts) - levels_up]
    return ".".join([*package, *([node.module] if node.module else [])]), original


def _declarations_in(definition: ast.ClassDef) -> Declarations:
    values: dict[str, object] = {}
    for node in definition.body:
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            continue
        for field in set(names) & {*_FIELDS, _PLACEMENT}:
            if node.value is None:
                continue
            try:
                values[field] = ast.literal_eval(node.value)
            except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                return UNKNOWN
    return _declarations(values)


def _declarations(values: Mapping[str, object]) -> Declarations:
    texts: dict[str, tuple[str, ...]] = {}
    for field in _FIELDS:
        value = values.get(field, ())
        if not isinstance(value, (tuple, list, set, frozenset)) or not all(
            isinstance(item, str) for item in value
        ):
            shown = value_text(value)
            return Declarations(problem=f"'{field}' must be a tuple of texts, not {shown}")
        texts[field] = tuple(map(str.__str__, value))
        invalid = [item for item in texts[field] if valid_text(item) != item]
        if invalid:  # it could be neither stored nor shown
            shown = value_text(invalid[0])
            return Declarations(problem=f"'{field}' has {shown}, which is no valid Unicode")
    placement = values.get(_PLACEMENT, ANY_NODE)
    if placement != ANY_NODE and placement != ONE_NODE:
        shown = value_text(placement)
        problem = f"'{_PLACEMENT}' must be '{ANY_NODE}' or '{ONE_NODE}', not {shown}"
        return Declarations(problem=problem)
    return Declarations(
        requires=texts["requires"],
        after=texts["after"],
        workflows=texts["workflows"],
        placement=placement,
    )
