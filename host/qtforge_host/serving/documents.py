"""How things look as JSON: as the command line's ``--json``, which hands its own functions in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qtforge_host.app import Host
from qtforge_host.journals import Durable
from qtforge_host.runs.definitions import Parsed, Workflow
from qtforge_host.runs.problems import Problem
from qtforge_sdk.journal import InboxMessage, Journal, RunQuery, RunSummary
from qtforge_sdk.records import StateKept

__all__ = ["Documents"]

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """Each function gives what one command prints with ``--json``.

    Attributes:
        schema_version: The version of all their shapes.
        run: ``runs show``; raises `RunNotFoundError`.
        runs: Finds what ``runs list`` would list.
        run_row: A line of ``runs list``.
        inbox: ``inbox``: of one workflow or of all, so many, behind a run or from the first.
        outcome: ``send``, of a run that keeps its state.
        workflow_row: A line of ``workflows list``.
        plugins: The lines of ``plugins check``.
        graph: ``workflows graph``, in ``mermaid``, ``dot`` or ``svg``.
    """

    schema_version: int
    run: Callable[[Durable, str], Awaitable[Document]]
    runs: Callable[[Journal, RunQuery], Awaitable[Sequence[RunSummary]]]
    run_row: Callable[[RunSummary], Document]
    inbox: Callable[[Durable, str | None, int, str | None], Awaitable[Document]]
    outcome: Callable[[Durable, InboxMessage, StateKept], Awaitable[Document]]
    workflow_row: Callable[[Parsed, tuple[Problem, ...]], Document]
    plugins: Callable[[Host], list[Document]]
    graph: Callable[[Workflow, str], str]
