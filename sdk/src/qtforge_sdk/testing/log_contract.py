"""What every keeper of the logs of runs does; see `qtforge_sdk.run_logs`."""
# ruff: noqa: S101 - this is a test

from __future__ import annotations

import datetime
from typing import Any, Final

from qtforge_sdk.run_logs import LogEntry, LogKeeper, LogQuery

__all__ = ["assert_keeps_logs"]

_NOW: Final = datetime.datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=datetime.UTC)
_DAY: Final = datetime.timedelta(days=1)
_MUCH: Final = 1 << 40


def _entry(text: str, **fields: Any) -> LogEntry:
    given: dict[str, Any] = {"run_id": "run", "at": _NOW, "level": "info", "logger": "shop"}
    return LogEntry(text=text, **(given | fields))


async def assert_keeps_logs(keeper: LogKeeper) -> None:
    """Check that a keeper, which has no logs yet, keeps them as it has to.

    Raises:
        AssertionError: It does not.
    """

    async def texts(**fields: Any) -> list[str]:
        found = await keeper.logs(LogQuery(**({"run_id": "run"} | fields)))
        return [each.entry.text for each in found]

    assert not await texts()
    assert await keeper.log_size("run") == 0
    entries = [
        _entry("a", level="debug", step="one", attempt=2),
        _entry("ü\n\x1b[31m", level="warning"),
        _entry("other", run_id="other"),
        _entry("c", level="critical", step="two"),
    ]
    await keeper.add_logs(entries)
    found = await keeper.logs(LogQuery(run_id="run"))
    assert [each.entry for each in found] == [each for each in entries if each.run_id == "run"]
    positions = [each.position for each in found]
    assert positions == sorted(set(positions))
    assert min(positions) > 0
    assert await texts(after=positions[0]) == ["ü\n\x1b[31m", "c"]
    assert await texts(after=positions[-1]) == []
    assert await texts(limit=2) == ["a", "ü\n\x1b[31m"]
    assert await texts(level="warning") == ["ü\n\x1b[31m", "c"]
    assert await texts(level="critical") == ["c"]
    assert await texts(step="two") == ["c"]
    assert await texts(step="no\0\ud800") == []
    assert await keeper.log_size("run") == 9
    await keeper.remove_logs(["run", "never"])
    assert await texts() == []
    assert await texts(run_id="other") == ["other"]
    await keeper.add_logs([_entry("new", at=_NOW + _DAY)])
    assert await keeper.prune_logs(_NOW + _DAY, _MUCH) == 1
    assert await texts(run_id="other") == []
    assert await texts() == ["new"]
    assert await keeper.prune_logs(_NOW, 0) == 1
    assert await texts() == []
