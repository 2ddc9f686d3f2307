"""A run with large rows that another machine continues, and whose files go with it."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
from tests.forked_commands import run_command
from tests.servers.http import Reply, running_http_server
from tests.servers.postgresql import PostgreSQL


def command(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    place = ["--config", str(folder / "config.toml"), "--state-dir", str(folder / "state")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUTF8": "1"}
    done = run_command([*place, *map(str, words)], env=environment, cwd=folder, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def document(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_files_of_a_run_are_there_on_every_machine_and_go_with_the_run(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    for library in ("duckdb", "httpx2"):
        pytest.importorskip(library, reason="the extra 'all' is not installed")
    url = f"{postgresql.url()}?schema=t{uuid.uuid4().hex[:16]}"
    shared = tmp_path / "shared"
    one, two, alone = (tmp_path / name for name in ("one", "two", "alone"))
    for folder in (one, two, alone):
        folder.mkdir()
        journal = "sqlite" if folder is alone else url
        (folder / "config.toml").write_text(
            f'[host]\njournal = "{journal}"\nfiles = "file://{shared}"\n'
            '[plugins.http-collector.config]\nallow = ["127.0.0.1"]\n'
        )
    assert command(one, "journal", "init").returncode == 0
    with running_http_server() as server:
        server["/many"] = Reply.json([{"n": number} for number in range(12_000)])
        source = {"name": "many", "type": "http", "endpoint": f"{server.url}/many"}
        given = {"aggregation": {"method": "union"}, "sources": [source]}
        (one / "input.json").write_text(json.dumps(given))
        run = document(
            command(one, "run", "data-aggregation", "--input", one / "input.json", "--json")
        )
    path = Path(run["result"]["aggregated"]["dataset"]["path"])
    assert path.is_relative_to(shared / ".run-files")
    assert (shared / ".run-files").stat().st_mode & 0o077 == 0
    # Another machine begins with the rows that the first one has collected.
    words = ("runs", "fork", run["run_id"], "--from", "aggregate", "--json")
    assert document(command(two, *words))["status"] == "succeeded"
    # Whoever has another journal has other files of runs in the same folder, and removes none.
    assert command(alone, "runs", "prune", "--older-than", "1ms", "--yes").returncode == 0
    assert path.exists()
    assert command(two, "runs", "prune", "--older-than", "1ms", "--yes").returncode == 0
    assert not path.exists()
