"""pip or uv: what installs distributions into the environment that runs."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qtforge_sdk.errors import QtForgeError

__all__ = ["Installer", "NoInstallerError"]


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
