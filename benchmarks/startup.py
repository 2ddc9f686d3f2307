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

from benchmarks.installation import Installation, install, install_operation, install_plugins
from benchmarks.measuring import Figure, Goal, figures

__all__ = ["Startup", "measure_listing", "measure_startup"]

_GROUP = "one process, from start to end"
_PLUGINS = 50
_LIMIT_S = 60.0
_SLOW_S = 0.2
_MANY = (0, 200, 400)
_WARM_UPS = 3  # in which a state directory learns what is installed
_SETTLE_S = 2.5  # files that were changed a moment ago are looked at again
_HOST = """\
import asyncio, sys
from pathlib import Path
from qtforge_host.app import Host
from qtforge_host.config.settings import load_settings

async def main():
    settings = load_settings(None, environ={}, state_dir=Path(sys.argv[1]))
    async with Host(settings, scope="watching"):
        pass

asyncio.run(main())
"""
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
    """Time whole processes, each once in every round, after some that are not counted.

    Raises:
        subprocess.CalledProcessError: A command failed.
        RuntimeError: A command imported a plugin, or did not list them all.
    """
    with tempfile.TemporaryDirectory(prefix="qtforge-bench-") as folder:
        installation = install(Path(folder), _PLUGINS)
        processes = _processes(installation, Path(folder))
        times: list[list[float]] = [[] for _ in processes]
        time.sleep(_SETTLE_S)
        for _ in range(rounds + _WARM_UPS):
            for process, found in zip(processes, times, strict=True):
                found.append(_time(installation, process))
        named = [(process.name, process.goal) for process in processes]
        measured = figures(_GROUP, named, [found[_WARM_UPS:] for found in times])
        imports = {
            process.name: _imports(installation, process)
            for process in processes
            if process.goal is not None and not process.executes
        }
        _check_listing(installation, processes[2])
        measured += _measure_many(installation, Path(folder), rounds)
    return Startup(figures=measured, imports=imports)


def _measure_many(installation: Installation, folder: Path, rounds: int) -> list[Figure]:
    """Time what starts no plugin, and what starts all, as their number grows."""
    sites = {count: folder / f"many-{count}" for count in _MANY}
    environments = {}
    for count, site in sites.items():
        site.mkdir()
        install_plugins(site, count)
        paths = os.pathsep.join((str(folder / "work"), str(site)))
        environments[count] = {**_environment(folder), "PYTHONPATH": paths}
    time.sleep(_SETTLE_S)

    def words(count: int, *command: str) -> tuple[str, ...]:
        return (str(installation.script), "--state-dir", str(folder / f"state-{count}"), *command)

    run = {
        f"{count} installed plugins": (
            words(count, "run", str(folder / "work/one-stage.toml")),
            count,
        )
        for count in _MANY
    }
    check = {f"of {count}": (words(count, "plugins", "check"), count) for count in _MANY[1:]}
    host = {
        f"with {count}": (("-c", _HOST, str(folder / f"state-{count}")), count)
        for count in _MANY[1:]
    }
    groups = (
        ("`qtforge-host run`, one stage that does nothing: one process, from start to end", run, 2),
        ("`qtforge-host plugins check`: one process, from start to end", check, 2.2),
        ("a host as `serve` starts it, from start to end", host, 2.2),
    )
    measured: list[Figure] = []
    for group, rows, ratio in groups:
        times: list[list[float]] = [[] for _ in rows]
        for number in range(rounds + _WARM_UPS):
            for (command, count), found in zip(rows.values(), times, strict=True):
                started = time.perf_counter()
                _run(installation, command, environments[count])
                if number >= _WARM_UPS:
                    found.append(time.perf_counter() - started)
        goals = [None] * (len(rows) - 1) + [Goal(ratio=ratio)]
        measured += figures(group, list(zip(rows, goals, strict=True)), times)
    return measured


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
    """Return a new user's environment, with a home in the folder, which is made."""
    (folder / "home").mkdir()
    return _environment(folder)


def _environment(folder: Path) -> dict[str, str]:
    home = folder / "home"
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, "HOME": str(home)}


def _processes(installation: Installation, folder: Path) -> list[_Process]:
    plain = _plain(folder)
    script = str(installation.script)
    (folder / "listed").mkdir()  # as the first run makes it
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
            words=(script, *("--state-dir", str(folder / "listed")), "plugins", "list"),
            environment={**plain, "PYTHONPATH": str(installation.plugins)},
            goal=Goal(ratio=10),
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
    slow = folder / "slow"
    install_plugins(slow, _PLUGINS, _SLOW_S)
    beside = {**environment, "PYTHONPATH": os.pathsep.join((str(work), str(slow)))}
    elsewhere = (str(installation.script), "--state-dir", str(folder / "slow-state"))
    with_slow: tuple[tuple[str, tuple[str, ...], int, bool], ...] = (
        ("`qtforge-host run`, the same", ("run", str(stage)), 16, True),
        ("`qtforge-host bus topics`", ("bus", "topics"), 10, False),
        ("`qtforge-host workflows list`", ("workflows", "list"), 10, False),
    )
    with_plugins = f", {_PLUGINS} plugins that import for {_SLOW_S * 1000:.0f} ms"
    return [
        _Process(
            name=name if used is environment else name + with_plugins,
            words=(*start, *words),
            environment=used,
            goal=Goal(ratio=ratio),
            executes=executes,
        )
        for start, used, rows in ((host, environment, commands), (elsewhere, beside, with_slow))
        for name, words, ratio, executes in rows
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
        if name.startswith(("many_plugin_", "qtforge_builtin_plugins."))
        or name in {*installation.plugin_modules, "qtforge_builtin_plugins"}
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
