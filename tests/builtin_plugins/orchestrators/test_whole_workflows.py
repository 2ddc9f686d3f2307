"""Whole definitions as authors write them: an import by night, an intake, a choice of ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from qtforge_host.testing import WorkflowKit
from qtforge_sdk import OperationError

NIGHTLY = """
name = "nightly-import"
kind = "sequential"
result = { files = "${stages.each.items.succeeded}", rows = "${stages.each.reduced}" }
[inputs]
day = { type = "date", description = "which day" }
folders = { type = "list[string]", default = ["/srv/in"], min_items = 1 }

[[stages]]
name = "list"
operation = "files.list"
message = { folders = "${input.folders}", day = "${input.day}" }

[[stages]]
name = "each"
foreach = "${stages.list.data.filter(f, f.size > 0)}"
concurrency = 4
tolerate = "25%"
block = "one_file"
reduce = { initial = 0, value = "${total + item.rows}" }

[[stages]]
name = "submit"
operation = "job.submit"
message = { files = "${stages.each.data}" }
compensation = { operation = "job.cancel", message = { id = "${stages.submit.data.id}" } }

[[stages]]
name = "wait"
operation = "job.status"
message = { id = "${stages.submit.data.id}" }
repeat = { until = "data.state in ['done', 'broken']", every = "30s", max = 240 }

[[stages]]
name = "verdict"
when = "stages.wait.data.state == 'broken'"
fail = { code = "job.broken", message = "the job says: ${stages.wait.data.reason}" }

[blocks.one_file]
result = { path = "${item.path}", rows = "${stages.load.data.rows}" }
[[blocks.one_file.stages]]
name = "fetch"
operation = "file.fetch"
retry = { max_attempts = 3 }
message = { path = "${item.path}" }
[[blocks.one_file.stages]]
name = "load"
operation = "table.load"
message = { text = "${stages.fetch.data}" }
compensation = { operation = "table.unload", message = { path = "${item.path}" } }
"""

INTAKE = """
name = "invoice-intake"
kind = "graph"
version = "1.0.0"
description = "Read, check and book one invoice"
concurrency = 8
on_failure = "stop"
on_cancel = "compensate"
result = { booking = "${stages.book.data.id}", risk = "${stages.fraud.data.risk}" }

[inputs.document]
type = "table"
description = "the invoice: name and path"

[inputs.limit]
type = "number"
default = 10_000
min = 0

[[stages]]
name = "parse"
operation = "document.parse"
message = { document = "${input.document}" }

[[stages]]
name = "fraud"
needs = ["parse"]
operation = "fraud.detect"
message = { content = "${stages.parse.data.content}", limit = "${input.limit}" }
compensation = { operation = "fraud.forget", message = { request_id = "${run.id}" } }

[[stages]]
name = "enrich"
needs = ["parse"]
operation = "document.enrich"
required = false
message = { content = "${stages.parse.data.content}" }

[[stages]]
name = "ask"
needs = ["fraud"]
when = "stages.fraud.data.risk == 'high'"
workflow = "approval"
input = { document = "${input.document}" }

[[stages]]
name = "book"
needs = ["ask", "enrich"]
operation = "ledger.book"
message = { amount = "${stages.parse.data.total}", facts = "${stages.enrich.data}" }
compensation = { operation = "ledger.cancel", message = { id = "${stages.book.data.id}" } }

[[finally]]
name = "tell"
operation = "notification.send"
message = { subject = "invoice: ${run.status}" }
"""

APPROVAL = """
name = "approval"
kind = "sequential"
[[stages]]
name = "ask"
operation = "person.ask"
"""

TRANSLATE = """
name = "translate"
kind = "graph"
description = "Choose a way by language; ask two engines, and take the first"
tags = { language = "${input.language}" }

[inputs.text]
type = "string"
max_length = 100_000

[inputs.language]
type = "string"
enum = ["de", "ru", "fr"]
default = "de"

[concurrency_key]
key = "${input.language}"
limit = 2
when_full = "wait"

[[stages]]
name = "look"
operation = "content.analyze"
message = { text = "${input.text}" }

[[stages]]
name = "way"
needs = ["look"]
switch = [
  { when = "stages.look.data.language == input.language", block = "as_it_is" },
  { when = "stages.look.data.words < 50", block = "quick" },
  { block = "careful" },
]

[[stages]]
name = "keep"
needs = ["way"]
operation = "document.store"
message = { text = "${stages.way.data.text}" }

[blocks.as_it_is]
result = { text = "${input.text}" }
stages = []

[blocks.quick]
result = { text = "${stages.ask.data}" }
[[blocks.quick.stages]]
name = "ask"
operation = "translate.small"
message = { text = "${input.text}" }

[blocks.careful]
result = { text = "${stages.a.data != null ? stages.a.data : stages.b.data}" }
first = 1
[[blocks.careful.stages]]
name = "a"
operation = "translate.large"
message = { text = "${input.text}" }
[[blocks.careful.stages]]
name = "b"
operation = "translate.other"
message = { text = "${input.text}" }
"""


def load(message: Mapping[str, Any]) -> dict[str, int]:
    if message["text"] == "garbage":
        raise OperationError("table.unreadable", "it is no table", retryable=False)
    return {"rows": len(message["text"])}


@pytest.fixture
def files(workflows: WorkflowKit) -> None:
    names = ["a", "bb", "empty", "bad", "ccc"]
    workflows.fake(
        "files.list", [{"path": name, "size": 0 if name == "empty" else 9} for name in names]
    )
    workflows.fake("file.fetch", lambda message: message["path"].replace("bad", "garbage"))
    workflows.fake("table.load", load)
    for topic in ("table.unload", "job.cancel"):
        workflows.fake(topic, None)
    workflows.fake("job.submit", {"id": 7})
    workflows.add(NIGHTLY)


def test_an_import_tolerates_a_bad_file_and_waits_for_its_job(
    workflows: WorkflowKit, files: None
) -> None:
    workflows.fake("job.status", {"state": "busy"}, {"state": "busy"}, {"state": "done"})
    run = workflows.run("nightly-import", {"day": "2026-11-30"})
    assert (run.status, run.result) == ("succeeded", {"files": 3, "rows": 6})
    assert run.steps["each[2]"].status == "warning"
    assert len(workflows.calls("job.status")) == 3


def test_an_import_whose_job_is_broken_takes_everything_back(
    workflows: WorkflowKit, files: None
) -> None:
    workflows.fake("job.status", {"state": "broken", "reason": "no disk"})
    run = workflows.run("nightly-import", {"day": "2026-11-30"})
    assert run.error is not None
    assert (run.status, run.error.code, run.error.message) == (
        "compensated", "job.broken", "the job says: no disk",
    )  # fmt: skip
    assert next(iter(run.compensations)) == "submit"
    unloaded = {call.message["path"] for call in workflows.calls("table.unload")}
    assert unloaded == {"a", "bb", "ccc"}


@pytest.mark.parametrize(
    ("risk", "booked", "asked"), [("low", True, 0), ("high", True, 1), ("high", False, 1)]
)
def test_an_intake_asks_where_the_risk_is_high_and_tells_how_it_ended(
    workflows: WorkflowKit, risk: str, booked: bool, asked: int
) -> None:
    refused = OperationError("ledger.closed", "the ledger is closed", retryable=False)
    for topic, answer in {
        "document.parse": {"content": "an invoice", "total": 12},
        "fraud.detect": {"risk": risk},
        "fraud.forget": None,
        "document.enrich": OperationError("enrich.down", "no", retryable=False),
        "person.ask": "yes",
        "ledger.book": {"id": 1} if booked else refused,
        "ledger.cancel": None,
        "notification.send": None,
    }.items():
        workflows.fake(topic, answer)
    workflows.add(APPROVAL, INTAKE)
    run = workflows.run("invoice-intake", {"document": {"name": "a", "path": "a.pdf"}})
    status = "succeeded" if booked else "compensated"
    assert run.status == status
    assert run.result == ({"booking": 1, "risk": risk} if booked else None)
    assert len(workflows.calls("person.ask")) == asked
    assert len(workflows.calls("fraud.forget")) == (not booked)
    (told,) = workflows.calls("notification.send")
    assert told.message == {"subject": f"invoice: {status}"}


@pytest.mark.parametrize(
    ("language", "words", "text"),
    [("de", 900, "the text"), ("en", 9, "small"), ("en", 900, "other")],
)
def test_a_translation_takes_the_way_that_fits(
    workflows: WorkflowKit, language: str, words: int, text: str
) -> None:
    workflows.fake("content.analyze", {"language": language, "words": words})
    workflows.fake("translate.small", "small")
    workflows.fake("translate.large", OperationError("large.down", "no", retryable=False))
    workflows.fake("translate.other", "other")
    workflows.fake("document.store", None)
    workflows.add(TRANSLATE)
    assert workflows.run("translate", {"text": "the text"}).status == "succeeded"
    (stored,) = workflows.calls("document.store")
    assert stored.message == {"text": text}
