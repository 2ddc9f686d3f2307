"""Endpoints of the host: workflows, plugins, topics, health, and the process itself."""

from __future__ import annotations

from qtforge_host.api.documents import Ready
from qtforge_host.api.host_client import HostClient
from qtforge_host.runs.recovery import lasts
from qtforge_host.schema_files import schema_text
from qtforge_host.serving.errors import RefusedError
from qtforge_host.serving.http.metrics import METRICS_TYPE, metrics_text
from qtforge_host.serving.http.requests import Answer, Call
from qtforge_host.serving.http.schemas import GRAPH_TYPES, SCHEMA_TYPE
from qtforge_sdk.errors import StorageError

__all__ = [
    "draw_workflow",
    "list_patches",
    "list_plugins",
    "list_topics",
    "list_workflows",
    "metrics",
    "publish",
    "ready",
    "request",
    "show_config_schema",
    "show_health",
    "show_kind_schema",
    "show_status",
    "show_workflow",
]


async def show_status(call: Call) -> Answer:
    """Show runs, processes, plugins, schedules, and what waits for a person."""
    return Answer(await call.service.client.status())


async def list_workflows(call: Call) -> Answer:
    """List workflows."""
    return Answer(await _host(call).workflows())


async def show_workflow(call: Call) -> Answer:
    """Show a workflow's definition."""
    return Answer(await _host(call).show_workflow(call.path["name"]))


async def list_patches(call: Call) -> Answer:
    """Show which changes of a workflow's code its unfinished runs do."""
    return Answer(await call.service.client.patches(call.path["name"]))


async def draw_workflow(call: Call) -> Answer:
    """Draw a workflow."""
    language = call.query.format
    text = await _host(call).draw_workflow(call.path["name"], language)
    return Answer(text, media_type=GRAPH_TYPES[language])


async def show_kind_schema(call: Call) -> Answer:
    """Give the JSON Schema of a kind's definitions."""
    found = await _host(call).workflow_schema(call.path["kind"])
    return Answer(schema_text(found), media_type=SCHEMA_TYPE)


async def show_config_schema(call: Call) -> Answer:
    """Give the JSON Schema of the configuration."""
    return Answer(schema_text(await _host(call).config_schema()), media_type=SCHEMA_TYPE)


async def list_plugins(call: Call) -> Answer:
    """List plugins."""
    return Answer(await _host(call).plugins())


async def show_plugin(call: Call) -> Answer:
    """Show a plugin."""
    return Answer(await _host(call).plugin(call.path["name"]))


async def list_topics(call: Call) -> Answer:
    """List the handlers of every topic."""
    return Answer(await _host(call).topics())


async def show_health(call: Call) -> Answer:
    """Check the health of every active plugin."""
    return Answer(await _host(call).health())


async def request(call: Call) -> Answer:
    """Send a request to a topic."""
    given = call.body
    return Answer(
        await _host(call).request(
            given.topic, given.message, timeout=given.timeout, plugin=given.plugin
        )
    )


async def publish(call: Call) -> Answer:
    """Publish a message."""
    return Answer(await _host(call).publish(call.body.topic, call.body.message))


async def ready(call: Call) -> Answer:
    """Tell whether requests are served and runs executed.

    While the host starts or stops, the request is refused before it comes here.
    """
    failure = call.service.failure()
    if failure is not None:
        raise RefusedError(
            503, "http.not_ready", "runs are no longer resumed", str(failure), "restart it"
        )
    trouble = call.service.trouble
    if trouble is not None:
        raise RefusedError(
            503,
            "http.not_ready",
            "runs wait for the store",
            str(trouble),
            "restart it" if lasts(trouble) else "they continue by themselves when it works again",
        )
    try:
        await call.service.durable.journal.deliveries("", 0)
    except StorageError as error:
        raise RefusedError(
            503, "http.not_ready", "the journal can't be used", error.why, error.fix
        ) from error
    return Answer(Ready(status="ready"))


async def metrics(call: Call) -> Answer:
    """Give the metrics."""
    return Answer(await metrics_text(call.service), media_type=METRICS_TYPE)


def _host(call: Call) -> HostClient:
    return call.service.client.host
