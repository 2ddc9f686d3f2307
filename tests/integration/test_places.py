"""Places of concurrency keys and unique keys, where processes die and where they compete."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.integration.place_worker import CASES
from tests.shared_places import ended, one_gets_the_last_place, worker

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has no SIGKILL and no fork")


@pytest.mark.parametrize("when_full", CASES)
def test_no_place_is_lost_or_taken_twice_at_whatever_write_a_process_is_killed(
    tmp_path: Path, when_full: str
) -> None:
    limit, count = CASES[when_full]
    with worker("sweep", tmp_path, when_full) as sweep:
        found = ended(sweep)
    for when in ("before", "after"):
        assert len([each for each in found if each["when"] == when]) >= 7
    for each in found:
        place = f"killed {each['when']} write {each['write']}: {each}"
        assert each["runs"] == 1, place  # a unique key has started one run, however often
        assert each["most"] <= limit, place
        assert each["free"] == ["succeeded"] * limit, place
        assert each["damage"] == [], place
        if when_full != "refuse":  # then what is refused is not stored
            assert each["numbers"] == list(range(count)), place
        if when_full in ("wait", "refuse"):
            assert each["statuses"] == ["succeeded"], place
        else:
            assert set(each["statuses"]) <= {"cancelled", "succeeded"}, place


def test_of_several_processes_one_gets_the_last_place(tmp_path: Path) -> None:
    one_gets_the_last_place(tmp_path)
