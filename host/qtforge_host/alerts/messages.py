"""`AlertMessage`: what an alert says, and the names of the runs that deliver it."""

from __future__ import annotations

import datetime
import hashlib
from typing import Final, Literal

import msgspec

__all__ = ["DELIVERY_WORKFLOW", "AlertMessage", "MessageType", "delivery_id"]

DELIVERY_WORKFLOW: Final = "alert-delivery"
"""The built-in workflow whose runs deliver messages; nobody is told of its failures."""

MessageType = Literal["run.failed", "run.blocked", "run.recovered"]


class AlertMessage(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert says.

    Attributes:
        alert: The name of the alert.
        type: The reason, or ``run.recovered``.
        at: When it happened, in UTC.
        workflow: The workflow.
        run_id: The run.
        title: The run's title, or "".
        code: The code of the error, or "".
        error: The error in words, or "".
        failures: How many runs of the workflow have failed in a row, this one included; of a
            recovery, before it.
        left_out: How many messages about the same were left out since the last one.
    """

    alert: str
    type: MessageType
    at: datetime.datetime
    workflow: str
    run_id: str
    title: str = ""
    code: str = ""
    error: str = ""
    failures: int = 0
    left_out: int = 0

    @property
    def subject(self) -> str:
        """One line."""
        name = self.title or self.workflow
        return f"{name} {self._verb}"

    @property
    def text(self) -> str:
        """The message for people."""
        lines = [f"{self.workflow} {self._verb}: {self.run_id}, {self.at:%Y-%m-%d %H:%M:%S} UTC"]
        if self.title:
            lines.append(f"Title: {self.title}")
        if self.error:
            lines.append(f"Error: {self.code}: {self.error}" if self.code else self.error)
        if self.failures > 1:
            lines.append(f"Failures in a row: {self.failures}")
        if self.left_out:
            lines.append(f"Messages left out since the last one: {self.left_out}")
        lines += ["", f"qtforge-host runs show {self.run_id}", ""]
        return "\n".join(lines)

    @property
    def _verb(self) -> str:
        return {
            "run.failed": "failed",
            "run.blocked": "is blocked",
            "run.recovered": "succeeded again",
        }[self.type]


def delivery_id(message: AlertMessage, destination: str) -> str:
    """Return the id of the run that delivers a message to a destination.

    It is derived from the record that is the reason, so that a reason that is seen again after a
    crash starts no second run.
    """
    parts = (message.alert, message.type, message.run_id, message.at.isoformat(), destination)
    # Lengths keep the parts apart: "ab" and "c" must not be "a" and "bc".
    told = "".join(f"{len(part)}:{part}" for part in parts)
    return f"alert-{hashlib.sha256(told.encode()).hexdigest()[:32]}"
