"""What continuous integration runs: ``nox``, or a part of it such as ``nox -s tests-3.13``."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.sessions = ["lint", "tests"]

_EXTENSIONS = [str(each.parent) for each in sorted(Path("extensions").glob("*/pyproject.toml"))]
_DEVELOPMENT = (
    "-e", "./sdk", "-e", ".[all,dev,bench]",
    *(word for each in _EXTENSIONS for word in ("-e", f"./{each}")),
)  # fmt: skip
_DISTRIBUTIONS = (
    "sdk", ".", *_EXTENSIONS,
    *(str(each.parent) for each in sorted(Path("sample_plugins").glob("*/pyproject.toml"))),
)  # fmt: skip


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """Install the project as its users do, and pass the tests."""
    session.install(*_DEVELOPMENT)
    session.run("pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


@nox.session(python="3.11")
def coverage(session: nox.Session) -> None:
    """Pass the tests, and print which lines they miss."""
    session.install(*_DEVELOPMENT, "pytest-cov")
    session.run("pytest", "-n", "2", "--cov", "--cov-report=term:skip-covered", *session.posargs)


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Check style and types."""
    session.install(*_DEVELOPMENT)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python="3.11")
def release(session: nox.Session) -> None:
    """Build all archives into dist/, check them, install them by name, and list their parts."""
    session.install("build>=1.2", "cyclonedx-bom>=7", "twine>=6.1", "uv>=0.9")
    dist = Path("dist").resolve()
    shutil.rmtree(dist, ignore_errors=True)
    for folder in _DISTRIBUTIONS:
        # The wheel is built from the source distribution, so that both are known to be complete.
        session.run("python", "-m", "build", "--outdir", str(dist), folder)
    session.run("twine", "check", "--strict", *(str(each) for each in sorted(dist.iterdir())))
    session.run("python", "-m", "tools.check_release", str(dist))
    session.run("python", "-m", "tools.try_release", str(dist))
