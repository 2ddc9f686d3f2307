"""The table of all endpoints, each with the scope that its token needs."""

from __future__ import annotations

from typing import Final

from qtforge_host.api import documents
from qtforge_host.serving.http import listings, nodes, runs, schedules, schemas
from qtforge_host.serving.http.metrics import METRICS_TYPE
from qtforge_host.serving.http.requests import ARCHIVE, Endpoint
from qtforge_host.serving.http.sse import EVENTS_TYPE, LAST_ID, live_events
from qtforge_sdk.journal import CURSOR

__all__ = ["ENDPOINTS", "HEALTH_PATH", "OPENAPI_PATH"]

HEALTH_PATH: Final = "/healthz"  # answered by the application itself, without a token
OPENAPI_PATH: Final = "/openapi.json"  # likewise, with one

_RUN: Final = {200: documents.RunDocument, 202: documents.RunDocument}

ENDPOINTS: Final = (
    Endpoint(
        method="GET", path="/v1/runs", name="listRuns", scope="read", handler=runs.list_runs,
        summary="List runs, newest first.",
        query=schemas.RunsQuery, answers={200: documents.RunList},
    ),
    Endpoint(
        method="POST", path="/v1/runs", name="startRun", scope="operate", handler=runs.start_run,
        summary="Start a workflow: 202 while the run executes, 200 when it has ended or rests.",
        body=schemas.StartRun, query=schemas.WaitQuery, answers=_RUN,
        headers={runs.KEY: {"type": "string", "minLength": 1, "maxLength": 255,
                            "pattern": "^[!-~]+$"}},
    ),
    Endpoint(
        method="POST", path="/v1/runs/plan", name="planRun", scope="operate",
        handler=runs.plan_run,
        summary="Tell what the start of a run would do; nothing is written.",
        body=schemas.PlanRun, answers={200: documents.RunPlan},
    ),
    Endpoint(
        method="POST", path="/v1/runs/cancel", name="cancelRuns", scope="operate",
        handler=runs.cancel_runs,
        summary="Cancel the unfinished runs that have something in common, at most 1,000.",
        body=schemas.SelectRuns, answers={200: documents.BulkDone},
    ),
    Endpoint(
        method="POST", path="/v1/runs/pause", name="pauseRuns", scope="operate",
        handler=runs.pause_runs,
        summary="Pause the unfinished runs that have something in common, at most 1,000.",
        body=schemas.SelectRuns, answers={200: documents.BulkDone},
    ),
    Endpoint(
        method="POST", path="/v1/runs/resume", name="resumeRuns", scope="operate",
        handler=runs.resume_runs,
        summary="Resume every run that was interrupted or is blocked, or that fits, at most 1,000.",
        body=schemas.ResumeRuns, body_optional=True, answers={200: documents.BulkDone},
    ),
    Endpoint(
        method="POST", path="/v1/runs/retry", name="retryRuns", scope="operate",
        handler=runs.retry_runs,
        summary="Retry the runs that did not succeed and have something in common, at most 1,000.",
        body=schemas.RetryRuns, answers={200: documents.BulkDone},
    ),
    Endpoint(
        method="POST", path="/v1/runs/prune", name="pruneRuns", scope="admin",
        handler=runs.prune_runs,
        summary="Delete runs that ended long ago or have something in common, with their files.",
        body=schemas.PruneRuns, answers={200: documents.Pruned},
    ),
    Endpoint(
        method="POST", path="/v1/runs/import", name="importRun", scope="admin",
        handler=runs.import_run,
        summary="Add a run from an archive; the same run again changes nothing.",
        body=bytes, answers={200: documents.Imported},
    ),
    Endpoint(
        method="POST", path="/v1/runs/replay", name="replayRuns", scope="operate",
        handler=runs.replay_runs,
        summary="Tell what the installed code does with runs; nothing is requested or written.",
        body=schemas.ReplayRuns, body_optional=True, answers={200: documents.Replays},
    ),
    Endpoint(
        method="POST", path="/v1/runs/replay-archive", name="replayArchive", scope="operate",
        handler=runs.replay_archive,
        summary="Tell what the installed code does with the run of an archive.",
        body=bytes, answers={200: documents.Replays},
    ),
    Endpoint(
        method="GET", path="/v1/runs/count", name="countRuns", scope="read",
        handler=runs.count_runs, summary="Count runs, exactly up to 1,000.",
        query=schemas.CountQuery, answers={200: documents.RunCount},
    ),
    Endpoint(
        method="GET", path="/v1/runs/{run_id}", name="showRun", scope="read", handler=runs.show_run,
        summary="Show a run with its history.", answers={200: documents.RunDocument},
    ),
    Endpoint(
        method="GET", path="/v1/runs/{run_id}/records", name="listRecords", scope="read",
        handler=runs.list_records, summary="Show a run's records, oldest first.",
        query=schemas.RecordsQuery, answers={200: documents.RecordsDocument},
    ),
    Endpoint(
        method="GET", path="/v1/runs/{run_id}/logs", name="listLogs", scope="read",
        handler=runs.list_logs, summary="Show what a run's code has logged and printed.",
        query=schemas.LogsQuery, answers={200: documents.LogsDocument},
    ),
    Endpoint(
        method="GET", path="/v1/runs/{run_id}/logs/live", name="followLogs", scope="read",
        handler=runs.follow_logs,
        summary="Follow what a run's code logs and prints, until the run has ended.",
        query=schemas.LiveLogsQuery, answers={200: EVENTS_TYPE},
        headers={LAST_ID: {"type": "string", "pattern": "^[0-9]{0,16}$"}},
    ),
    Endpoint(
        method="GET", path="/v1/runs/{run_id}/graph", name="drawRun", scope="read",
        handler=runs.draw_run,
        summary="Draw a run's workflow, with the run's state and path.",
        query=schemas.GraphQuery, answers={200: "text/*"},
    ),
    Endpoint(
        method="GET", path="/v1/runs/{run_id}/export", name="exportRun", scope="read",
        handler=runs.export_run,
        summary="Give a run with its inbox and large values as an archive.",
        answers={200: ARCHIVE},
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/events", name="sendEvent", scope="approve",
        handler=runs.send_event,
        summary="Send an event: 200 when the run has received it, 202 while that is pending.",
        body=schemas.SendEvent, query=schemas.WaitQuery,
        answers={200: documents.EventSent, 202: documents.EventSent},
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/cancel", name="cancelRun", scope="operate",
        handler=runs.cancel_run,
        summary="Cancel a run and compensate it: 200 when that is done, 202 while it is pending.",
        body=schemas.Reason, body_optional=True, query=schemas.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/pause", name="pauseRun", scope="operate",
        handler=runs.pause_run,
        summary="Pause a run before its next step: 200 when that is done, 202 while it is pending.",
        body=schemas.Reason, body_optional=True, query=schemas.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/resume", name="resumeRun", scope="operate",
        handler=runs.resume_run,
        summary="Resume a paused, blocked or interrupted run.",
        body=schemas.Resume, body_optional=True, query=schemas.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/retry", name="retryRun", scope="operate",
        handler=runs.retry_run,
        summary="Retry a run that failed, was compensated or was cancelled.",
        body=schemas.RetryRun, body_optional=True, query=schemas.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/fork", name="forkRun", scope="operate",
        handler=runs.fork_run,
        summary="Make a new run of another, with its results before a step, and execute it.",
        body=schemas.ForkRun, body_optional=True, query=schemas.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/rerun", name="rerunRun", scope="operate",
        handler=runs.rerun_run,
        summary="Start a new run with the input of another, from the beginning.",
        body=schemas.RerunRun, body_optional=True, query=schemas.WaitQuery, answers=_RUN,
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/tags", name="tagRun", scope="operate",
        handler=runs.tag_run,
        summary="Change the tags of a run, whether it has ended or not.",
        body=schemas.TagRun, answers={200: documents.RunTags},
    ),
    Endpoint(
        method="POST", path="/v1/runs/{run_id}/amend", name="amendRun", scope="operate",
        handler=runs.amend_run,
        summary="Change a run's definition: 200 when that is done, 202 while it is pending.",
        body=schemas.AmendRun, query=schemas.WaitQuery,
        answers={200: documents.Amended, 202: documents.Amended},
    ),
    Endpoint(
        method="GET", path="/v1/inbox", name="listInbox", scope="read", handler=runs.list_inbox,
        summary="List the runs that wait for a person, oldest first.",
        query=schemas.InboxQuery, answers={200: documents.InboxDocument},
    ),
    Endpoint(
        method="GET", path="/v1/nodes", name="listNodes", scope="read", handler=nodes.list_nodes,
        summary="List the processes that take runs.", answers={200: documents.Nodes},
    ),
    Endpoint(
        method="GET", path="/v1/nodes/{name}", name="showNode", scope="read",
        handler=nodes.show_node,
        summary="Show a node, and which runs need a plugin that only this node has.",
        answers={200: documents.NodeDocument},
    ),
    Endpoint(
        method="POST", path="/v1/nodes/{name}/drain", name="drainNode", scope="admin",
        handler=nodes.drain_node, query=schemas.WaitQuery,
        summary="Let a node begin nothing and hand its runs over: 200 when done, 202 before.",
        answers={200: documents.NodeDocument, 202: documents.NodeDocument},
    ),
    Endpoint(
        method="POST", path="/v1/nodes/{name}/resume", name="resumeNode", scope="admin",
        handler=nodes.resume_node,
        summary="Let a drained node take runs again.", answers={200: documents.NodeDocument},
    ),
    Endpoint(
        method="GET", path="/v1/pools", name="listPools", scope="read", handler=nodes.list_pools,
        summary="List the pools in which runs wait.", answers={200: documents.Pools},
    ),
    Endpoint(
        method="POST", path="/v1/pools/{name}/pause", name="pausePool", scope="admin",
        handler=nodes.pause_pool,
        summary="Let no process take queued runs of a pool.", answers={200: documents.Pools},
    ),
    Endpoint(
        method="POST", path="/v1/pools/{name}/resume", name="resumePool", scope="admin",
        handler=nodes.resume_pool,
        summary="Let queued runs of a pool be taken again.", answers={200: documents.Pools},
    ),
    Endpoint(
        method="GET", path="/v1/status", name="showStatus", scope="read",
        handler=listings.show_status,
        summary="Show runs, processes, plugins, schedules, and what waits for a person.",
        answers={200: documents.HostStatus},
    ),
    Endpoint(
        method="GET", path="/v1/workflows", name="listWorkflows", scope="read",
        handler=listings.list_workflows,
        summary="List workflows.", answers={200: documents.Workflows},
    ),
    Endpoint(
        method="GET", path="/v1/workflows/{name}", name="showWorkflow", scope="read",
        handler=listings.show_workflow, summary="Show a workflow's definition.",
        answers={200: documents.WorkflowDocument},
    ),
    Endpoint(
        method="GET", path="/v1/workflows/{name}/patches", name="listPatches", scope="read",
        handler=listings.list_patches,
        summary="Show which changes of a workflow's code its unfinished runs do.",
        answers={200: documents.Patches},
    ),
    Endpoint(
        method="GET", path="/v1/workflows/{name}/graph", name="drawWorkflow", scope="read",
        handler=listings.draw_workflow, summary="Draw a workflow.",
        query=schemas.GraphQuery, answers={200: "text/*"},
    ),
    Endpoint(
        method="GET", path="/v1/kinds/{kind}/schema", name="showKindSchema", scope="read",
        handler=listings.show_kind_schema,
        summary="Give the JSON Schema of a kind's definitions, for editors.",
        answers={200: schemas.SCHEMA_TYPE},
    ),
    Endpoint(
        method="GET", path="/v1/config/schema", name="showConfigSchema", scope="read",
        handler=listings.show_config_schema,
        summary="Give the JSON Schema of the configuration, with the options of the plugins,"
        " which are started for it.",
        answers={200: schemas.SCHEMA_TYPE},
    ),
    Endpoint(
        method="GET", path="/v1/plugins", name="listPlugins", scope="read",
        handler=listings.list_plugins,
        summary="List plugins and their states.", answers={200: documents.Plugins},
    ),
    Endpoint(
        method="GET", path="/v1/plugins/{name}", name="showPlugin", scope="read",
        handler=listings.show_plugin,
        summary="Show a plugin, what it needs and offers.", answers={200: documents.PluginDetails},
    ),
    Endpoint(
        method="GET", path="/v1/topics", name="listTopics", scope="read",
        handler=listings.list_topics,
        summary="List the handlers of every topic.", answers={200: documents.Topics},
    ),
    Endpoint(
        method="GET", path="/v1/schedules", name="listSchedules", scope="read",
        handler=schedules.list_schedules, answers={200: documents.Schedules},
        summary="List schedules, their next times and their last runs.",
    ),
    Endpoint(
        method="GET", path="/v1/schedules/{name}", name="showSchedule", scope="read",
        handler=schedules.show_schedule, answers={200: documents.ScheduleDocument},
        summary="Show a schedule, the outcomes of its last planned times, and the next ones.",
    ),
    Endpoint(
        method="POST", path="/v1/schedules/{name}/pause", name="pauseSchedule", scope="operate",
        handler=schedules.pause_schedule, body=schemas.Reason,
        body_optional=True, answers={200: documents.ScheduleDocument},
        summary="Let a schedule start nothing until it is resumed.",
    ),
    Endpoint(
        method="POST", path="/v1/schedules/{name}/resume", name="resumeSchedule", scope="operate",
        handler=schedules.resume_schedule, body=schemas.ResumeSchedule,
        body_optional=True, answers={200: documents.ScheduleDocument},
        summary="Let a paused schedule start runs again.",
    ),
    Endpoint(
        method="POST", path="/v1/schedules/{name}/trigger", name="triggerSchedule",
        scope="operate", handler=schedules.trigger_schedule, body=schemas.TriggerSchedule,
        body_optional=True, answers={202: documents.ScheduleRuns},
        summary="Queue a run of a schedule now.",
    ),
    Endpoint(
        method="POST", path="/v1/schedules/{name}/backfill", name="backfillSchedule",
        scope="operate", handler=schedules.backfill_schedule, body=schemas.BackfillSchedule,
        query=schemas.WaitQuery,
        answers={200: documents.ScheduleRuns, 202: documents.ScheduleRuns},
        summary="Queue the runs of planned times of the past, so many at once where that is given.",
    ),
    Endpoint(
        method="GET", path="/v1/planned-times", name="plannedTimes", scope="read",
        handler=schedules.planned_times, query=schemas.CronQuery,
        summary="Show the next times of a cron expression.",
        answers={200: documents.PlannedTimes},
    ),
    Endpoint(
        method="GET", path="/v1/health", name="showHealth", scope="read",
        handler=listings.show_health,
        summary="Check the health of every active plugin, and list circuit breakers.",
        answers={200: documents.HealthDocument},
    ),
    Endpoint(
        method="POST", path="/v1/request", name="request", scope="operate",
        handler=listings.request,
        summary="Send a request to a topic, and return the response.",
        body=schemas.Request, answers={200: documents.Response},
    ),
    Endpoint(
        method="POST", path="/v1/publish", name="publish", scope="operate",
        handler=listings.publish,
        summary="Give a message to the subscribers of a topic.",
        body=schemas.Publish, answers={200: documents.Published},
    ),
    Endpoint(
        method="GET", path="/v1/events", name="streamEvents", scope="read", handler=live_events,
        summary="Follow records of runs and messages of topics live.",
        query=schemas.EventsQuery, answers={200: EVENTS_TYPE},
        headers={LAST_ID: {"type": "string", "pattern": f"^{CURSOR}$"}},
    ),
    Endpoint(
        method="GET", path="/readyz", name="readiness", scope="read", handler=listings.ready,
        summary="Whether requests are served.", answers={200: documents.Ready},
    ),
    Endpoint(
        method="GET", path="/metrics", name="metrics", scope="read", handler=listings.metrics,
        summary="Metrics for Prometheus.", answers={200: METRICS_TYPE},
    ),
)  # fmt: skip
