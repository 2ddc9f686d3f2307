"""``python -m tools.chaos [PART ...]``; without a part, all of them."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tools.chaos.parts import PARTS

__all__ = ["main"]


def main() -> int:
    """Run the parts, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)}")
    parser.add_argument("--keep", action="store_true", help="keep the folders with the logs")
    given = parser.parse_args()
    if unknown := sorted({*given.parts} - PARTS.keys()):
        parser.error(f"there is no part {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, _end)
    failed = 0
    for name in given.parts or PARTS:
        part, begun = PARTS[name], time.monotonic()
        print(f"{name}: {(part.__doc__ or '').splitlines()[0]}", flush=True)
        folder = Path(tempfile.mkdtemp(prefix="qtforge-chaos-"))
        try:
            part(folder, lambda text: print(f"  {text}", flush=True))
        except Exception as error:  # noqa: BLE001 - the others are still to run
            failed += 1
            print(f"  FAILED: {type(error).__name__}: {error}; its logs: {folder}", flush=True)
        else:
            if not given.keep:
                _remove(folder)
        print(f"  {time.monotonic() - begun:.0f} s", flush=True)
    return 1 if failed else 0


def _end(number: int, _frame: object) -> None:
    sys.exit(128 + number)  # so that each part ends its workers and servers


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
