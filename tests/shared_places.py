"""The program whose runs need places of a concurrency key, and a race for the last ones."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.integration.place_worker import KEYS
from tests.serving import until

RACERS = 3
DEADLINE_S = 120


@contextlib.contextmanager
def worker(*words: object) -> Iterator[subprocess.Popen[str]]:
    """Start the program; it is killed if it is still there at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.place_worker", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=DEADLINE_S)


def ended(process: subprocess.Popen[str]) -> list[Any]:
    """Return the lines that it has printed, when it has ended."""
    out, errors = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in out.splitlines()]


def one_gets_the_last_place(folder: Path, url: str = "") -> None:
    """Let processes compete for the last place of many keys; exactly one of them gets each.

    Args:
        folder: Where they meet, and where the journal is.
        url: The address of a shared journal in place of that.
    """
    with contextlib.ExitStack() as stack:
        racers = [
            stack.enter_context(worker("race", folder, who, *filter(None, [url])))
            for who in range(RACERS)
        ]

        def all_are(stage: str) -> bool:
            for racer in racers:
                assert racer.poll() is None, racer.communicate()
            return len(list(folder.glob(f"{stage}-*"))) == RACERS

        until(lambda: all_are("ready"))
        (folder / "go").touch()
        until(lambda: all_are("done"))
        (folder / "stop").touch()
        taken = [ended(racer) for racer in racers]
    assert Counter(key for keys in taken for key in keys) == dict.fromkeys(range(KEYS), 1)
