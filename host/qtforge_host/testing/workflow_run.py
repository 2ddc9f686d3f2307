"""`WorkflowRun`: one run of a workflow, as a test sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from qtforge_host.runs.state import RunState
from qtforge_host.testing.timelines import timeline_text
from qtforge_sdk import ErrorInfo, Record, StepResult

__all__ = ["WorkflowRun"]


class WorkflowRun:
    """A run; each property tells how it is at that moment.

    Args:
        run_id: The run.
        records: Gives its records.
        awaited: Gives the events that its code waits for now.
        send: Sends it an event, by name and data.
        workflows: Gives the workflow's name of each run of the test, by the run's id.
        exported: Gives the run as one archive.
    """

    def __init__(
        self,
        run_id: str,
        records: Callable[[], Sequence[Record]],
        awaited: Callable[[], Sequence[str]],
        send: Callable[[str, Mapping[str, Any]], None],
        workflows: Callable[[], Mapping[str, str]],
        exported: Callable[[], bytes],
    ) -> None:
        self._exported = exported
        self.id = run_id
        self._records = records
        self._workflows = workflows
        self._awaited = awaited
        self._send = send

    @property
    def workflow(self) -> str:
        """The workflow's name."""
        return self._state().workflow

    @property
    def status(self) -> str:
        """One of `qtforge_sdk.RunStatus`; ``waiting`` where its code waits for an event."""
        # A text, since a type checker takes a literal that was compared once for unchanging.
        status = self._state().status
        return "waiting" if status == "running" and self._awaited() else status

    @property
    def result(self) -> Any:
        """The result; None until it has succeeded."""
        return self._state().result

    @property
    def error(self) -> ErrorInfo | None:
        """The reason why it failed, is paused or blocked; None otherwise."""
        return self._state().error

    @property
    def steps(self) -> Mapping[str, StepResult]:
        """The steps by name, in the order in which they began."""
        return self._state().steps

    @property
    def compensations(self) -> Mapping[str, StepResult]:
        """The compensations by the names of the steps that they undo, in their order."""
        return self._state().compensations

    @property
    def waits_for(self) -> list[str]:
        """The names of the events that it waits for now; for a machine those of `accepts`."""
        return list(self._awaited()) or self.accepts

    @property
    def state(self) -> str:
        """The state of a machine, such as ``under_review``; "" for other kinds."""
        return self._state().label

    @property
    def accepts(self) -> list[str]:
        """The events that a machine accepts in its state, while it waits."""
        state = self._state()
        return list(state.accepts) if state.status == "waiting" else []

    @property
    def timeline(self) -> str:
        """Its history, a line for each record: virtual time since the start, no ids.

        It is the same in every execution; compare it with ``workflows.snapshot("name")``.
        """
        names = {run_id: f"'{name}'" for run_id, name in self._workflows().items()}
        return timeline_text(self._records(), {**names, self.id: "this run"})

    def export(self, path: Path) -> None:
        """Write it to a file, as ``runs export`` does, for `WorkflowKit.replay`."""
        path.write_bytes(self._exported())

    def send(self, event: str, /, **data: Any) -> None:
        """Send it an event, and let everything happen that follows now.

        Args:
            event: The event's name.
            data: The event's data.

        Raises:
            RunEndedError: It has ended.
        """
        self._send(event, data)

    def _state(self) -> RunState:
        return RunState.from_records(self.id, self._records())

    def __repr__(self) -> str:
        state = self._state()
        text = f"{state.workflow} {self.status}"
        if state.error is not None:
            text += f": {state.error.code}: {state.error.message}"
        elif self.waits_for:
            text += f" for {', '.join(self.waits_for)}"
        return f"<WorkflowRun {text}>"
