"""Tune the garbage collector for a process that executes many short runs."""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["freeze_heap"]

_THRESHOLDS: Final = (10_000, 20, 50)


def freeze_heap() -> None:
    """Exclude all current objects from later collections, and collect less often.

    Modules and plugins live as long as the process, and runs are freed without a collection,
    so that collections find nothing. With many concurrent runs they took an eighth of the time.
    """
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
