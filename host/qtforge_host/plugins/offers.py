"""Read what a plugin offers from its source, without importing it.

What is written literally in the class is read: ``@operation("topic")``, ``@subscriber("pattern")``,
``@hookimpl``, and the methods ``start``, ``stop`` and ``health`` of `qtforge_sdk.Plugin`. A class
whose hooks may come from elsewhere is not read, with the reason: such a plugin is started with the
host, since nobody knows what would need it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from qtforge_host.plugin_code import valid_text
from qtforge_host.plugins.candidates import Candidate
from qtforge_host.plugins.declarations import ClassSource, find_class
from qtforge_host.plugins.python_source import expression_text, unparse
from qtforge_sdk.errors import InvalidTopicError
from qtforge_sdk.topics import validate_pattern, validate_topic

__all__ = ["OfferedOperation", "Offers", "kind_in", "offers_in", "read_offers"]

START: Final = "qtforge_start"
HEALTH: Final = "qtforge_health"
_SDK: Final = "qtforge_sdk"
_METHODS: Final[Mapping[str, str]] = {
    "start": START,
    "stop": "qtforge_stop",
    "health": HEALTH,
}
"""What implements a hook by its name alone, in a class derived from `qtforge_sdk.Plugin`."""

_MARKERS: Final = frozenset({"operation", "subscriber", "hookimpl"})
# They return what they are given, or something that is no method for pluggy, or keep its marks.
_HARMLESS: Final = frozenset(
    {
        "abc.abstractmethod",
        "abstractmethod",
        "cached_property",
        "classmethod",
        "functools.cached_property",
        "override",
        "property",
        "staticmethod",
        "typing.override",
    }
)
# With these a class decides for itself what its attributes are.
_DYNAMIC: Final = frozenset(
    {"__class__", "__dir__", "__getattr__", "__getattribute__", "__init_subclass__", "__new__"}
)


class OfferedOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation as its decorator describes it.

    Attributes:
        topic: Its topic.
        wrapper: Whether it wraps the topic's handlers.
    """

    topic: str
    wrapper: bool = False


class Offers(msgspec.Struct, frozen=True, kw_only=True):
    """What a plugin offers.

    Attributes:
        operations: Its operations, in the order of the source.
        subscriptions: The patterns of its subscribers.
        hooks: The hooks of the host that it implements, such as ``qtforge_start``.
        folder: The folder of the module that defines the class; "" where that is not known.
        unread: Why this could not be read from the source, or ""; then the others are empty.
    """

    operations: tuple[OfferedOperation, ...] = ()
    subscriptions: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()
    folder: str = ""
    unread: str = ""

    @property
    def topics(self) -> frozenset[str]:
        """The topics that it handles or wraps."""
        return frozenset(each.topic for each in self.operations)


def read_offers(candidate: Candidate) -> Offers:
    """Return what the class of a candidate offers."""
    return offers_in(find_class(candidate))


def offers_in(source: ClassSource | None) -> Offers:
    """Return what a class offers.

    Args:
        source: The class, parsed; None where it was not found.
    """
    if source is None or source.module is None or source.definition is None:
        return Offers(unread="its class is not found in a Python source")
    try:
        found = _Reader(source.module, source.definition).offers()
        return msgspec.structs.replace(found, folder=str(source.path.parent))
    except _UnreadError as error:
        return Offers(unread=str(error))


def kind_in(source: ClassSource | None) -> str:
    """Return the kind of workflow that an orchestrator's class says it executes.

    Args:
        source: The class, parsed; None where it was not found.

    Returns:
        "" where it is not a literal of a plain class.
    """
    if source is None or source.definition is None:
        return ""
    definition = source.definition
    if definition.decorator_list or definition.keywords:
        return ""
    found = [value for name, value in _assignments(definition.body) if name == "kind"]
    if len(found) != 1 or not isinstance(found[0], ast.Constant):
        return ""
    return found[0].value if isinstance(found[0].value, str) else ""


class _UnreadError(Exception):
    """What a class offers cannot be read from its source."""


class _Reader:
    def __init__(self, module: ast.Module, definition: ast.ClassDef) -> None:
        self._definition = definition
        self._imported = dict(_imports(module))
        self._bound = _bound_names(module)
        self._constants = _constants(module)
        self._module = module
        self._is_plugin = False
        self._operations: list[OfferedOperation] = []
        self._subscriptions: list[str] = []
        self._hooks: dict[str, None] = {}

    def offers(self) -> Offers:
        """Return what the class offers.

        Raises:
            _UnreadError: It cannot be read.
        """
        self._check_class()
        self._check_module()
        decorators: set[int] = set()
        for node in self._definition.body:
            self._check_statement(node)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                decorators.update(map(id, node.decorator_list))
                self._read_method(node)
        self._check_markers(decorators)
        if not (self._is_plugin or self._hooks or self._operations or self._subscriptions):
            raise _UnreadError("its class has no operation, subscriber or hook")
        return Offers(
            operations=tuple(self._operations),
            subscriptions=tuple(self._subscriptions),
            hooks=tuple(sorted(self._hooks)),
        )

    def _check_class(self) -> None:
        name = self._definition.name
        if self._definition.decorator_list:
            raise _UnreadError(f"its class {name} has a decorator")
        if self._definition.keywords:
            raise _UnreadError(f"its class {name} has a metaclass or other arguments")
        for base in self._definition.bases:
            origin = self._origin(base)
            if origin == "Plugin":
                self._is_plugin = True
            elif not (isinstance(base, ast.Name) and base.id == "object"):
                text = expression_text(base)
                raise _UnreadError(f"it is derived from {text}, not from qtforge_sdk.Plugin alone")

    def _check_module(self) -> None:
        """Refuse a module that changes the class, or subscribes to topics as it likes."""
        name = self._definition.name
        for node in self._module.body:
            if isinstance(
                node,
                ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom,
            ):
                continue
            if any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(node)):
                raise _UnreadError(f"its module does more with {name} than to define it")
        for each in ast.walk(self._module):
            if (
                isinstance(each, ast.Call)
                and isinstance(each.func, ast.Attribute)
                and each.func.attr == "subscribe"
            ):
                raise _UnreadError("its code calls subscribe, with which it may expect messages")

    def _check_statement(self, node: ast.stmt) -> None:
        """Refuse a statement that may make hooks in a way that is not read."""
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                if name in _DYNAMIC:
                    raise _UnreadError(f"its class has {name}")
            case ast.ClassDef() | ast.Pass() | ast.Expr(value=ast.Constant()):
                pass
            case ast.AnnAssign(value=None):
                pass
            case ast.Assign(targets=[ast.Name(id=target)], value=value):
                self._check_value(target, value)
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value):
                self._check_value(target, value)
            case _:
                raise _UnreadError(f"its class has a statement in line {node.lineno}")

    def _check_value(self, target: str, value: ast.expr) -> None:
        """Refuse what a class keeps under a name, where it may be a method with a hook's mark."""
        if target in _METHODS or target.startswith("qtforge_"):
            raise _UnreadError(f"its {target} is not a method in its class")
        if target in ("Config", "config") or isinstance(value, ast.Constant | ast.JoinedStr):
            return
        if isinstance(value, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.BinOp | ast.UnaryOp):
            return  # no routine, whatever is in it
        if isinstance(value, ast.Name) and value.id in self._constants:
            return
        raise _UnreadError(f"its {target} may be an operation: it is not a literal")

    def _check_markers(self, decorators: set[int]) -> None:
        """Refuse markers that are used otherwise than to decorate a method of the class."""
        allowed = {
            id(each.func if isinstance(each, ast.Call) else each)
            for node in self._definition.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for each in node.decorator_list
            if id(each) in decorators
        }
        for node in ast.walk(self._definition):
            if (
                isinstance(node, ast.Name | ast.Attribute)
                and self._origin(node) in _MARKERS
                and id(node) not in allowed
            ):
                raise _UnreadError(f"it uses {expression_text(node)} in line {node.lineno}")

    def _read_method(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        if self._is_plugin and node.name in _METHODS:
            self._hooks[_METHODS[node.name]] = None
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            function = decorator if call is None else call.func
            marker = self._origin(function)
            if marker not in _MARKERS:
                if self._is_harmless(function):
                    continue
                text = expression_text(function)
                raise _UnreadError(f"its method {node.name} has the decorator {text}")
            if marker == "hookimpl":
                self._hooks[self._hook_name(node, call)] = None
            else:
                self._read_topic(marker, node, call)

    def _read_topic(
        self, marker: str, node: ast.FunctionDef | ast.AsyncFunctionDef, call: ast.Call | None
    ) -> None:
        key = "topic" if marker == "operation" else "pattern"
        named = {} if call is None else {each.arg: each.value for each in call.keywords}
        given = call.args[0] if call is not None and call.args else named.get(key)
        text = None if given is None else self._text(given)
        if text is None or None in named:
            raise _UnreadError(f"the {key} of its method {node.name} is not a literal")
        try:
            if marker == "subscriber":
                self._subscriptions.append(validate_pattern(text))
                return
            topic = validate_topic(text)
        except InvalidTopicError as error:  # its import will say so
            what = f"the {key} of its method {node.name} can't be used: {error.why}"
            raise _UnreadError(what) from None
        wrapper = named.get("wrapper")
        if wrapper is not None and not isinstance(wrapper, ast.Constant):
            raise _UnreadError(f"'wrapper' of its method {node.name} is not a literal")
        is_wrapper = isinstance(wrapper, ast.Constant) and bool(wrapper.value)
        self._operations.append(OfferedOperation(topic=topic, wrapper=is_wrapper))

    def _hook_name(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef, call: ast.Call | None
    ) -> str:
        for keyword in () if call is None else call.keywords:
            if keyword.arg is None:
                raise _UnreadError(f"the hook of its method {node.name} is not a literal")
            if keyword.arg == "specname":
                text = self._text(keyword.value)
                if text is None:
                    raise _UnreadError(f"the hook of its method {node.name} is not a literal")
                if valid_text(text) != text:
                    raise _UnreadError(f"the hook of its method {node.name} is no valid Unicode")
                return text
        return node.name

    def _text(self, node: ast.expr) -> str | None:
        """Return a literal text, or that of a constant of the module."""
        if isinstance(node, ast.Name):
            found = self._constants.get(node.id)
            return found if isinstance(found, str) else None
        return (
            node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
        )

    def _origin(self, node: ast.expr) -> str:
        """Return the name in the SDK that an expression stands for, or ""."""
        match node:
            case ast.Name(id=name) if name not in self._bound:
                module, _, original = self._imported.get(name, "").rpartition(".")
                return original if module.partition(".")[0] == _SDK else ""
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                return attribute if self._imported.get(name) == _SDK else ""
        return ""

    def _is_harmless(self, node: ast.expr) -> bool:
        text = unparse(node)
        name = text.partition(".")[0]
        builtin = text in ("classmethod", "property", "staticmethod")
        if name in self._bound or (name not in self._imported and not builtin):
            return text.endswith((".setter", ".getter", ".deleter"))
        return text in _HARMLESS


def _imports(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each name that a module imports, with the dotted name of what it stands for."""
    for node in module.body:
        if isinstance(node, ast.Import):
            for each in node.names:
                top = each.name.partition(".")[0]
                yield (each.asname, each.name) if each.asname else (top, top)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            for each in node.names:
                yield each.asname or each.name, f"{node.module}.{each.name}"


def _bound_names(module: ast.Module) -> frozenset[str]:
    """Return the names that a module binds otherwise than by an import, wherever."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node in module.body:
                found.add(node.name)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
    return frozenset(found)


def _constants(module: ast.Module) -> Mapping[str, Any]:
    """Return the literals that a module gives a name, once."""
    found: dict[str, Any] = {}
    again: set[str] = set()
    for name, value in _assignments(module.body):
        if name in found or name in again or not isinstance(value, ast.Constant):
            found.pop(name, None)
            again.add(name)
        else:
            found[name] = value.value
    return found


def _assignments(body: Sequence[ast.stmt]) -> Iterable[tuple[str, ast.expr | None]]:
    """Yield the names that statements assign, with their values; None where it is not plain."""
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Global):
                        yield from ((name, None) for name in inner.names)
            case _:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                        yield inner.id, None
