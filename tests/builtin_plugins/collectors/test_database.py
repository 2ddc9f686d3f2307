"""database-collector on real SQLite files."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'database' is not installed")
pytest.importorskip("psycopg", reason="the extra 'database' is not installed")

from tests.builtin_plugins.collectors.requests import Asker

from qtforge_builtin_plugins.collectors.cancellable_threads import Interrupted
from qtforge_builtin_plugins.collectors.database import DatabaseCollector

ENDLESS = (
    "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) as i from n"
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "sales 100%.sqlite"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "create table sales (id integer primary key, day text, amount real, note text);"
            "insert into sales values (1, '2026-01-01', 9.5, null), (2, '2026-01-02', 3, 'b%'),"
            " (3, '2026-02-01', 1e3, 'c');"
            "create virtual table notes using fts5 (body); insert into notes values ('red fox');"
        )
    return path


def asker(tmp_path: Path, secrets: dict[str, str] | None = None, **config: Any) -> Asker:
    config.setdefault("roots", [str(tmp_path / "data")])
    return Asker(DatabaseCollector(), "database.query", tmp_path, secrets or {}, **config)


@pytest.fixture
def ask(tmp_path: Path, file: Path) -> Asker:
    return asker(tmp_path)


def test_rows_come_as_the_query_orders_them(ask: Asker, file: Path) -> None:
    collected = ask(str(file), query="select id, amount, note from sales order by id desc;")
    assert collected.rows == [
        {"id": 3, "amount": 1000.0, "note": "c"},
        {"id": 2, "amount": 3.0, "note": "b%"},
        {"id": 1, "amount": 9.5, "note": None},
    ]
    assert (collected.count, collected.details) == (3, {"database": "sqlite"})


@pytest.mark.parametrize(
    ("value", "plain", "code"),
    [
        ("7", 7, None),
        ("9223372036854775807", 9223372036854775807, None),
        ("1.5", 1.5, None),
        ("9e999", None, "rows.not_finite"),
        ("'text'", "text", None),
        ("cast(x'67ff' as text)", "g\ufffd", "database.odd_value"),
        ("x'00ff'", "00ff", None),
        ("null", None, None),
        ("date('2026-01-02')", "2026-01-02", None),
    ],
)
def test_every_type_of_sqlite_has_a_plain_form(
    ask: Asker, file: Path, value: str, plain: object, code: str | None
) -> None:
    collected = ask(str(file), query=f"select 1 as id, {value} as a")
    assert collected.rows == [{"id": 1, "a": plain}]
    assert [each.code for each in collected.warnings] == ([] if code is None else [code])
    assert all(each.message.startswith("row 1, a: ") for each in collected.warnings)


@pytest.mark.parametrize("form", ["sqlite:///{}", "{}", "sqlite:///sales 100%.sqlite"])
def test_a_file_is_named_by_url_by_path_or_below_the_first_root(
    ask: Asker, file: Path, form: str
) -> None:
    assert len(ask.rows(form.format(file), query="select * from sales")) == 3


def test_the_databases_name_may_stand_in_the_originals_parameter(ask: Asker, file: Path) -> None:
    assert ask.rows("", database=str(file), query="values (1)") == [{"column1": 1}]


def test_a_database_may_have_a_name_in_the_configuration(tmp_path: Path, file: Path) -> None:
    named = asker(tmp_path, databases={"shop": f"sqlite:///{file}"})
    assert named.rows("", database="shop", query="select 1 as a") == [{"a": 1}]
    assert named.rows("shop", query="select 1 as a") == [{"a": 1}]


def test_values_are_bound_and_never_part_of_the_statement(ask: Asker, file: Path) -> None:
    query = "select id from sales where note = :note or note like 'zz%'"
    assert ask.rows(str(file), query=query, bind={"note": "b%"}) == [{"id": 2}]
    assert ask.rows(str(file), query=query, bind={"note": "' or 1=1 --"}) == []


def test_a_list_is_bound_after_in(ask: Asker, file: Path) -> None:
    query = "select id from sales where id in :ids order by id"
    assert ask.rows(str(file), query=query, bind={"ids": [1, 3]}) == [{"id": 1}, {"id": 3}]
    assert ask.rows(str(file), query=query, bind={"ids": []}) == []


def test_two_columns_of_one_name_are_both_there(ask: Asker, file: Path) -> None:
    (row,) = ask.rows(str(file), query="select 1 as a, 2 as a, 3 as a_2, 4 as a")
    assert row == {"a": 1, "a_3": 2, "a_2": 3, "a_4": 4}


def test_a_limit_cuts_off_and_says_so(ask: Asker, file: Path) -> None:
    collected = ask(str(file), query="select id from sales", limit="2")  # the original's text
    assert (collected.count, collected.truncated) == (2, True)
    assert not ask(str(file), query="select id from sales", limit=3).truncated


def test_the_configured_limit_holds_where_the_source_names_none(tmp_path: Path, file: Path) -> None:
    collected = asker(tmp_path, limit=1)(str(file), query="select id from sales")
    assert (collected.count, collected.truncated) == (1, True)


def test_many_rows_go_to_a_file_of_the_run(ask: Asker, file: Path) -> None:
    query = (
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 30000)"
        " select i, 'row ' || i as text from n"
    )
    collected = ask(str(file), query=query)
    assert collected.dataset is not None
    assert Path(collected.dataset.path).parent == ask.run_files / "run-1"
    rows = ask.rows(str(file), query=query)
    assert len(rows) == collected.count == 30_000
    assert rows[-1] == {"i": 30_000, "text": "row 30000"}


@pytest.mark.parametrize(
    "query",
    [
        "insert into sales (id) values (9)",
        "with x as (select 1) insert into sales (id) select 9 from x",
        "with x as (select 1) delete from sales",
        "/* select */ update sales set id = 9",
        "-- select\ndrop table sales",
        "attach 'other.sqlite' as other",
        "pragma query_only = off",
        "vacuum",
        "select writefile('x', 'y')",
    ],
)
def test_nothing_is_written(ask: Asker, file: Path, query: str) -> None:
    before = file.read_bytes()
    refused = ask.refusal(str(file), query=query)
    assert refused.code in ("database.read_only", "database.invalid_query")
    assert refused.retryable is False
    assert file.read_bytes() == before
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_what_would_write_has_its_own_code(ask: Asker, file: Path) -> None:
    query = "with x as (select 1) delete from sales"
    refused = ask.refusal(str(file), query=query)
    assert (refused.code, refused.why) == (
        "database.read_only",
        "attempt to write a readonly database",
    )
    refused = ask.refusal(str(file), query="DELETE from sales")
    assert refused.why == "it begins with DELETE"


def test_a_full_text_index_is_read(ask: Asker, file: Path) -> None:
    rows = ask.rows(str(file), query="select body from notes where notes match 'fox'")
    assert rows == [{"body": "red fox"}]


@pytest.mark.parametrize(
    "call",
    [
        "hex(fts3_tokenizer('simple'))",
        "FTS3_TOKENIZER('simple', x'4141414141414141')",
        "load_extension('/tmp/other.so')",
    ],
)
def test_a_function_that_reaches_outside_of_the_file_is_refused_in_query_and_view(
    ask: Asker, file: Path, call: str
) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"create view harmless as select {call} as x")
    for query in (f"select {call}", "select * from harmless", "select * from notes, harmless"):
        refused = ask.refusal(str(file), query=query)
        assert refused.code == "database.not_allowed"
        assert refused.retryable is False


@pytest.mark.parametrize(
    "value",
    [
        "zeroblob(70000000)",
        "hex(zeroblob(40000000))",
        "replace(hex(zeroblob(5000)), '0', hex(zeroblob(5000)))",
    ],
)
def test_a_value_that_is_too_large_is_refused_in_query_and_view(
    ask: Asker, file: Path, value: str
) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"create view harmless as select {value} as x")
    for query in (f"select {value}", "select length(x) from harmless"):
        refused = ask.refusal(str(file), query=query)
        assert refused.code == "database.value_too_large"
        assert refused.retryable is False


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("select id from boxes where low <= 1 and high >= 1", [{"id": 1}]),
        ("select name from pragma_table_info('boxes') limit 1", [{"name": "id"}]),
        ("select value from json_each('[7]')", [{"value": 7}]),
        ("with recursive n(i) as (select 1 union select i + 1 from n where i < 2) select i from n",
         [{"i": 1}, {"i": 2}]),
        ("select doubled from twice", [{"doubled": 2}]),
    ],
)  # fmt: skip
def test_all_that_reading_needs_is_authorized(
    ask: Asker, file: Path, query: str, rows: list[dict[str, Any]]
) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("create virtual table boxes using rtree(id, low, high)")
        connection.execute("insert into boxes values (1, 0, 2)")
        connection.execute("create view twice as select 2 * min(id) as doubled from sales")
        connection.commit()
    assert ask.rows(str(file), query=query) == rows


def test_several_statements_are_refused(ask: Asker, file: Path) -> None:
    refused = ask.refusal(str(file), query="select 1; drop table sales")
    assert refused.code == "database.several_statements"


@pytest.mark.parametrize(
    ("query", "code", "why"),
    [
        ("select * from nowhere", "database.no_such_table", "no such table: nowhere"),
        ("select nono from sales", "database.no_such_column", "no such column: nono"),
        ("select * form sales", "database.invalid_query", 'near "form": syntax error'),
    ],
)
def test_an_error_has_the_databases_own_words(
    ask: Asker, file: Path, query: str, code: str, why: str
) -> None:
    refused = ask.refusal(str(file), query=query)
    assert (refused.code, refused.why, refused.retryable) == (code, why, False)


@pytest.mark.parametrize(
    ("given", "why", "fix"),
    [
        ({"qeury": "select 1"}, "qeury: unknown key", "did you mean 'query'?"),
        ({}, "query: is missing", "add 'query'"),
        ({"query": " "}, "query: it is empty", "write a SELECT"),
        ({"query": "select :a"}, "bind: there is no value for :a", "add a to bind"),
        ({"query": "select 1", "bind": {"a": 1}}, "bind.a: the query has no :a", "use it as :a"),
        ({"query": "select :a", "bind": {"a": {}}}, "bind.a: it is a table", "use text"),
        ({"query": "select 1", "limit": 0}, "limit: expected int >= 1", ""),
        ({"query": "select 1", "statement_timeout": "soon"}, "statement_timeout: 'soon'", ""),
    ],
)
def test_a_wrong_parameter_is_named_with_the_right_one(
    ask: Asker, file: Path, given: dict[str, Any], why: str, fix: str
) -> None:
    refused = ask.refusal(str(file), **given)
    assert (refused.code, refused.retryable) == ("database.invalid_parameters", False)
    assert refused.why.startswith(why)
    assert refused.fix.startswith(fix)


@pytest.mark.parametrize("endpoint", ["sqlite://", "sqlite:///x.sqlite?mode=rwc", "a://b:c"])
def test_an_endpoint_that_names_no_database_is_refused(ask: Asker, endpoint: str) -> None:
    assert ask.refusal(endpoint, query="select 1").code == "database.invalid_endpoint"


def test_a_source_without_any_endpoint_is_told_so(ask: Asker) -> None:
    refused = ask.refusal("", query="select 1")
    assert refused.code == "database.invalid_endpoint"
    assert "neither" in refused.why


def test_files_outside_the_roots_are_refused(ask: Asker, file: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.sqlite"
    file.rename(outside)
    (file.parent / "link.sqlite").symlink_to(outside)
    for endpoint in (str(outside), "../outside.sqlite", "link.sqlite", "/etc/passwd"):
        refused = ask.refusal(endpoint, query="select 1")
        assert refused.code == "file.outside_roots"
        assert "[plugins.database-collector.config]" in refused.fix


def test_a_missing_file_is_not_made(ask: Asker, file: Path) -> None:
    assert ask.refusal("new.sqlite", query="select 1").code == "file.not_found"
    assert not (file.parent / "new.sqlite").exists()


def test_a_file_that_is_no_database_is_told(ask: Asker, file: Path) -> None:
    (file.parent / "text.sqlite").write_text("no database at all, but long enough\n" * 100)
    assert ask.refusal("text.sqlite", query="select * from a").code == "database.damaged"


def test_a_locked_file_may_be_tried_again(ask: Asker, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as writer:
        writer.execute("begin exclusive")
        refused = ask.refusal(
            str(file), query="select * from sales", timeout_s=8, statement_timeout="200ms"
        )
    assert refused.code in ("database.unavailable", "database.timeout")
    assert refused.retryable or refused.code == "database.timeout"


def test_a_statement_ends_at_its_own_timeout(ask: Asker, file: Path) -> None:
    refused = ask.refusal(str(file), query=ENDLESS, statement_timeout="100ms")
    assert refused.code == "database.timeout"
    assert "statement_timeout" in refused.fix


def test_a_cancelled_statement_ends_and_its_thread_with_it(ask: Asker, file: Path) -> None:
    async def cancelled() -> None:
        await ask.start()
        task = asyncio.create_task(ask.ask(str(file), {"query": ENDLESS}, None))
        await _begun()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ask.plugin.stop()

    asyncio.run(cancelled())
    _wait_until(lambda: not _threads())


def test_a_stopping_host_ends_its_statements(ask: Asker, file: Path) -> None:
    async def stopped() -> None:
        await ask.start()
        task = asyncio.create_task(ask.ask(str(file), {"query": ENDLESS}, None))
        await _begun()
        await ask.plugin.stop()
        with pytest.raises(Interrupted):
            await task

    asyncio.run(stopped())
    _wait_until(lambda: not _threads())


def test_other_databases_are_asked_only_when_the_configuration_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    refused = asker(tmp_path).refusal("oracle://scott@host/db", query="select 1 from dual")
    assert refused.code == "database.unprotected"
    assert "allow_writable" in refused.fix
    allowed = asker(tmp_path, allow_writable=["oracle", "nosuch", "mysql"])
    refused = allowed.refusal("oracle+oracledb://scott@host/db", query="select 1 from dual")
    assert (refused.code, refused.fix) == ("database.unknown_driver", "pip install oracledb")
    refused = allowed.refusal("mysql://host/db", query="select 1")
    assert refused.fix == "pip install mysqlclient"
    assert allowed.refusal("nosuch://host/db", query="select 1").code == "database.unknown_driver"


def test_a_misspelt_kind_of_database_is_told_the_right_one(ask: Asker) -> None:
    refused = ask.refusal("postgrsql://host/db", query="select 1")
    assert "did you mean 'postgresql'?" in refused.fix
    refused = ask.refusal("postgresql+asyncpg://host/db", query="select 1")
    assert refused.code == "database.unprotected"


def test_a_secret_that_a_row_echoes_is_hidden(tmp_path: Path, file: Path) -> None:
    secret = asker(tmp_path, {"TOKEN": "s3cret-token"})
    rows = secret.rows(
        str(file), query="select :a || '!' as a, 1 as b", bind={"a": "${secret.TOKEN}"}
    )
    assert rows == [{"a": "***!", "b": 1}]


def test_a_missing_secret_is_named(ask: Asker, file: Path) -> None:
    refused = ask.refusal("postgresql://u:${secret.PG}@host/db", query="select 1")
    assert refused.code == "secret.missing"


def _threads() -> list[str]:
    return [each.name for each in threading.enumerate() if "database-collector" in each.name]


async def _begun() -> None:
    """Wait until a thread executes a statement."""
    async with asyncio.timeout(60):
        while not _threads():  # noqa: ASYNC110 - a thread begins without an event
            await asyncio.sleep(0.001)


def _wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
