"""Start-up, as whole processes; and a check of what they import."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.installation import Installation, install, install_operation
from benchmarks.measuring import Figure, Goal, figures

__all__ = ["Startup", "measure_listing", "measure_startup"]

_GROUP = "one process, from start to end"
_PLUGINS = 50
_LIMIT_S = 60.0
_LISTED = 50
_STAGE = """\
name = "one-stage"
kind = "sequential"

[[stages]]
name = "only"
operation = "bench.answer"
message = {}
"""
_MACHINE = """\
name = "waiting"
kind = "reactive"
initial = "open"

[states.open]

[states.closed]
final = true

[[transitions]]
name = "poke"
from = "open"
to = "open"
trigger = "poke"

[[transitions]]
name = "close"
from = "open"
to = "closed"
trigger = "close"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """What came out.

    Attributes:
        figures: The times.
        imports: Command to what it imports, in words.
    """

    figures: list[Figure]
    imports: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    name: str
    words: Sequence[str]
    environment: Mapping[str, str]
    goal: Goal | None = None
    executes: bool = False


def measure_startup(rounds: int) -> Startup:
    """Time whole processes, each once in every round, after one that is not counted.

    Raises:
        subprocess.CalledProcessError: A command failed.
        RuntimeError: A command imported a plugin, or did not list them all.
    """
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as folder:
        installation = install(Path(folder), _PLUGINS)
        processes = _processes(installation, Path(folder))
        times: list[list[float]] = [[] for _ in processes]
        for _ in range(rounds + 1):
            for process, found in zip(processes, times, strict=True):
                found.append(_time(installation, process))
        named = [(process.name, process.goal) for process in processes]
        measured = figures(_GROUP, named, [found[1:] for found in times])
        imports = {
            process.name: _imports(installation, process)
            for process in processes
            if process.goal is not None and not process.executes
        }
        _check_listing(installation, processes[2])
    return Startup(figures=measured, imports=imports)


def measure_listing(state_dirs: Mapping[str, Path], goal: Goal, rounds: int) -> list[Figure]:
    """Time ``qtforge-host runs list`` as a whole process, each once in every round.

    Args:
        state_dirs: By the name of the row, each with more runs than are listed.
        goal: That of the last.
        rounds: How many, after one that is not counted.

    Raises:
        subprocess.CalledProcessError: A command failed.
        RuntimeError: It did not list what it lists by default.
    """
    times: list[list[float]] = [[] for _ in state_dirs]
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as folder:
        installation = install(Path(folder), 0)
        environment = _plain(Path(folder))
        words = [
            (str(installation.script), "--state-dir", str(path), "runs", "list")
            for path in state_dirs.values()
        ]
        for _ in range(rounds + 1):
            for each, found in zip(words, times, strict=True):
                started = time.perf_counter()
                done = _run(installation, each, environment)
                found.append(time.perf_counter() - started)
                if len(done.stdout.splitlines()) != 1 + _LISTED:
                    raise RuntimeError(f"{_LISTED} runs should be listed:\n{done.stdout}")
    goals = [None] * (len(times) - 1) + [goal]
    named = list(zip(state_dirs, goals, strict=True))
    group = f"`qtforge-host runs list`, the newest {_LISTED}: one process, from start to end"
    return figures(group, named, [found[1:] for found in times])


def _plain(folder: Path) -> dict[str, str]:
    """Return a new user's environment, with a home in the folder."""
    home = folder / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(home)}


def _processes(installation: Installation, folder: Path) -> list[_Process]:
    plain = _plain(folder)
    script = str(installation.script)
    processes = [
        _Process(name="`python3 -c pass`", words=("-c", "pass"), environment=plain),
        _Process(
            name="`qtforge-host --help`",
            words=(script, "--help"),
            environment=plain,
            goal=Goal(ratio=6),
        ),
        _Process(
            name=f"`qtforge-host plugins list`, {_PLUGINS} installed plugins",
            words=(script, "plugins", "list"),
            environment={**plain, "PYTHONPATH": str(installation.plugins)},
            goal=Goal(ratio=12),
        ),
        _Process(
            name="`python3 -c 'import click'`", words=("-c", "import click"), environment=plain
        ),
    ]
    processes += _of_runs(installation, folder, plain)
    peers = {"pytest": "`pytest --version`", "pip": "`pip --version`"}
    return processes + [
        _Process(name=name, words=("-m", module, "--version"), environment=plain)
        for module, name in peers.items()
        if _has(installation, module, plain)
    ]


def _of_runs(installation: Installation, folder: Path, plain: Mapping[str, str]) -> list[_Process]:
    """Return the commands that execute and show runs, in a state directory that has some."""
    work = folder / "work"
    install_operation(work, "bench.answer")
    stage, machine = work / "one-stage.toml", work / "waiting.toml"
    stage.write_text(_STAGE, encoding="utf-8")
    machine.write_text(_MACHINE, encoding="utf-8")
    environment = {**plain, "PYTHONPATH": str(work)}
    host = (str(installation.script), "--state-dir", str(folder / "state"))
    queue = (*host, "run", str(machine), "--detach", "--json")
    run_id = str(json.loads(_run(installation, queue, environment).stdout)["run_id"])
    commands: tuple[tuple[str, tuple[str, ...], int, bool], ...] = (
        ("`qtforge-host run`, one stage that does nothing", ("run", str(stage)), 16, True),
        ("`qtforge-host send`", ("send", run_id, "poke"), 16, True),
        ("`qtforge-host runs list`", ("runs", "list"), 10, False),
        ("`qtforge-host runs show`", ("runs", "show", run_id), 10, False),
    )
    return [
        _Process(
            name=name,
            words=(*host, *words),
            environment=environment,
            goal=Goal(ratio=ratio),
            executes=executes,
        )
        for name, words, ratio, executes in commands
    ]


def _has(installation: Installation, module: str, environment: Mapping[str, str]) -> bool:
    words = ("-m", module, "--version")
    return _run(installation, words, environment, check=False).returncode == 0


def _time(installation: Installation, process: _Process) -> float:
    started = time.perf_counter()
    _run(installation, process.words, process.environment)
    return time.perf_counter() - started


def _imports(installation: Installation, process: _Process) -> str:
    done = _run(installation, ("-X", "importtime", *process.words), process.environment)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip() for line in lines}
    plugins = {
        name
        for name in modules
        if name.partition(".")[0] in {*installation.plugin_modules, "qtforge_builtin_plugins"}
    }
    if plugins:
        raise RuntimeError(f"{process.name} imported plugins: {', '.join(sorted(plugins))}")
    return f"{len(modules)} modules, none of them a plugin's"


def _check_listing(installation: Installation, process: _Process) -> None:
    listed = _run(installation, process.words, process.environment).stdout
    names = [module.replace("_", "-") for module in installation.plugin_modules]
    missing = [name for name in names if f"ready  {name} " not in listed]
    if missing:
        raise RuntimeError(f"not listed as ready: {', '.join(sorted(missing))}\n{listed}")


def _run(
    installation: Installation,
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(installation.python), *words],
        env=environment,
        check=check,
        capture_output=True,
        encoding="utf-8",
        timeout=_LIMIT_S,
    )
