"""Targets of the check, what it ignores, and what happens when a plugin takes its process along."""

from __future__ import annotations

import shutil
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.host.cli.conftest import Cli, cli, environment, home

from qtforge_host.plugin_check.check import CheckTargetError, PluginChecker
from qtforge_host.plugin_check.findings import CheckReport
from qtforge_host.plugin_check.wheels import PackageError
from qtforge_host.scaffold.plugin import write_plugin

__all__ = ["cli", "environment", "home"]

PluginCheck = Callable[..., CheckReport]


@pytest.fixture
def check(tmp_path: Path) -> PluginCheck:
    """Check a plugin of one module, from its source; further arguments are configuration."""

    def run(source: str, *configuration: str) -> CheckReport:
        config = tmp_path / "config.toml"
        config.write_text("\n".join(configuration))
        wheel = tmp_path / "acme-1.0.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            head = "import asyncio, os, time\nfrom qtforge_sdk import Plugin, operation\n"
            archive.writestr("acme.py", head + textwrap.dedent(source))
            metadata = "Name: acme\nVersion: 1.0.0\nRequires-Dist: qtforge-sdk>=1,<2\n"
            metadata += "License-Expression: MIT\n\nA description.\n"
            archive.writestr("acme-1.0.0.dist-info/METADATA", metadata)
            points = "[qtforge.plugins]\nacme = acme:Acme\n"
            archive.writestr("acme-1.0.0.dist-info/entry_points.txt", points)
        return PluginChecker(config).check(str(wheel))

    return run


def codes(report: CheckReport) -> list[tuple[str, str, int | None]]:
    return [(each.level, each.code, each.line) for each in report.findings]


def test_an_operation_is_tried_with_its_example(check: PluginCheck) -> None:
    report = check(
        """
        class Acme(Plugin):
            @operation("acme.good", example={"name": "Ada"})
            async def good(self, message: dict[str, str]) -> str:
                return message["name"]

            @operation("acme.not_tried")
            async def not_tried(self, message: dict[str, str]) -> str:
                raise RuntimeError

            @operation("acme.raises", example={})
            async def raises(self, message: dict[str, str]) -> str:
                return message["name"]

            @operation("acme.file", example={})
            async def file(self, message: dict[str, str]) -> object:
                return open(os.devnull)

            @operation("acme.number", example={})
            async def number(self, message: dict[str, str]) -> str:
                answer = 7
                return answer
        """
    )
    assert report.operations == 4
    assert codes(report) == [
        ("error", "bus.handler_failed", 15),
        ("error", "run.not_storable", 17),
        ("error", "plugin.invalid_answer", 21),
    ]
    assert all((each.plugin, each.version) == ("acme", "1.0.0") for each in report.findings)


def test_an_operation_that_blocks_the_loop_is_found_when_it_is_tried(check: PluginCheck) -> None:
    report = check(
        """
        def busy():
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                pass

        class Acme(Plugin):
            @operation("acme.block", example={})
            async def block(self, message: dict[str, str]) -> str:
                busy()
                await asyncio.sleep(0)
                return ""
        """
    )
    assert ("error", "operation.blocked_loop", 10) in codes(report)


def test_workflows_that_a_class_declares_must_be_there(check: PluginCheck) -> None:
    report = check('class Acme(Plugin):\n    workflows = ("missing.toml", "flows/*.toml")\n')
    found = [(each.code, each.line, each.what) for each in report.findings]
    assert found == [
        ("workflow.no_file", 3, "workflows names missing.toml, and there is no such file"),
        ("workflow.no_file", 3, "workflows names flows/*.toml, and there is no such file"),
    ]


def test_a_plugin_that_ends_its_process_is_a_finding(check: PluginCheck) -> None:
    report = check("os._exit(7)\nclass Acme(Plugin): ...\n")
    assert [each.code for each in report.findings] == ["plugin.check_died"]
    assert "importing it ended the process with exit code 7" in report.findings[0].what


def test_an_import_that_never_ends_is_a_finding_with_its_line(check: PluginCheck) -> None:
    source = "class Acme(Plugin): ...\nwhile True:\n    time.sleep(0.01)\n"
    report = check(source, "[host]", 'import_timeout = "1s"')
    assert [each.code for each in report.findings] == ["plugin.import_timeout"]
    assert (report.findings[0].file, report.findings[0].line) == ("acme.py", 5)


def test_what_a_plugin_leaves_running_ends_with_the_check(check: PluginCheck) -> None:
    report = check(
        """
        import subprocess, sys

        class Acme(Plugin):
            async def start(self, context):
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

            async def stop(self):
                await asyncio.sleep(0.01)
        """
    )
    assert codes(report) == []


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plugin("acme-shop", ["workflow"], tmp_path_factory.mktemp("project"))


def test_a_project_is_built_and_checked_and_nothing_is_left_in_its_folder(project: Path) -> None:
    before = sorted(project.rglob("*"))
    report = PluginChecker(None).check(str(project))
    assert (report.findings, report.plugins) == ([], ["acme-shop 0.1.0"])
    assert report.operations == 1
    assert sorted(project.rglob("*")) == before


def test_a_file_that_the_wheel_lacks_is_named_and_codes_can_be_ignored(
    project: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "copy"))
    file = copy / "pyproject.toml"
    text = file.read_text().replace(', "workflows/*.toml"', "")
    text = text.replace('readme = "README.md"\n', "")
    file.write_text(text)
    report = PluginChecker(None).check(str(copy))
    found = {each.code: each for each in report.findings}
    assert set(found) == {"wheel.no_toml", "wheel.readme", "workflow.no_file"}
    assert found["wheel.no_toml"].file == str(copy / "src/acme_shop/workflows/acme-shop.toml")
    assert 'acme_shop = ["workflows/*.toml"]' in found["wheel.no_toml"].fix
    assert found["workflow.no_file"].file == str(copy / "src/acme_shop/__init__.py")
    assert found["wheel.readme"].file == str(file)

    file.write_text(text + '\n[tool.qtforge.check]\nignore = ["w*.no_*"]\n')
    report = PluginChecker(None).check(str(copy))
    assert ([each.code for each in report.findings], report.ignored) == (["wheel.readme"], 2)

    file.write_text(text + '\n[tool.qtforge.check]\nignore = "wheel.readme"\n')
    with pytest.raises(PackageError, match="ignore is no list of texts"):
        PluginChecker(None).check(str(copy))


def test_exported_runs_that_a_project_keeps_are_replayed(project: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "copy"))
    kept = copy / "tests" / "runs" / "torn.qtforge-run"
    kept.parent.mkdir()
    kept.write_bytes(b"torn")
    (found,) = PluginChecker(None, exports=[]).check(str(copy)).findings
    assert (found.level, found.code, found.file) == ("error", "run.archive_invalid", str(kept))


def test_what_can_not_be_checked_is_refused_with_a_reason(tmp_path: Path) -> None:
    checker = PluginChecker(None)
    with pytest.raises(CheckTargetError, match="did you mean 'notifier'"):
        checker.check("notifer")
    with pytest.raises(PackageError, match=r"it has no pyproject\.toml"):
        checker.check(str(tmp_path))
    (tmp_path / "torn.whl").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(PackageError, match="is no wheel"):
        checker.check(str(tmp_path / "torn.whl"))
    with pytest.raises(PackageError, match="there is no file"):
        checker.check(str(tmp_path / "missing.whl"))
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "no version"\n')
    with pytest.raises(PackageError, match="can't be built"):
        checker.check(str(tmp_path))


def test_a_wheel_without_an_entry_point_of_the_host_is_no_plugin(tmp_path: Path) -> None:
    wheel = tmp_path / "other-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other-1.0.dist-info/METADATA", "Name: other\nVersion: 1.0\n\n")
    assert codes(PluginChecker(None).check(str(wheel))) == [("error", "wheel.no_plugin", None)]


def test_names_of_a_wheel_do_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    wheel = tmp_path / "deep" / "deep" / "other-1.0-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("../../../../outside.txt", "x")
        archive.writestr("other-1.0.dist-info/METADATA", "Name: other\nVersion: 1.0\n\n")
    PluginChecker(None).check(str(wheel))
    assert not list(Path(tmp_path).rglob("outside.txt"))


def test_the_command_prints_findings_and_its_exit_code_tells_them(
    cli: Cli, project: Path, tmp_path: Path
) -> None:
    fine = cli("plugins", "check", project)
    assert (fine.code, fine.err) == (0, "")
    assert "acme-shop 0.1.0: 0 errors, 0 advice, 1 operation tried" in fine.out
    copy = Path(shutil.copytree(project, tmp_path / "copy"))
    text = (copy / "pyproject.toml").read_text()
    (copy / "pyproject.toml").write_text(text.replace('readme = "README.md"\n', ""))
    advised = cli("plugins", "check", "copy", "--json")
    assert (advised.code, advised.json["errors"], advised.json["advice"]) == (0, 0, 1)
    strict = cli("plugins", "check", "copy", "--strict")
    assert strict.code == 1
    assert "advice[wheel.readme]: copy/pyproject.toml: it has no readme" in strict.out
    assert 'fix: readme = "README.md" in [project]' in strict.out
    assert cli("plugins", "check", "no-such-plugin").code == 3
    assert cli("plugins", "check", "x.whl").code == 2


CONTRIBUTES = """
    from collections.abc import Sequence
    from qtforge_sdk import hookimpl

    class Config(msgspec.Struct):
        texts: tuple[str, ...] = ()

    class Acme(Plugin):
        Config = Config

        @hookimpl
        def qtforge_workflows(self) -> Sequence[str]:
            return %s
"""


def test_nothing_is_missed_of_a_plugin_whose_configuration_says_what_it_contributes(
    check: PluginCheck,
) -> None:
    source = "import msgspec\n" + textwrap.dedent(CONTRIBUTES)
    assert codes(check(source % "list(self.config.texts)")) == []
    (found,) = check(source % "[]").findings
    assert (found.level, found.code) == ("advice", "workflow.none")
