"""All that a plugin for QtForge Host imports.

>>> import msgspec
>>> from qtforge_sdk import Plugin, operation
>>> class Greet(msgspec.Struct, frozen=True):
...     name: str
>>> class Greeter(Plugin):
...     @operation("greeting.make")
...     async def make(self, request: Greet) -> str:
...         return f"Hello, {request.name}"

The messages of the built-in topics are in `qtforge_sdk.messages`, the errors in
`qtforge_sdk.errors`, a run's records in `qtforge_sdk.records`, and the pytest fixture
``host`` in `qtforge_sdk.testing`.
"""

from qtforge_sdk.bus import Bus, HandlerInfo, HandlerStatistics, Published, Subscription
from qtforge_sdk.errors import OperationError, QtForgeError
from qtforge_sdk.hookspecs import hookimpl
from qtforge_sdk.messages import Document
from qtforge_sdk.operations import OperationContext, Proceed, operation, subscriber
from qtforge_sdk.plugin import Plugin, PluginContext
from qtforge_sdk.records import ErrorInfo, Record
from qtforge_sdk.runs import (
    Compensation,
    Definition,
    DefinitionChecker,
    Duration,
    Orchestrator,
    Run,
    RunStatus,
    StepResult,
    StepStatus,
    Template,
)

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
]
