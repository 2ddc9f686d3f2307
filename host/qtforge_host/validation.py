"""Check the configuration: tables with every error and its path, durations, and names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from qtforge_sdk.durations import Duration, DurationError, seconds
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.records import POOL_NAME
from qtforge_sdk.validation import FieldError, did_you_mean, validation_errors

__all__ = ["check_keys", "convert_table", "field_errors", "name_problem", "seconds_at"]

T = TypeVar("T")


def convert_table(table: Mapping[str, Any], target: type[T], file: str, path: str) -> T:
    """Return the table as an instance of the target type; nothing is coerced.

    Args:
        table: As tomllib read it.
        target: A Struct, a dataclass or a TypedDict. An unknown key is an error, also
            where the type itself ignores it.
        file: The file that it is from.
        path: The table's key path in that file, such as ``plugins.acme.config``.

    Raises:
        ConfigError: It does not fit, with every error; or msgspec has no rules for the type.
    """
    try:
        errors = validation_errors(table, target, path, forbid_unknown=True)
        if not errors:
            return msgspec.convert(table, target)
    except Exception as error:  # a plugin's type: its annotations can hold anything
        name = getattr(target, "__qualname__", repr(target))
        raise ConfigError(
            f"{file}: {path}",
            f"the type {name} can't describe a table: {type(error).__name__}: {error}",
            "its author must make Config a msgspec Struct or a dataclass",
        ) from error
    raise _config_error(file, errors)


def field_errors(errors: Sequence[FieldError], file: str) -> None:
    """Raise the errors that were found in a file, if there are any.

    Raises:
        ConfigError: There are some; it names all of them.
    """
    if errors:
        raise _config_error(file, errors)


def check_keys(table: Mapping[str, Any], known: Iterable[str], file: str) -> None:
    """Check that a file's top level has only known keys.

    Raises:
        ConfigError: It has others, with the nearest known key for each.
    """
    names = sorted(known)
    errors = [
        FieldError(path=key, what="unknown key", fix=did_you_mean(key, names))
        for key in table
        if key not in names
    ]
    field_errors(errors, file)


def seconds_at(where: str, duration: Duration, least_s: float = 0.0) -> float:
    """Return the seconds of a duration in a configuration file.

    Args:
        where: The file and the key's path, for the error.
        duration: As it is written there.
        least_s: The shortest that it may be.

    Raises:
        ConfigError: It is not a duration above zero, or too short.
    """
    try:
        found = seconds(duration)
    except DurationError as error:
        raise ConfigError(where, error.why, error.fix) from error
    if found < least_s:
        raise ConfigError(where, f"{duration} is too short", f"give {least_s:g} s or more")
    return found


def name_problem(kind: str, name: str) -> str:
    """Return why a text can't be the name of a pool or a node; "" where it can.

    Args:
        kind: What it is to be the name of, such as ``pool``.
        name: The text.

    >>> name_problem("pool", "reports")
    ''
    >>> name_problem("pool", "-x")
    "a pool's name has up to 64 letters, digits, '.', '-' and '_'; a letter or digit comes first"
    """
    if re.fullmatch(POOL_NAME, name):
        return ""
    allowed = "up to 64 letters, digits, '.', '-' and '_'; a letter or digit comes first"
    return f"a {kind}'s name has {allowed}"


def _config_error(file: str, errors: Sequence[FieldError]) -> ConfigError:
    if len(errors) == 1:
        (error,) = errors
        return ConfigError(f"{file}: {error.path}", error.what, error.fix)
    return ConfigError(file, "\n".join(map(str, errors)))
