"""Write a plugin's project: source, workflows, tests, metadata."""

from __future__ import annotations

import re
import secrets
import shutil
import tomllib
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from pathlib import Path
from string import Template
from types import MappingProxyType
from typing import Any, Final

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from qtforge_host.plugins.discovery import scan
from qtforge_host.scaffold.errors import ScaffoldError
from qtforge_host.scaffold.fragments import Fragment, import_lines, read_fragment, template
from qtforge_host.scaffold.names import PluginNames, check_free
from qtforge_host.schema_files import kind_header, kind_schema_path, schema_text
from qtforge_sdk.validation import did_you_mean

__all__ = ["FEATURES", "kinds_in", "next_commands", "write_plugin"]

FEATURES: Final[Mapping[str, str]] = {
    "operation": "an operation with typed messages; always there",
    "subscriber": "a method that receives published messages",
    "workflow": "a workflow in TOML",
    "machine": "a state machine in TOML, which waits for an event",
    "python": "a workflow in Python, which waits for an event",
    "command": "a command of qtforge-host",
    "kind": "a kind of workflow of its own",
    "process": "an operation in a worker process",
}
"""What a new plugin can have, and what that is."""

_CLASS: Final = re.compile(r"^class (\w+)", re.MULTILINE)
_KINDS: Final = {"workflow": "sequential", "machine": "reactive"}
_DEPENDENCIES: Final = {"command": "click>=8.2"}
_DECLARED: Final = '    workflows = ("workflows/*.toml",)'
_WORKFLOWS: Final = '''\
    @hookimpl
    def qtforge_workflows(self) -> Sequence[PythonWorkflow]:
        """Contribute the workflows in Python."""
        return [{}]'''
_WORKFLOW_IMPORTS: Final = (
    "from collections.abc import Sequence",
    "from qtforge_sdk import hookimpl",
    "from qtforge_sdk.workflows import PythonWorkflow",
)


def write_plugin(
    name: str,
    features: Collection[str],
    parent: Path,
    license_expression: str = "MIT",
    schemas: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> Path:
    """Write a project, whole or not at all, and return its folder.

    Args:
        name: The plugin's name, which becomes the name of its folder and distribution.
        features: Some of `FEATURES`; ``operation`` is always there.
        parent: Where the folder is made.
        license_expression: An SPDX expression. The text of MIT is written too.
        schemas: The JSON Schemas of kinds; definitions of these name theirs, for editors.

    Raises:
        ScaffoldError: The name can't be used or is taken, a feature is unknown, the licence is
            none, the folder exists, or it can't be written.
    """
    kinds_in(features)
    names = PluginNames(name)
    found = scan()
    check_free(names, found.candidates, found.distributions)
    project = _files(names, features, _license(license_expression), schemas)
    folder = parent / name
    _write(folder, project)
    return folder


def next_commands(folder: Path, features: Collection[str]) -> list[str]:
    """Return the commands that an author gives after `write_plugin`.

    Args:
        folder: The project's folder, which has the plugin's name.
        features: Those that it was written with.
    """
    return [
        f"cd {folder}",
        "pip install -e '.[testing]'",
        "pytest",
        "qtforge-host plugins check .",
        _use(folder.name, features),
    ]


def kinds_in(features: Collection[str]) -> set[str]:
    """Return the kinds of which a plugin with some features has definitions, but for its own.

    Raises:
        ScaffoldError: A feature is unknown.
    """
    for feature in features:
        if feature not in FEATURES:
            fix = did_you_mean(feature, FEATURES, f"these are: {', '.join(FEATURES)}")
            raise ScaffoldError(f"there is no feature '{feature}'", "", fix)
    return {_KINDS[each] for each in features if each in _KINDS}


def _license(expression: str) -> str:
    try:
        return canonicalize_license_expression(expression)
    except InvalidLicenseExpression as error:
        what = f"'{expression}' is no licence"
        fix = "give an SPDX expression, such as MIT, Apache-2.0 or LicenseRef-Proprietary"
        raise ScaffoldError(what, str(error), fix) from error


def _files(
    names: PluginNames,
    features: Collection[str],
    license_expression: str,
    schemas: Mapping[str, Mapping[str, Any]],
) -> dict[str, str]:
    values = {"name": names.name, "module": names.module, "class_name": names.class_name}
    chosen = [each for each in FEATURES if each in features and each != "operation"]
    fragments = {"base": read_fragment("base", values)}
    fragments |= {each: read_fragment(each, values) for each in chosen}
    package = f"src/{names.module}"
    made = {
        f"{package}/__init__.py": _module(names, fragments.values()),
        f"{package}/py.typed": "",
        ".gitignore": "__pycache__/\n*.egg-info/\n.venv/\nbuild/\ndist/\n",
    }
    for each in fragments.values():
        made |= {f"{package}/{module}.py": text for module, text in each.files("module")}
        made |= _workflow_files(Path(package, "workflows"), each, schemas)
        made |= {f"tests/test_{test}.py": text for test, text in each.files("test")}
    data = ["py.typed", *(["workflows/*.toml"] if _has_definitions(fragments.values()) else [])]
    needs = [
        "qtforge-sdk>=1,<2",
        *(_DEPENDENCIES[each] for each in chosen if each in _DEPENDENCIES),
    ]
    is_mit = license_expression == "MIT"
    made["pyproject.toml"] = Template(template("pyproject")).substitute(
        values,
        key=f'"{names.name}"' if "." in names.name else names.name,  # TOML splits it at dots
        license=license_expression,
        license_files='\nlicense-files = ["LICENSE"]' if is_mit else "",
        dependencies=", ".join(f'"{each}"' for each in needs),
        package_data=", ".join(f'"{each}"' for each in data),
    )
    made["README.md"] = Template(template("readme")).substitute(
        values,
        rows="\n".join(each.text("readme") for each in fragments.values()),
        commands="\n".join(filter(None, (each.text("use") for each in fragments.values()))),
    )
    if is_mit:
        made["LICENSE"] = Template(template("license")).substitute(values, year=date.today().year)
    return made


def _has_definitions(fragments: Collection[Fragment]) -> bool:
    return any(True for each in fragments for _ in each.files("toml"))


def _workflow_files(
    folder: Path, fragment: Fragment, schemas: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """Yield the definitions of a fragment, and the schemas that they name for editors."""
    for file, text in fragment.files("toml"):
        kind = str(tomllib.loads(text)["kind"])
        header = ""
        if kind in schemas:
            header = f"{kind_header(kind)}\n"
            yield str(kind_schema_path(folder, kind)), schema_text(schemas[kind]) + "\n"
        yield str(folder / f"{file}.toml"), header + text


def _module(names: PluginNames, fragments: Collection[Fragment]) -> str:
    """Return the source of the package's ``__init__.py``."""

    def texts(section: str) -> list[str]:
        return [text for each in fragments if (text := each.text(section))]

    contributed = texts("contributes")
    imports = [line for text in texts("imports") for line in text.splitlines()]
    methods = [*texts("init"), *texts("members")]
    declared = [_DECLARED] if _has_definitions(fragments) else []
    if contributed:
        imports += _WORKFLOW_IMPORTS
        methods.append(_WORKFLOWS.format(", ".join(contributed)))
    definitions = texts("definitions")
    exported = sorted({names.class_name, *_CLASS.findall("\n".join(definitions))})
    return Template(template("module")).substitute(
        name=names.name,
        class_name=names.class_name,
        imports=import_lines(imports, names.module),
        exported="\n".join(f'    "{each}",' for each in exported),
        definitions="\n\n\n".join(definitions),
        members="\n\n".join(["\n".join([*declared, *texts("attributes")]), *methods]),
    )


def _use(name: str, features: Collection[str]) -> str:
    """Return the command that shows the plugin at work: its first workflow, or a request."""
    for feature in ("workflow", "machine", "python", "kind"):
        if feature in features:
            suffix = {"workflow": "", "machine": "-reply", "python": "-conversation"}
            return f"qtforge-host run {name}{suffix.get(feature, '-twice')}"
    return f"qtforge-host bus request {name}.greet --set name=Ada"


def _write(folder: Path, project: Mapping[str, str]) -> None:
    """Write all files into a folder beside it, and then give that its name."""
    if folder.exists() or folder.is_symlink():
        raise ScaffoldError(
            f"{folder} exists", "nothing in it was changed", "choose another name or another --dir"
        )
    unfinished = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        for name, text in project.items():
            file = unfinished / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        unfinished.rename(folder)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        why = error.strerror or str(error)
        raise ScaffoldError(f"{folder} can't be written", why, "choose another --dir") from error
