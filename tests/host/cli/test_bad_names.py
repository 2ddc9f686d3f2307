"""Files whose names are not UTF-8 cost only themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TEXT = "An invoice.\nTotal: 12.00 EUR\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "docs"
    made.mkdir()
    (made / "good.txt").write_text(TEXT)
    with open(bytes(made) + b"/bad\xff.txt", "w", encoding="utf-8") as file:
        file.write(TEXT)
    return made


def test_other_files_of_a_folder_are_routed(cli: Any, folder: Path) -> None:
    said = cli("route", folder, "--json")
    assert said.code == 1
    assert [Path(each["file"]).name for each in said.lines] == ["good.txt"]
    assert r"bad\xff.txt' is left out" in said.err
    assert "document.bad_name" in said.err


def test_other_files_are_run(cli: Any, folder: Path) -> None:
    bad = str(folder / "bad\udcff.txt")
    said = cli("run", "document-processing", bad, folder / "good.txt", "--json")
    assert said.code == 1
    assert [each["document"] for each in said.lines] == ["good.txt"]
    assert r"bad\xff.txt' is left out" in said.err
    alone = cli("run", "document-processing", bad, "--json")
    assert (alone.code, alone.out) == (1, "")
