"""Import accepted candidates; a fault of one plugin does not affect the others.

Each import runs in a daemon thread of its own with a deadline: a plugin that never returns
delays the others by its deadline, and does not keep the process from exiting.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn

from stevedore.extension import Extension
from stevedore.named import NamedExtensionManager

from qtforge_host.code_marks import CodeMarks
from qtforge_host.plugins.candidates import (
    JOURNAL_GROUP,
    PLUGIN_GROUP,
    TRANSPORT_GROUP,
    Candidate,
    Status,
)
from qtforge_host.plugins.declarations import Declarations, declared_by
from qtforge_host.plugins.load_outcome import (
    Loaded,
    LoadOutcome,
    explain,
    explain_hang,
    not_a_plugin,
)
from qtforge_sdk import Plugin

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["LoadOutcome", "Loaded", "PluginLoader", "has_hooks"]

_HOOK_MARK: Final = "qtforge_impl"

logger = logging.getLogger(__name__)


class PluginLoader:
    """Loads candidates with stevedore, one after another.

    Args:
        marks: Notes whose code is in progress.
    """

    def __init__(self, marks: CodeMarks | None = None) -> None:
        self._marks: Final = marks or CodeMarks()

    def load(
        self, candidates: Iterable[Candidate], *, import_timeout_s: float, construct: bool = True
    ) -> LoadOutcome:
        """Import every candidate, and make an instance of the class that it names.

        Meanwhile standard output is redirected to standard error, because it is for data.

        Args:
            candidates: The candidates, in the order of loading.
            import_timeout_s: How long each of them may take, in seconds.
            construct: False to import without making instances.
        """
        wanted = tuple(candidates)
        loaded: dict[str, Loaded] = {}
        failed: dict[str, Status] = {}
        with contextlib.redirect_stdout(sys.stderr):
            for group in dict.fromkeys(candidate.group for candidate in wanted):
                members = [candidate for candidate in wanted if candidate.group == group]
                manager = _CandidateManager(
                    group, members, import_timeout_s, construct, self._marks
                )
                failed.update(manager.failed)
                for extension in manager.extensions:
                    candidate = manager.candidate_of(extension.entry_point)
                    loaded[candidate.key] = Loaded(
                        candidate,
                        extension.plugin,
                        extension.obj,
                        manager.declarations[candidate.name],
                    )
        in_order = tuple(loaded[one.key] for one in wanted if one.key in loaded)
        return LoadOutcome(in_order, failed)


class _LoadFailureError(Exception):
    """Carries a status through stevedore, which does not catch an AssertionError."""

    def __init__(self, status: Status, /) -> None:
        self.status = status


class _CandidateManager(NamedExtensionManager[Any]):
    """Loads the candidates of a group as our scan found them.

    stevedore's own scan is cached on the disk, loses the distribution and becomes stale.
    """

    def __init__(
        self,
        group: str,
        candidates: Sequence[Candidate],
        timeout_s: float,
        construct: bool,
        marks: CodeMarks,
    ) -> None:
        self._marks = marks
        self._candidates = {candidate.name: candidate for candidate in candidates}
        self._timeout_s = timeout_s
        self._construct = construct
        self.declarations: dict[str, Declarations] = {}
        self.failed: dict[str, Status] = {}
        super().__init__(
            group,
            names=list(self._candidates),
            on_load_failure_callback=self._remember,
            on_missing_entrypoints_callback=None,
        )

    def list_entry_points(self) -> list[EntryPoint]:
        """Return the entry points of our candidates, in our order."""
        return [candidate.entry_point for candidate in self._candidates.values()]

    def candidate_of(self, entry_point: EntryPoint) -> Candidate:
        """Return the candidate of an entry point."""
        return self._candidates[entry_point.name]

    def _load_one_plugin(
        self,
        ep: EntryPoint,
        invoke_on_load: bool,
        invoke_args: tuple[Any, ...],
        invoke_kwds: dict[str, Any],
    ) -> Extension[Any] | None:
        candidate = self.candidate_of(ep)
        stage = ["import"]

        def work() -> Extension[Any] | None:
            extension = super(_CandidateManager, self)._load_one_plugin(
                ep, invoke_on_load, invoke_args, invoke_kwds
            )
            if extension is not None:
                _check_class(candidate, extension.plugin)
                self.declarations[candidate.name] = declared_by(extension.plugin)
                stage[0] = "construct"
                if self._construct:
                    extension.obj = extension.plugin()
            return extension

        with self._marks.mark(candidate.name, "import", builtin=candidate.builtin):
            return _in_thread(candidate, work, stage, self._timeout_s)

    def _remember(self, _: object, entry_point: EntryPoint, error: BaseException) -> None:
        candidate = self.candidate_of(entry_point)
        status = error.status if isinstance(error, _LoadFailureError) else explain(candidate, error)
        self.failed[candidate.key] = status
        logger.debug("%s %s did not load", candidate.key, candidate.version, exc_info=error)


def _in_thread(
    candidate: Candidate,
    work: Callable[[], Extension[Any] | None],
    stage: Sequence[str],
    timeout_s: float,
) -> Extension[Any] | None:
    results: list[Extension[Any] | None] = []
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
    raise _LoadFailureError(status)


def _end(thread: threading.Thread) -> None:
    """End a thread at its next line of Python, so that it uses no more time and prints nothing.

    In C code it ends later, or never; it is a daemon thread, so the process can exit.
    """
    import ctypes  # slow to import, and rarely needed

    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
    )


def _fail(candidate: Candidate, error: BaseException, *, constructing: bool) -> NoReturn:
    if isinstance(error, _LoadFailureError):
        raise error
    raise _LoadFailureError(explain(candidate, error, constructing=constructing)) from error


def _check_class(candidate: Candidate, found: object) -> None:
    """Refuse an object that is not a plugin class, before it is called.

    A journal or a transport is made by any function of its settings.

    Raises:
        _LoadFailureError: It is not a class, or has no hook.
    """
    if candidate.group in (JOURNAL_GROUP, TRANSPORT_GROUP) and callable(found):
        return
    if not isinstance(found, type):
        raise _LoadFailureError(
            not_a_plugin(candidate, f"it is of type {type(found).__name__}, not a class")
        )
    if candidate.group == PLUGIN_GROUP and not issubclass(found, Plugin) and not has_hooks(found):
        raise _LoadFailureError(
            not_a_plugin(candidate, "the class has no operation, subscriber or hook")
        )


def has_hooks(found: type[Any]) -> bool:
    """Tell whether a class has an operation, a subscriber or another hook."""
    return any(hasattr(value, _HOOK_MARK) for value in _class_values(found))


def _class_values(found: type[Any]) -> Iterator[object]:
    for each in found.__mro__:
        yield from vars(each).values()
