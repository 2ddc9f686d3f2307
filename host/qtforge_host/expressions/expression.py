"""An expression that is compiled: what it needs, and its evaluation.

The CEL library is used here only, and loaded with the first expression. A whole
path such as ``input.document`` is looked up directly, so that its value is returned unchanged;
everything else is CEL. Lists have ``contains`` and the other cel-go functions of the library.

What an expression costs is estimated before it is evaluated, see `cost`; most need no estimate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

import msgspec

from qtforge_host.expressions.cel_library import cel_library
from qtforge_host.expressions.code_points import SIZE_FUNCTIONS, with_code_points
from qtforge_host.expressions.cost import LONGEST_RANGE, cost_function
from qtforge_host.expressions.flattening import Paths, flatten
from qtforge_host.expressions.limits import Budget, CostFunction, checked_result
from qtforge_host.expressions.names import Scope, value_members, wrong_names
from qtforge_host.expressions.pruning import Tree, keys_read, pruned
from qtforge_host.expressions.specified import SPECIFIED_FUNCTIONS
from qtforge_host.expressions.syntax import Node, SyntaxUnknownError, parse
from qtforge_sdk.conversion import to_plain
from qtforge_sdk.errors import ExpressionError
from qtforge_sdk.members import Members
from qtforge_sdk.validation import did_you_mean

__all__ = ["Expression", "PreparedContext", "compile_expression"]

_PATH: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
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
_FAILED_CALL: Final = re.compile(
    r"^Function '[\w.]+' error: (?:Python function call failed: \w+: )?(.*)", re.S
)
_UNDEFINED: Final = re.compile(r"^Undefined variable or function: '(\w+)'")
_LONGEST: Final = 32_768  # characters
_MOST_OPERATORS: Final = 4_000  # the library's evaluation descends once for each
_OPERATOR: Final = re.compile(r"[-+*/%!<>=&|?.\[({]")
_NO_VALUE: Final = object()


class _Flat(NamedTuple):
    """An expression whose paths are single variables.

    Attributes:
        program: It.
        paths: Its paths.
        others: Its other variables.
        sizes_paths: Whether what it takes the sizes of is among its paths.
    """

    program: Any
    paths: Paths
    others: frozenset[str]
    sizes_paths: bool


class Expression:
    """A compiled expression; make one with `compile_expression`, or `Expressions.compile`.

    Attributes:
        source: The expression as it was written.
        variables: The names that it uses.
        is_cheap: Whether it may be evaluated on the event loop, whatever its values are.
    """

    __slots__ = (
        "_budget",
        "_cost",
        "_evaluated",
        "_exact",
        "_flat",
        "_functions",
        "_path",
        "_program",
        "_read",
        "_sized",
        "_tree",
        "source",
        "variables",
    )

    def __init__(
        self, source: str, evaluated: str, program: Any, functions: dict[str, Any], budget: Budget
    ) -> None:
        self.source = source
        self.variables = frozenset(program.variables())
        self._evaluated = evaluated  # differs from the source where size() was rewritten
        self._program = program
        self._functions = functions
        self._budget = budget
        text = source.strip()
        plain_path = _PATH.fullmatch(text) is not None and text not in _LITERALS
        self._path = text.split(".") if plain_path else None
        self._flat: _Flat | Literal[False] | None = False  # not computed yet
        self._cost: CostFunction | None = None if plain_path else cost_function(source)
        self._read: Tree | None = None if plain_path else keys_read(evaluated)
        self._exact: Expression | None = None
        self._sized: tuple[tuple[str, ...], ...] = ()
        self._tree: Node | Literal[False] | None = False  # not parsed yet

    @property
    def is_cheap(self) -> bool:
        """Whether it may be evaluated on the event loop, whatever its values are."""
        return self._cost is None

    def rewritten(self, exact: Expression, sized: tuple[tuple[str, ...], ...]) -> None:
        """Set what is evaluated instead where one of these paths is a text that is not ASCII."""
        self._exact, self._sized = exact, sized

    def flat(self) -> _Flat | None:
        """Return the flattened expression, computed once; None where it can't be flattened."""
        if self._flat is False:
            self._flat, found = None, flatten(self._evaluated)
            if found is not None:
                program = cel_library().compile(found[0])
                own = {variable for variable, _ in found[1]}
                others = frozenset(program.variables()) - own
                sized = {words for _, words in found[1]}.issuperset(self._sized)
                self._flat = _Flat(program, found[1], others, sized)
        return self._flat

    def for_values(self, names: Mapping[str, Any]) -> Expression:
        """Return the expression to evaluate for these values: itself, or its exact form."""
        for path in self._sized:
            if _is_wide(path, names) and self._exact is not None:
                return self._exact
        return self

    def evaluate(self, names: Mapping[str, Any]) -> Any:
        """Return its value: of a path the object itself, of anything else plain values.

        Raises:
            ExpressionError: ``expression.failed``, ``expression.too_costly`` or
                ``expression.too_large``.
        """
        if self._path is not None:
            return self._look_up(self._path, names)
        if self._sized:
            chosen = self.for_values(names)
            if chosen is not self:
                return chosen.evaluate(names)
        read = self._read or {}
        needed = {
            name: pruned(names[name], read.get(name)) for name in self.variables if name in names
        }
        try:
            plain = to_plain(needed)
            if self._cost is not None and not self.fits_loop(plain):
                return self._budget.postpone(self.source, plain)
            context = cel_library().Context(variables=plain, functions=self._functions)
            return self.checked(self._program.execute(context))
        except ExpressionError:
            raise
        except Exception as error:
            raise ExpressionError(self.source, _reason(error), "", "expression.failed") from error

    def execute(self, names: Mapping[str, Any]) -> Any:
        """Return its value without a limit of its cost, for plain values; as `evaluate` does.

        Raises:
            ExpressionError: It failed, or its value is too large.
        """
        if self._path is None and self.for_values(names) is self:
            try:
                context = cel_library().Context(variables=dict(names), functions=self._functions)
                return self.checked(self._program.execute(context))
            except ExpressionError:
                raise
            except Exception as error:
                raise ExpressionError(
                    self.source, _reason(error), "", "expression.failed"
                ) from error
        if self._path is not None:
            return self._look_up(self._path, names)
        return self.for_values(names).execute(names)

    def fits_loop(self, plain: Mapping[str, Any]) -> bool:
        """Return whether it may be evaluated on the loop; see `Budget.fits_loop`."""
        return self._cost is None or self._budget.fits_loop(self.source, self._cost, plain)

    def cost(self, plain: Mapping[str, Any]) -> float:
        """Return what its evaluation costs at most, in steps; 0 where it needs no estimate."""
        return 0.0 if self._cost is None else self._cost(plain, float("inf"))

    def checked(self, value: Any) -> Any:
        """Return what the library returned, as a value of this expression.

        Raises:
            ExpressionError: It is too large.
        """
        if value is True or value is False:
            return value
        return checked_result(self.source, value, self._budget.limits.max_result_bytes)

    async def decide(self, names: Mapping[str, Any]) -> bool:
        """Return whether the condition holds, and evaluate it elsewhere where it is costly.

        Raises:
            ExpressionError: As `holds`, or it is too costly altogether.
        """
        return await self._budget.compute(lambda: self.holds(names))

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
        for error in self.problems(scope):
            raise error

    def problems(self, scope: Scope) -> Iterator[ExpressionError]:
        """Yield an error for every name that it can't use, as `check` raises the first."""
        namespaces = _namespaces(self._functions)
        return wrong_names(self.source, self._parsed(), self.variables, namespaces, scope)

    def members(self, scope: Scope) -> Members:
        """Return what is known of its value, for values of these names."""
        return value_members(self.source, self._parsed(), scope)

    def _parsed(self) -> Node | None:
        """Return its syntax tree; None where the parser does not know its syntax."""
        if self._tree is False:
            try:
                self._tree = parse(self.source)
            except SyntaxUnknownError:
                self._tree = None
        return self._tree

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


def _is_wide(path: Sequence[str], names: Mapping[str, Any]) -> bool:
    """Return whether a path leads to a text whose bytes are more than its code points."""
    value: Any = names
    try:
        for word in path:
            if value.__class__ is dict:  # most are, and it is quicker to find out
                value = value[word]
            else:
                value = value[word] if isinstance(value, Mapping) else _field(value, word)
    except KeyError:
        return False
    return isinstance(value, str) and not value.isascii()


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

    __slots__ = ("_context", "_converted", "_functions", "_is_wide", "_names", "_plain")

    def __init__(self, given: Mapping[str, Any], others: Mapping[str, Any]) -> None:
        self._names = {**others, **given}
        self._context = cel_library().Context()
        self._functions: set[str] = set()
        self._converted: set[str] = set()
        self._is_wide = False  # whether a path of an expression led to a text that is not ASCII
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
        flat = expression._flat if expression._flat is not False else expression.flat()
        sized = expression._sized
        if sized and (flat is None or not flat.sizes_paths):
            exact = expression.for_values(self._names)
            if exact is not expression:
                return self.evaluate(exact)
        if expression._functions:
            self._add_functions(expression)
        if expression._cost is not None:
            plain = self._plain_with(expression)
            if not expression.fits_loop(plain):
                used = {name: plain[name] for name in expression.variables if name in plain}
                return expression._budget.postpone(expression.source, used)
        if flat is not None:
            found = self._evaluate_flat(flat)
            if sized and (self._is_wide or found is _NO_VALUE):
                exact = expression.for_values(self._names)
                if exact is not expression:
                    return self.evaluate(exact)
            if found is True or found is False:  # as most are, and it is quicker to find out
                return found
            if found is not _NO_VALUE:
                return expression.checked(found)
        for name in expression.variables - self._converted:
            self._convert(name)
        try:
            found = expression._program.execute(self._context)
        except Exception as error:
            raise ExpressionError(
                expression.source, _reason(error), "", "expression.failed"
            ) from error
        return expression.checked(found)

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
                if value.__class__ is str and not value.isascii():
                    self._is_wide = True
                context.add_variable(variable, value)
                converted.add(variable)
            if not flat.others <= converted:
                for name in flat.others - converted:
                    self._convert(name)
            return flat.program.execute(context)
        except Exception:  # noqa: BLE001 - the whole expression fails in the same way, and explains it
            return _NO_VALUE

    def _plain_with(self, expression: Expression) -> dict[str, Any]:
        """Return the plain values of an expression's variables, among others."""
        plain = self._plain
        for name in expression.variables:
            if name not in plain and name in self._names:
                self._make_plain(name)
        return plain

    def _make_plain(self, name: str) -> None:
        try:
            self._plain[name] = to_plain(self._names[name])
        except Exception as error:
            raise ExpressionError(name, _reason(error), "", "expression.failed") from error

    def _convert(self, name: str) -> None:
        self._converted.add(name)
        if name not in self._names:
            return  # bound by a macro such as map(), or the expression fails by itself
        if name not in self._plain:
            self._make_plain(name)
        try:
            self._context.add_variable(name, self._plain[name])
        except Exception as error:
            raise ExpressionError(name, _reason(error), "", "expression.failed") from error


def compile_expression(source: str, *, budget: Budget) -> Expression:
    """Return an expression, compiled.

    Args:
        source: CEL.
        budget: Decides where it is evaluated.

    Raises:
        ExpressionError: It does not parse, uses an unknown function, or is too long.
    """
    _check_length(source)
    program, functions = _compiled(source, source)
    sized = with_code_points(source)
    if sized is None:
        return Expression(source, source, program, functions, budget)
    exact, others = _compiled(source, sized.source)
    own = {**functions, **others, **SIZE_FUNCTIONS}
    if sized.paths is None:
        return Expression(source, sized.source, exact, own, budget)
    expression = Expression(source, source, program, functions, budget)
    expression.rewritten(Expression(source, sized.source, exact, own, budget), sized.paths)
    return expression


def _check_length(source: str) -> None:
    if len(source) > _LONGEST:
        raise ExpressionError(
            f"{source[:60]}...",
            f"it has {len(source):,} characters, and may have {_LONGEST:,}",
            "give long texts and lists as values",
        )
    operators = len(_OPERATOR.findall(source)) if len(source) > _MOST_OPERATORS else 0
    if operators > _MOST_OPERATORS:
        raise ExpressionError(
            f"{source[:60]}...",
            f"it has {operators:,} operators and brackets, and may have {_MOST_OPERATORS:,}",
            "write a shorter one",
        )


def _compiled(source: str, text: str) -> tuple[Any, dict[str, Callable[..., Any]]]:
    library = cel_library()
    try:
        program = library.compile(text)
    except Exception as error:
        raise ExpressionError(source, _reason(error)) from error
    functions: dict[str, Callable[..., Any]] = {}
    for name in program.functions():
        # "math.greatest" is reported as "greatest"
        offered = {
            full: _OWN_FUNCTIONS.get(full, function)
            for full, function in library.stdlib.STDLIB_FUNCTIONS.items()
            if full.rpartition(".")[2] == name
        }
        if offered:
            functions.update(offered)
        elif name in SPECIFIED_FUNCTIONS:
            functions[name] = SPECIFIED_FUNCTIONS[name]
        elif name.isidentifier() and not name.startswith("_") and name not in _NATIVE_FUNCTIONS:
            known = [*_NATIVE_FUNCTIONS, *library.stdlib.STDLIB_FUNCTIONS]
            fix = did_you_mean(name, known, otherwise="")
            raise ExpressionError(source, f"there is no function '{name}'", fix)
    return program, functions


def _range(count: int) -> list[int]:
    if count > LONGEST_RANGE:
        raise ValueError(f"lists.range() makes at most {LONGEST_RANGE:,} items, not {count:,}")
    return list(range(count))


_OWN_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType({"lists.range": _range})


def _namespaces(functions: Mapping[str, Any]) -> set[str]:
    return {name.partition(".")[0] for name in functions if "." in name}


def _reason(error: Exception) -> str:
    text = str(error)
    found = _PARSE_ERROR.search(text)
    if found is not None:
        return f"column {found[2]}: {found[3].partition(' expecting {')[0]}"
    if isinstance(error, KeyError):
        return f"there is no key {text}"
    short = _ADVICE.split(text, maxsplit=1)[0]
    undefined = _UNDEFINED.match(short)
    if undefined is not None and undefined[1] in _NATIVE_FUNCTIONS:
        return f"{undefined[1]}() does not take a value of that type, or that many"
    called = _FAILED_CALL.match(short)
    return short if called is None else called[1]
