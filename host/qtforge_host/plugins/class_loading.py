"""Import the class of one candidate, in a daemon thread of its own with a deadline.

A plugin that never returns delays the others by its deadline, and does not keep the process from
exiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn

from qtforge_host.code_marks import CodeMarks
from qtforge_host.plugins.candidates import (
    JOURNAL_GROUP,
    PLUGIN_GROUP,
    TRANSPORT_GROUP,
    Candidate,
    Status,
)
from qtforge_host.plugins.declarations import declared_by
from qtforge_host.plugins.load_outcome import Loaded, explain, explain_hang, not_a_plugin
from qtforge_sdk import Plugin

__all__ = ["LoadFailureError", "has_hooks", "load_class"]

_HOOK_MARK: Final = "qtforge_impl"


class LoadFailureError(Exception):
    """Carries a status through stevedore, which does not catch an AssertionError."""

    def __init__(self, status: Status, /) -> None:
        self.status = status


def load_class(
    candidate: Candidate,
    find: Callable[[], Any],
    timeout_s: float,
    marks: CodeMarks,
    *,
    construct: bool,
) -> Loaded:
    """Import a candidate's class, and make an instance of it.

    Args:
        candidate: The candidate.
        find: Imports what its entry point names, and returns it.
        timeout_s: How long that may take, in seconds.
        marks: Notes whose code is in progress.
        construct: False to import without making an instance.

    Raises:
        LoadFailureError: It failed, or was too late.
    """
    stage = ["import"]

    def work() -> Loaded:
        found = find()
        _check_class(candidate, found)
        declarations = declared_by(found)
        stage[0] = "construct"
        return Loaded(candidate, found, found() if construct else None, declarations)

    with marks.mark(candidate.name, "import", builtin=candidate.builtin):
        return _in_thread(candidate, work, stage, timeout_s)


def _in_thread(
    candidate: Candidate,
    work: Callable[[], Loaded],
    stage: Sequence[str],
    timeout_s: float,
) -> Loaded:
    results: list[Loaded] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  whatever the plugin raises, SystemExit included
            errors.append(error)

    thread = threading.Thread(target=run, name=f"load {candidate.key}", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if results:
        return results[0]
    constructing = stage[0] == "construct"
    if errors:
        _fail(candidate, errors[0], constructing=constructing)
    status = explain_hang(candidate, thread.ident, timeout_s, constructing=constructing)
    _end(thread)
    raise LoadFailureError(status)


def _end(thread: threading.Thread) -> None:
    """End a thread at its next line of Python, so that it uses no more time and prints nothing.

    In C code it ends later, or never; it is a daemon thread, so the process can exit.
    """
    import ctypes  # slow to import, and rarely needed

    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
    )


def _fail(candidate: Candidate, error: BaseException, *, constructing: bool) -> NoReturn:
    if isinstance(error, LoadFailureError):
        raise error
    raise LoadFailureError(explain(candidate, error, constructing=constructing)) from error


def _check_class(candidate: Candidate, found: object) -> None:
    """Refuse an object that is not a plugin class, before it is called.

    A journal or a transport is made by any function of its settings.

    Raises:
        LoadFailureError: It is not a class, or has no hook.
    """
    if candidate.group in (JOURNAL_GROUP, TRANSPORT_GROUP) and callable(found):
        return
    if not isinstance(found, type):
        raise LoadFailureError(
            not_a_plugin(candidate, f"it is of type {type(found).__name__}, not a class")
        )
    if candidate.group == PLUGIN_GROUP and not issubclass(found, Plugin) and not has_hooks(found):
        raise LoadFailureError(
            not_a_plugin(candidate, "the class has no operation, subscriber or hook")
        )


def has_hooks(found: type[Any]) -> bool:
    """Tell whether a class has an operation, a subscriber or another hook."""
    return any(hasattr(value, _HOOK_MARK) for value in _class_values(found))


def _class_values(found: type[Any]) -> Iterator[object]:
    for each in found.__mro__:
        yield from vars(each).values()
