"""The hooks that a plugin may implement, besides operations and subscribers.

Implement one by a method of that name marked with `hookimpl`; take only the arguments
that you need. `qtforge_start`, `qtforge_stop` and `qtforge_health` may return an
awaitable. Observers
(``qtforge_before_request``, ``qtforge_after_request``, ``qtforge_on_request_error``,
``qtforge_on_run_event``) run on the loop, so they must be quick; what they raise is
logged and harms nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pluggy

if TYPE_CHECKING:
    from qtforge_sdk.health import Health
    from qtforge_sdk.plugin import PluginContext
    from qtforge_sdk.records import Record
    from qtforge_sdk.workflows import PythonWorkflow

__all__ = ["PROJECT", "HookSpecs", "hookimpl", "hookspec"]

PROJECT: Final = "qtforge"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HookSpecs:
    """The specifications; the class is never instantiated."""

    @hookspec
    def qtforge_start(self, context: PluginContext) -> Awaitable[None] | None:
        """Get ready; a plugin that raises here is ``broken``."""

    @hookspec
    def qtforge_stop(self) -> Awaitable[None] | None:
        """Let go of everything."""

    @hookspec
    def qtforge_health(self) -> Awaitable[Health] | Health | None:
        """Tell how the plugin fares; None is healthy. The host asks every 30 s and waits 5 s.

        A check that raises or is too late is ``unhealthy``, and an unhealthy plugin gets
        no work while another can do it.
        """

    @hookspec
    def qtforge_commands(self) -> Iterable[Any]:
        """Return click commands; they become commands of ``qtforge-host``.

        A command is called with the running ``Bus`` in ``click.Context.obj.bus``, and may
        be a coroutine function.
        """
        return ()

    @hookspec
    def qtforge_workflows(self) -> Iterable[Path | str | PythonWorkflow]:
        """Return workflows: paths of TOML files, TOML text, or functions made by `workflow`."""
        return ()

    @hookspec
    def qtforge_orchestrators(self) -> Iterable[type]:
        """Return `Orchestrator` classes, each a new ``kind`` of workflow."""
        return ()

    @hookspec
    def qtforge_before_request(self, topic: str, message: object) -> None:
        """A request is about to be dispatched."""

    @hookspec
    def qtforge_after_request(
        self, topic: str, message: object, response: object, plugin: str, duration_s: float
    ) -> None:
        """A handler answered; ``duration_s`` is in seconds."""

    @hookspec
    def qtforge_on_request_error(
        self, topic: str, message: object, error: BaseException, plugin: str, duration_s: float
    ) -> None:
        """A handler failed or was too late; ``error`` is what the caller gets."""

    @hookspec
    def qtforge_on_run_event(self, event: Record) -> None:
        """Something was recorded of a run."""
