"""pip or uv: what installs distributions into the environment that runs, and builds wheels."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from qtforge_sdk.errors import QtForgeError

__all__ = ["Ended", "Installer", "NoInstallerError"]

_LINES: Final = 15


class NoInstallerError(QtForgeError):
    """Neither pip nor uv is there."""

    code = "plugins.no_installer"

    def __init__(self) -> None:
        super().__init__(
            "distributions can't be installed here",
            f"{sys.executable} has no pip, and there is no uv",
            "install uv, or run: python -m ensurepip",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command of pip or uv has ended.

    Attributes:
        succeeded: Whether its exit code is 0.
        output: What it wrote to standard output.
        last_lines: The last lines of all that it wrote, without its warnings: why it failed.
    """

    succeeded: bool
    output: str
    last_lines: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """One of them.

    Attributes:
        name: ``pip`` or ``uv``.
        program: The words with which its commands begin.
    """

    name: str
    program: tuple[str, ...]

    @classmethod
    def found(cls) -> Installer:
        """Return pip where the environment has it, else uv.

        Raises:
            NoInstallerError: There is neither.
        """
        if importlib.util.find_spec("pip") is not None:
            options = ("--disable-pip-version-check", "--no-input")
            return cls(name="pip", program=(sys.executable, "-m", "pip", *options))
        uv = shutil.which("uv")
        if uv is None:
            raise NoInstallerError
        return cls(name="uv", program=(uv,))

    def build_command(self, folder: Path, target: Path, *, isolated: bool) -> list[str]:
        """Return the command that builds the wheel of a project.

        Args:
            folder: The project.
            target: Where the wheel is written.
            isolated: Whether what the build needs is fetched, instead of taken from here.
        """
        if self.name == "uv":
            words = [*self.program, "build", "--wheel", "--out-dir", str(target), str(folder)]
            return (
                words if isolated else [*words, "--no-build-isolation", "--python", sys.executable]
            )
        words = [*self.program, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target)]
        return [*words, *([] if isolated else ["--no-build-isolation"]), str(folder)]

    def command(self, verb: str, words: Sequence[str]) -> list[str]:
        """Return the command that installs into this environment, or uninstalls from it.

        Args:
            verb: ``install`` or ``uninstall``; for uv ``compile`` too.
            words: Its options and requirements, which pip and uv share.
        """
        if self.name == "uv":
            python = () if verb == "compile" else ("--python", sys.executable)
            return [*self.program, "pip", verb, *python, *words]
        return [*self.program, verb, *(["--yes"] if verb == "uninstall" else []), *words]

    def call(self, command: Sequence[str], timeout_s: float) -> Ended:
        """Execute one of these commands, without a terminal, and wait for its end.

        Raises:
            TimeoutError: It did not end in time, and was killed.
        """
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=timeout_s,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"it did not end within {timeout_s:g} s") from error
        lines = (line.strip() for line in (done.stdout + done.stderr).splitlines())
        telling = [line for line in lines if line and not line.startswith("WARNING")]
        return Ended(
            succeeded=done.returncode == 0,
            output=done.stdout,
            last_lines="\n".join(telling[-_LINES:]),
        )
