"""The files of the pages: each has its hash in its name, and is kept by browsers for ever."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from starlette.responses import Response

__all__ = ["FOLDER", "StaticFiles"]

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
_DIGITS: Final = 12  # of the hash, in a name
_FOREVER: Final = "public, max-age=31536000, immutable"


class StaticFiles:
    """The files of a folder, compressed once.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._names: dict[str, str] = {}
        self._files: dict[str, tuple[str, bytes, bytes]] = {}
        for path in sorted(folder.iterdir()):
            media_type = _TYPES.get(path.suffix)
            if media_type is None:  # such as a licence
                continue
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()[:_DIGITS]
            name = f"{path.stem}.{digest}{path.suffix}"
            self._names[path.name] = name
            self._files[name] = (media_type, content, gzip.compress(content, 9, mtime=0))

    def name(self, file: str) -> str:
        """Return a file's name with its hash.

        >>> StaticFiles().name("app.css").startswith("app.")
        True
        """
        return self._names[file]

    def answer(self, name: str, *, gzipped: bool) -> Response | None:
        """Return a file; None where there is none of the name.

        Args:
            name: With the hash.
            gzipped: Whether the client reads gzip.
        """
        found = self._files.get(name)
        if found is None:
            return None
        media_type, content, compressed = found
        headers = {"Cache-Control": _FOREVER, "X-Content-Type-Options": "nosniff"}
        if gzipped:
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return Response(compressed if gzipped else content, 200, headers, media_type)

    @property
    def compressed_bytes(self) -> int:
        """The size of all files as they are sent."""
        return sum(len(compressed) for _, _, compressed in self._files.values())
