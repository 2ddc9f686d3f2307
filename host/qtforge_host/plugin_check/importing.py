"""The second step: what the plugin's class shows when it has been imported."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from qtforge_host.expressions.compiler import Expressions
from qtforge_host.plugin_check.findings import Finding, Level, attributed, from_status, split_place
from qtforge_host.plugin_check.job import Answer, Job
from qtforge_host.plugin_check.subject import Subject
from qtforge_host.plugin_code import clean_text, place_of_function, value_text
from qtforge_host.plugins.candidates import PLUGIN_GROUP, Candidate
from qtforge_host.plugins.load_outcome import Loaded
from qtforge_host.plugins.loading import PluginLoader
from qtforge_host.plugins.python_source import parse_source, unparse
from qtforge_sdk.conversion import convert, is_untyped
from qtforge_sdk.errors import ExpressionError, PluginError
from qtforge_sdk.hookspecs import HookSpecs
from qtforge_sdk.members import members_of
from qtforge_sdk.operations import (
    OperationSpec,
    Signature,
    handler_signature,
    operation_spec,
)
from qtforge_sdk.validation import did_you_mean

__all__ = ["class_place", "import_plugins"]

_HOOK_MARK: Final = "qtforge_impl"
_HOOKS: Final = tuple(name for name in vars(HookSpecs) if name.startswith("qtforge_"))


def import_plugins(job: Job) -> Answer:
    """Import a target's plugins, and look at their classes."""
    subject = Subject(job)
    wanted = [each for each in subject.plugins if each.key not in job.skip]
    timeout_s = subject.settings.import_timeout_s
    outcome = PluginLoader().load(wanted, import_timeout_s=timeout_s)
    findings = []
    for candidate in wanted:
        status = outcome.failed.get(candidate.key)
        if status is not None:
            found = from_status(status, class_place(subject, candidate))
            findings.append(attributed(found, candidate))
    for loaded in outcome.loaded:
        if loaded.candidate.group == PLUGIN_GROUP:
            findings += [attributed(each, loaded.candidate) for each in _of_class(loaded)]
    return Answer(findings=findings, unusable=list(outcome.failed))


def class_place(subject: Subject, candidate: Candidate) -> tuple[Path | None, int | None]:
    """Return file and line of a plugin's class, as far as its sources show them."""
    attribute = candidate.entry_point.value.partition("[")[0].partition(":")[2].strip()
    first: Path | None = None
    for path in subject.sources(candidate):
        first = first or path
        try:
            tree = parse_source(path.read_bytes())
        except (OSError, SyntaxError):
            continue
        for node in tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == attribute:
                return path, node.lineno
    return first, None


def _of_class(loaded: Loaded) -> Iterator[Finding]:
    kind = loaded.plugin_class
    yield from _of_hooks(kind)
    for name, function in inspect.getmembers(kind, callable):
        spec = operation_spec(function)
        if spec is not None:
            yield from _of_operation(loaded, getattr(loaded.plugin, name), spec)
    if getattr(kind, "Config", None) is None:
        yield from _of_missing_config(kind)


def _finding(
    function: object, level: Level, code: str, what: str, why: str = "", fix: str = ""
) -> Finding:
    _, file, line = split_place(f"({place_of_function(function)})")
    return Finding(level=level, code=code, what=what, why=why, fix=fix, file=file, line=line)


def _of_hooks(kind: type[Any]) -> Iterator[Finding]:
    for name, function in inspect.getmembers(kind, callable):
        if not name.startswith("qtforge_"):
            continue
        marked = hasattr(function, _HOOK_MARK)
        if name not in _HOOKS:
            fix = did_you_mean(name, _HOOKS)
            yield _finding(function, "error", "hook.unknown", f"there is no hook '{name}'",
                           "the host never calls it", fix)  # fmt: skip
        elif not marked:
            yield _finding(function, "error", "hook.not_marked", f"{name} is not marked",
                           "the host calls only methods that are marked",
                           "write @hookimpl above it, from qtforge_sdk")  # fmt: skip


def _of_operation(
    loaded: Loaded, method: Callable[..., Any], spec: OperationSpec
) -> Iterator[Finding]:
    name = method.__qualname__
    try:
        signature = handler_signature(method, loaded.candidate.name, extra=2 if spec.wrapper else 1)
    except PluginError as error:
        fix = error.fix if "annotations" in error.why else (
            f"write def {method.__name__}(self, message), with an OperationContext after it if"
            " it needs one"
        )  # fmt: skip
        yield _finding(method, "error", error.code, error.why, "the plugin would not start", fix)
        return
    unsupported = _unsupported(signature.message_type)
    if unsupported:
        what = f"the message of {name} is a {unsupported}"
        why = "no workflow and no request from outside can give one"
        fix = "annotate it with a msgspec.Struct, a dataclass or a plain type"
        yield _finding(method, "error", "operation.message_type", what, why, fix)
    if spec.accepts is not None:
        yield from _of_accepts(method, spec.accepts, signature)
    if spec.execution == "process" and signature.is_async:
        what = f"{name} is async, and is called in a worker process"
        why = "nothing else happens in that process"
        yield _finding(method, "advice", "operation.async_process", what, why,
                       f"write def {method.__name__}")  # fmt: skip
    yield from _of_example(method, spec, signature)
    yield from _of_literal_answers(method, signature)


def _unsupported(annotation: Any) -> str:
    """Return the name of a class that can't be made of a message, or ""."""
    if is_untyped(annotation):
        return ""
    try:
        found = msgspec.inspect.type_info(annotation)
    except (TypeError, NameError, AttributeError, RecursionError):
        return ""
    return annotation.__name__ if isinstance(found, msgspec.inspect.CustomType) else ""


def _of_accepts(method: Callable[..., Any], source: str, signature: Signature) -> Iterator[Finding]:
    try:
        compiled = Expressions().compile(source, ("message",))
    except ExpressionError as error:
        what = f"accepts of {method.__qualname__} can't be used: '{source}'"
        yield _finding(method, "error", "plugin.invalid_condition", what, error.why,
                       error.fix or "correct the condition")  # fmt: skip
        return
    members = None if is_untyped(signature.message_type) else members_of([signature.message_type])
    if members is None:
        return
    for problem in compiled.problems({"message": members}):
        what = f"accepts of {method.__qualname__} asks for what no message has: '{source}'"
        yield _finding(method, "error", "operation.accepts", what, problem.why,
                       problem.fix or "name a field of the message")  # fmt: skip


def _of_example(
    method: Callable[..., Any], spec: OperationSpec, signature: Signature
) -> Iterator[Finding]:
    if spec.example is None or spec.wrapper:
        return
    try:
        convert(spec.example, signature.message_type)
    except msgspec.ValidationError as error:
        what = f"the example of {method.__qualname__} is no message of its type"
        yield _finding(method, "error", "operation.example", what, clean_text(error),
                       "give every field that has no default")  # fmt: skip


def _of_literal_answers(method: Callable[..., Any], signature: Signature) -> Iterator[Finding]:
    """Find answers that stand in the source and are not of the annotated type."""
    if is_untyped(signature.response_type):
        return
    for node, line in _nodes(method):
        if not isinstance(node, ast.Return) or node.value is None:
            continue
        try:
            value = ast.literal_eval(node.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        try:
            convert(value, signature.response_type)
        except msgspec.ValidationError as error:
            finding = _finding(
                method, "error", "operation.answer_type",
                f"{method.__qualname__} returns {value_text(value, 40)}, and is annotated with"
                f" {inspect.formatannotation(signature.response_type)}",
                clean_text(error), "return that type, or correct the annotation",
            )  # fmt: skip
            yield msgspec.structs.replace(finding, line=line)


def _of_missing_config(kind: type[Any]) -> Iterator[Finding]:
    """Find methods that use a configuration of a class that takes none."""
    for _, function in inspect.getmembers(kind, inspect.isfunction):
        if (function.__module__ or "").startswith(("qtforge_sdk", "qtforge_host")):
            continue
        for node, line in _nodes(function):
            if isinstance(node, ast.Attribute) and unparse(node.value) == "self.config":
                finding = _finding(
                    function, "error", "plugin.no_config",
                    f"{function.__qualname__} uses self.config.{node.attr}, and the class has no"
                    " Config",
                    "self.config is None",
                    f"write Config = a Struct with the field {node.attr} in the class",
                )  # fmt: skip
                yield msgspec.structs.replace(finding, line=line)
                break


def _nodes(function: Callable[..., Any]) -> Iterator[tuple[ast.AST, int]]:
    """Yield the nodes of a function's source, each with its line in the file."""
    try:
        lines, first = inspect.getsourcelines(function)
        tree = parse_source(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError):
        return
    for node in ast.walk(tree):
        yield node, first + getattr(node, "lineno", 1) - 1
