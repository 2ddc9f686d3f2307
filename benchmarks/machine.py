"""What the figures were taken on."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path

__all__ = ["describe"]

_LIBRARIES = (
    "qtforge-host", "qtforge-sdk", "blinker", "click", "common-expression-language", "dbos",
    "msgspec", "packaging", "pluggy", "pyee", "pypubsub", "python-statemachine",
    "taskflow", "transitions",
)  # fmt: skip


def describe() -> Mapping[str, str]:
    """Return the machine's description, by what is described."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": versions,
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()
