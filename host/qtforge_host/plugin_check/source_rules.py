"""Mistakes that the source of a plugin shows: rules over the syntax tree, without an import."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from qtforge_host.plugin_check.findings import Finding, Level
from qtforge_host.plugins.python_source import unparse

__all__ = ["Mention", "SourceFacts", "read_source"]

_BLOCKING: Final = frozenset(
    (
        "asyncio.run", "input", "os.popen", "os.system", "os.wait", "shutil.copytree",
        "shutil.rmtree", "socket.create_connection", "subprocess.call", "subprocess.check_call",
        "subprocess.check_output", "subprocess.run", "time.sleep", "urllib.request.urlopen",
    )
)  # fmt: skip
_BLOCKING_MODULES: Final = ("httpx.", "requests.", "urllib3.")
_HTTP_VERBS: Final = frozenset(
    ("get", "post", "put", "patch", "delete", "head", "options", "request")
)
_EXITS: Final = frozenset(("exit", "quit", "os._exit", "os.abort", "sys.exit"))
_AWAITED: Final = frozenset(("request", "publish", "wait_event", "sleep", "run_workflow", "step"))
_HANDLERS: Final = frozenset(("operation", "subscriber", "hookimpl", "workflow"))
_METHODS: Final = frozenset(("start", "stop", "health"))
_ERROR: Final = "OperationError"
_ERROR_ARGUMENTS: Final = 2  # its code, and what happened

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Mention(NamedTuple):
    """A topic that the source names.

    Attributes:
        how: ``request``, ``publish`` or ``subscribe``.
        topic: The topic, or a subscriber's pattern.
        line: Where.
    """

    how: str
    topic: str
    line: int


@dataclass(slots=True)
class SourceFacts:
    """What a source shows.

    Attributes:
        findings: Mistakes, without their file.
        mentions: Topics that it names.
        names: What its module defines; None where only an import would show it.
        classes: The classes among them.
    """

    findings: list[Finding] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)
    names: set[str] | None = None
    classes: set[str] = field(default_factory=set)


def read_source(tree: ast.Module) -> SourceFacts:
    """Apply the rules to a module."""
    classes = {each.name for each in tree.body if isinstance(each, ast.ClassDef)}
    facts = SourceFacts(names=_names(tree), classes=classes)
    aliases = _aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            _check_class(node, aliases, facts)
        elif isinstance(node, ast.AsyncFunctionDef):
            _check_blocking(node, aliases, facts)
        elif isinstance(node, ast.Call):
            _mention(node, facts)
    return facts


def _names(tree: ast.Module) -> set[str] | None:
    found: set[str] = set()
    for node in tree.body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                found.add(node.name)
            case ast.Import() | ast.ImportFrom():
                names = [each.asname or each.name.partition(".")[0] for each in node.names]
                if "*" in names and getattr(node, "module", "") != "qtforge_sdk":
                    return None
                found.update(names)
            case ast.Assign():
                found.update(each.id for each in node.targets if isinstance(each, ast.Name))
            case ast.AnnAssign():
                found.update([node.target.id] if isinstance(node.target, ast.Name) else [])
            case ast.Expr(value=ast.Constant()):
                pass
            case _:  # an `if`, a `try`: what it defines depends
                return None
    return None if "__getattr__" in found else found


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Return what the imported names of a module stand for."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                top = each.name.partition(".")[0]
                found[each.asname or top] = each.name if each.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return found


def _dotted(node: ast.expr, aliases: Mapping[str, str]) -> str:
    """Return the dotted name that an expression stands for, or ""."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([aliases.get(node.id, node.id), *reversed(parts)])


def _walk(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes of a function's own body, not those of functions within it."""
    left: list[ast.AST] = [*function.body]
    while left:
        node = left.pop(0)
        yield node
        if not isinstance(node, Function | ast.Lambda | ast.ClassDef):
            left[:0] = ast.iter_child_nodes(node)


def _check_blocking(
    function: ast.AsyncFunctionDef, aliases: Mapping[str, str], facts: SourceFacts
) -> None:
    for node in _walk(function):
        if not isinstance(node, ast.Call):
            continue
        name = _dotted(node.func, aliases)
        module, _, verb = name.rpartition(".")
        by_http = f"{module}." in _BLOCKING_MODULES and verb in _HTTP_VERBS
        if name not in _BLOCKING and not by_http:
            continue
        if name == "asyncio.run":
            why = "an event loop is running already, so it raises RuntimeError"
            fix = "await the coroutine"
        else:
            why = "nothing else of the host happens meanwhile: no request, no timer, no page"
            fix = "write 'def' instead of 'async def', and the host calls it in a thread"
            if name == "time.sleep":
                fix += "; or await asyncio.sleep(...)"
        what = f"{name}() blocks the event loop in the async function {function.name}"
        _add(facts, "error", "operation.blocking_call", what, why, fix, node.lineno)


def _check_class(node: ast.ClassDef, aliases: Mapping[str, str], facts: SourceFacts) -> None:
    functions = [each for each in node.body if isinstance(each, Function)]
    coroutines = {each.name for each in functions if isinstance(each, ast.AsyncFunctionDef)}
    topics: dict[str, str] = {}
    is_plugin = any(_dotted(base, aliases).endswith("Plugin") for base in node.bases)
    for function in functions:
        kinds = dict(_decorators(function, aliases))
        if not kinds and not (is_plugin and function.name in _METHODS):
            continue
        _check_function(function, coroutines, aliases, facts)
        topic = _first_text(kinds.get("operation"))
        if topic:
            earlier = topics.setdefault(topic, function.name)
            if earlier != function.name:
                what = f"{function.name} and {earlier} are both operations of '{topic}'"
                why = "one of them is never called, unless their conditions differ"
                fix = "give one of them another topic, or both accepts=..."
                level: Level = "advice" if _has(kinds["operation"], "accepts") else "error"
                _add(facts, level, "operation.same_topic", what, why, fix, function.lineno)
            _check_answer(function, aliases, facts)
        pattern = _first_text(kinds.get("subscriber"))
        if pattern:
            facts.mentions.append(Mention("subscribe", pattern, function.lineno))
    if is_plugin:
        for function in functions:
            if function.name == "start" and not isinstance(function, ast.AsyncFunctionDef):
                what, why = (
                    f"{node.name}.start is not async",
                    "Plugin.start is a coroutine function",
                )
                fix = "write async def start(self, context)"
                _add(facts, "advice", "plugin.start_not_async", what, why, fix, function.lineno)


def _check_function(
    function: Function, coroutines: set[str], aliases: Mapping[str, str], facts: SourceFacts
) -> None:
    """Find what a function that the host calls does wrong."""
    for node in _walk(function):
        given = node.value if isinstance(node, ast.Return | ast.Expr) else None
        if isinstance(given, ast.Call):
            _check_awaited(function, given, isinstance(node, ast.Return), coroutines, facts)
            if isinstance(node, ast.Return) and _dotted(given.func, aliases).endswith(_ERROR):
                what = f"{function.name} returns an OperationError instead of raising it"
                why = "the request would succeed, with the error as its answer"
                _add(
                    facts,
                    "error",
                    "operation.error_returned",
                    what,
                    why,
                    "write raise",
                    node.lineno,
                )
        if not isinstance(node, ast.Call):
            continue
        name = _dotted(node.func, aliases)
        if name in _EXITS:
            what = f"{function.name} calls {name}()"
            why = "that is meant for programs; a plugin is one part of the host"
            fix = "raise OperationError(code, what, why, fix)"
            _add(facts, "error", "plugin.exits", what, why, fix, node.lineno)
        elif name.endswith(_ERROR) and len(node.args) < _ERROR_ARGUMENTS and not _starred(node):
            what = f"{_ERROR} gets {len(node.args)} of its positional arguments in {function.name}"
            why = "it needs a code and what happened, so raising it raises a TypeError"
            fix = 'write OperationError("subject.what_is_wrong", "what happened", "why", "fix")'
            _add(facts, "error", "operation.error_arguments", what, why, fix, node.lineno)


def _check_awaited(
    function: Function, call: ast.Call, returned: bool, coroutines: set[str], facts: SourceFacts
) -> None:
    if not isinstance(call.func, ast.Attribute):
        return
    owner = unparse(call.func.value)
    own = owner == "self" and call.func.attr in coroutines
    of_host = call.func.attr in _AWAITED and owner.rpartition(".")[2].lstrip("_") in ("bus", "run")
    if not own and not of_host:
        return
    name = f"{owner}.{call.func.attr}()"
    is_async = isinstance(function, ast.AsyncFunctionDef)
    fix = f"write {'return ' if returned else ''}await {name.removesuffix('()')}(...)"
    if not is_async:
        fix += f", and async def {function.name}"
    why = "the answer would be a coroutine" if returned else "it would never be executed"
    what = f"{function.name} does not await {name}"
    _add(facts, "error", "operation.missing_await", what, why, fix, call.lineno)


def _check_answer(function: Function, aliases: Mapping[str, str], facts: SourceFacts) -> None:
    """Find an operation that says what it answers, and answers nothing."""
    wanted = function.returns
    if wanted is None:
        what = f"{function.name} does not say what it answers"
        why = "the answer is not checked, and no workflow knows its fields"
        fix = "annotate it: -> a Struct, a dataclass or a plain type"
        _add(facts, "advice", "operation.untyped_answer", what, why, fix, function.lineno)
        return
    text = unparse(wanted)
    if "None" in text or "Any" in text or "NoReturn" in text or "Never" in text:
        return
    nodes = list(_walk(function))
    answers = any(isinstance(each, ast.Return) and each.value is not None for each in nodes)
    if answers or any(isinstance(each, ast.Raise | ast.Yield | ast.While) for each in nodes):
        return
    if any(isinstance(each, ast.Call) and _dotted(each.func, aliases) in _EXITS for each in nodes):
        return
    what = f"{function.name} answers nothing, and its annotation says {text}"
    why = "a request of the topic would fail"
    fix = f"return a {text}, or annotate -> None"
    _add(facts, "error", "operation.no_answer", what, why, fix, function.lineno)


def _mention(node: ast.Call, facts: SourceFacts) -> None:
    if not isinstance(node.func, ast.Attribute) or node.func.attr not in ("request", "publish"):
        return
    owner = unparse(node.func.value).rpartition(".")[2].lstrip("_")
    at = {"bus": 0, "run": 1}.get(owner)
    if at is None or len(node.args) <= at:
        return
    given = node.args[at]
    if isinstance(given, ast.Constant) and isinstance(given.value, str):
        facts.mentions.append(Mention(node.func.attr, given.value, given.lineno))


def _decorators(
    function: Function, aliases: Mapping[str, str]
) -> Iterable[tuple[str, ast.Call | None]]:
    for each in function.decorator_list:
        call = each if isinstance(each, ast.Call) else None
        name = _dotted(each if call is None else call.func, aliases)
        kind = name.rpartition(".")[2]
        if kind in _HANDLERS and (name == kind or name.startswith("qtforge_sdk.")):
            yield kind, call


def _first_text(call: ast.Call | None) -> str:
    if call is None or not call.args or not isinstance(call.args[0], ast.Constant):
        return ""
    value = call.args[0].value
    return value if isinstance(value, str) else ""


def _has(call: ast.Call | None, keyword: str) -> bool:
    return call is not None and any(each.arg == keyword for each in call.keywords)


def _starred(call: ast.Call) -> bool:
    return any(isinstance(each, ast.Starred) for each in call.args)


def _add(
    facts: SourceFacts, level: Level, code: str, what: str, why: str, fix: str, line: int
) -> None:
    finding = Finding(level=level, code=code, what=what, why=why, fix=fix, line=line)
    facts.findings.append(finding)
