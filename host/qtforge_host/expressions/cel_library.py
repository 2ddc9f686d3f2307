"""Import the CEL library without its console.

The package imports its command line with itself, and with that a whole console: 0.1 s in each
process that has one expression.
"""

from __future__ import annotations

import sys
import types
from functools import cache
from typing import Any, Final

__all__ = ["cel_library"]

_COMMAND_LINE: Final = "cel.cli"


@cache
def cel_library() -> Any:
    """Return the module ``cel``; an import of ``cel.cli`` still finds the real module.

    Raises:
        ImportError: The library is not installed.
    """
    empty = None
    if "cel" not in sys.modules and _COMMAND_LINE not in sys.modules:
        empty = sys.modules[_COMMAND_LINE] = types.ModuleType(_COMMAND_LINE)
    try:
        import cel  # only when there is an expression
    finally:
        if empty is not None and sys.modules.get(_COMMAND_LINE) is empty:
            del sys.modules[_COMMAND_LINE]
    if empty is not None and vars(cel).get("cli") is empty:
        del cel.cli
    return cel
