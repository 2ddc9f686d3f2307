"""The collectors from the command line, as a person asks them."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.serving import said

pytest.importorskip("duckdb", reason="the extra 'files' is not installed")
pytest.importorskip("sqlalchemy", reason="the extra 'database' is not installed")


def ask(folder: Path, topic: str, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "qtforge_host.cli.main", "bus", "request", topic, *words],
        capture_output=True, text=True, timeout=120, cwd=folder,
        env={
            "PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUTF8": "1",
            "QTFORGE_STATE_DIR": str(folder / "state"),
        },
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


def test_a_file_below_the_working_directory_is_read_and_nothing_else_is_said(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,x\n")
    done = ask(tmp_path, "file.read", "--set", "endpoint=*.csv")
    # A library that thinks that something leaked would say so at the end.
    assert said(done.stderr) == []
    assert json.loads(done.stdout)["rows"] == [{"a": 1, "b": "x"}]


def test_a_file_elsewhere_is_refused_with_the_key_to_set(tmp_path: Path) -> None:
    done = ask(tmp_path, "file.read", "--set", "endpoint=/etc/passwd")
    assert done.returncode == 1
    assert "error[file.outside_roots]" in done.stderr
    assert "roots in [plugins.file-collector.config]" in done.stderr


def test_a_database_file_is_asked(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as connection:
        connection.executescript("create table t (a); insert into t values (1), (2);")
    given = 'parameters={query = "select a from t where a > :a", bind = {a = 1}}'
    done = ask(tmp_path, "database.query", "--set", "endpoint=a.sqlite", "--set", given)
    assert said(done.stderr) == []
    assert json.loads(done.stdout)["rows"] == [{"a": 2}]
