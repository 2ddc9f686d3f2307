"""Whether the libraries of the extra ``serve`` are there, without importing them."""

from __future__ import annotations

import importlib.util
from typing import Final

from qtforge_host.serving.errors import ServeNotInstalledError

__all__ = ["check_installed"]

_MODULES: Final = ("cronsim", "prometheus_client", "starlette", "uvicorn")


def check_installed(modules: tuple[str, ...] = _MODULES) -> None:
    """Check that modules can be imported.

    Raises:
        ServeNotInstalledError: Some can't.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ServeNotInstalledError(", ".join(missing))
