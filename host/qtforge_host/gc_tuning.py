"""The garbage collector, set up for a process that runs many short-lived runs."""

from __future__ import annotations

import gc
from typing import Final

__all__ = ["freeze_heap"]

_THRESHOLDS: Final = (10_000, 20, 50)


def freeze_heap() -> None:
    """Leave what is alive now out of every later collection, and collect less often.

    Modules and plugins live as long as the process, and runs are freed without a collection;
    so looking through all of them again and again finds nothing. With many runs at once it
    took an eighth of the time.
    """
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
