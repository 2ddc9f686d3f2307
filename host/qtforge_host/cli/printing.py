"""Prints each run once, when it has ended or rests, and remembers whether one failed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import TextIO

from qtforge_host.cli.errors import FAILED
from qtforge_host.cli.report import print_run
from qtforge_host.runs.offers import Offer
from qtforge_host.runs.outcome import RunView

__all__ = ["RunPrinter"]


class RunPrinter:
    """What becomes of the runs of one command.

    Args:
        data: Where it is printed.
        as_json: As JSON Lines.

    Attributes:
        offers: By run, what one that waits would take now; filled in before it is printed.
        exit_code: 1 when a run did not succeed; a command may set another.
    """

    def __init__(self, data: TextIO, *, as_json: bool) -> None:
        self.data = data
        self.offers: dict[str, Sequence[Offer]] = {}
        self.exit_code = 0
        self._as_json = as_json
        self._printed: set[str] = set()

    def ended(self, view: RunView) -> None:
        """Print a run that ended, rests or waits, unless it was printed already."""
        if view.run_id in self._printed:
            return
        self._printed.add(view.run_id)
        if view.status not in ("succeeded", "waiting"):
            self.exit_code = FAILED
        # Unless somebody collects what is printed, to put it above the lines of a terminal.
        stream = self.data if sys.stdout is sys.stderr else sys.stdout
        with contextlib.redirect_stdout(stream):
            print_run(view, as_json=self._as_json, offers=self.offers.get(view.run_id, ()))
            stream.flush()
