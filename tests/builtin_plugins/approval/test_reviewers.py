"""reviewers with its file: the same answer for the same step, also from many threads."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from qtforge_builtin_plugins.approval.messages import (
    ReviewerAssigned,
    ReviewerRelease,
    ReviewerRequest,
)
from qtforge_builtin_plugins.approval.reviewers import Member, Reviewers, ReviewersConfig
from qtforge_host.testing import PluginTestHost
from qtforge_sdk import OperationContext, OperationError, PluginContext
from qtforge_sdk.errors import ConfigError

TWO = (Member(name="Anna", email="anna@example.org"), Member(name="Ben", email="ben@example.org"))


def started(folder: Path, host: PluginTestHost, config: ReviewersConfig) -> Reviewers:
    plugin = Reviewers()
    plugin.config = config
    context = PluginContext(
        name="reviewers", version="1.0.0", bus=host.bus, data_dir=folder, host_version="1.0.0"
    )
    asyncio.run(plugin.start(context))
    return plugin


def assign(plugin: Reviewers, run_id: str, step: str = "1", escalation: int = 0) -> str:
    context = OperationContext(
        "reviewer.assign", "reviewers", run_id=run_id, step=step,
        idempotency_key=f"{run_id}/{step}",
    )  # fmt: skip
    found = plugin.assign(ReviewerRequest(request_id=run_id, escalation=escalation), context)
    return found.reviewer.name if found.reviewer else "nobody"


def test_the_same_step_gets_the_same_reviewer_whoever_asks_meanwhile(
    tmp_path: Path, host: PluginTestHost
) -> None:
    plugin = started(tmp_path, host, ReviewersConfig(reviewers=TWO))
    assert [assign(plugin, run) for run in ("a", "b", "a", "c", "b")] == [
        "Anna", "Ben", "Anna", "Anna", "Ben",
    ]  # fmt: skip
    again = started(tmp_path, host, ReviewersConfig(reviewers=TWO[1:]))
    assert assign(again, "a") == "Anna"  # the answer outlives the process and its configuration


def test_a_review_that_is_over_is_no_load(tmp_path: Path, host: PluginTestHost) -> None:
    config = ReviewersConfig(reviewers=TWO, strategy="least_loaded")
    plugin = started(tmp_path, host, config)
    assert [assign(plugin, run) for run in ("a", "b", "c")] == ["Anna", "Ben", "Anna"]
    assert plugin.release(ReviewerRelease(request_id="a")).released == 1
    assert plugin.release(ReviewerRelease(request_id="a")).released == 0
    assert plugin.release(ReviewerRelease(request_id="c")).released == 1
    assert assign(plugin, "d") == "Anna"  # Ben still has one


def test_an_escalation_takes_the_review_from_who_had_it(
    tmp_path: Path, host: PluginTestHost
) -> None:
    config = ReviewersConfig(reviewers=TWO, escalation=(Member(name="Chief"),))
    plugin = started(tmp_path, host, config)
    assert [assign(plugin, "a"), assign(plugin, "a", "2", escalation=1)] == ["Anna", "Chief"]
    assert plugin.release(ReviewerRelease(request_id="a")).released == 1


def test_threads_that_ask_at_once_share_the_work_evenly(
    tmp_path: Path, host: PluginTestHost
) -> None:
    plugin = started(tmp_path, host, ReviewersConfig(reviewers=TWO))
    with ThreadPoolExecutor(4) as pool:
        found = Counter(pool.map(lambda number: assign(plugin, f"run-{number}"), range(20)))
    assert found == {"Anna": 10, "Ben": 10}


def test_a_file_of_another_application_is_refused(tmp_path: Path, host: PluginTestHost) -> None:
    with sqlite3.connect(tmp_path / "assignments.sqlite") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    plugin = started(tmp_path, host, ReviewersConfig(reviewers=TWO))
    with pytest.raises(OperationError, match="another application's") as caught:
        assign(plugin, "a")
    assert caught.value.code == "reviewer.store"


def test_a_folder_that_cannot_be_made_is_a_clear_error(
    tmp_path: Path, host: PluginTestHost
) -> None:
    (tmp_path / "file").write_text("in the way")
    plugin = started(tmp_path / "file" / "below", host, ReviewersConfig(reviewers=TWO))
    with pytest.raises(OperationError) as caught:
        assign(plugin, "a")
    assert caught.value.code == "reviewer.store"


def test_a_reviewer_without_name_and_address_is_refused(host: PluginTestHost) -> None:
    with pytest.raises(ConfigError, match="a name or an email"):
        host.add(Reviewers(), config={"reviewers": [{"name": " "}]})


def test_it_answers_on_the_bus(host: PluginTestHost) -> None:
    host.add(Reviewers(), config={"reviewers": [{"name": "Anna"}]})
    found = host.request("reviewer.assign", {"request_id": "r"}, response_type=ReviewerAssigned)
    assert found.reviewer is not None
    assert (found.reviewer.name, found.reason) == ("Anna", "next in turn")
