"""Standard output is for data: what a plugin prints meanwhile goes to standard error."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Coroutine, Iterator
from typing import Any, TextIO, TypeVar

__all__ = ["data_only", "run_async"]

T = TypeVar("T")


@contextlib.contextmanager
def data_only() -> Iterator[TextIO]:
    """Send what is printed to standard error; give the stream that data goes to."""
    data = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        yield data


def run_async(main: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine to its end, with plugins' prints on standard error."""
    with data_only():
        return asyncio.run(main)
