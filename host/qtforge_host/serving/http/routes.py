"""The table of all endpoints."""

from __future__ import annotations

from typing import Final

from qtforge_host.serving.http import schemas
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
from qtforge_host.serving.http.requests import Endpoint
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
from qtforge_host.serving.http.sse import EVENTS_TYPE, LAST_ID, live_events

__all__ = ["ENDPOINTS", "HEALTH_PATH", "OPENAPI_PATH"]

HEALTH_PATH: Final = "/healthz"  # answered by the application itself, without a token
OPENAPI_PATH: Final = "/openapi.json"  # likewise, with one

_RUN: Final = {200: schemas.RunDocument, 202: schemas.RunDocument}

ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/v1/runs", name="listRuns", handler=list_runs,
        summary="List runs, the newest first.",
        query=schemas.RunsQuery, answers={200: schemas.RunList},
    ),
    Endpoint(
        method="POST", path="/v1/runs", name="startRun", handler=start_run,
        summary="Start a workflow: 202 while the run goes on, 200 when it has ended or rests.",
        body=schemas.StartRun, query=schemas.WaitQuery, answers=_RUN,
        headers={KEY: {"type": "string", "minLength": 1, "maxLength": 255,
                       "pattern": "^[!-~]+$"}},
    ),
    Endpoint(
        method="GET", path="/v1/runs/{run_id}", name="showRun", handler=show_run,
        summary="Show a run, with its history.", answers={200: schemas.RunDocument},
    ),
    Endpoint(
        method="GET", path="/v1/runs/{run_id}/records", name="listRecords", handler=run_records,
        summary="Show a run's records, oldest first.",
        query=schemas.RecordsQuery, answers={200: schemas.RecordsDocument},
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/events", name="sendEvent", handler=send_event,
        summary="Send an event: 200 when the run has taken it in, 202 when that is to come.",
        body=schemas.SendEvent, query=schemas.WaitQuery,
        answers={200: schemas.EventSent, 202: schemas.EventSent},
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/cancel", name="cancelRun", handler=cancel_run,
        summary="End a run; what it did is undone where its definition says so.",
        query=schemas.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/pause", name="pauseRun", handler=pause_run,
        summary="Let a run rest at its next step.", query=schemas.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/resume", name="resumeRun", handler=resume_run,
        summary="Take up a run that rests.", query=schemas.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/amend", name="amendRun", handler=amend_run,
        summary="Change a run's definition: 200 when that is done, 202 when it is to come.",
        body=schemas.AmendRun, query=schemas.WaitQuery,
        answers={200: schemas.Amended, 202: schemas.Amended},
    ),
    Endpoint(
        method="GET", path="/v1/inbox", name="listInbox", handler=inbox,
        summary="List what waits for a person, oldest first.",
        query=schemas.InboxQuery, answers={200: schemas.InboxDocument},
    ),
    Endpoint(
        method="GET", path="/v1/workflows", name="listWorkflows", handler=list_workflows,
        summary="List workflows.", answers={200: schemas.Workflows},
    ),
    Endpoint(
        method="GET", path="/v1/workflows/{name}", name="showWorkflow", handler=show_workflow,
        summary="Show a workflow's definition.", answers={200: schemas.WorkflowDocument},
    ),
    Endpoint(
        method="GET", path="/v1/workflows/{name}/graph", name="drawWorkflow",
        handler=workflow_graph, summary="Draw a workflow.",
        query=schemas.GraphQuery, answers={200: "text/*"},
    ),
    Endpoint(
        method="GET", path="/v1/plugins", name="listPlugins", handler=list_plugins,
        summary="List plugins and their states.", answers={200: schemas.Plugins},
    ),
    Endpoint(
        method="POST", path="/v1/publish", name="publish", handler=publish,
        summary="Give a message to the subscribers of a topic.",
        body=schemas.Publish, answers={200: schemas.PublishedDocument},
    ),
    Endpoint(
        method="GET", path="/v1/events", name="hearEvents", handler=live_events,
        summary="Hear records of runs and messages of topics as they come.",
        query=schemas.EventsQuery, answers={200: EVENTS_TYPE},
        headers={LAST_ID: {"type": "string", "pattern": "^[0-9]{1,18}$"}},
    ),
    Endpoint(
        method="GET", path="/readyz", name="readiness", handler=ready,
        summary="Whether requests are served.", answers={200: schemas.Ready},
    ),
    Endpoint(
        method="GET", path="/metrics", name="metrics", handler=metrics,
        summary="Figures for Prometheus.", answers={200: METRICS_TYPE},
    ),
)  # fmt: skip
