"""Compile and evaluate CEL: conditions, ``${...}`` templates, and their checks.

This module is the only user of the CEL library. A whole path such as ``input.document`` is
looked up directly, so that its value is returned unchanged; everything else is CEL. Lists have
``contains`` and the other cel-go functions of the library.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from qtforge_host.expressions.flattening import Paths, flatten
from qtforge_host.expressions.names import Scope, check_names
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import ExpressionError
from qtforge_sdk.validation import did_you_mean

__all__ = ["CompiledTemplate", "Expression", "Expressions", "PreparedContext"]

_PATH: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_SECRET: Final = re.compile(r"\$\{\s*secret\.[A-Za-z_]\w*\s*\}")
_LITERALS: Final = frozenset({"true", "false", "null"})
_PARSE_ERROR: Final = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")
_ADVICE: Final = re.compile(r"\. (?:Check |CEL does not coerce )")  # long advice of the library
_NATIVE_FUNCTIONS: Final = frozenset([
    "bool", "bytes", "double", "dyn", "duration", "endsWith", "getDate", "getDayOfMonth",
    "getDayOfWeek", "getDayOfYear", "getFullYear", "getHours", "getMilliseconds", "getMinutes",
    "getMonth", "getSeconds", "has", "int", "matches", "max", "min", "size", "startsWith",
    "string", "timestamp", "type", "uint", "optional.of", "optional.none", "hasValue", "value",
    "orValue", "or", "optional.ofNonZeroValue", "optMap", "optFlatMap",
])  # fmt: skip


_NO_VALUE: Final = object()


class _Flat(NamedTuple):
    """An expression whose paths are single variables, and its other variables."""

    program: Any
    paths: Paths
    others: frozenset[str]


class Expression:
    """A compiled expression; make one with `Expressions.compile`."""

    __slots__ = ("_flat", "_functions", "_path", "_program", "source", "variables")

    def __init__(self, source: str, program: Any, functions: dict[str, Any]) -> None:
        self.source = source
        self._program = program
        self._functions = functions
        self.variables = frozenset(program.variables())
        text = source.strip()
        plain_path = _PATH.fullmatch(text) is not None and text not in _LITERALS
        self._path = text.split(".") if plain_path else None
        self._flat: _Flat | Literal[False] | None = False  # not computed yet

    def flat(self) -> _Flat | None:
        """Return the flattened expression, computed once; None where it can't be flattened."""
        if self._flat is False:
            import cel  # heavy: it imports a console, so only when there is an expression

            self._flat, found = None, flatten(self.source)
            if found is not None:
                program = cel.compile(found[0])
                own = {variable for variable, _ in found[1]}
                self._flat = _Flat(program, found[1], frozenset(program.variables()) - own)
        return self._flat

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """Return its value: of a path the object itself, of anything else plain values.

        Raises:
            ExpressionError: ``expression.failed``.
        """
        if self._path is not None:
            return self._look_up(self._path, names)
        from cel import Context  # heavy: it imports a console, so only when one is evaluated

        needed = {name: names[name] for name in self.variables if name in names}
        try:
            context = Context(variables=to_plain(needed), functions=self._functions)
            return self._program.execute(context)
        except Exception as error:
            raise ExpressionError(self.source, _reason(error), "", "expression.failed") from error

    def holds(self, names: Mapping[str, Any]) -> bool:
        """Return whether the condition holds.

        Raises:
            ExpressionError: It failed, or is neither true nor false.
        """
        return self.as_condition(self.evaluate(names))

    def as_condition(self, value: Any) -> bool:
        """Return a value of this expression as a condition's outcome.

        Raises:
            ExpressionError: It is neither true nor false.
        """
        if value is not True and value is not False:
            why = f"a condition is true or false, and this is {type(value).__name__}"
            raise ExpressionError(self.source, why, "compare it with something")
        return value

    def check(self, scope: Scope) -> None:
        """Check every name and function that it uses, without evaluating it.

        Raises:
            ExpressionError: One is unknown; the fix is the nearest right name.
        """
        check_names(self.source, self.variables, _namespaces(self._functions), scope)

    def _look_up(self, path: Sequence[str], names: Mapping[str, Any]) -> Any:
        value: Any = names
        for position, word in enumerate(path):
            try:
                value = value[word] if isinstance(value, Mapping) else _field(value, word)
            except KeyError:
                where = ".".join(path[:position])
                why = f"'{where}' has no '{word}'" if where else f"'{word}' is not known"
                if value is None:
                    why = f"'{where}' is null"
                raise ExpressionError(self.source, why, "", "expression.failed") from None
        return value


def _field(value: object, name: str) -> Any:
    """Return a field of a struct; a method or another attribute of Python's is none.

    Raises:
        KeyError: It has no such field.
    """
    if isinstance(value, msgspec.Struct):
        fields: Sequence[str] = value.__struct_fields__
    else:
        fields = getattr(value, "__dataclass_fields__", ())
    if name not in fields:
        raise KeyError(name)
    return getattr(value, name)


class PreparedContext:
    """Names whose values are converted to CEL values once, for many expressions.

    Args:
        given: Made plain now, and converted to CEL values when an expression uses them.
        others: Both when an expression first uses one.

    Raises:
        ExpressionError: A given value cannot be converted.
    """

    __slots__ = ("_context", "_converted", "_functions", "_names", "_plain")

    def __init__(self, given: Mapping[str, Any], others: Mapping[str, Any]) -> None:
        import cel  # heavy: it imports a console, so only when one is evaluated

        self._names = {**others, **given}
        self._context = cel.Context()
        self._functions: set[str] = set()
        self._converted: set[str] = set()
        self._plain: dict[str, Any] = {}
        for name, value in given.items():
            try:
                self._plain[name] = to_plain(value)
            except Exception as error:
                raise ExpressionError(name, _reason(error), "", "expression.failed") from error

    def evaluate(self, expression: Expression) -> Any:
        """Return an expression's value, as `Expression.evaluate` does.

        Raises:
            ExpressionError: ``expression.failed``.
        """
        if expression._path is not None:
            return expression._look_up(expression._path, self._names)
        if expression._functions:
            self._add_functions(expression)
        flat = expression.flat()
        if flat is not None:
            found = self._evaluate_flat(flat)
            if found is not _NO_VALUE:
                return found
        for name in expression.variables - self._converted:
            self._convert(name)
        try:
            return expression._program.execute(self._context)
        except Exception as error:
            raise ExpressionError(
                expression.source, _reason(error), "", "expression.failed"
            ) from error

    def _add_functions(self, expression: Expression) -> None:
        if not expression._functions.keys() <= self._functions:
            self._context.update(expression._functions)
            self._functions |= expression._functions.keys()

    def _evaluate_flat(self, flat: _Flat) -> Any:
        """Return the value, or `_NO_VALUE`: the whole expression then explains the failure."""
        converted, context = self._converted, self._context
        try:
            for variable, words in flat.paths:
                if variable in converted:
                    continue
                value: Any = self._plain
                for word in words:
                    if value.__class__ is not dict or word not in value:
                        return _NO_VALUE
                    value = value[word]
                context.add_variable(variable, value)
                converted.add(variable)
            if not flat.others <= converted:
                for name in flat.others - converted:
                    self._convert(name)
            return flat.program.execute(context)
        except Exception:  # noqa: BLE001 - the whole expression fails in the same way, and explains it
            return _NO_VALUE

    def _convert(self, name: str) -> None:
        self._converted.add(name)
        if name not in self._names:
            return  # bound by a macro such as map(), or the expression fails by itself
        try:
            if name not in self._plain:
                self._plain[name] = to_plain(self._names[name])
            self._context.add_variable(name, self._plain[name])
        except Exception as error:
            raise ExpressionError(name, _reason(error), "", "expression.failed") from error


class CompiledTemplate:
    """A text, or mappings and lists of texts, with every ``${...}`` compiled."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Any) -> None:
        self._parts = parts

    def render(self, names: Mapping[str, Any]) -> Any:
        """Return the template's value, with each ``${...}`` replaced.

        Raises:
            ExpressionError: ``expression.failed``.
        """
        return _render(self._parts, names)

    def expressions(self) -> Iterator[tuple[str, Expression]]:
        """Yield every expression with its path inside the template, such as ``.document``."""
        return _walk(self._parts, "")


class _Text(list[Any]):
    """The pieces of one text: strings and expressions."""


class Expressions:
    """Compiles expressions and templates, and caches what it compiled."""

    def __init__(self) -> None:
        self._compile = functools.lru_cache(maxsize=4096)(_compile)
        self._text = functools.lru_cache(maxsize=4096)(self._split)

    def compile(self, source: str, scope: Scope | Sequence[str] | None = None) -> Expression:
        """Return the compiled expression.

        Args:
            source: CEL.
            scope: The names that it may use; None to check no names.

        Raises:
            ExpressionError: It does not parse, or uses an unknown name.
        """
        expression = self._compile(source)
        if scope is not None:
            known = scope if isinstance(scope, Mapping) else dict.fromkeys(scope)
            expression.check(known)
        return expression

    def template(self, value: Any) -> CompiledTemplate:
        """Compile every ``${...}`` in a value; ``$${`` stands for a literal ``${``.

        Raises:
            ExpressionError: One does not parse, or has no closing brace.
        """
        return CompiledTemplate(self._parts_of(value))

    def _parts_of(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value) if "${" in value else value
        if isinstance(value, Mapping):
            return {key: self._parts_of(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._parts_of(each) for each in value]
        return value

    def _split(self, text: str) -> Any:
        pieces = _Text()
        rest = text
        while (start := rest.find("${")) >= 0:
            if start > 0 and rest[start - 1] == "$":
                pieces.append(rest[: start - 1] + "${")
                rest = rest[start + 2 :]
                continue
            if secret := _SECRET.match(rest, start):
                pieces.append(rest[: secret.end()])  # stays: the operation replaces it
                rest = rest[secret.end() :]
                continue
            if start:
                pieces.append(rest[:start])
            expression, rest = self._first_expression(rest[start + 2 :])
            pieces.append(expression)
        if rest:
            pieces.append(rest)
        return pieces

    def _first_expression(self, text: str) -> tuple[Expression, str]:
        """Split after the first ``}`` that ends an expression: maps have braces too."""
        first_error: ExpressionError | None = None
        end = -1
        while (end := text.find("}", end + 1)) >= 0:
            try:
                return self._compile(text[:end]), text[end + 1 :]
            except ExpressionError as error:
                first_error = first_error or error
        raise first_error or ExpressionError("${" + text, "it has no closing brace")


def _compile(source: str) -> Expression:
    import cel  # heavy: it imports a console, so only when there is an expression
    from cel.stdlib import STDLIB_FUNCTIONS

    try:
        program = cel.compile(source)
    except Exception as error:
        raise ExpressionError(source, _reason(error)) from error
    functions: dict[str, Callable[..., Any]] = {}
    for name in program.functions():
        # "math.greatest" is reported as "greatest"
        offered = {
            full: function
            for full, function in STDLIB_FUNCTIONS.items()
            if full.rpartition(".")[2] == name
        }
        if offered:
            functions.update(offered)
        elif name.isidentifier() and not name.startswith("_") and name not in _NATIVE_FUNCTIONS:
            known = [*_NATIVE_FUNCTIONS, *STDLIB_FUNCTIONS]
            fix = did_you_mean(name, known, otherwise="")
            raise ExpressionError(source, f"there is no function '{name}'", fix)
    return Expression(source, program, functions)


def _namespaces(functions: Mapping[str, Any]) -> set[str]:
    return {name.partition(".")[0] for name in functions if "." in name}


def _reason(error: Exception) -> str:
    text = str(error)
    found = _PARSE_ERROR.search(text)
    if found is not None:
        return f"column {found[2]}: {found[3].partition(' expecting {')[0]}"
    if isinstance(error, KeyError):
        return f"there is no key {text}"
    return _ADVICE.split(text, maxsplit=1)[0]


def _walk(parts: Any, path: str) -> Iterator[tuple[str, Expression]]:
    if isinstance(parts, Expression):
        yield path, parts
    elif isinstance(parts, _Text):
        for piece in parts:
            yield from _walk(piece, path)
    elif isinstance(parts, Mapping):
        for key, value in parts.items():
            yield from _walk(value, f"{path}.{key}")
    elif isinstance(parts, list):
        for position, value in enumerate(parts):
            yield from _walk(value, f"{path}[{position}]")


def _render(parts: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(parts, _Text):
        if len(parts) == 1:
            return _render(parts[0], names)
        return "".join(_as_text(_render(piece, names)) for piece in parts)
    if isinstance(parts, Expression):
        return parts.evaluate(names)
    if isinstance(parts, dict):
        return {key: _render(value, names) for key, value in parts.items()}
    if isinstance(parts, list):
        return [_render(value, names) for value in parts]
    return parts


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return msgspec.json.encode(to_plain(value)).decode()
