"""``python -m qtforge_host.plugin_check.child``: one step, in a process of its own.

It reads a `Job` from standard input, and writes an `Answer` into the file that it is given.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from qtforge_host.plugin_check.job import Answer, Job

__all__ = ["main"]


def _step(job: Job) -> Callable[[Job], Answer]:
    # Each imports what the others do without.
    if job.step == "read":
        from qtforge_host.plugin_check.reading import read

        return read
    if job.step == "import":
        from qtforge_host.plugin_check.importing import import_plugins

        return import_plugins
    from qtforge_host.plugin_check.trying import try_plugins

    return try_plugins


def main() -> None:
    """Do the step, and end at once: threads of the plugin may not let it end otherwise."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    with contextlib.redirect_stdout(sys.stderr):
        answer = _step(job)(job)
    file = Path(sys.argv[1])
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(msgspec.json.encode(answer))
    unfinished.rename(file)
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
