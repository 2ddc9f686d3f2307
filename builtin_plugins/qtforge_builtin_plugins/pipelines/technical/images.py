"""The images of a document, with the size of local ones."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import imagesize

from qtforge_builtin_plugins.pipelines.technical.messages import Image
from qtforge_builtin_plugins.pipelines.technical.source import Picture

__all__ = ["measure"]

_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_TARGET: Final = 500
_MOST_DATA: Final = 40  # characters of a data: address, which contains the image itself


def measure(picture: Picture, document_path: str | None) -> Image:
    """Return an image with its size, if it is a file in the document's folder or below it.

    The document is untrusted: nothing is downloaded, and no file outside that folder is opened.
    """
    target = picture.target
    shown = (
        target[:_MOST_DATA] + "…" if target.lower().startswith("data:") else target[:_MOST_TARGET]
    )
    size, note = _size(target, document_path)
    return Image(
        alt=picture.alt,
        target=shown,
        line=picture.line,
        width_px=size[0] if size else None,
        height_px=size[1] if size else None,
        note=note,
    )


def _size(target: str, document_path: str | None) -> tuple[tuple[int, int] | None, str | None]:
    """Return width and height, or why there are none."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return None, "its address is malformed"
    if parts.scheme or parts.netloc:
        return None, "it is not a local file"
    if document_path is None:
        return None, "the document has no folder"
    if not parts.path or "\0" in parts.path:
        return None, "it is not the path of a file"
    try:
        folder = Path(document_path).resolve().parent
        path = (folder / unquote(parts.path)).resolve()
        if not path.is_relative_to(folder):
            return None, "it is outside the document's folder"
        if not path.is_file():
            return None, "the file does not exist"
        if path.stat().st_size > _MOST_BYTES:
            return None, "it is too large"
        width, height = imagesize.get(str(path))
    except (OSError, ValueError, RuntimeError) as error:
        return None, f"it can't be read: {error}"
    if width <= 0 or height <= 0:
        return None, "its format is not known"
    return (int(width), int(height)), None
