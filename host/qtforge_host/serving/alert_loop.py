"""Follow the journal, and start a run for each message that an alert has to send."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from qtforge_host.alerts.decisions import AlertState, Happening, decide
from qtforge_host.alerts.messages import DELIVERY_WORKFLOW, AlertMessage, delivery_id
from qtforge_host.config.alerts import Alert, AlertReason
from qtforge_sdk.clock import Clock
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.journal import MOST_KEPT_BYTES, Journal
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.records import ErrorInfo, Record, RunBlocked, RunFinished

__all__ = ["AlertLoop", "AlertRuns", "delivery_input"]

_LOG: Final = logging.getLogger("qtforge.alerts")
_KEY: Final = "alerts"
_LIMIT: Final = "alerts about runs"  # not the name of a topic, whose limits are beside it
_PAGE: Final = 1000
_INTERVAL_S: Final = 1.0
_LONGEST_ERROR: Final = 2000  # characters
_FAILED: Final = ("failed", "compensated")


class AlertRuns(Protocol):
    """Starts the runs that deliver messages."""

    async def start(self, run_id: str, given: Mapping[str, Any]) -> None:
        """Queue a run of `DELIVERY_WORKFLOW`; nothing where there is one of that id.

        Args:
            run_id: Its id.
            given: Its input.
        """


class AlertLoop:
    """Reads every record once and starts the deliveries that follow from it.

    What was read and what is remembered are one value in the journal, which is written after the
    runs of the deliveries. A process that dies between the two starts nothing twice: another one
    decides the same, as `decide` depends on the records alone, and the ids of the runs are derived
    from the message. Of the processes of a journal one does it at a time.

    Args:
        alerts: The alerts, by name.
        journal: The runs.
        runs: Starts the deliveries.
        clock: The time.
    """

    def __init__(
        self, alerts: Mapping[str, Alert], journal: Journal, runs: AlertRuns, clock: Clock
    ) -> None:
        self._alerts = alerts
        self._journal = journal
        self._runs = runs
        self._clock = clock
        self._trouble = ""

    async def begin(self) -> None:
        """Note the newest place in the journal, if none is known: what happens later counts.

        Raises:
            StorageError: The journal can't be read or written.
        """
        state, revision = await self._state()
        if self._alerts and state is None:
            newest = await self._journal.records_since("", 0)
            await self._keep(AlertState(cursor=newest.until), revision)

    async def run(self) -> None:
        """Follow the journal until cancelled; without alerts, only forget how far it was read."""
        while True:
            try:
                if not self._alerts:
                    # Else alerts that are configured later would be about long ago.
                    await self._forget()
                    return
                more = await self._take_turn()
            except QtForgeError as error:  # such as a full disk, or a journal that is away
                if str(error) != self._trouble:  # it is tried again every second
                    _LOG.error("alerts are not sent: %s", error)
                more, self._trouble = False, str(error)
            else:
                self._trouble = ""
            if not more:
                await self._clock.sleep(_INTERVAL_S)

    async def _forget(self) -> None:
        _, revision = await self._state()
        if revision:
            await self._journal.keep_value(_KEY, None, revision)

    async def _take_turn(self) -> bool:
        """Read a page if no other process does; return whether there may be more."""
        try:
            if (await self._journal.hold(_LIMIT, 1, using=0, wanted=1)).held != 1:
                return False
            return await self._read()
        finally:
            await self._journal.hold(_LIMIT, 1, using=0, wanted=0)

    async def _read(self) -> bool:
        state, revision = await self._state()
        if state is None:  # it was removed by a process that has no alerts
            await self.begin()
            return True
        page = await self._journal.records_since(state.cursor, _PAGE)
        if page.gap:
            _LOG.warning("alerts about records that are no longer available are not sent")
        for each in page.records:
            if each.record is not None:
                happening = await self._happening(each.record, state)
                if happening is not None:
                    state, messages = decide(state, self._alerts, happening)
                    await self._send(messages)
        if page.until != state.cursor:
            state = msgspec.structs.replace(state, cursor=page.until)
            await self._keep(state, revision)
        return len(page.records) == _PAGE

    async def _happening(self, record: Record, state: AlertState) -> Happening | None:
        """Return what a record says; None where no alert is about it."""
        error: ErrorInfo | None = None
        if isinstance(record, RunBlocked):
            reason: AlertReason | None = "run.blocked"
            error = ErrorInfo(code=record.code, message=record.reason)
        elif isinstance(record, RunFinished) and record.status in _FAILED:
            reason, error = "run.failed", record.error
        elif (
            isinstance(record, RunFinished)
            and record.status == "succeeded"
            and state.awaits_success
        ):
            reason = None
        else:
            return None
        try:
            run = await self._journal.summary(record.run_id)
        except RunNotFoundError:
            _LOG.warning("no alert about %s, which was deleted meanwhile", record.run_id)
            return None
        if run.parent is not None:  # its parent fails with it, or tolerates it
            return None
        if run.workflow == DELIVERY_WORKFLOW:
            if reason is not None:  # an alert about it might fail for the same cause, for ever
                _LOG.error("the alert of %s was not delivered: %s", record.run_id, _text(error))
            return None
        return Happening(
            reason=reason,
            at=record.at,
            workflow=run.workflow,
            run_id=record.run_id,
            tags=run.tags,
            title=run.title,
            code="" if error is None else error.code,
            error=_text(error),
        )

    async def _send(self, messages: Sequence[AlertMessage]) -> None:
        for message in messages:
            for destination in self._alerts[message.alert].to:
                run_id = delivery_id(message, destination)
                await self._runs.start(run_id, delivery_input(message, destination, run_id))

    async def _state(self) -> tuple[AlertState | None, int]:
        for each in await self._journal.kept_values(_KEY):
            if each.key == _KEY:
                try:
                    return msgspec.json.decode(each.data, type=AlertState), each.revision
                except msgspec.MsgspecError as error:
                    _LOG.warning("what alerts remember is not used: %s", error)
                    return None, each.revision
        return None, 0

    async def _keep(self, state: AlertState, revision: int) -> None:
        data = msgspec.json.encode(state)
        while len(data) > MOST_KEPT_BYTES:  # names of workflows may be long
            entries = state.entries[len(state.entries) // 2 + 1 :]
            state = msgspec.structs.replace(state, entries=entries)
            data = msgspec.json.encode(state)
        # Where another process was faster, it has decided the same.
        await self._journal.keep_value(_KEY, data, revision)


def delivery_input(message: AlertMessage, destination: str, run_id: str) -> dict[str, Any]:
    """Return the input of the run that delivers a message."""
    told = {**msgspec.to_builtins(message), "subject": message.subject, "text": message.text}
    return {"alert": message.alert, "destination": destination, "id": run_id, "message": told}


def _text(error: ErrorInfo | None) -> str:
    return "" if error is None else error.message[:_LONGEST_ERROR]
