"""The tests on every Python that is supported: ``nox``, or ``nox -s tests-3.13``."""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "venv"


@nox.session(python=["3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """Install the project as its users do, and pass the tests."""
    session.install("-e", "./sdk[testing]", "-e", ".[all,dev,bench]")
    session.run("pytest", "-n", "2", *session.posargs)


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Check style and types."""
    session.install("-e", "./sdk[testing]", "-e", ".[all,dev,bench]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
