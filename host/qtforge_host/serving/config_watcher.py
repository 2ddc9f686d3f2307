"""Notices that the configuration has changed, by looking at its files."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Final

from qtforge_host.config.settings import Settings
from qtforge_host.config.toml_files import managed_path

__all__ = ["Watch", "fingerprint"]

_POLL_S: Final = 2.0

Fingerprint = frozenset[tuple[str, int, int]]


def fingerprint(settings: Settings) -> Fingerprint:
    """Return what tells one state of the configuration's files from another."""
    path = settings.config_path
    files = (path, managed_path(path), settings.secrets_path)
    return frozenset(
        found
        for each in itertools.chain(files, (path.parent / "workflows").glob("*.toml"))
        if (found := _stat(each)) is not None
    )


class Watch:
    """Waits for a change.

    Args:
        settings: Names the files.
        poll_s: How often to look, in seconds.
    """

    def __init__(self, settings: Settings, poll_s: float = _POLL_S) -> None:
        self._settings = settings
        self._poll_s = poll_s
        self._seen = fingerprint(settings)

    def look(self) -> None:
        """Take the files as they are now."""
        self._seen = fingerprint(self._settings)

    async def changed(self) -> None:
        """Wait until a file is another than when it was last looked at."""
        while True:
            await asyncio.sleep(self._poll_s)
            found = await asyncio.to_thread(fingerprint, self._settings)
            if found == self._seen:
                continue
            self._seen = found
            return


def _stat(path: Path) -> tuple[str, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return str(path), found.st_mtime_ns, found.st_size
