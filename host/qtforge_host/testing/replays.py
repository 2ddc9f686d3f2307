"""What the code of a test does with exported runs."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from qtforge_host.runs.replay_check import Replayed
from qtforge_sdk.journal_kit.archive import Archive, unpack

__all__ = ["ReplayedFile", "Replays", "read_exports"]

_SHOWN: Final = 20  # lines in the text of an error


class ReplayedFile(NamedTuple):
    """An exported run, and what the code does with it."""

    file: Path
    replayed: Replayed

    @property
    def verdict(self) -> str:
        """One of `qtforge_host.runs.replay_check.Verdict`."""
        return self.replayed.verdict

    @property
    def next_step(self) -> str:
        """The step that the code would do next, or where it diverged; "" for none."""
        return self.replayed.step

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.file}: {self.replayed}"


class Replays(Sequence[ReplayedFile]):
    """What the code does with each of several exported runs, in the order of their files."""

    def __init__(self, found: Sequence[ReplayedFile]) -> None:
        self._found = found

    def __getitem__(self, index: Any) -> Any:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[ReplayedFile]:
        return iter(self._found)

    def check(self) -> None:
        """Check that the code continues every run that has not ended, and does not diverge.

        Raises:
            AssertionError: It diverges; with the files, the steps and both sides.
        """
        self._refuse([each for each in self._found if each.verdict == "diverged"])

    def expect(self, *, next_step: str) -> None:
        """Check that each run is continued, and which step is its next.

        Args:
            next_step: The step's name; of a run that waits the step of the wait, ``event paid``
                for example.

        Raises:
            AssertionError: Another is, or the run ends or diverges.
        """
        wanted = ("continues", next_step)
        others = [each for each in self._found if (each.verdict, each.next_step) != wanted]
        self._refuse(others)

    def _refuse(self, wrong: Sequence[ReplayedFile]) -> None:
        if not wrong:
            return
        lines = [str(each) for each in wrong[:_SHOWN]]
        if len(lines) < len(wrong):
            lines.append(f"and {len(wrong) - len(lines)} more")
        raise AssertionError("\n  ".join([f"of {len(self)} runs:", *lines]))


def read_exports(files: str | os.PathLike[str]) -> list[tuple[Path, Archive]]:
    """Read exported runs.

    Args:
        files: A path or a pattern such as ``tests/runs/*.qtforge-run``.

    Raises:
        ArchiveInvalidError: A file is not an export.
        FileNotFoundError: There is none.
    """
    found = [Path(each) for each in sorted(glob.glob(os.fspath(files)))]
    if not found:
        raise FileNotFoundError(f"no file is {os.fspath(files)}: write one with 'runs export'")
    return [(each, unpack(each.read_bytes(), pause=False, file=str(each))) for each in found]
