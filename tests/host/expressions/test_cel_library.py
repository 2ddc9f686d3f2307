"""The CEL library is imported without the console that its package brings."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from qtforge_host.expressions.cel_library import cel_library

cel = cel_library()
assert cel.compile("1 + 1").execute(cel.Context()) == 2
assert cel.stdlib.STDLIB_FUNCTIONS
assert not {"cel.cli", "prompt_toolkit"} & sys.modules.keys()

from cel import cli
assert cli is sys.modules["cel.cli"]
assert callable(cli.main)
assert cel_library() is sys.modules["cel"]
"""


def test_the_console_is_imported_only_by_who_asks_for_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
