"""Who may import whom, and how large things may be: the rules hold for the syntax trees."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SDK = ROOT / "sdk" / "src" / "qtforge_sdk"
HOST = ROOT / "host" / "qtforge_host"
BUILTIN = ROOT / "builtin_plugins" / "qtforge_builtin_plugins"
SAMPLES = ROOT / "sample_plugins"
SOURCES = sorted([*SDK.rglob("*.py"), *HOST.rglob("*.py"), *BUILTIN.rglob("*.py"),
                  *SAMPLES.glob("*/src/**/*.py")])  # fmt: skip

# A part of the host, and the parts below it that it may import.
FOUNDATION = {
    "candidates", "states", "durations", "shapes", "atomic_file", "config_schema", "uninterrupted",
}  # fmt: skip
PARTS = {
    "discovery": {"distribution_checks"},
    "declarations": set(),
    "distribution_checks": set(),
    "relations": {"declarations", "distribution_checks"},
    "compatibility": {"declarations", "distribution_checks", "relations"},
    "hooks": set(),
    "bus": set(),
    "journal": set(),
    "config": {"config_file"},
    "config_file": set(),
    "expressions": {"expression_names", "flat_paths"},
    "expression_names": set(),
    "flat_paths": set(),
    "subexpressions": set(),
    "failures": set(),
    "policies": set(),
}


def imports(path: Path) -> Iterator[tuple[str, ast.stmt, bool]]:
    """Give each imported module, its statement, and whether it is imported for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module, node, id(node) in for_types
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node, id(node) in for_types


def top(module: str) -> str:
    return module.partition(".")[0]


def part_of(path: Path) -> str:
    return path.relative_to(HOST).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sorted(SDK.rglob("*.py")), ids=lambda p: p.name)
def test_the_sdk_imports_the_standard_library_pluggy_and_msgspec(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "pluggy", "msgspec", "qtforge_sdk"}
    if "testing" in path.parts:
        allowed |= {"pytest", "cel"}  # the extra qtforge-sdk[testing]
    assert {top(module) for module, _, _ in imports(path)} <= allowed


@pytest.mark.parametrize(
    "path", sorted([*BUILTIN.rglob("*.py"), *SAMPLES.glob("*/src/**/*.py")]), ids=lambda p: p.name
)
def test_plugins_import_nothing_of_the_host(path: Path) -> None:
    assert "qtforge_host" not in {top(module) for module, _, _ in imports(path)}


@pytest.mark.parametrize("path", sorted(HOST.rglob("*.py")), ids=lambda p: str(p.name))
def test_the_host_never_imports_the_built_in_plugins(path: Path) -> None:
    assert "qtforge_builtin_plugins" not in {top(module) for module, _, _ in imports(path)}


@pytest.mark.parametrize(
    ("library", "only"),
    [("stevedore", "loading.py"), ("pluggy", "hooks.py"), ("cel", "compiler.py")],
)
def test_a_library_has_one_user_in_the_host(library: str, only: str) -> None:
    users = {
        path.name
        for path in HOST.rglob("*.py")
        if library in {top(module) for module, _, _ in imports(path)}
    }
    assert users == {only}


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(HOST.rglob("*.py")) if part_of(path) in PARTS],
    ids=lambda p: str(p.name),
)
def test_the_hosts_lowest_parts_do_not_import_each_other(path: Path) -> None:
    part = part_of(path)
    used = {
        module.split(".")[1] for module, _, _ in imports(path) if module.startswith("qtforge_host.")
    }
    assert used <= {part, *FOUNDATION, *PARTS[part]}


def test_nothing_below_the_command_line_imports_it_and_nothing_below_the_app_imports_that() -> None:
    for path in HOST.rglob("*.py"):
        used = {module for module, _, _ in imports(path)}
        if part_of(path) != "cli":
            assert not any(module.startswith("qtforge_host.cli") for module in used), path
        if part_of(path) not in ("cli", "serving", "app"):
            assert "qtforge_host.app" not in used, path
        if part_of(path) not in ("cli", "serving"):
            assert not any(module.startswith("qtforge_host.serving") for module in used), path


def test_there_is_no_cycle_among_modules() -> None:
    graph: dict[str, set[str]] = {}
    for root, base in ((SDK, SDK.parent), (HOST, HOST.parent), (BUILTIN, BUILTIN.parent)):
        for path in root.rglob("*.py"):
            name = ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
            used = {module for module, _, for_types in imports(path) if not for_types}
            graph[name] = used - {name}  # a package names itself when it imports its modules
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name in done or name not in graph:
            return
        for each in sorted(graph[name]):
            visit(each, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_classes_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            limit = 250 if isinstance(node, ast.ClassDef) else 50
            length = (node.end_lineno or 0) - node.lineno + 1 - _docstring_lines(node)
            assert length <= limit, f"{node.name} has {length} lines"


def _docstring_lines(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    if ast.get_docstring(node, clean=False) is None:
        return 0
    first = node.body[0]
    return (first.end_lineno or 0) - first.lineno + 1


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_hold_no_mutable_state(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if any(not name.strip("_").isupper() for name in names):
                continue  # a type alias, a TypeVar, a decorator, a logger, __all__
            final = isinstance(node, ast.AnnAssign) and "Final" in ast.unparse(node.annotation)
            mutable = isinstance(node.value, ast.List | ast.Set | ast.ListComp | ast.SetComp)
            assert final or not mutable, f"{path.name}: {names} could change"
