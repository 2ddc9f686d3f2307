"""The hooks that a plugin can implement besides operations and subscribers.

Implement a hook as a method of the same name, marked with `qtforge_sdk.hookimpl`. It needs to
take only the parameters that it uses; a parameter that the specification does not have makes
the plugin ``broken`` (``plugin.invalid_hook``).

========================== ============ ================ ==================================
Hook                       Called on    Order            If it raises
========================== ============ ================ ==================================
qtforge_start              event loop   requirements     the plugin is ``broken``, and is not
                                        first            used
qtforge_stop               event loop   reverse order    a warning is logged
                                        of the starts
qtforge_health             event loop   none             the plugin is ``unhealthy``
qtforge_commands,          thread       hook order       a warning is logged, and what the
qtforge_workflows,                                       plugin contributes is ignored
qtforge_orchestrators
qtforge_before_request,    event loop   hook order       the exception is logged
qtforge_after_request,
qtforge_on_request_error,
qtforge_on_run_event
========================== ============ ================ ==================================

Hook order is the order of the starts, with implementations marked ``hookimpl(tryfirst=True)``
before all others and ``hookimpl(trylast=True)`` after them. A hook on the event loop must return
quickly, since nothing else runs meanwhile; start, stop and health may be ``async``.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtforge_sdk.markers import hookspec

if TYPE_CHECKING:
    from qtforge_sdk.health import Health
    from qtforge_sdk.orchestrators import Orchestrator
    from qtforge_sdk.plugin import PluginContext
    from qtforge_sdk.records import Record
    from qtforge_sdk.workflows import PythonWorkflow

__all__ = ["HookSpecs"]


class HookSpecs:
    """The specifications of all hooks; the class is never instantiated."""

    @hookspec
    def qtforge_start(self, context: PluginContext) -> Coroutine[Any, Any, None] | None:
        """Start the plugin; called once, before any message reaches it.

        Order: after the plugins that this one requires (``requires``, ``after``), one plugin
        after another. Called on the event loop; it may be ``async``, and then has the time
        ``host.start_timeout`` of the configuration, 10 s by default.

        Args:
            context: What the host offers the plugin: its name, version, bus, folders, secrets.

        Raises:
            Exception: The plugin and all that require it are ``broken``, and are not used.
        """

    @hookspec
    def qtforge_stop(self) -> Coroutine[Any, Any, None] | None:
        """Release what `qtforge_start` acquired; called once, after the last message.

        Order: the reverse of the starts. Called on the event loop; it may be ``async``, and then
        has the time ``host.stop_timeout`` of the configuration, 10 s by default. It is called
        too when something fails after the plugin was started.

        Raises:
            Exception: Logged as a warning; the other plugins are stopped nevertheless.
        """

    @hookspec
    def qtforge_health(self) -> Coroutine[Any, Any, Health] | Health | None:
        """Return the plugin's health.

        Called on the event loop every 30 s while runs are executed, and by
        ``qtforge-host health``; plugins are checked concurrently. It may be ``async``, and then
        has 5 s. A plugin that is unhealthy gets no requests while another plugin handles the
        topic.

        Returns:
            The health; None is healthy.

        Raises:
            Exception: The plugin is ``unhealthy``, as one whose check exceeds its time.
        """

    @hookspec
    def qtforge_commands(self) -> Iterable[Any]:
        """Return click commands; they become commands of ``qtforge-host``.

        A command finds the running `qtforge_sdk.Bus` as ``obj.bus`` of its ``click.Context``, and
        may be an ``async`` function.

        Called in a thread, with the time ``host.start_timeout``, in hook order: the first command
        of a name is used.

        Returns:
            The commands.

        Raises:
            Exception: Logged as a warning; the plugin's commands are ignored.
        """
        return ()

    @hookspec
    def qtforge_workflows(self) -> Iterable[Path | str | PythonWorkflow]:
        """Return workflows.

        Called in a thread, with the time ``host.start_timeout``, in hook order. Two workflows of
        one name make that name unusable; a definition in the user's folder replaces one.

        Returns:
            Paths of TOML files, TOML text, and functions marked with `qtforge_sdk.workflow`.

        Raises:
            Exception: Logged as a warning; the plugin's workflows are ignored.
        """
        return ()

    @hookspec
    def qtforge_orchestrators(self) -> Iterable[type[Orchestrator[Any]]]:
        """Return `qtforge_sdk.Orchestrator` classes, each a new ``kind`` of workflow.

        Called in a thread, with the time ``host.start_timeout``, in hook order: the first
        orchestrator of a kind is used, and none replaces one of the entry-point group
        ``qtforge.orchestrators``. The host makes one instance of each, without arguments.

        Returns:
            The classes.

        Raises:
            Exception: Logged as a warning; the plugin's orchestrators are ignored.
        """
        return ()

    @hookspec
    def qtforge_before_request(self, topic: str, message: object) -> None:
        """Observe a request before it is dispatched.

        Called on the event loop, in hook order.

        Args:
            topic: The topic.
            message: The message as the caller gave it; do not change it.

        Raises:
            Exception: Logged; the request and the other observers are not affected.
        """

    @hookspec
    def qtforge_after_request(
        self, topic: str, message: object, response: object, plugin: str, duration_s: float
    ) -> None:
        """Observe the response to a request.

        Called on the event loop, in hook order, before the caller receives the response.

        Args:
            topic: The topic.
            message: The message.
            response: The response; do not change it.
            plugin: The plugin that responded.
            duration_s: The time from dispatch to response, in seconds.

        Raises:
            Exception: Logged; the request and the other observers are not affected.
        """

    @hookspec
    def qtforge_on_request_error(
        self, topic: str, message: object, error: BaseException, plugin: str, duration_s: float
    ) -> None:
        """Observe a request that failed or exceeded its timeout.

        Called on the event loop, in hook order, before the caller receives the error.

        Args:
            topic: The topic.
            message: The message.
            error: The exception that the caller receives.
            plugin: The plugin that was requested; "" where there was none.
            duration_s: The time from dispatch to failure, in seconds.

        Raises:
            Exception: Logged; the request and the other observers are not affected.
        """

    @hookspec
    def qtforge_on_run_event(self, event: Record) -> None:
        """Observe a record of a run, once it is in the journal.

        Called on the event loop, in hook order, in the order of the run's records.

        Args:
            event: The record; see `qtforge_sdk.records`.

        Raises:
            Exception: Logged; the run and the other observers are not affected.
        """
