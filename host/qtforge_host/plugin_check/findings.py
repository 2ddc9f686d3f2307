"""What a check has found, and where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal

import msgspec

from qtforge_host.plugin_code import clean_text
from qtforge_host.plugins.candidates import Candidate, Status

__all__ = [
    "UNUSABLE",
    "CheckReport",
    "Finding",
    "Level",
    "attributed",
    "from_status",
    "split_place",
]

Level = Literal["error", "advice"]
_FIXES: Final = {
    "plugin.conflict": "give the entry point another name",
    "plugin.construct_failed": "make it without arguments and without self.config, which is set"
    " afterwards; what may fail belongs into start",
    "plugin.import_failed": "correct the line",
    "plugin.import_timeout": "do nothing slow at import; what takes time belongs into start",
    "plugin.incompatible": "widen the range of qtforge-sdk in dependencies: qtforge-sdk>=1,<2",
    "plugin.invalid_name": "name the entry point with lower-case words, joined by - _ or .",
    "plugin.invalid_requirement": "write a tuple of texts such as 'document-storage >= 1.0'",
    "plugin.not_a_plugin": "let the entry point name a class that inherits from qtforge_sdk.Plugin",
    "plugin.requirement_cycle": "let one of them not require the other",
    "plugin.start_failed": "correct the line; for what is not installed, raise PluginError(name,"
    " 'plugin.unmet', why, fix)",
    "plugin.start_timeout": "do what takes long in a task of its own",
    "plugin.unmet": "correct the name or the range in requires, or install what provides it",
}
"""What an author does about a state; the status says what a user does."""
UNUSABLE: Final = frozenset({*_FIXES, "plugin.check_died", "plugin.invalid_config"})
"""The codes of errors with which the host would not use the plugin at all."""
# Compiled when they are first used, which most commands never do.
_MISSING: Final = r"ModuleNotFoundError: No module named '([^']+)'"
_PLACE: Final = r" ?\((?:at )?(?P<file>[^()]+):(?P<line>\d+)\)"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong with a plugin, or could be better.

    Attributes:
        level: ``error`` where users of the plugin would be hit, else ``advice``.
        code: A stable code, ``<subject>.<what is wrong>``.
        what: What is wrong, in one line.
        why: The cause or the consequence; may be "".
        fix: What the author does about it.
        file: The file, or "".
        line: The line in it, from 1; None where it is not known.
        plugin: The plugin's name.
        version: The version of its distribution.
    """

    level: Level
    code: str
    what: str
    why: str = ""
    fix: str = ""
    file: str = ""
    line: int | None = None
    plugin: str = ""
    version: str = ""


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """The findings of one target.

    Attributes:
        target: What was checked: a name, a folder or a wheel.
        findings: What was found, errors first.
        plugins: Name and version of each plugin that was found in it.
        operations: How many operations were tried with their examples.
        replayed: How many runs were replayed; 0 where that was not asked for.
        ignored: How many findings ``[tool.qtforge.check] ignore`` has left out.
    """

    target: str
    findings: list[Finding]
    plugins: list[str]
    operations: int = 0
    replayed: int = 0
    ignored: int = 0


def split_place(text: str) -> tuple[str, str, int | None]:
    """Return a text without the place ``(file:line)`` in it, that file, and that line.

    >>> split_place("its start raised OSError: gone (/a/b.py:7)")
    ('its start raised OSError: gone', '/a/b.py', 7)
    """
    found = re.search(_PLACE, text)
    if found is None:
        return text, "", None
    return text[: found.start()] + text[found.end() :], found["file"], int(found["line"])


def from_status(status: Status, fallback: tuple[Path | None, int | None] = (None, None)) -> Finding:
    """Return the finding of a plugin that can't be used.

    Args:
        status: Its state, with the reason.
        fallback: File and line, where the reason names none.
    """
    what, file, line = split_place(clean_text(status.reason))
    if not file and fallback[0] is not None:
        file, line = str(fallback[0]), fallback[1]
    missing = re.search(_MISSING, what)
    fix = _FIXES.get(status.code, status.fix)
    if missing is not None:
        fix = f"name what provides '{missing[1]}' in dependencies, or correct the import"
    why = f"its state would be '{status.state}', and it would not be used"
    return Finding(
        level="error", code=status.code, what=what, why=why, fix=fix, file=file, line=line
    )


def attributed(finding: Finding, candidate: Candidate) -> Finding:
    """Return a finding with the plugin that it is about."""
    return msgspec.structs.replace(finding, plugin=candidate.name, version=candidate.version)
