"""``python -m tools.check_release dist``: compare built archives with the sources."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.distributions import DISTRIBUTIONS, find_problems

__all__ = ["main"]


def main() -> None:
    """Print every problem, and exit with 1 when there is one."""
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        raise SystemExit("usage: python -m tools.check_release FOLDER, where the archives are")
    folder = Path(sys.argv[1])
    problems = [each for one in DISTRIBUTIONS for each in find_problems(one, folder)]
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise SystemExit(1)
    print(f"{len(DISTRIBUTIONS)} distributions are complete")


if __name__ == "__main__":
    main()
