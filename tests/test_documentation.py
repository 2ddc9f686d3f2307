"""Every command in README and docs is run, and every link and example in them holds."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.forked_commands import run_command

from qtforge_host.testing import PluginTestHost, WorkflowKit

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
# What an index shows of each distribution, without anything beside it.
READMES = sorted(
    path.with_name("README.md")
    for pattern in ("sdk", ".", "extensions/*", "sample_plugins/*")
    for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
TUTORIAL = ROOT / "docs" / "tutorial.md"  # its commands build on each other: a test of their own

SAMPLES: Final = "tests/integration/test_sample_plugins.py"
APPROVAL: Final = "tests/integration/test_document_approval.py"
ROUTING: Final = "tests/integration/test_document_routing.py"
# Commands that install or test, and the test that runs them for real.
ELSEWHERE: Final = {
    "make run": "tests/integration/test_checkout.py",
    "make test": ".ci/run",
    "make bench": "tests/test_benchmarks.py",
    "make bench-compare BASE=HEAD~1": "tests/test_benchmarks.py",
    "pip install ./sdk '.[all]'": "tests/integration/test_checkout.py",
    "pip install ./sample_plugins/subtitle_parser ./sample_plugins/audit_log"
    " ./sample_plugins/folder_report ./sample_plugins/calendar_source": SAMPLES,
    "qtforge-host route --dry-run --explain examples/documents": ROUTING,
    "qtforge-host route --dry-run examples/documents": ROUTING,
    "qtforge-host send last user.action --set action=approve --set by=Anna"
    " --set comment=fine": APPROVAL,
    "qtforge-host serve": "tests/host/serving/test_process.py",
    "qtforge-host folder-report examples": "tests/integration/test_sample_plugins.py",
}


def blocks(page: Path, language: str) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    for found in re.finditer(rf"^```{language}\n(.*?)^```", text, re.S | re.M):
        yield found[1]


def _command_blocks(page: Path) -> Iterator[list[str]]:
    for block in blocks(page, "console"):
        yield [
            line[2:].partition("  #")[0].strip()
            for line in block.splitlines()
            if line.startswith("$ ")
        ]


def commands_of(page: Path) -> list[str]:
    return [command for block in _command_blocks(page) for command in block]


def commands() -> list[str]:
    found = [each for page in PAGES if page != TUTORIAL for each in commands_of(page)]
    return list(dict.fromkeys(found))


def files_of(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the files that a page asks its reader to write: their first line is their path."""
    for language in ("toml", "python"):
        for block in blocks(page, language):
            named = re.match(r"# ([\w./-]+\.\w+)\n", block)
            if named:
                yield named[1], block


def _write_files(page: Path, folder: Path) -> None:
    for name, text in files_of(page):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the examples, and a home of its own."""
    folder = tmp_path_factory.mktemp("documentation")
    shutil.copytree(ROOT / "examples", folder / "examples")
    (folder / "home").mkdir()
    for page in PAGES:
        if page != TUTORIAL:
            _write_files(page, folder)
    # One run, so that 'last' names one in every block.
    words = ["run", "document-processing", "examples/documents/letter.docx"]
    done = _try(words, folder, folder / "home")
    assert done.returncode in (0, 1), done.stderr  # 1 without the extra 'documents'
    return folder


def _try(
    words: list[str], checkout: Path, home: Path, site: Path | None = None
) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONUTF8": "1"}
    if site is not None:
        env["PYTHONPATH"] = str(site)
    return run_command([*words], timeout=120, cwd=checkout, env=env)


def _sequences() -> Iterator[tuple[str, list[str]]]:
    """Yield each block of commands, which its reader types one after the other."""
    seen: set[str] = set()
    for page in PAGES:
        for number, found in enumerate(_command_blocks(page)):
            commands = [each for each in found if each not in ELSEWHERE]
            if page != TUTORIAL and not seen.issuperset(commands):
                seen.update(commands)
                yield f"{page.relative_to(ROOT)}-{number}", commands


SEQUENCES: Final = dict(_sequences())


@pytest.mark.parametrize("name", SEQUENCES)
def test_documented_commands_work_as_they_are_written(
    name: str, checkout: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pypdfium2", reason="the extra 'documents' is not installed")
    # Each block begins after one run, whatever other blocks do.
    home = tmp_path / "home"
    shutil.copytree(checkout / "home", home)
    for command in SEQUENCES[name]:
        words = shlex.split(command)
        assert words[0] == "qtforge-host", "say in ELSEWHERE which test runs it"
        paths = [
            path
            for word in words[1:]
            for path in (
                sorted(str(each.relative_to(checkout)) for each in checkout.glob(word))
                if "*" in word
                else [word]
            )
        ]
        done = _try(paths, checkout, home)
        assert done.returncode == 0, command + done.stdout + done.stderr
        assert done.stdout or done.stderr


@pytest.mark.venv
def test_the_tutorial_works_from_its_first_command_to_its_last(
    checkout: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pypdfium2", reason="the extra 'documents' is not installed")
    _write_files(TUTORIAL, checkout)
    (home := tmp_path / "home").mkdir()
    outputs = {}
    for command in commands_of(TUTORIAL):
        words = shlex.split(command)
        if words[0] == "pip":
            if command not in ELSEWHERE:
                pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                       "--target", str(tmp_path / "site"), *words[2:]]  # fmt: skip
                subprocess.run(pip, check=True, capture_output=True, cwd=checkout, timeout=280)
            continue
        done = _try(words[1:], checkout, home, tmp_path / "site")
        assert done.returncode == 0, command + done.stdout + done.stderr
        outputs[command] = done.stdout
    blocks = re.findall(r"```text\n(.*?)```", TUTORIAL.read_text(encoding="utf-8"), re.DOTALL)
    shown = [_lasting(line) for block in blocks for line in block.splitlines() if line != "..."]
    printed = {_lasting(line) for output in outputs.values() for line in output.splitlines()}
    assert [line for line in shown if line not in printed] == []
    assert "Hello, reader of A letter from Whitby!" in shown


def _lasting(line: str) -> str:
    """Return what of a line is the same in each execution, with single spaces."""
    ids = r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|\b\d{8}-\d{6}-\w{10}"
    return " ".join(re.sub(rf"{ids}|\b\d+\.\d+ s\b", "*", line).split())


def test_what_is_run_elsewhere_is_documented_and_its_test_exists() -> None:
    assert set(ELSEWHERE) <= set(commands())
    for place in ELSEWHERE.values():
        assert (ROOT / place).is_file(), place


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        ours = re.match(r"https://github.com/qtforge/qtforge-host/(?:blob|tree)/main/(.*)", target)
        if ours:
            assert (ROOT / ours[1]).exists(), target
        elif not target.startswith("https://"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", READMES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_an_index_shows_of_a_distribution_is_right_when_read_alone(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    project = tomllib.loads(page.with_name("pyproject.toml").read_text("utf-8"))["project"]
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert target.startswith("https://"), target
    extra = project["name"].removeprefix("qtforge-")
    named = (project["name"], f"'{project['name']}[all]'", f"'qtforge-host[{extra}]'")
    assert any(re.search(rf"pip install {re.escape(each)}(?![\w-])", text) for each in named)
    for block in blocks(page, "toml"):
        tomllib.loads(block)
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_toml_examples_are_toml(page: Path) -> None:
    for block in blocks(page, "toml"):
        tomllib.loads(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_examples_compile(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


def test_the_workflow_that_is_documented_validates(checkout: Path) -> None:
    pytest.importorskip("pypdfium2", reason="the extra 'documents' is not installed")
    (definition,) = [
        block
        for block in blocks(ROOT / "docs" / "workflows.md", "toml")
        if "[[stages]]" in block and block.startswith("name = ")
    ]
    file = checkout / "documented.toml"
    file.write_text(definition, encoding="utf-8")
    done = run_command(
        ["run", str(file), "examples/documents/contract.md"],
        timeout=120,
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "HOME": str(checkout / "home"), "PYTHONUTF8": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", ["README.md", "sdk/README.md"])
def test_the_plugin_of_the_readme_works_as_it_is_written(page: str, host: PluginTestHost) -> None:
    plugin, test = blocks(ROOT / page, "python")
    names: dict[str, object] = {}
    exec(compile(plugin, page, "exec"), names)  # our own text
    exec(compile(test, page, "exec"), names)
    names["test_it_greets"](host)  # type: ignore[operator]


# Against hanging alone: before the first test, Python may import for a minute on a busy machine.
SLOWEST_S: Final = 900


def passed(folder: Path, *options: str) -> str:
    """Execute the tests of a folder, which must pass, and return what pytest says."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", *options],
        capture_output=True, text=True, timeout=SLOWEST_S - 20, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(SLOWEST_S)
def test_the_tests_of_the_page_on_testing_pass_as_they_are_written(tmp_path: Path) -> None:
    page = ROOT / "docs" / "testing.md"
    (definition,) = blocks(page, "toml")
    (tmp_path / "greet.toml").write_text(definition, encoding="utf-8")
    (timeline,) = blocks(page, "text")
    (tmp_path / "timelines").mkdir()
    (tmp_path / "timelines" / "greet.txt").write_text(f"{timeline.rstrip()}\n", encoding="utf-8")
    examples = list(blocks(page, "python"))
    (tmp_path / "test_examples.py").write_text("\n\n".join(examples), encoding="utf-8")
    count = sum(block.count("def test_") for block in examples)
    assert f"{count} passed" in passed(tmp_path)


def test_the_examples_of_the_page_on_plugins_work_as_they_are_written(
    host: PluginTestHost, workflows: WorkflowKit
) -> None:
    names: dict[str, Any] = {}
    for block in blocks(ROOT / "docs" / "sdk.md", "python"):
        code = compile(block, "docs/sdk.md", "exec", dont_inherit=True)
        exec(code, names)  # our own text
    names["test_it_refuses_a_damaged_file"](host)
    workflows.fake("service.ready", False, False, True)
    workflows.add(names["Polling"]())
    workflows.add('name = "p"\nkind = "poll"\noperation = "service.ready"\nevery = "1h"\n')
    assert workflows.run("p").result == 3


# Of the two contracts a part: whole, they are passed by the journals and transports themselves.
PAGES_OF_FILES: Final = {
    "plugin-features": "test",
    "orchestrators": "test",
    "journals": "limit or too_old_ones or equal or owner",
    "transports": "error or gone or broadcast",
}


@pytest.mark.timeout(SLOWEST_S)
@pytest.mark.parametrize("page", PAGES_OF_FILES)
def test_the_files_of_a_page_pass_as_they_are_written(page: str, tmp_path: Path) -> None:
    path = ROOT / "docs" / f"{page}.md"
    _write_files(path, tmp_path)
    files = [name for name, _ in files_of(path)]
    assert len(files) == len(set(files)) == len(list(blocks(path, "python")))
    assert " passed" in passed(tmp_path, "-k", PAGES_OF_FILES[page])
