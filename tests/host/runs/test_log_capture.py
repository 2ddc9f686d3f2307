"""What the code of a run logs and prints is kept with it: masked, bounded, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import io
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.api.bulk import Selection
from qtforge_host.api.lookup import opened_journal
from qtforge_host.api.store import open_store
from qtforge_host.cli.terminal import CleanStream
from qtforge_host.config.logs import LogRules, read_logs
from qtforge_host.config.settings import Settings
from qtforge_host.journal.log_file import LogFile, log_keeper
from qtforge_host.journal.log_memory import MemoryLogs
from qtforge_host.journal.memory import MemoryJournal
from qtforge_host.runs.context import ATTEMPT, RUN, STEP
from qtforge_host.runs.log_capture import LogCapture
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.journal_errors import RunNotFoundError
from qtforge_sdk.run_logs import LogEntry, LogKeeper, LogQuery
from qtforge_sdk.testing import VirtualClock
from qtforge_sdk.testing._journal_scenarios import finished, started
from qtforge_sdk.testing.log_contract import assert_keeps_logs

PLUGIN = logging.getLogger("qtforge.plugin.shop")
Said = Callable[[], None]


@pytest.fixture(params=["memory", "file"])
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> LogKeeper:
    directory = tmp_path if request.param == "file" else None
    return log_keeper(MemoryJournal(), directory)


def test_a_keeper_keeps_what_it_has_to(keeper: LogKeeper) -> None:
    asyncio.run(assert_keeps_logs(keeper))


def test_reading_makes_no_file_and_two_processes_share_one(tmp_path: Path) -> None:
    async def look() -> None:
        one, other = LogFile(tmp_path / "logs.sqlite3"), LogFile(tmp_path / "logs.sqlite3")
        assert not await one.logs(LogQuery(run_id="run"))
        assert not await one.prune_logs(datetime.datetime.now(datetime.UTC), 1)
        assert not os.listdir(tmp_path)
        at = datetime.datetime.now(datetime.UTC)
        entry = LogEntry(run_id="run", at=at, level="info", logger="a", text="b")
        await asyncio.gather(*(each.add_logs([entry] * 50) for each in (one, other)))
        assert len(await one.logs(LogQuery(run_id="run"))) == 100

    asyncio.run(look())


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """Standard output and error as a command has them."""
    out, err = io.StringIO(), CleanStream(io.StringIO())
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


def heard(*said: Said, rules: LogRules | None = None, mask: Any = str) -> list[LogEntry]:
    """Return what is kept of what is said in the step ``pay`` of the run ``run``."""

    async def main() -> list[LogEntry]:
        logs = MemoryLogs()
        capture = LogCapture(rules or LogRules(), mask, VirtualClock(), logs)
        with streams():
            before = sys.stdout
            capture.begin()
            tokens = [(each, each.set(value)) for each, value in ((RUN, "run"), (STEP, "pay"))]
            ATTEMPT.set(2)
            for each in said:
                each()
            for variable, token in tokens:
                variable.reset(token)
            print("outside")
            PLUGIN.warning("outside")
            await capture.end()
            assert sys.stdout is before
        assert capture not in logging.getLogger().handlers
        assert PLUGIN.getEffectiveLevel() != logging.INFO
        return [each.entry for each in await logs.logs(LogQuery(run_id="run"))]

    return asyncio.run(main())


class CountedLogs(MemoryLogs):
    """Says how often old entries were removed."""

    def __init__(self) -> None:
        super().__init__()
        self.pruned = 0

    async def prune_logs(self, before: datetime.datetime, most_bytes: int) -> int:
        self.pruned += 1
        return await super().prune_logs(before, most_bytes)


class SetClock(VirtualClock):
    """A clock whose seconds the test sets, while a task that never waits for it is busy."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_a_process_that_logs_nothing_seldom_removes_old_entries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qtforge_host.runs.log_capture._WRITE_S", 0.0)

    async def main() -> None:
        clock, logs = SetClock(), CountedLogs()
        capture = LogCapture(LogRules(), str, clock, logs)

        async def pruned_after(seconds: float) -> int:
            clock.seconds += seconds
            for _ in range(10):
                await asyncio.sleep(0)
            return logs.pruned

        with streams():
            capture.begin()
            assert await pruned_after(1799) == 0
            assert await pruned_after(2) == 1
            token = RUN.set("run")
            PLUGIN.info("here")
            RUN.reset(token)
            assert await pruned_after(59) == 1
            assert await pruned_after(2) == 2
            assert await pruned_after(61) == 2
            await capture.end()
        assert logs.pruned == 2

    asyncio.run(main())


def test_a_process_that_ends_soon_removes_old_entries_if_it_has_added_some() -> None:
    async def main(*texts: str) -> int:
        logs = CountedLogs()
        capture = LogCapture(LogRules(), str, VirtualClock(), logs)
        with streams():
            capture.begin()
            token = RUN.set("run")
            for text in texts:
                PLUGIN.info(text)
            RUN.reset(token)
            await capture.end()
        return logs.pruned

    assert asyncio.run(main()) == 0
    assert asyncio.run(main("here", "there")) == 1


def told(*said: Said, **how: Any) -> list[tuple[str, str, str]]:
    """Return level, logger and text of what is kept."""
    return [(each.level, each.logger, each.text) for each in heard(*said, **how)]


def test_an_entry_has_the_run_the_step_and_the_attempt() -> None:
    (found,) = heard(lambda: PLUGIN.info("paid %s", 7))
    assert (found.run_id, found.step, found.attempt) == ("run", "pay", 2)
    assert (found.level, found.logger, found.text) == ("info", PLUGIN.name, "paid 7")


def test_a_traceback_is_part_of_its_entry_and_a_bad_message_is_told() -> None:
    def fail() -> None:
        try:
            raise ValueError("odd")
        except ValueError:
            PLUGIN.exception("it failed")

    def speak_badly() -> None:
        record = logging.LogRecord("shop", logging.ERROR, "shop.py", 1, "%d", ("no number",), None)
        for handler in logging.getLogger().handlers:
            if isinstance(handler, LogCapture):
                handler.handle(record)

    failed, bad = told(fail, speak_badly)
    assert failed[0] == "error"
    assert failed[2].startswith("it failed\nTraceback")
    assert failed[2].endswith("ValueError: odd")
    assert "can't be formatted" in bad[2]


def test_what_is_printed_is_kept_by_the_line() -> None:
    def speak() -> None:
        print("one", "line")
        print("two\nlines")
        print("no end", end="")
        print("to error", file=sys.stderr)

    assert sorted(told(speak)) == [
        ("info", "stderr", "to error"),
        ("info", "stdout", "lines"),
        ("info", "stdout", "no end"),
        ("info", "stdout", "one line"),
        ("info", "stdout", "two"),
    ]


def test_a_warning_is_one_of_its_level() -> None:
    # As the module prints one; pytest takes those that are raised here for itself.
    module: dict[str, Any] = {"__name__": warnings.__name__, "sys": sys}
    exec("def show(): sys.stderr.write('a.py:1: UserWarning: careful\\n')", module)
    found = told(lambda: module["show"]())
    assert {each[:2] for each in found} == {("warning", "py.warnings")}
    assert any("UserWarning: careful" in each[2] for each in found)


def test_what_a_thread_of_the_run_says_is_the_run_s_and_others_is_nobody_s() -> None:
    def speak() -> None:
        thread = threading.Thread(target=lambda: print("no context"))
        thread.start()
        thread.join()

    assert told(speak) == []


def test_secrets_are_masked_and_no_entry_is_longer_than_may_be() -> None:
    found = told(
        lambda: PLUGIN.info("the token is s3cret"),
        lambda: print("s3cret\0\ud800"),
        lambda: PLUGIN.info("x" * 100_000),
        mask=lambda text: text.replace("s3cret", "***"),
    )
    assert found[0][2] == "the token is ***"
    assert found[1][2].startswith("***")
    assert "\0" not in found[1][2]
    assert len(found[2][2]) < 20_000
    assert "more characters" in found[2][2]


def test_a_run_that_says_too_much_is_cut_and_says_so() -> None:
    rules = LogRules(most_per_run=1000)
    found = told(*[lambda: PLUGIN.info("x" * 100)] * 50, rules=rules)
    assert len(found) == 11
    assert "no more of it is kept" in found[-1][2]


@pytest.mark.parametrize(
    ("keep", "texts"),
    [("debug", ["a", "b", "c"]), ("info", ["b", "c"]), ("error", ["c"]), (None, [])],
)
def test_the_level_decides_what_is_kept(keep: Any, texts: list[str]) -> None:
    said = (lambda: PLUGIN.debug("a"), lambda: PLUGIN.info("b"), lambda: PLUGIN.critical("c"))
    assert [each[2] for each in told(*said, rules=LogRules(keep=keep))] == texts


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ({"keep": "loud"}, "logs.keep"),
        ({"max_size": "much"}, "logs.max_size"),
        ({"max_per_run": 1}, "logs.max_per_run"),
        ({"keep_for": "long"}, "logs.keep_for"),
        ({"kept": "info"}, "kept"),
    ],
)
def test_a_table_that_can_t_be_used_is_refused(table: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_logs(table, Path("config.toml"))
    assert what in str(caught.value)


def test_a_table_is_read() -> None:
    table = {"keep": "off", "max_size": "2 GiB", "max_per_run": "5kB", "keep_for": "1d"}
    rules = LogRules(keep=None, most_bytes=2 << 30, most_per_run=5000, age_s=86400.0)
    assert read_logs(table, Path("config.toml")) == rules
    assert read_logs({}, Path("config.toml")) == LogRules()


def test_a_log_is_followed_until_its_run_has_ended(tmp_path: Path) -> None:
    async def main() -> list[str]:
        settings = Settings(config_path=tmp_path / "c.toml", state_dir=tmp_path / "state")
        at = datetime.datetime.now(datetime.UTC)
        file = LogFile(tmp_path / "state" / "logs.sqlite3")

        async def say(text: str) -> None:
            entry = LogEntry(run_id="run", at=at, level="info", logger="a", text=text)
            await file.add_logs([entry])

        journal = await opened_journal(settings)
        owned = await journal.create(started("run"))
        await say("first")
        texts = []
        async with open_store(settings) as runs:
            async for row in runs.follow_logs("run"):
                texts.append(row.text)
                if row.text == "first":
                    await say("second")
                elif row.text == "second":
                    await journal.append(owned, [finished("run")])
                    await say("last")
            page = await runs.logs("run", limit=2)
            assert [each.text for each in page.logs] == texts[:2]
            assert page.next == page.logs[-1].position
            with pytest.raises(RunNotFoundError):
                await runs.logs("none")
        await journal.close()
        return texts

    assert asyncio.run(main()) == ["first", "second", "last"]


@pytest.mark.parametrize(
    "which",
    [
        {"selection": Selection(workflow="letters")},
        {"ended_before": datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)},
    ],
    ids=["selected", "by age alone"],
)
def test_the_logs_of_deleted_runs_go_with_them(tmp_path: Path, which: dict[str, Any]) -> None:
    async def main() -> None:
        settings = Settings(config_path=tmp_path / "c.toml", state_dir=tmp_path / "state")
        journal = await opened_journal(settings)
        await journal.append(await journal.create(started("run")), [finished("run")])
        await journal.close()
        file = LogFile(tmp_path / "state" / "logs.sqlite3")
        at = datetime.datetime.now(datetime.UTC)
        await file.add_logs([LogEntry(run_id="run", at=at, level="info", logger="a", text="b")])
        async with open_store(settings) as runs:
            assert (await runs.prune(**which)).pruned == 1
        assert not await file.logs(LogQuery(run_id="run"))

    asyncio.run(main())
