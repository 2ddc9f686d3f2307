"""The model of py3langid, unpacked once and then mapped into memory.

The package has it compressed: to unpack it takes half a second and 68 MB in each process. Here
the first process unpacks it into the user's folder for caches, and all share what is mapped from
there. Without such a folder each process unpacks it for itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from platformdirs import user_cache_path
from py3langid.langid import MODEL_DIR, MODEL_FILE, LanguageIdentifier
from py3langid.modelio import load_model

__all__ = ["load_language_identifier"]

_ARRAYS: Final = ("weights", "priors", "classes", "moves", "rows", "outputs")
_UNFINISHED: Final = "."
_MOST_UNPACKING_S: Final = 3600.0
_MOST_MODELS: Final = 2  # that of another environment's version may be in use too


def load_language_identifier() -> LanguageIdentifier:
    """Return py3langid's identifier with its own model, which gives probabilities."""
    packed = Path(MODEL_DIR) / MODEL_FILE
    try:
        weights, priors, classes, moves, rows, outputs = _mapped(packed)
    except (OSError, ValueError, RuntimeError):  # no folder, a full disk, or a cut file
        return LanguageIdentifier.from_model_file(packed, norm_probs=True)
    # Python reads single numbers from a memoryview several times as fast as from an array.
    return LanguageIdentifier(
        weights, priors, classes.tolist(), memoryview(moves), outputs.tolist(),
        norm_probs=True, tk_row=rows.tolist(),
    )  # fmt: skip


def _mapped(packed: Path) -> list[Any]:
    """Return the model's arrays, mapped from files that are made when there are none.

    Raises:
        OSError: The files can't be written or read.
        ValueError: They are not what was written.
        RuntimeError: The user has no home.
    """
    models = user_cache_path("qtforge-host") / "language-models"
    folder = models / hashlib.sha256(packed.read_bytes()).hexdigest()[:16]
    if not folder.is_dir():
        _unpack(packed, folder)
    try:
        return [
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS
        ]
    except (OSError, ValueError):
        shutil.rmtree(folder, ignore_errors=True)  # for the next process to make anew
        raise


def _unpack(packed: Path, folder: Path) -> None:
    """Write the arrays of a model into a folder, which appears with all of them or not at all."""
    models = folder.parent
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        dir=models, prefix=_UNFINISHED, ignore_cleanup_errors=True
    ) as made:
        for name, array in zip(_ARRAYS, load_model(packed), strict=True):
            np.save(Path(made) / f"{name}.npy", np.asarray(array), allow_pickle=False)
        with contextlib.suppress(OSError):  # another process was first
            os.rename(made, folder)
    _clean(models)


def _clean(models: Path) -> None:
    """Remove models of earlier versions, and what processes left that were killed."""
    finished: list[tuple[float, Path]] = []
    for each in models.iterdir():
        with contextlib.suppress(FileNotFoundError):
            changed_s = each.stat().st_mtime
            if not each.name.startswith(_UNFINISHED):
                finished.append((changed_s, each))
            elif changed_s < time.time() - _MOST_UNPACKING_S:
                shutil.rmtree(each, ignore_errors=True)
    for _, old in sorted(finished)[:-_MOST_MODELS]:
        shutil.rmtree(old, ignore_errors=True)
