"""The distribution: what its entry points name, and that a host takes it as a journal."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

from qtforge_postgresql import PostgresqlJournal
from qtforge_sdk.journal import JournalSettings

_FOLDER = Path(__file__).parents[3] / "extensions" / "qtforge-postgresql"


def test_both_schemes_are_entry_points_of_one_factory(tmp_path: Path) -> None:
    project = tomllib.loads((_FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    points = project["entry-points"]["qtforge.journals"]
    assert sorted(points) == ["postgres", "postgresql"]
    for name, target in points.items():
        module, _, attribute = target.partition(":")
        factory = getattr(importlib.import_module(module), attribute)
        settings = JournalSettings(directory=tmp_path, url=f"{name}://db/runs", max_value_bytes=7)
        journal = factory(settings)
        assert isinstance(journal, PostgresqlJournal)
        assert journal.max_value_bytes == 7
