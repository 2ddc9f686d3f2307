from __future__ import annotations

import subprocess
import sys


def test_what_is_alive_is_left_out_of_later_collections() -> None:
    # In a process of its own: the tests' own collector stays as it is.
    program = (
        "import gc\nfrom qtforge_host.gc_tuning import freeze_heap\n"
        "before = gc.get_freeze_count()\nfreeze_heap()\n"
        "print(gc.get_freeze_count() > before + 1000, gc.get_threshold()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "True 10000\n"
