"""The result of loading; apart from `loading`, so that a listing need not import stevedore."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final, NamedTuple

import msgspec

from qtforge_host.plugin_code import clean_text
from qtforge_host.plugins.candidates import Candidate, Status
from qtforge_host.plugins.declarations import Declarations

__all__ = ["LoadOutcome", "Loaded", "explain", "explain_hang", "not_a_plugin"]

_IMPORT_MACHINERY: Final = ("<frozen importlib", "<frozen runpy")
_MAX_TEXT: Final = 300


class Loaded(NamedTuple):
    """A candidate that was imported.

    Attributes:
        candidate: The candidate.
        plugin_class: The class that its entry point names.
        plugin: An instance of the class; None when none was wanted.
        declarations: What the class declares about other plugins.
    """

    candidate: Candidate
    plugin_class: type[Any]
    plugin: Any
    declarations: Declarations


class LoadOutcome(msgspec.Struct, frozen=True):
    """The result of loading several candidates.

    Attributes:
        loaded: The candidates that were imported, in the given order.
        failed: Key to the ``broken`` status of the others.
    """

    loaded: tuple[Loaded, ...]
    failed: Mapping[str, Status]


def explain(candidate: Candidate, error: BaseException, *, constructing: bool = False) -> Status:
    """Return the status of a plugin whose import or constructor raised an exception.

    Args:
        candidate: The plugin.
        error: The exception, with its traceback.
        constructing: Whether its constructor raised it, not its import.
    """
    place = _place(candidate, error)
    if isinstance(error, AttributeError) and not constructing and not place:
        return not_a_plugin(candidate, f"the module has no such name: {_text(error)}")
    if isinstance(error, (AttributeError, TypeError)) and constructing and not place:
        reason = f"'{candidate.entry_point.value}' can't be made without arguments: {_text(error)}"
    else:
        doing = "making it" if constructing else "its import"
        reason = f"{doing} raised {type(error).__name__}: {_text(error)}"
    return Status(
        state="broken",
        code="plugin.construct_failed" if constructing else "plugin.import_failed",
        reason=f"{reason} ({place})" if place else reason,
        fix=_fix(candidate, error),
    )


def explain_hang(
    candidate: Candidate, thread_id: int | None, timeout_s: float, *, constructing: bool = False
) -> Status:
    """Return the status of a plugin whose load did not end, with the line where it hangs."""
    doing = "making it" if constructing else "its import"
    frame = sys._current_frames().get(thread_id or 0)
    place = _place_of_frame(candidate, frame)
    return Status(
        state="broken",
        code="plugin.import_timeout",
        reason=f"{doing} did not end within {timeout_s:g} s" + (f" ({place})" if place else ""),
        fix=f"if it is only slow, raise import_timeout in [host]; else"
        f" qtforge-host plugins disable {candidate.name}",
    )


def not_a_plugin(candidate: Candidate, why: str) -> Status:
    """Return the status of an entry point that does not name a plugin."""
    return Status(
        state="broken",
        code="plugin.not_a_plugin",
        reason=f"'{candidate.entry_point.value}' is not a plugin: {why}",
        fix=f"fix the entry point in the pyproject.toml of {candidate.distribution}",
    )


def _fix(candidate: Candidate, error: BaseException) -> str:
    reinstall = f"pip install --force-reinstall {candidate.distribution}"
    own = _top_package(candidate)
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        return reinstall if missing == own else f"pip install {missing}"
    if isinstance(error, ImportError):
        return reinstall
    return f"pip install --upgrade {candidate.distribution}, or tell its author"


def _place(candidate: Candidate, error: BaseException) -> str:
    """Return file and line in the plugin's own code, or "" when that was not reached."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    frames = [
        (frame.f_globals.get("__name__", ""), frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = _top_package(candidate)
    for module, file, line in reversed(frames):
        if module.partition(".")[0] == own and not file.startswith(_IMPORT_MACHINERY):
            return f"{file}:{line}"
    return ""


def _place_of_frame(candidate: Candidate, frame: FrameType | None) -> str:
    own = _top_package(candidate)
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == own:
            return f"at {frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _top_package(candidate: Candidate) -> str:
    return candidate.entry_point.value.partition(":")[0].strip().partition(".")[0]


def _text(error: BaseException) -> str:
    text = clean_text(error)
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
