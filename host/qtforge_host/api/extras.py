"""Whether the libraries of the extra ``serve`` are installed."""

from __future__ import annotations

import importlib.util
from typing import Final

from qtforge_host.api.errors import ServeNotInstalledError

__all__ = ["SCHEDULES", "SERVING", "check_installed"]

SCHEDULES: Final = ("cronsim",)
SERVING: Final = ("cronsim", "jinja2", "prometheus_client", "starlette", "uvicorn")


def check_installed(modules: tuple[str, ...]) -> None:
    """Check that modules can be imported.

    Raises:
        ServeNotInstalledError: Some can't.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ServeNotInstalledError(", ".join(missing))
