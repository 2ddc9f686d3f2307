from __future__ import annotations

import datetime
import logging
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from qtforge_sample_audit import AuditEntry, AuditLog

from qtforge_host.testing import Failed, PluginTestHost
from qtforge_sdk import OperationError, Plugin, operation
from qtforge_sdk.errors import ConfigError, HandlerFailedError, NoHandlerError, PluginError
from qtforge_sdk.messages import DiscardRequest, DocumentStored


class Store(Plugin):
    @operation("document.discard")
    async def discard(self, request: DiscardRequest) -> int:
        if request.document_id == "locked":
            raise OperationError("document.locked", "the document is locked")
        return 1


def entries_in(path: Path) -> list[AuditEntry]:
    return [msgspec.json.decode(line, type=AuditEntry) for line in path.read_bytes().splitlines()]


def audit_file(host: PluginTestHost) -> Path:
    return host.data_dir / "audit-log" / "audit.jsonl"


def test_an_answer_is_written_with_who_and_how_long(host: PluginTestHost) -> None:
    host.add(Store())
    host.add(AuditLog())
    host.request("document.discard", DiscardRequest(document_id="1"))
    host.close()
    [entry] = entries_in(audit_file(host))
    assert (entry.event, entry.topic, entry.plugin) == ("answered", "document.discard", "store")
    assert entry.message_type == "DiscardRequest"
    assert entry.duration_s is not None
    assert 0 <= entry.duration_s < 10
    age = datetime.datetime.now(datetime.UTC) - entry.at
    assert datetime.timedelta(0) <= age < datetime.timedelta(minutes=1)


def test_a_failure_is_written_with_the_plugins_own_code(host: PluginTestHost) -> None:
    host.add(Store())
    host.add(AuditLog())
    with pytest.raises(HandlerFailedError):
        host.request("document.discard", {"document_id": "locked"})
    with pytest.raises(NoHandlerError):
        host.request("document.absent", {})
    host.close()
    failed, unanswered = entries_in(audit_file(host))
    assert (failed.event, failed.plugin) == ("failed", "store")
    assert failed.error is not None
    assert failed.error.code == "document.locked"
    assert "the document is locked" in failed.error.message
    assert unanswered.plugin is None
    assert unanswered.error is not None
    assert unanswered.error.code == "bus.no_handler"


def test_document_messages_are_written_and_others_are_not(host: PluginTestHost) -> None:
    host.add(AuditLog())
    stored = DocumentStored(document_id="1", sha256="ab", name="letter.md")
    host.publish("document.stored", stored)
    host.publish("weather.changed", {"to": "rain"})
    host.publish("document.parts.found", {"parts": [1, 2]})
    host.close()
    first, second = entries_in(audit_file(host))
    assert (first.event, first.topic, first.message_type) == (
        "published",
        "document.>",
        "DocumentStored",
    )
    assert first.message["name"] == "letter.md"
    assert second.message == {"parts": [1, 2]}


def test_what_is_in_a_request_is_not_written(host: PluginTestHost) -> None:
    host.add(Store())
    host.add(AuditLog())
    host.request("document.discard", {"document_id": "private"})
    host.close()
    assert "private" not in audit_file(host).read_text()


def test_the_file_is_appended_to_and_may_be_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "host.jsonl"
    for _ in range(2):
        with PluginTestHost(tmp_path / "state") as host:
            host.add(AuditLog(), config={"path": str(path)})
            host.publish("document.stored", {})
    assert [entry.event for entry in entries_in(path)] == ["published", "published"]


def test_every_entry_is_there_in_order_once_the_host_has_stopped(host: PluginTestHost) -> None:
    host.add(AuditLog())

    async def publish_many() -> None:
        for number in range(900):
            await host.bus.publish("document.stored", {"number": number})

    host.run(publish_many())
    host.close()
    assert [entry.message["number"] for entry in entries_in(audit_file(host))] == list(range(900))
    assert "audit-log" not in {thread.name for thread in threading.enumerate()}


def test_a_file_that_can_not_be_opened_makes_the_plugin_broken(
    host: PluginTestHost, tmp_path: Path
) -> None:
    with pytest.raises(PluginError, match=r"plugins\.audit-log\.config\.path") as caught:
        host.add(AuditLog(), config={"path": str(tmp_path)})
    assert isinstance(caught.value.__cause__, ConfigError)
    assert caught.value.__cause__.fix


def test_a_message_without_a_json_form_costs_only_its_own_line(
    host: PluginTestHost, caplog: pytest.LogCaptureFixture
) -> None:
    host.add(AuditLog())
    for message in ({"half": "\ud800"}, {"thing": object()}, {"whole": "yes"}):
        host.publish("document.stored", message)
    host.close()
    entries = entries_in(audit_file(host))
    messages: list[Any] = [each.message for each in entries if each.event == "published"]
    assert messages == [None, {"whole": "yes"}]
    assert [each.count for each in entries if each.event == "dropped"] == [1]
    assert "has no JSON form" in caplog.text
    assert not [each for each in host.messages if isinstance(each, Failed)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which is always full")
def test_a_full_disk_is_told_and_harms_no_request(
    host: PluginTestHost, caplog: pytest.LogCaptureFixture
) -> None:
    host.add(Store())
    host.add(AuditLog(), config={"path": "/dev/full"})
    with caplog.at_level(logging.ERROR):
        assert host.request("document.discard", {"document_id": "1"}) == 1
        host.close()
    assert "No space left on device" in caplog.text


def test_nothing_of_a_stopped_host_is_written(host: PluginTestHost) -> None:
    audit = host.add(AuditLog())
    host.close()
    audit.qtforge_after_request("a.b", {}, "late", 0.0)
    assert entries_in(audit_file(host)) == []
