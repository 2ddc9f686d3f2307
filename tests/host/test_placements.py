"""Which node holds the data of a plugin: the same answer on all, also after restarts."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from qtforge_host.placements import Placements, known_placements, placements_path
from qtforge_sdk.journal import Announcement
from qtforge_sdk.placement import Placement

EARLY = Placement(empty=True, since=1.0, place="early")
LATE = Placement(empty=True, since=9e9, place="late")
WITH_DATA = Placement(empty=False, since=9e9, place="data")


def node(folder: Path, *plugins: str, answers: bool = True) -> Placements:
    """A process on a state directory; its plugins keep data in folders of it."""
    folder.mkdir(exist_ok=True)
    placements = Placements(folder)
    placements.share({each: folder / "plugins" / each for each in plugins}, answers=answers)
    return placements


def test_the_first_node_holds_the_data_and_the_others_leave_the_plugin_to_it(
    tmp_path: Path,
) -> None:
    one, two = node(tmp_path / "one", "store"), node(tmp_path / "two", "store")
    one.observe("store", two.own["store"], "node-two")
    two.observe("store", one.own["store"], "node-one")
    assert dict(one.elsewhere) == {}
    assert dict(two.elsewhere) == {"store": "node-one"}
    assert one.first("store") == two.first("store") == one.own["store"]


def test_of_nodes_that_had_data_before_they_met_one_of_those_holds_it(tmp_path: Path) -> None:
    empty = node(tmp_path / "empty", "store")
    (tmp_path / "used" / "plugins" / "store").mkdir(parents=True)
    (tmp_path / "used" / "plugins" / "store" / "data").touch()
    used = node(tmp_path / "used", "store")
    assert used.own["store"] < empty.own["store"]
    empty.observe("store", used.own["store"], "used")
    assert dict(empty.elsewhere) == {"store": "used"}


def test_a_holder_that_is_away_is_remembered_by_the_next_process(tmp_path: Path) -> None:
    first = node(tmp_path / "one", "store")
    first.observe("store", EARLY, "holder")
    again = node(tmp_path / "one", "store")
    assert again.own == first.own
    assert dict(again.elsewhere) == {"store": "holder"}
    again.observe("store", LATE, "late")
    assert dict(again.elsewhere) == {"store": "holder"}
    again.observe("store", WITH_DATA, "data")
    assert dict(node(tmp_path / "one", "store").elsewhere) == {"store": "data"}
    assert known_placements(tmp_path / "one") == {"store": "data"}


def test_processes_of_one_state_directory_are_one_place(tmp_path: Path) -> None:
    one, two = node(tmp_path / "one", "store"), node(tmp_path / "one", "store", "other")
    assert one.own["store"] == two.own["store"]
    two.observe("store", one.own["store"], "one")
    assert dict(two.elsewhere) == {}
    assert stat.S_IMODE(os.stat(placements_path(tmp_path / "one")).st_mode) == 0o600


def test_a_process_that_only_asks_holds_nothing_and_writes_nothing(tmp_path: Path) -> None:
    asking = node(tmp_path / "asking", "store", answers=False)
    assert dict(asking.elsewhere) == {}
    assert not placements_path(tmp_path / "asking").exists()
    asking.observe("store", LATE, "late")
    assert dict(asking.elsewhere) == {"store": "late"}


def test_a_change_is_said_once_and_only_for_plugins_of_this_process(tmp_path: Path) -> None:
    placements = node(tmp_path / "one", "store")
    said: list[dict[str, str]] = []
    placements.on_change.append(lambda: said.append(dict(placements.elsewhere)))
    other = Announcement(
        node="holder", role="worker", pools=(), capacity=1, plugins={},
        placements={"store": EARLY, "absent": EARLY},
    )  # fmt: skip
    for _ in range(2):
        placements.observe_all([other])
    assert said == [{"store": "holder"}]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"own": 1}', b"\xff"])
def test_a_file_that_can_not_be_read_is_made_anew(tmp_path: Path, content: bytes) -> None:
    placements_path(tmp_path).write_bytes(content)
    node(tmp_path, "store")
    assert json.loads(placements_path(tmp_path).read_bytes())["own"].keys() == {"store"}


def test_a_state_directory_that_was_copied_is_another_place(tmp_path: Path) -> None:
    one = node(tmp_path / "one", "store")
    (tmp_path / "two").mkdir()
    placements_path(tmp_path / "two").write_bytes(placements_path(tmp_path / "one").read_bytes())
    two = node(tmp_path / "two", "store")
    assert two.own["store"].place != one.own["store"].place
    assert {bool(one.elsewhere), bool(two.elsewhere)} == {False}
    one.observe("store", two.own["store"], "two")
    two.observe("store", one.own["store"], "one")
    assert len({bool(one.elsewhere), bool(two.elsewhere)}) == 2  # one of them


def test_what_can_not_be_written_holds_for_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    placements = Placements(tmp_path / "file")
    placements.share({"store": tmp_path / "x"}, answers=True)
    placements.observe("store", LATE, "late")
    assert dict(placements.elsewhere) == {"store": "late"}
