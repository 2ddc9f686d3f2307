"""The outcomes of the planned times of each schedule; all processes of a journal share them."""

from __future__ import annotations

import asyncio
import datetime
import logging
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from qtforge_sdk.errors import StorageError
from qtforge_sdk.journal import Journal
from qtforge_sdk.validation import decoded

__all__ = ["Outcome", "PlannedTime", "ScheduleContendedError", "ScheduleState", "ScheduleStates"]

_LOG: Final = logging.getLogger("qtforge.schedules")
_PREFIX: Final = "schedule/"
_MOST_PAST: Final = 100
_MOST_UNFINISHED: Final = 1000
_MOST_TRIES: Final = 100
_AT_ONCE: Final = 3  # lost races after which others get time to finish
_LONGEST_WAIT_S: Final = 0.05

Outcome = Literal["started", "queued", "skipped", "missed", "triggered", "backfilled"]


class ScheduleContendedError(StorageError):
    """Other processes changed the state of a schedule whenever it was to be written.

    Args:
        name: The schedule.
    """

    code = "schedule.contended"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the state of the schedule '{name}' can't be written",
            f"other processes have changed it {_MOST_TRIES} times meanwhile",
            "try again in a moment; let fewer processes have the schedule",
        )
        self.name = name
        self.retryable = True


class PlannedTime(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A planned time and its outcome.

    Attributes:
        at: The planned time, in UTC.
        outcome: What was done.
        run_id: The run that was started; "" for none.
        why: The reason where none was.
    """

    at: datetime.datetime
    outcome: Outcome
    run_id: str = ""
    why: str = ""


class ScheduleState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a schedule has done.

    Attributes:
        planned: The last planned time that is dealt with, in UTC; before the first, when the
            schedule was first seen.
        run_id: The last run that it started; None before the first.
        turn: How often the clock was set back so far that planned times came again.
        paused_at: When it was paused, in UTC; None while it is not.
        paused_why: The reason, or "".
        resumed: Whether times that passed while it was paused are caught up.
        queued: The planned time whose run waits for the end of another; None for none.
        unfinished: The runs that it started and that may not have ended.
        failures: How many of its last runs have failed in a row.
        past: The last planned times, the latest last.
    """

    planned: datetime.datetime
    run_id: str | None = None
    turn: int = 0
    paused_at: datetime.datetime | None = None
    paused_why: str = ""
    resumed: bool = False
    queued: datetime.datetime | None = None
    unfinished: tuple[str, ...] = ()
    failures: int = 0
    past: tuple[PlannedTime, ...] = ()

    def with_past(self, *times: PlannedTime) -> ScheduleState:
        """Return the state after more planned times; their runs are unfinished."""
        runs = (each.run_id for each in times if each.run_id)
        unfinished = tuple(dict.fromkeys((*self.unfinished, *runs)))
        return msgspec.structs.replace(
            self,
            past=(*self.past, *times)[-_MOST_PAST:],
            unfinished=unfinished[-_MOST_UNFINISHED:],
        )


class ScheduleStates:
    """The state of each schedule, in a journal.

    Args:
        journal: The journal.
        earlier: The file in which version 1.0 has kept it, which is read where the journal has
            no state of a schedule yet.
    """

    def __init__(self, journal: Journal, earlier: Path) -> None:
        self._journal = journal
        self._earlier = earlier

    @classmethod
    def of(cls, journal: Journal, state_dir: Path) -> ScheduleStates:
        """Return those of a state directory and its journal."""
        return cls(journal, state_dir / "serve" / "schedules.json")

    async def all(self) -> Mapping[str, ScheduleState]:
        """Return the state of every schedule that has one, by its name."""
        found = {name: state for name, (state, _) in (await self._read("")).items()}
        return {name: state for name, state in {**self._of_file(), **found}.items() if state}

    async def get(self, name: str) -> ScheduleState | None:
        """Return the state of a schedule; None where it has none."""
        found, _ = await self._one(name)
        return found

    async def change(
        self, name: str, changed: Callable[[ScheduleState | None], ScheduleState | None]
    ) -> ScheduleState | None:
        """Change a state, whatever other processes do meanwhile; return it.

        Args:
            name: The schedule.
            changed: Returns the new state for the old one; called again where another process
                was faster. None leaves it as it is.

        Raises:
            StorageError: The journal can't be written.
            ScheduleContendedError: Other processes were faster each time.
        """
        for number in range(_MOST_TRIES):
            if number >= _AT_ONCE:
                await asyncio.sleep(random.uniform(0, _LONGEST_WAIT_S))  # noqa: S311 - no secret
            before, revision = await self._one(name)
            after = changed(before)
            if after is None or after == before:
                return before
            data = msgspec.json.encode(after)
            if await self._journal.keep_value(_PREFIX + name, data, revision):
                return after
        raise ScheduleContendedError(name)

    async def _one(self, name: str) -> tuple[ScheduleState | None, int]:
        found = (await self._read(name)).get(name)
        return (self._of_file().get(name), 0) if found is None else found

    async def _read(self, name: str) -> dict[str, tuple[ScheduleState | None, int]]:
        found: dict[str, tuple[ScheduleState | None, int]] = {}
        for value in await self._journal.kept_values(_PREFIX + name):
            state = None
            try:
                state = decoded(msgspec.json.Decoder(ScheduleState).decode, value.data)
            except msgspec.MsgspecError as error:
                # The runs' names are derived from the planned times, so nothing starts twice.
                _LOG.warning("the state of %s is not used: %s", value.key, error)
            found[value.key.removeprefix(_PREFIX)] = state, value.revision
        return found

    def _of_file(self) -> Mapping[str, ScheduleState]:
        try:
            return decoded(
                msgspec.json.Decoder(dict[str, ScheduleState]).decode, self._earlier.read_bytes()
            )
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            _LOG.warning("%s is not used: %s", self._earlier, error)
            return {}
