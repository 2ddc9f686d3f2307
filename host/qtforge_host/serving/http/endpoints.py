"""The table of all endpoints."""

from __future__ import annotations

from typing import Final

from qtforge_host.serving.http import shapes
from qtforge_host.serving.http.calls import Endpoint
from qtforge_host.serving.http.events import EVENTS_TYPE, LAST_ID, live_events
from qtforge_host.serving.http.listings import (
    list_plugins,
    list_workflows,
    metrics,
    publish,
    ready,
    show_workflow,
    workflow_graph,
)
from qtforge_host.serving.http.metrics import METRICS_TYPE
from qtforge_host.serving.http.runs import (
    KEY,
    amend_run,
    cancel_run,
    inbox,
    list_runs,
    pause_run,
    resume_run,
    run_records,
    send_event,
    show_run,
    start_run,
)

__all__ = ["ENDPOINTS", "HEALTH_PATH", "OPENAPI_PATH"]

HEALTH_PATH: Final = "/healthz"  # answered by the application itself, without a token
OPENAPI_PATH: Final = "/openapi.json"  # likewise, with one

_RUN: Final = {200: shapes.RunDocument, 202: shapes.RunDocument}

ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/v1/runs", name="listRuns", handler=list_runs,
        summary="List runs, the newest first.",
        query=shapes.RunsQuery, answers={200: shapes.RunList},
    ),
    Endpoint(
        method="POST", path="/v1/runs", name="startRun", handler=start_run,
        summary="Start a workflow: 202 while the run goes on, 200 when it has ended or rests.",
        body=shapes.StartRun, query=shapes.WaitQuery, answers=_RUN,
        headers={KEY: {"type": "string", "minLength": 1, "maxLength": 255,
                       "pattern": "^[!-~]+$"}},
    ),
    Endpoint(
        method="GET", path="/v1/runs/{run_id}", name="showRun", handler=show_run,
        summary="Show a run, with its history.", answers={200: shapes.RunDocument},
    ),
    Endpoint(
        method="GET", path="/v1/runs/{run_id}/records", name="listRecords", handler=run_records,
        summary="Show a run's records, oldest first.",
        query=shapes.RecordsQuery, answers={200: shapes.RecordsDocument},
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/events", name="sendEvent", handler=send_event,
        summary="Send an event: 200 when the run has taken it in, 202 when that is to come.",
        body=shapes.SendEvent, query=shapes.WaitQuery,
        answers={200: shapes.EventSent, 202: shapes.EventSent},
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/cancel", name="cancelRun", handler=cancel_run,
        summary="End a run; what it did is undone where its definition says so.",
        query=shapes.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/pause", name="pauseRun", handler=pause_run,
        summary="Let a run rest at its next step.", query=shapes.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/resume", name="resumeRun", handler=resume_run,
        summary="Take up a run that rests.", query=shapes.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/amend", name="amendRun", handler=amend_run,
        summary="Change a run's definition: 200 when that is done, 202 when it is to come.",
        body=shapes.AmendRun, query=shapes.WaitQuery,
        answers={200: shapes.Amended, 202: shapes.Amended},
    ),
    Endpoint(
        method="GET", path="/v1/inbox", name="listInbox", handler=inbox,
        summary="List what waits for a person, oldest first.",
        query=shapes.InboxQuery, answers={200: shapes.InboxDocument},
    ),
    Endpoint(
        method="GET", path="/v1/workflows", name="listWorkflows", handler=list_workflows,
        summary="List workflows.", answers={200: shapes.Workflows},
    ),
    Endpoint(
        method="GET", path="/v1/workflows/{name}", name="showWorkflow", handler=show_workflow,
        summary="Show a workflow's definition.", answers={200: shapes.WorkflowDocument},
    ),
    Endpoint(
        method="GET", path="/v1/workflows/{name}/graph", name="drawWorkflow",
        handler=workflow_graph, summary="Draw a workflow.",
        query=shapes.GraphQuery, answers={200: "text/*"},
    ),
    Endpoint(
        method="GET", path="/v1/plugins", name="listPlugins", handler=list_plugins,
        summary="List plugins and their states.", answers={200: shapes.Plugins},
    ),
    Endpoint(
        method="POST", path="/v1/publish", name="publish", handler=publish,
        summary="Give a message to the subscribers of a topic.",
        body=shapes.Publish, answers={200: shapes.PublishedDocument},
    ),
    Endpoint(
        method="GET", path="/v1/events", name="hearEvents", handler=live_events,
        summary="Hear records of runs and messages of topics as they come.",
        query=shapes.EventsQuery, answers={200: EVENTS_TYPE},
        headers={LAST_ID: {"type": "string", "pattern": "^[0-9]{1,18}$"}},
    ),
    Endpoint(
        method="GET", path="/readyz", name="readiness", handler=ready,
        summary="Whether requests are served.", answers={200: shapes.Ready},
    ),
    Endpoint(
        method="GET", path="/metrics", name="metrics", handler=metrics,
        summary="Figures for Prometheus.", answers={200: METRICS_TYPE},
    ),
)  # fmt: skip
