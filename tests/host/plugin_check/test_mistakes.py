"""Every mistake is found by the check or at the first request, with plugin, version and place."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.forked_commands import run_command
from tests.host.plugin_check.mistakes import HEAD, MISTAKES, Mistake

from qtforge_host.plugin_check.check import PluginChecker
from qtforge_host.plugin_check.findings import Finding
from qtforge_host.plugin_check.wheels import unpack

VERSION = "1.2.0"


def name_of(number: int) -> str:
    return MISTAKES[number].plugin or f"m-{number}"


def source_of(number: int) -> str:
    return HEAD + MISTAKES[number].source.replace("{n}", str(number))


def line_of(number: int) -> int | None:
    lines = source_of(number).splitlines()
    marked = [at for at, line in enumerate(lines, 1) if line.endswith("# here")]
    assert len(marked) <= 1
    return marked[0] if marked else None


def write_wheel(folder: Path, mistakes: Mapping[int, Mistake], name: str) -> Path:
    """Write a wheel by hand: a package for each mistake, in one distribution."""
    (requires,) = {each.requires for each in mistakes.values()}
    metadata = (
        f"Metadata-Version: 2.4\nName: {name}\nVersion: {VERSION}\nLicense-Expression: MIT\n"
        f"Requires-Dist: {requires}\n\nA description.\n"
    )
    points = ["[qtforge.plugins]"]
    wheel = folder / f"{name}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for number, each in mistakes.items():
            archive.writestr(f"m{number}/__init__.py", source_of(number))
            archive.writestr(f"m{number}/py.typed", "")
            for file, text in each.files.items():
                archive.writestr(f"m{number}/{file}", text)
            entry = (each.entry or "m{n}:P").replace("{n}", str(number))
            points.append(f"{name_of(number)} = {entry}")
        info = f"{name}-{VERSION}.dist-info"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/entry_points.txt", "\n".join(points) + "\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Finding]]:
    """The findings of all mistakes, by plugin: each is found beside all the others."""
    folder = tmp_path_factory.mktemp("mistakes")
    (folder / "config.toml").touch()
    alone = [[number] for number, each in MISTAKES.items() if each.alone]
    groups = [[number for number, each in MISTAKES.items() if not each.alone], *alone]
    checker = PluginChecker(folder / "config.toml", ("run", "runs"))
    by_plugin: dict[str, list[Finding]] = {}
    for at, numbers in enumerate(groups):
        wheel = write_wheel(folder, {each: MISTAKES[each] for each in numbers}, f"group{at}")
        report = checker.check(str(wheel))
        for each in report.findings:
            assert each.code != "plugin.check_died", each.why
            by_plugin.setdefault(each.plugin, []).append(each)
    return by_plugin


def test_there_are_sixty_six() -> None:
    assert list(MISTAKES) == list(range(1, 67))


@pytest.mark.parametrize(
    "number", [number for number, each in MISTAKES.items() if each.code],
    ids=lambda number: f"{number} {MISTAKES[number].title}",
)  # fmt: skip
def test_the_check_finds_it_and_says_where_why_and_what_to_do(
    number: int, found: Mapping[str, list[Finding]]
) -> None:
    mistake = MISTAKES[number]
    of_code = [each for each in found.get(name_of(number), []) if each.code == mistake.code]
    assert len(of_code) == 1, found.get(name_of(number))
    finding = of_code[0]
    assert (finding.level, finding.version) == (mistake.level, VERSION)
    if not mistake.requested:
        assert mistake.says in f"{finding.what} {finding.why} {finding.fix}"
    assert finding.what
    assert finding.fix
    if line_of(number) is not None:
        assert (finding.file, finding.line) == (f"m{number}/__init__.py", line_of(number))
    else:
        assert finding.file.endswith(("entry_points.txt", "METADATA"))


@pytest.mark.parametrize("number", MISTAKES, ids=lambda number: MISTAKES[number].title)
def test_nothing_else_is_found(number: int, found: Mapping[str, list[Finding]]) -> None:
    codes = {each.code for each in found.get(name_of(number), [])}
    assert codes - {"operation.untyped_answer"} <= {MISTAKES[number].code}


@pytest.mark.parametrize(
    "number", [number for number, each in MISTAKES.items() if each.requested],
    ids=lambda number: MISTAKES[number].title,
)  # fmt: skip
def test_what_only_a_request_shows_names_plugin_and_version(number: int, tmp_path: Path) -> None:
    wheel = write_wheel(tmp_path, {number: MISTAKES[number]}, "requested")
    unpack(wheel, tmp_path / "site")
    words = ["bus", "request", f"m{number}.x", "--set", "name=Ada", "--timeout", "2s"]
    env = {"HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "site"), "PYTHONUTF8": "1"}
    done = run_command(words, timeout=120, cwd=tmp_path, env=env)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    assert MISTAKES[number].says in done.stderr
    assert f"m-{number}" in done.stderr
    if line_of(number) is not None and not MISTAKES[number].code:
        assert f"__init__.py:{line_of(number)}" in done.stderr
