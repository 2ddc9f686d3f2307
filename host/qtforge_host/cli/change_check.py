"""Check what has changed before `dev` swaps the serving process, and say what was found."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from qtforge_host.api.authoring import plugins_with
from qtforge_host.plugin_check.findings import UNUSABLE

__all__ = ["ChangeCheck"]

_TIMEOUT_S: Final = 180.0
_DIVERGED: Final = "run.diverged"


class ChangeCheck:
    """Asks commands of the host about files that have changed, each in a process of its own.

    Args:
        command: Makes the command line of a command of the host.
        config: The configuration's file; definitions are in ``workflows`` beside it.
        say: Shows a line to the user.
    """

    def __init__(
        self, command: Callable[..., list[str]], config: Path, say: Callable[[str], None]
    ) -> None:
        self._command = command
        self._config = config.resolve()
        self._say = say

    def __call__(self, files: Sequence[Path]) -> bool:
        """Check files; return whether the host could use what they are now."""
        files = [each.resolve() for each in files]
        usable = [self._plugin(name) for name in plugins_with(files)]
        good = all(usable)
        folder = self._config.parent / "workflows"
        definitions = [each for each in files if each.parent == folder and each.is_file()]
        if definitions:
            self._definitions(definitions)
        if self._config in files:
            good = self._configuration() and good
        return good

    def _plugin(self, name: str) -> bool:
        answer = self._asked("plugins", "check", name, "--replay", "--json")
        if answer is None:
            return False
        (report,) = answer["targets"]
        findings = report["findings"]
        for finding in findings:
            for line in _lines(finding):
                self._say(line)
        usable = not any(each["code"] in UNUSABLE for each in findings)
        if not usable:
            self._say(f"{name}: checked: it could not be used")
            return False
        diverged = sum(each["code"] == _DIVERGED for each in findings)
        others = len(findings) - diverged
        found = [
            _counted(others, "finding") if others else "nothing found",
            f"{_counted(report['operations'], 'operation')} tried",
            f"{_counted(report['replayed'] - diverged, 'unfinished run')} would continue",
        ]
        if diverged:
            found.append(f"{diverged} would be blocked")
        self._say(f"{name}: checked: {', '.join(found)}")
        return True

    def _definitions(self, files: Sequence[Path]) -> None:
        answer = self._asked("workflows", "validate", *map(str, files), "--json")
        for row in () if answer is None else answer["workflows"]:
            for problem in row["problems"]:
                line = "" if problem["line"] is None else f":{problem['line']}"
                self._say(f"{problem['source']}{line}: {problem['path']}: {problem['what']}")
            count = len(row["problems"])
            self._say(f"{row['name']}: checked: {_counted(count, 'problem') if count else 'valid'}")

    def _configuration(self) -> bool:
        answer = self._asked("config", "validate", "--json")
        for problem in () if answer is None else answer["problems"]:
            self._say(f"{problem['where']}: {problem['what']}")
        return answer is not None

    def _asked(self, *words: str) -> Any:
        """Return a command's answer; None, after its words were shown, where it has none."""
        try:
            done = subprocess.run(
                self._command(*words), stdin=subprocess.DEVNULL, capture_output=True,
                timeout=_TIMEOUT_S, encoding="utf-8", errors="replace", check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            self._say(f"{' '.join(words[:3])} did not end within {_TIMEOUT_S:g} s")
            return None
        try:
            return json.loads(done.stdout)
        except ValueError:
            for line in done.stderr.strip().splitlines():
                self._say(line)
            return None


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _lines(finding: dict[str, Any]) -> Iterator[str]:
    line = "" if finding["line"] is None else f":{finding['line']}"
    place = f"{finding['file']}{line}: " if finding["file"] else ""
    yield f"{finding['level']}[{finding['code']}]: {place}{finding['what']}"
    if finding["fix"]:
        yield f"  fix: {finding['fix']}"
