from __future__ import annotations

import inspect
import os
import time
from pathlib import Path
from types import SimpleNamespace

import click
import msgspec
import pytest
from qtforge_sample_report import FolderReport, ReportConfig, scanning
from qtforge_sample_report.messages import (
    FoundFile,
    RemoveResponse,
    ScanResponse,
    WriteResponse,
)

from qtforge_host.testing import PluginTestHost, Requested, WorkflowKit
from qtforge_sdk import OperationContext, OperationError
from qtforge_sdk.errors import HandlerFailedError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "letters"
    (root / "old").mkdir(parents=True)
    (root / "a.md").write_bytes(b"x" * 10)
    (root / "old" / "b.MD").write_bytes(b"x" * 20)
    (root / "old" / "c.txt").write_bytes(b"x" * 3_000)
    (root / "README").write_bytes(b"")
    return root


def scan(host: PluginTestHost, path: object, pattern: str = "*") -> ScanResponse:
    request = {"path": str(path), "pattern": pattern}
    return host.request("folder.scan", request, response_type=ScanResponse)


def write(host: PluginTestHost, report_id: str, files: list[FoundFile]) -> WriteResponse:
    request = {"report_id": report_id, "folder": "/x", "files": files}
    return host.request("report.write", request, response_type=WriteResponse)


def code_of(host: PluginTestHost, topic: str, **request: object) -> str:
    with pytest.raises(HandlerFailedError) as caught:
        host.request(topic, request)
    return caught.value.cause_code


def run_command(host: PluginTestHost, *arguments: str) -> None:
    [[command]] = host.hooks.qtforge_commands()
    assert isinstance(command, click.Command)
    session = SimpleNamespace(bus=host.bus)
    with command.make_context("folder-report", list(arguments), obj=session) as context:
        result = command.invoke(context)
        assert inspect.iscoroutine(result)
        host.run(result)


def test_a_scan_gives_every_file_below_by_path(host: PluginTestHost, folder: Path) -> None:
    host.add(FolderReport())
    found = scan(host, folder)
    assert found.folder == str(folder.resolve())
    assert [(file.path, file.size_bytes) for file in found.files] == [
        ("README", 0),
        ("a.md", 10),
        ("old/b.MD", 20),
        ("old/c.txt", 3_000),
    ]
    assert found.skipped == 0


def test_a_pattern_takes_only_some_and_links_are_not_followed(
    host: PluginTestHost, folder: Path
) -> None:
    (folder / "loop").symlink_to(folder)
    (folder / "link.txt").symlink_to(folder / "a.md")
    host.add(FolderReport())
    assert [file.path for file in scan(host, folder, "*.txt").files] == ["old/c.txt"]


def test_a_folder_that_can_not_be_scanned_is_a_clear_error(
    host: PluginTestHost, folder: Path
) -> None:
    host.add(FolderReport(), config={"max_files": 3})
    assert code_of(host, "folder.scan", path=str(folder / "absent")) == "folder.not_found"
    assert code_of(host, "folder.scan", path=str(folder / "a.md")) == "folder.not_a_folder"
    assert code_of(host, "folder.scan", path="a\0b") == "folder.unreadable"
    assert code_of(host, "folder.scan", path=str(folder)) == "folder.too_many_files"


@pytest.mark.skipif(os.name != "posix", reason="only there a name may be no text")
def test_a_name_that_is_no_text_is_shown_as_well_as_can_be(
    host: PluginTestHost, tmp_path: Path
) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.md")).touch()
    except OSError:
        pytest.skip("this file system takes only text for names")
    host.add(FolderReport())
    files = [file for file in scan(host, tmp_path).files if file.path.endswith(".md")]
    assert [file.path for file in files] == ["\N{REPLACEMENT CHARACTER}.md"]
    report = Path(write(host, "r1", files).report)
    assert "\N{REPLACEMENT CHARACTER}.md" in report.read_text(encoding="utf-8")


def test_a_folder_below_that_can_not_be_read_is_counted(
    host: PluginTestHost, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse_old(path: Path) -> object:
        if path.name == "old":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse_old)
    host.add(FolderReport())
    found = scan(host, folder)
    assert [file.path for file in found.files] == ["README", "a.md"]
    assert found.skipped == 1


def test_a_scan_ends_by_itself_when_its_time_is_over(folder: Path) -> None:
    late = OperationContext("folder.scan", "folder-report", deadline=time.monotonic() - 1)
    with pytest.raises(OperationError) as caught:
        scanning.scan(folder, "*", 10, late)
    assert caught.value.code == "folder.out_of_time"


def test_a_report_tells_kinds_and_the_largest_files(host: PluginTestHost, folder: Path) -> None:
    host.add(FolderReport(), config={"largest": 1})
    written = write(host, "r1", scan(host, folder).files)
    assert (written.files, written.total_bytes) == (4, 3_030)
    assert Path(written.report) == host.data_dir / "folder-report" / "r1.md"
    assert Path(written.report).read_text(encoding="utf-8") == (
        "# /x\n\n4 files, 3,030 bytes\n\n"
        "| kind | files | bytes |\n|---|---:|---:|\n"
        "| .txt | 1 | 3,000 |\n| .md | 2 | 30 |\n| (none) | 1 | 0 |\n\n"
        "| largest | bytes |\n|---|---:|\n"
        "| old/c.txt | 3,000 |\n"
    )


def test_a_name_can_not_break_out_of_its_cell(host: PluginTestHost) -> None:
    host.add(FolderReport())
    written = write(host, "r1", [FoundFile(path="a|b\n# c.md", size_bytes=1)])
    text = Path(written.report).read_text(encoding="utf-8")
    assert "| a\\|b\N{REPLACEMENT CHARACTER}\\# c.md | 1 |" in text


def test_a_report_is_replaced_and_leaves_no_other_file(host: PluginTestHost) -> None:
    host.add(FolderReport())
    write(host, "r1", [])
    report = Path(write(host, "r1", [FoundFile(path="a", size_bytes=7)]).report)
    assert "1 file, 7 bytes" in report.read_text(encoding="utf-8")
    assert list(report.parent.iterdir()) == [report]


def test_removing_a_report_is_idempotent(host: PluginTestHost) -> None:
    host.add(FolderReport())
    report = Path(write(host, "r1", []).report)
    for was_there in (True, False):
        removed = host.request("report.remove", {"report_id": "r1"}, response_type=RemoveResponse)
        assert removed.removed is was_there
        assert not report.exists()


@pytest.mark.parametrize("report_id", ["", "../r1", "a/b", "a.md", "x" * 101])
def test_an_id_can_not_leave_the_reports_folder(host: PluginTestHost, report_id: str) -> None:
    host.add(FolderReport())
    request = {"report_id": report_id, "folder": "/x", "files": []}
    assert code_of(host, "report.write", **request) == "report.bad_id"
    assert code_of(host, "report.remove", report_id=report_id) == "report.bad_id"


def test_a_report_that_can_not_be_written_is_a_clear_error(
    host: PluginTestHost, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file, not a folder")
    host.add(FolderReport(), config=ReportConfig(reports=str(taken)))
    code = code_of(host, "report.write", report_id="r1", folder="/x", files=[])
    assert code == "report.not_written"
    assert host.request("report.remove", {"report_id": "r1"}) == RemoveResponse(removed=False)


def test_the_workflow_scans_and_writes_with_the_plugins_own_operations(
    workflows: WorkflowKit, folder: Path
) -> None:
    workflows.add(FolderReport())
    run = workflows.run("folder-report", {"path": str(folder)})
    assert (run.status, list(run.steps)) == ("succeeded", ["scan", "write"])
    assert (run.result["files"], run.result["total_bytes"]) == (4, 3_030)
    assert Path(run.result["report"]).name == f"{run.id}.md"


def test_the_workflow_removes_a_report_of_which_nobody_knows_whether_it_is_written(
    workflows: WorkflowKit, folder: Path
) -> None:
    workflows.add(FolderReport())
    workflows.fake("report.write", OperationError("report.not_written", "the disk is full"))
    run = workflows.run("folder-report", {"path": str(folder)})
    assert run.error is not None
    assert run.error.code == "report.not_written"
    assert {step: each.data for step, each in run.compensations.items()} == {
        "write": {"removed": False}
    }
    assert [call.message for call in workflows.calls("report.remove")] == [{"report_id": run.id}]


def test_the_command_scans_writes_and_shows_the_report(
    host: PluginTestHost, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host.add(FolderReport())
    run_command(host, str(folder), "--pattern", "*.[mM]*")
    first, kinds, report = capsys.readouterr().out.splitlines()
    assert first == f"2 files, 30 bytes in {folder}"
    assert kinds.split() == [".md", "2", "files", "30", "bytes"]
    assert Path(report).is_file()
    asked = [each.topic for each in host.messages if isinstance(each, Requested)]
    assert asked == ["folder.scan", "report.write"]


def test_the_command_prints_one_json_document(
    host: PluginTestHost, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host.add(FolderReport())
    run_command(host, str(folder), "--json")
    document = msgspec.json.decode(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert (document["files"], document["total_bytes"]) == (4, 3_030)
    assert document["folder"] == str(folder.resolve())
    assert Path(document["report"]).is_file()


def test_the_command_fails_with_the_operations_own_error(
    host: PluginTestHost, folder: Path
) -> None:
    host.add(FolderReport())
    with pytest.raises(HandlerFailedError) as caught:
        run_command(host, str(folder / "absent"))
    assert caught.value.cause_code == "folder.not_found"
