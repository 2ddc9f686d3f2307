"""A bad day under ``serve``: processes killed, the disk full, runs without end.

These take minutes: ``make soak`` passes them, and docs/reliability.md has their figures.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.serving import DEADLINE_S, Server, Serving, until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

WORK = '''
import asyncio
import os
from pathlib import Path

from qtforge_sdk import OperationContext, OperationError, Plugin, hookimpl, operation

FOLDER = Path(os.environ["STEPS"])
STAGE = """
[[stages]]
name = "{name}"
operation = "work.{does}"
compensation = {{ operation = "work.undo", on_failure = true }}
"""
HEAD = 'name = "{name}"\\nkind = "sequential"\\nversion = "1.0.0"\\n'


def definition(name, *stages):
    return HEAD.format(name=name) + "".join(
        STAGE.format(name=stage, does=does) for stage, does in stages
    )


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        two = (("first", "do"), ("second", "do"))
        return [
            definition("works", *two, ("third", "do")),
            definition("undoes", *two, ("third", "refuse")),
        ]

    def _note(self, context: OperationContext) -> str:
        line = f"{context.idempotency_key}\\n".encode()
        file = os.open(FOLDER / "calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, line)
        finally:
            os.close(file)
        return "done"

    @operation("work.do")
    async def do(self, message: object, context: OperationContext) -> str:
        await asyncio.sleep(0.03)
        return self._note(context)

    @operation("work.undo")
    async def undo(self, message: object, context: OperationContext) -> str:
        return self._note(context)

    @operation("work.refuse")
    async def refuse(self, message: object, context: OperationContext) -> str:
        raise OperationError("work.refused", "it is refused", retryable=False)
'''
STAGES = {"first", "second", "third"}
# Every kill comes from outside, so no step is to blame.
CONFIGURATION = "[host]\nstep_crash_limit = 1000000\n"


@pytest.fixture
def works(serving: Serving) -> Serving:
    """What is served has workflows that end within a moment."""
    serving.site.plugin("work", source=WORK)
    serving.config.write_text(CONFIGURATION)
    return serving


def listed(serving: Serving) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = serving.json("runs", "list", "--limit", "100000", "--json")[
        "runs"
    ]
    return found


def check_all(serving: Serving, expected: set[str] | None = None) -> int:
    """Check every run's end, its calls and the journal; return how many runs there are."""
    runs = listed(serving)
    statuses = {(run["workflow"], run["status"]) for run in runs}
    assert statuses <= {("works", "succeeded"), ("undoes", "compensated")}, statuses
    called: dict[str, set[str]] = {}
    for line in (serving.folder / "calls").read_text().splitlines():
        run_id, _, step = line.partition("/")
        called.setdefault(run_id, set()).add(step)
    for run in runs:
        wanted = STAGES
        if run["workflow"] == "undoes":
            undone = {"first/compensation", "second/compensation"}
            # What is undone is what was done, and the effect of what failed is not known.
            wanted = {"first", "second", "third/compensation", *undone}
        assert called[run["run_id"]] == wanted, run
    if expected is not None:
        assert expected <= {run["run_id"] for run in runs}
    done = serving.cli("doctor", "--json")
    assert done.returncode == 0, done.stdout
    return len(runs)


def wait_for_ends(serving: Serving) -> None:
    rest = ("running", "interrupted", "waiting")
    until(lambda: not any(run["status"] in rest for run in listed(serving)))


def test_nothing_is_lost_over_500_random_kills(works: Serving) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # shown when the test fails
    chance = random.Random(seed)
    resume = ("runs", "resume", "--all")
    commands = [
        (("serve", "--port", "0", "--no-http"), resume),
        (("serve", "--port", "0", "--no-http"), ("run", "works")),
        (("run", "undoes"), ("run", "works")),
        (resume, ("run", "undoes")),
    ]
    kills: Counter[str] = Counter()
    while kills.total() < 500:
        processes = [(words, works.start(*words)) for words in chance.choice(commands)]
        for words, process in processes:
            time.sleep(chance.uniform(0.0, 1.2))  # its start takes part of it
            if process.poll() is None:
                process.kill()
                process.wait(DEADLINE_S)
                kills[" ".join(words[:2])] += 1
    print(kills)
    server = works.serve("--grace", "1s")
    wait_for_ends(works)
    assert server.end() == 0
    count = check_all(works)
    print(f"{count} runs")
    assert count > 20


@pytest.fixture
def small_disk(works: Serving) -> Iterator[Path]:
    """A file system of 128 MB for the state directory."""
    folder = works.folder / "state"
    folder.mkdir(mode=0o700)
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=128m,mode=0700", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, timeout=60).returncode != 0:
        pytest.skip("this system mounts no tmpfs")
    try:
        yield folder
    finally:
        works.close()
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=60)


def fill(folder: Path) -> Path:
    """Write until nothing more can be written."""
    path = folder / "ballast"
    with contextlib.suppress(OSError), path.open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return path


def test_a_disk_that_is_full_and_free_again_costs_no_run(works: Serving, small_disk: Path) -> None:
    chance = random.Random(1)
    server = works.serve("--grace", "5s", "--rate", "100000/s")
    accepted: set[str] = set()
    over = threading.Event()
    refusals: Counter[int] = Counter()

    def load(number: int) -> None:
        names = itertools.cycle(["works", "undoes"])
        headers = {"Authorization": f"Bearer {server.token}"}
        with httpx2.Client(base_url=server.url, timeout=DEADLINE_S, headers=headers) as client:
            while not over.is_set():
                asked = {"workflow": next(names), "input": {}}
                answer = client.post("/v1/runs", json=asked, params={"wait": "0s"})
                if answer.status_code == 202:
                    accepted.add(answer.json()["run_id"])
                else:
                    refusals[answer.status_code] += 1
                over.wait(0.1)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(load, number) for number in range(4)]
        for _ in range(20):
            time.sleep(chance.uniform(0.1, 1.5))
            ballast = fill(small_disk)
            time.sleep(chance.uniform(0.1, 2.5))
            ballast.unlink()
        over.set()
        for client in clients:
            client.result(DEADLINE_S)
    assert server.process.poll() is None, server.error
    until(lambda: server.get("/readyz").status_code == 200)
    wait_for_ends(works)
    assert set(refusals) <= {503, 507}, refusals
    assert server.end() == 0
    count = check_all(works, accepted)
    print(f"{count} runs, {len(accepted)} of them accepted; refused: {dict(refusals)}")
    assert refusals  # else the disk was never full


def memory_kib(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])


def test_memory_stays_flat_over_50_000_runs(serving: Serving) -> None:
    server = serving.serve("--grace", "1s", "--rate", "1000000/s")
    count, part = 50_000, 5_000
    used = []

    def start(number: int) -> None:
        headers = {"Authorization": f"Bearer {server.token}"}
        with httpx2.Client(base_url=server.url, timeout=DEADLINE_S, headers=headers) as client:
            for _ in range(number):
                asked = {"workflow": "quick", "input": {"word": "x"}}
                answer = client.post("/v1/runs", json=asked, params={"wait": "60s"})
                assert answer.json()["status"] == "succeeded", answer.text

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(count // part):
            for each in [pool.submit(start, part // 8) for _ in range(8)]:
                each.result()
            used.append(memory_kib(server))
    print(f"KiB after each {part} runs: {used}")
    assert server.end() == 0
    # What is kept for the first runs, such as caches, is full after the first parts.
    assert used[-1] - used[1] < 0.1 * used[1]
