"""Everything that a plugin for QtForge Host imports.

>>> import msgspec
>>> from qtforge_sdk import Plugin, operation
>>> class Greet(msgspec.Struct, frozen=True):
...     name: str
>>> class Greeter(Plugin):
...     @operation("greeting.make")
...     async def make(self, request: Greet) -> str:
...         return f"Hello, {request.name}"

What most plugins need is in this module. The other public modules are

- `qtforge_sdk.messages`: messages of topics that plugins of several authors handle;
- `qtforge_sdk.errors` and `qtforge_sdk.journal_errors`: all errors;
- `qtforge_sdk.policies`: retries, breakers, fallbacks, caches and limits;
- `qtforge_sdk.durations`: lengths of time as seconds, timedelta or text;
- `qtforge_sdk.hookspecs`: the hooks besides operations and subscribers;
- `qtforge_sdk.runs`, `qtforge_sdk.workflows`, `qtforge_sdk.orchestrators`,
  `qtforge_sdk.checkpoints` and `qtforge_sdk.graphs`: workflows in Python, and new kinds of
  workflow;
- `qtforge_sdk.records`, `qtforge_sdk.run_status` and `qtforge_sdk.journal`: a run's history, its
  status and its storage;
- `qtforge_sdk.transport` and `qtforge_sdk.transport_kit`: the bus between nodes;
- `qtforge_sdk.plugin_files`: a plugin's files, of one machine or of all;
- `qtforge_sdk.validation`, `qtforge_sdk.conversion`, `qtforge_sdk.topics`,
  `qtforge_sdk.secrets` and `qtforge_sdk.sqlite_store`: tools that plugins share with the host;
- `qtforge_sdk.bus`, `qtforge_sdk.plugin`, `qtforge_sdk.operations`, `qtforge_sdk.health`,
  `qtforge_sdk.markers` and `qtforge_sdk.clock`: where names of this module are defined, with the
  types that go with them;
- `qtforge_sdk.testing`: a virtual clock, and the contracts of journals and transports. The
  pytest fixtures ``host`` and ``workflows`` come with ``qtforge-host[testing]``.

Modules whose names begin with ``_`` are private.
"""

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from qtforge_sdk.bus import Bus, HandlerInfo, HandlerStatistics, Published, Subscription
    from qtforge_sdk.durations import Duration
    from qtforge_sdk.errors import OperationError, QtForgeError
    from qtforge_sdk.health import Health
    from qtforge_sdk.markers import hookimpl
    from qtforge_sdk.messages import Document
    from qtforge_sdk.operations import OperationContext, Proceed, operation, subscriber
    from qtforge_sdk.orchestrators import DefinitionChecker, Orchestrator
    from qtforge_sdk.plugin import Plugin, PluginContext
    from qtforge_sdk.records import ErrorInfo, Record
    from qtforge_sdk.runs import (
        Compensation,
        Definition,
        InputCheck,
        Run,
        RunStatus,
        StepResult,
        StepStatus,
        Template,
    )
    from qtforge_sdk.workflows import workflow

__all__ = [
    "Bus",
    "Compensation",
    "Definition",
    "DefinitionChecker",
    "Document",
    "Duration",
    "ErrorInfo",
    "HandlerInfo",
    "HandlerStatistics",
    "Health",
    "InputCheck",
    "OperationContext",
    "OperationError",
    "Orchestrator",
    "Plugin",
    "PluginContext",
    "Proceed",
    "Published",
    "QtForgeError",
    "Record",
    "Run",
    "RunStatus",
    "StepResult",
    "StepStatus",
    "Subscription",
    "Template",
    "hookimpl",
    "operation",
    "subscriber",
    "workflow",
]

# Each name is imported at its first use (PEP 562), so that a program that needs only an error
# or a clock does not import every message type. Type checkers read the block above.
_HOMES: Final = {
    "bus": ("Bus", "HandlerInfo", "HandlerStatistics", "Published", "Subscription"),
    "durations": ("Duration",),
    "errors": ("OperationError", "QtForgeError"),
    "health": ("Health",),
    "markers": ("hookimpl",),
    "messages": ("Document",),
    "operations": ("OperationContext", "Proceed", "operation", "subscriber"),
    "orchestrators": ("DefinitionChecker", "Orchestrator"),
    "plugin": ("Plugin", "PluginContext"),
    "records": ("ErrorInfo", "Record"),
    "runs": (
        "Compensation",
        "Definition",
        "InputCheck",
        "Run",
        "RunStatus",
        "StepResult",
        "StepStatus",
        "Template",
    ),
    "workflows": ("workflow",),
}


if not TYPE_CHECKING:  # else no misspelt name would be an error

    def __getattr__(name: str) -> object:
        if name in _HOMES:
            return importlib.import_module(f"{__name__}.{name}")
        for home, names in _HOMES.items():
            if name in names:
                found = getattr(importlib.import_module(f"{__name__}.{home}"), name)
                globals()[name] = found
                return found
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> Iterable[str]:
    return {*globals(), *__all__}
