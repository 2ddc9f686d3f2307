"""The boundary to plugin code: whatever it raises is that plugin's failure.

Plugin code may raise anything: a `BaseException` of its own (as extensions in Rust do),
`SystemExit`, a `CancelledError` of a task of its own, an exception whose text can't be read.
Each place that calls it catches `BaseException`, and asks `is_interruption` whether the
exception was meant for the caller instead; if not, it is described by the functions here. So
the texts that leave this module can be stored and shown: they are valid Unicode, and bounded.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any, Final, NamedTuple

import msgspec

import qtforge_sdk
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.records import MOST_TRACEBACK

__all__ = [
    "NO_AUTHOR",
    "Author",
    "ControlSignal",
    "ErrorDescription",
    "PluginCodeError",
    "clean_text",
    "describe",
    "description_of",
    "discard_awaitable",
    "explain",
    "file_and_line",
    "folder_of",
    "is_host_code",
    "is_interruption",
    "is_own_code",
    "is_sound",
    "place_of",
    "place_of_function",
    "traceback_of",
    "valid_text",
    "value_text",
]

_MAX_TEXT: Final = 10_000  # characters of an error's text
_ON_SIGINT: Final = "_on_sigint"  # the function of `asyncio.Runner` that raises at Ctrl-C
_REFUSED: Final = (StopIteration, KeyboardInterrupt, SystemExit, GeneratorExit)  # by futures
_MOST_FRAMES: Final = 100  # of a traceback, the innermost
_CUT_NOTE: Final = 40  # characters of the line that says what was left out
_MAX_LEAVES: Final = 3  # exceptions of a group that are named
_HOST_FOLDER: Final = os.path.dirname(__file__) + os.sep
_LIBRARY_FOLDERS: Final = (os.path.dirname(os.__file__) + os.sep, "<frozen ")
_SDK_FOLDER: Final = os.path.dirname(qtforge_sdk.__file__) + os.sep
_PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, dict, list, tuple})
_INSTALLED: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class Author(NamedTuple):
    """The plugin that code belongs to; both are "" where that is not known.

    Attributes:
        plugin: Its name.
        version: Its version.
    """

    plugin: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.plugin} {self.version}".strip() or "code of no plugin"


NO_AUTHOR: Final = Author()


class ControlSignal(BaseException):
    """Raised by the host through plugin code to leave it; never a failure of the plugin."""


class PluginCodeError(QtForgeError):
    """Plugin code that is no operation raised something unexpected, the ``__cause__``.

    Args:
        code: Which code failed, such as ``run.step_failed``.
        author: The plugin.
        what: What happened, in one line.
        place: ``file:line`` in the plugin, or "".
        fix: How to fix it.
    """

    def __init__(self, code: str, author: Author, what: str, place: str = "", fix: str = "", /):
        super().__init__(what, "", fix)
        self.code = code
        self.plugin, self.version = author
        self.place = place


class ErrorDescription(msgspec.Struct, frozen=True):
    """What an exception of plugin code says, as text that can be stored and shown.

    Attributes:
        code: The code of a `QtForgeError`, else "".
        what: What happened, in one line.
        why: The cause, or "".
        fix: How to fix it, or "".
        retryable: Whether another attempt may succeed; None where it does not say.
        retry_after_s: The minimum delay before another attempt, in seconds, or None.
    """

    code: str
    what: str
    why: str
    fix: str
    retryable: bool | None
    retry_after_s: float | None

    @property
    def text(self) -> str:
        """What happened and why."""
        return f"{self.what}: {self.why}" if self.why else self.what


def is_interruption(error: BaseException) -> bool:
    """Return whether an exception was meant for the caller of plugin code, not raised by it.

    That is: the current task was cancelled from outside, its coroutine is being closed, the
    user pressed Ctrl-C, or the host leaves the code with a `ControlSignal`. To be called in the
    frame that caught the exception, and only while it handles it.

    Args:
        error: What the plugin's code raised.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, ControlSignal):
        return True
    import asyncio  # here, since a listing of plugins needs none

    if isinstance(error, asyncio.CancelledError):
        try:
            task = asyncio.current_task()
        except RuntimeError:  # no event loop runs in this thread
            return False
        return task is not None and task.cancelling() > 0
    if isinstance(error, GeneratorExit):
        # `close` raises a new one in each frame; one that came from below has a deeper traceback.
        return error.__traceback__ is None or error.__traceback__.tb_next is None
    if isinstance(error, KeyboardInterrupt):
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        return bool(frames) and frames[-1].f_code.co_name == _ON_SIGINT
    return False


def clean_text(value: object) -> str:
    r"""Return plugin code's text so that it can be stored: valid Unicode, and bounded.

    >>> clean_text("a\udcffb")
    'a\\udcffb'
    >>> clean_text(7)
    '7'
    """
    text = valid_text(value if type(value) is str else _text(value))
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"


def valid_text(text: str) -> str:
    """Return a text in which lone surrogates are written as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def value_text(value: object, most: int = 80) -> str:
    r"""Return a value as Python writes it, as a message shows it: valid Unicode, and bounded.

    Args:
        value: Any value, of plugin code too.
        most: The characters after which it is cut.

    >>> value_text("a\udcffb"), value_text(int("7" * 100), 3)
    ("'a\\udcffb'", '777')
    """
    try:
        return valid_text(repr(value)[:most])
    except BaseException as error:  # of a number with very many digits as well
        if is_interruption(error):
            raise
        return f"a value of type {valid_text(type(value).__name__)}"


def describe(error: BaseException) -> str:
    """Return an exception's type and text in one line, also when its text can't be read.

    >>> describe(ValueError("odd")), describe(KeyError())
    ('ValueError: odd', 'KeyError')
    """
    cause = error.__cause__
    if isinstance(cause, _REFUSED) and type(error) is RuntimeError:
        error = cause  # a future refused it: see `qtforge_sdk.threads.resolve`
    text = clean_text(error)
    if isinstance(error, BaseExceptionGroup):
        leaves = list(_leaves(error))
        named = "; ".join(describe(leaf) for leaf in leaves[:_MAX_LEAVES])
        more = f"; and {len(leaves) - _MAX_LEAVES} more" if len(leaves) > _MAX_LEAVES else ""
        text = clean_text(f"{text}: {named}{more}")
    name = clean_text(type(error).__name__)
    return f"{name}: {text}" if text else name


def explain(error: BaseException, owner: object = None) -> str:
    """Return an exception's type and text, and where the plugin's code raised it.

    Args:
        error: The exception, with its traceback.
        owner: A function, class or instance of the plugin; None where none is known.
    """
    place = place_of(error, owner)
    return f"{describe(error)} ({place})" if place else describe(error)


def description_of(error: BaseException) -> ErrorDescription:
    """Return what an exception says, whatever its attributes hold."""
    if not isinstance(error, QtForgeError):
        return ErrorDescription("", describe(error), "", "", None, None)
    code, what = _attribute(error, "code"), _attribute(error, "what")
    if not isinstance(what, str):  # its __init__ did not call the base's
        return ErrorDescription(clean_text(code or ""), describe(error), "", "", None, None)
    retryable, after_s = _attribute(error, "retryable"), _attribute(error, "retry_after_s")
    return ErrorDescription(
        clean_text(code),
        clean_text(what),
        clean_text(_attribute(error, "why") or ""),
        clean_text(_attribute(error, "fix") or ""),
        retryable if isinstance(retryable, bool) else None,
        float(after_s) if isinstance(after_s, int | float) else None,
    )


def is_sound(error: QtForgeError) -> bool:
    """Return whether a deliberate error can be shown and stored as it is."""
    try:
        said = error.code, error.what, error.why, error.fix, str(error)
    except BaseException as failure:
        if is_interruption(failure):
            raise
        return False
    return all(isinstance(each, str) and clean_text(each) == each for each in said)


def place_of(error: BaseException, owner: object = None) -> str:
    """Return ``file:line`` of the plugin code that raised an exception, or "".

    It is the innermost frame in the package of the owner, if there is one; else the innermost
    that belongs neither to the host nor to Python nor to an installed library; else the
    innermost in an installed library.

    Args:
        error: The exception, with its traceback.
        owner: A function, class or instance of the plugin; None where none is known.
    """
    if isinstance(error, BaseExceptionGroup):
        leaf = next(_leaves(error), None)
        inner = "" if leaf is None else place_of(leaf, owner)
        if inner:
            return inner
    module = getattr(owner, "__module__", None)
    package = module.partition(".")[0] if isinstance(module, str) else ""
    found: dict[int, str] = {}  # by rank
    for frame, line in traceback.walk_tb(error.__traceback__):
        if is_own_code(frame.f_code):
            own = package and str(frame.f_globals.get("__name__")).partition(".")[0] == package
            rank = 0 if own else 1 if not _is_installed(frame.f_code) else 2
            found[rank] = file_and_line(frame.f_code, line)
    if not found and error.__cause__ is not None:
        return place_of(error.__cause__, owner)
    return found[min(found)] if found else ""


def traceback_of(error: BaseException) -> str | None:
    """Return the traceback of a failure of plugin code, from that code on; None where it is none.

    It has at most `MOST_TRACEBACK` characters: the beginning and the end of a longer one.

    Args:
        error: What the plugin's code raised.
    """
    try:
        found = traceback.TracebackException.from_exception(error, limit=-_MOST_FRAMES)
        if not _leave_own(found):
            return None
        return _cut(valid_text("".join(found.format())))
    except BaseException as failure:  # a plugin's exception may raise when it is read
        if is_interruption(failure):
            raise
        return f"its traceback can't be read: {type(failure).__name__}"


def _leave_own(found: traceback.TracebackException) -> bool:
    """Leave out the frames before the plugin's first; return whether it has any, or its causes."""
    stack = found.stack
    first = next((number for number, each in enumerate(stack) if _is_own_file(each.filename)), None)
    if first is not None:
        del stack[:first]
        return True
    causes = (found.__cause__, None if found.__suppress_context__ else found.__context__)
    inner = [each for each in (*causes, *(found.exceptions or ())) if each is not None]
    return sum(map(_leave_own, inner)) > 0  # each of them, also after the first


def _cut(text: str) -> str:
    if len(text) <= MOST_TRACEBACK:
        return text
    end = MOST_TRACEBACK * 2 // 3
    begin = MOST_TRACEBACK - end - _CUT_NOTE
    left_out = len(text) - begin - end
    return f"{text[:begin]}\n... {left_out:,} characters ...\n{text[-end:]}"


def place_of_function(function: object) -> str:
    """Return ``file:line`` where a function, or that of a coroutine, is defined, or ""."""
    try:
        unwrapped = inspect.unwrap(function)  # type: ignore[arg-type]
    except ValueError:
        unwrapped = function
    code = getattr(unwrapped, "__code__", None) or getattr(unwrapped, "cr_code", None)
    return file_and_line(code, code.co_firstlineno) if isinstance(code, CodeType) else ""


def is_own_code(code: CodeType) -> bool:
    """Return whether code is neither the host's, nor the SDK's, nor Python's own."""
    return _is_own_file(code.co_filename)


def _is_own_file(file: str) -> bool:
    if file.startswith((_HOST_FOLDER, _SDK_FOLDER)):
        return False
    return _is_in_packages(file) or not file.startswith(_LIBRARY_FOLDERS)


def is_host_code(code: CodeType) -> bool:
    """Return whether code is the host's."""
    return code.co_filename.startswith(_HOST_FOLDER)


def file_and_line(code: CodeType, line: int | None) -> str:
    """Return a place as ``file:line``."""
    return f"{clean_text(code.co_filename)}:{line}"


def discard_awaitable(value: object) -> bool:
    """Close a coroutine that will not be awaited; return whether the value was an awaitable.

    Args:
        value: What plugin code returned where an awaitable is a missing ``await``.
    """
    if value.__class__ in _PLAIN:  # as most are, and the other questions are slow
        return False
    if inspect.iscoroutine(value):
        value.close()
        return True
    return inspect.isawaitable(value)


def _is_installed(code: CodeType) -> bool:
    return _is_in_packages(code.co_filename)


def _is_in_packages(file: str) -> bool:
    return any(part in file for part in _INSTALLED)


def _text(value: object) -> str:
    try:
        return str.__str__(str(value))
    except BaseException as error:
        if is_interruption(error):
            raise
        return f"(its text can't be read: __str__ raised {type(error).__name__})"


def _attribute(error: QtForgeError, name: str) -> Any:
    try:
        return getattr(error, name)
    except BaseException as failure:
        if is_interruption(failure):
            raise
        return None


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from _leaves(each)
        else:
            yield each


def folder_of(plugin: object) -> Path | None:
    """Return the folder of an imported plugin's module; None where it has no file."""
    file = getattr(sys.modules.get(type(plugin).__module__), "__file__", None)
    return None if file is None else Path(file).parent
