"""Who may import whom, and what else holds for every module: rules over the syntax trees."""

from __future__ import annotations

import ast
import builtins
import functools
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SDK = ROOT / "sdk" / "src" / "qtforge_sdk"
HOST = ROOT / "host" / "qtforge_host"
BUILTIN = ROOT / "builtin_plugins" / "qtforge_builtin_plugins"
SAMPLES = ROOT / "sample_plugins"
EXTENSIONS = ROOT / "extensions"
SOURCES = sorted([*SDK.rglob("*.py"), *HOST.rglob("*.py"), *BUILTIN.rglob("*.py"),
                  *SAMPLES.glob("*/src/**/*.py"), *EXTENSIONS.glob("*/src/**/*.py")])  # fmt: skip

# The host from the top down: a part imports parts of lower rows, and its own.
FLOORS = (
    {"testing"},
    {"cli"},
    {"serving"},
    {"api"},
    {"plugin_check", "scaffold"},
    {"app"},
    {"telemetry"},
    {"alerts", "plugins", "runs", "schedules"},
    {"config", "journal", "nodes", "policies", "workflows"},
    {"expressions"},
    {"bus"},
)
# Rows within `runs`, in the same order; a module that is in none may be imported by all of them.
RUNS = (
    {"triggers", "recovery"},
    {"supervisor"},
    {"engine"},
    {"stateful_run"},
    {"run"},
    {"steps", "control"},
    {"state"},
)
FLOOR_OF = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
_TAKEN_APART = {f"dataclasses.{name}" for name in ("asdict", "astuple", "fields", "replace")}
TOOLS = len(FLOORS)  # what is in no row is a small tool at the bottom


@dataclass
class ClassSource:
    """A class as its source shows it.

    Attributes:
        bases: The dotted names of its bases, as far as its module tells.
        protocol: Whether it is a protocol, which only says what others have.
        defined: Names that its body or its methods give to `self`.
        abstract: Names that its body declares and leaves to heirs.
        used: Names that its methods take from `self`.
    """

    bases: list[str]
    protocol: bool
    defined: set[str] = field(default_factory=set)
    abstract: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)


@functools.cache
def imports(path: Path) -> tuple[tuple[str, ast.stmt, bool], ...]:
    """Return each imported module, its statement, and whether it is imported for types alone."""
    return tuple(_imports(ast.parse(path.read_text(encoding="utf-8"))))


def _imports(tree: ast.Module) -> Iterator[tuple[str, ast.stmt, bool]]:
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


def module_name(path: Path) -> str:
    for root in (SDK, HOST, BUILTIN, *EXTENSIONS.glob("*/src/*")):
        if path.is_relative_to(root):
            relative = path.relative_to(root.parent).with_suffix("")
            return ".".join(relative.parts).removesuffix(".__init__")
    return path.stem


def host_parts_used(path: Path) -> set[str]:
    """Give the parts of the host that a module of it imports, types included."""
    return {
        module.split(".")[1] for module, _, _ in imports(path) if module.startswith("qtforge_host.")
    }


@pytest.mark.parametrize("path", sorted(SDK.rglob("*.py")), ids=lambda p: p.name)
def test_the_sdk_imports_the_standard_library_pluggy_and_msgspec(path: Path) -> None:
    allowed = {*sys.stdlib_module_names, "pluggy", "msgspec", "qtforge_sdk"}
    if "testing" in path.parts:
        allowed |= {"pytest"}  # the extra qtforge-sdk[testing]
    assert {top(module) for module, _, _ in imports(path)} <= allowed


@pytest.mark.parametrize(
    "path",
    sorted([*BUILTIN.rglob("*.py"), *SAMPLES.glob("*/src/**/*.py"),
            *EXTENSIONS.glob("*/src/**/*.py")]),
    ids=lambda p: p.name,
)  # fmt: skip
def test_plugins_and_extensions_import_nothing_of_the_host(path: Path) -> None:
    others = {"qtforge_host", "qtforge_builtin_plugins"} - {path.relative_to(ROOT).parts[1]}
    assert not others & {top(module) for module, _, _ in imports(path)}


@pytest.mark.parametrize("path", sorted(HOST.rglob("*.py")), ids=lambda p: str(p.name))
def test_the_host_never_imports_the_built_in_plugins(path: Path) -> None:
    assert "qtforge_builtin_plugins" not in {top(module) for module, _, _ in imports(path)}


@pytest.mark.parametrize(
    ("library", "only"),
    [("stevedore", "first_loading.py"), ("pluggy", "hooks.py"), ("cel", "cel_library.py")],
)
def test_a_library_has_one_user_in_the_host(library: str, only: str) -> None:
    users = {
        path.name
        for path in HOST.rglob("*.py")
        if library in {top(module) for module, _, _ in imports(path)}
    }
    assert users == {only}


def test_what_takes_dataclasses_apart_also_knows_structs() -> None:
    # The host's own values are Structs, which `dataclasses.replace` refuses; a type checker,
    # which reads both as dataclasses, does not say so. Only values of plugins may be either.
    users = {
        str(path.relative_to(HOST))
        for path in HOST.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.ImportFrom) and node.module == "dataclasses"
            and {each.name for each in node.names} - {"dataclass", "field"})
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in _TAKEN_APART)
    }  # fmt: skip
    assert users == {"runs/run_secrets.py"}


@pytest.mark.parametrize("path", sorted(HOST.rglob("*.py")), ids=lambda p: str(p.relative_to(HOST)))
def test_the_host_imports_downwards(path: Path) -> None:
    part = part_of(path)
    floor = FLOOR_OF.get(part, TOOLS)
    upwards = {
        used
        for used in host_parts_used(path)
        if used != part and floor < TOOLS and FLOOR_OF.get(used, TOOLS) <= floor
        and not _beside(part, used)
    } | {used for used in host_parts_used(path) if floor == TOOLS and used in FLOOR_OF}  # fmt: skip
    assert not upwards


@pytest.mark.parametrize(
    "path",
    sorted(
        [
            *(HOST / "cli").rglob("*.py"),
            *(HOST / "serving" / "http").rglob("*.py"),
            *(HOST / "serving" / "web").rglob("*.py"),
        ]
    ),
    ids=lambda p: str(p.relative_to(HOST)),
)
def test_a_face_calls_the_use_cases_and_opens_no_journal_and_no_engine(path: Path) -> None:
    opens = ("api.lookup", "api.parts", "journal", "plugins.extensions", "runs.engine",
             "runs.execution", "runs.supervisor")  # fmt: skip
    used = {module for module, _, _ in imports(path)} - {"qtforge_host.journal.backup"}
    assert not {
        module for module in used
        if module.removeprefix("qtforge_host.").startswith(opens)
    }  # fmt: skip


def _beside(part: str, used: str) -> bool:
    """Whether two parts of a row may know each other; the test of cycles still holds for them."""
    return {part, used} <= {"config", "journal", "policies", "workflows"}


@pytest.mark.parametrize("path", sorted((HOST / "runs").glob("*.py")), ids=lambda p: p.name)
def test_runs_import_downwards(path: Path) -> None:
    floors = {name: floor for floor, names in enumerate(RUNS) for name in names}
    floor = floors.get(path.stem)
    used = {
        module.rpartition(".")[2]
        for module, _, _ in imports(path)
        if module.startswith("qtforge_host.runs.")
    }
    if floor is not None:
        assert not {name for name in used if floors.get(name, len(RUNS)) <= floor}


def test_there_is_no_cycle_among_modules() -> None:
    graph: dict[str, set[str]] = {}
    for root in (SDK, HOST, BUILTIN, *EXTENSIONS.glob("*/src/*")):
        for path in root.rglob("*.py"):
            name = module_name(path)
            used = {module for module, _, for_types in imports(path) if not for_types}
            graph[name] = used - {name}  # a package names itself when it imports its modules
    assert_no_cycle(graph)


def test_there_is_no_cycle_among_the_hosts_parts() -> None:
    graph: dict[str, set[str]] = {}
    for path in HOST.rglob("*.py"):
        graph.setdefault(part_of(path), set()).update(host_parts_used(path) - {part_of(path)})
    assert_no_cycle(graph)


def assert_no_cycle(graph: dict[str, set[str]]) -> None:
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


def test_what_a_docstring_says_is_raised_exists() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in SOURCES}
    known = set(dir(builtins))
    for text in texts.values():
        known.update(re.findall(r"^ *class (\w+)", text, re.MULTILINE))
    raised = re.compile(r"^( *)Raises:\n((?:\1 +.*\n)+)", re.MULTILINE)
    for path, text in texts.items():
        for _, lines in raised.findall(text):
            for name in re.findall(r"^ +([A-Z]\w+): ", lines, re.MULTILINE):
                assert name in known or f"import {name}" in text, f"{path}: {name}"


def test_no_base_class_uses_what_only_its_heir_defines() -> None:
    classes = {
        name: found
        for path in SOURCES
        if not path.is_relative_to(SDK / "testing")  # whose contract heirs give their journals
        for name, found in class_sources(path).items()
    }

    def ancestors(name: str) -> Iterator[ClassSource]:
        for base in classes[name].bases:
            if base in classes:
                yield classes[base]
                yield from ancestors(base)

    for name, heir in classes.items():
        for base in ancestors(name):
            if base.protocol:
                continue
            known = base.defined.union(*(each.defined for each in ancestors(name)))
            assert not (base.used & base.abstract & heir.defined - known), name


def class_sources(path: Path) -> dict[str, ClassSource]:
    """Give a module's classes by their dotted names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    module = module_name(path)
    known = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            bases = [
                ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
                for base in node.bases
            ]
            source = ClassSource(
                bases=[known.get(base, f"{module}.{base}") for base in bases],
                protocol="Protocol" in bases,
            )
            _read_body(node, source)
            found[f"{module}.{node.name}"] = source
    return found


def _is_stub(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a method only says that heirs have it."""
    rest = [each for each in function.body if not _is_constant(each)]
    return not rest or (
        len(rest) == 1
        and isinstance(rest[0], ast.Raise)
        and "NotImplementedError" in ast.unparse(rest[0])
    )


def _is_constant(statement: ast.stmt) -> bool:  # a docstring, or an ellipsis
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _read_body(node: ast.ClassDef, source: ClassSource) -> None:
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            abstract = _is_stub(item) or any(
                "abstract" in ast.unparse(each) for each in item.decorator_list
            )
            (source.abstract if abstract else source.defined).add(item.name)
        elif isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            (source.abstract if item.value is None else source.defined).add(item.target.id)
        elif isinstance(item, ast.Assign):
            source.defined |= {each.id for each in item.targets if isinstance(each, ast.Name)}
    for inner in ast.walk(node):
        if (
            isinstance(inner, ast.Attribute)
            and isinstance(inner.value, ast.Name)
            and inner.value.id == "self"
        ):
            used = source.defined if isinstance(inner.ctx, ast.Store) else source.used
            used.add(inner.attr)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_modules_hold_no_mutable_state(path: Path) -> None:
    assert set(mutable_state(path.read_text(encoding="utf-8"))) <= OF_THE_PROCESS


# What fork copies is of the process, and of no host.
OF_THE_PROCESS = {"_CLOSED_IN_CHILDREN"}


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("NAMES = []", ["NAMES"]), ("NAMES: Final = {each for each in x}", ["NAMES"]),
        ("seen = set()", ["seen"]), ("_SEEN: Final = weakref.WeakSet()", ["_SEEN"]),
        ("LOCK = threading.Lock()", ["LOCK"]), ("COUNT = 0\ndef f():\n  global COUNT", ["COUNT"]),
        ("T: Final = {}\ndef f():\n  T['a'] = 1", ["T"]), ("T = {}\ndef f():\n  del T['a']", ["T"]),
        ("T: Final = {}\ndef f():\n  T.setdefault('a', 1)", ["T"]),
        ("T: Final = {'a': 1}\ndef f():\n  return T.get('a')", []),
        ("__all__ = ['a']", []), ("NAMES: Final = ('a',)\ndef f():\n  NAMES = []", []),
        ("T: Final = {}\ndef f():\n  T = {}\n  T['a'] = 1", []),
    ],
)  # fmt: skip
def test_mutable_state_of_a_module_is_found(source: str, found: list[str]) -> None:
    assert list(mutable_state(source)) == found


def mutable_state(source: str) -> Iterator[str]:
    """Give the names of a module that hold a container that can change, or are changed."""
    tree = ast.parse(source)
    names = set()
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = {each.id for each in targets if isinstance(each, ast.Name)} - {"__all__"}
            names |= found
            made = node.value
            kind = ast.unparse(made.func) if isinstance(made, ast.Call) else ""
            if kind.rpartition(".")[2] in MUTABLE or isinstance(
                made, ast.List | ast.Set | ast.ListComp | ast.SetComp
            ):
                yield from sorted(found)
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _changed(function, names)


MUTABLE = {
    "list", "set", "dict", "bytearray", "deque", "defaultdict", "OrderedDict", "Counter",
    "WeakSet", "WeakKeyDictionary", "WeakValueDictionary", "Lock", "Event", "Queue",
}  # fmt: skip
CHANGES = {
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem",
    "popleft", "remove", "reverse", "setdefault", "sort", "update",
}  # fmt: skip


def _changed(function: ast.FunctionDef | ast.AsyncFunctionDef, names: set[str]) -> Iterator[str]:
    own = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    } | {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    for node in ast.walk(function):
        if isinstance(node, ast.Global):
            yield from node.names
        changed = None
        if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            changed = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            changed = node.func.value if node.func.attr in CHANGES else None
        if isinstance(changed, ast.Name) and changed.id in names - own:
            yield changed.id


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_no_test_module_imports_another(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            named = [node.module or "", *(alias.name for alias in node.names)]
            assert not any(part.startswith("test_") for each in named for part in each.split("."))
