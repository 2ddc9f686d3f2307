"""Endpoints of what there is: workflows, plugins; and of the process itself."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.http.metrics import METRICS_TYPE, metrics_text
from qtforge_host.serving.http.requests import Answer, Call
from qtforge_host.workflows.definitions import Parsed
from qtforge_sdk.errors import WorkflowInvalidError, WorkflowNotFoundError

__all__ = [
    "GRAPH_TYPES",
    "list_plugins",
    "list_workflows",
    "metrics",
    "publish",
    "ready",
    "show_workflow",
    "workflow_graph",
]

GRAPH_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {"mermaid": "text/vnd.mermaid", "dot": "text/vnd.graphviz", "svg": "image/svg+xml"}
)


async def list_workflows(call: Call) -> Answer:
    """List workflows."""
    host = call.service.host
    rows = [call.documents.workflow_row(each, host.problems(each)) for each in host.catalog.all()]
    return Answer(call.document(workflows=rows))


async def show_workflow(call: Call) -> Answer:
    """Show a workflow's definition."""
    parsed = _parsed(call)
    if parsed.workflow is None:
        raise _invalid(parsed)
    return Answer(call.document(source=parsed.source, definition=parsed.workflow.definition))


async def workflow_graph(call: Call) -> Answer:
    """Draw a workflow."""
    parsed = _parsed(call)
    if parsed.workflow is None:
        raise _invalid(parsed)
    language = call.query.format
    text = call.documents.graph(parsed.workflow, language)
    return Answer(text, media_type=GRAPH_TYPES[language])


async def list_plugins(call: Call) -> Answer:
    """List plugins."""
    return Answer(call.document(plugins=call.documents.plugins(call.service.host)))


async def publish(call: Call) -> Answer:
    """Publish a message."""
    done = await call.service.host.bus.publish(call.body.topic, call.body.message)
    document = call.document(topic=call.body.topic, delivered=done.delivered, dropped=done.dropped)
    return Answer(document)


async def ready(call: Call) -> Answer:
    """Tell that requests are served and runs kept going.

    While the host starts or stops, this is refused before it comes here.
    """
    failure = call.service.failure()
    if failure is not None:
        raise RefusedError(
            503, "http.not_ready", "runs are no longer kept going", str(failure), "start it anew"
        )
    return Answer(call.document(status="ready"))


async def metrics(call: Call) -> Answer:
    """Give the figures."""
    return Answer(await metrics_text(call.service), media_type=METRICS_TYPE)


def _parsed(call: Call) -> Parsed:
    name, catalog = call.path["name"], call.service.host.catalog
    if name not in catalog.names():  # `find` would read a file of that path
        raise WorkflowNotFoundError(name, "GET /v1/workflows lists them")
    return catalog.find(name)


def _invalid(parsed: Parsed) -> WorkflowInvalidError:
    return WorkflowInvalidError(parsed.name, "\n".join(map(str, parsed.problems)))
