"""database-collector on a real PostgreSQL, which the tests start."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="the extra 'database' is not installed")
pytest.importorskip("psycopg", reason="the extra 'database' is not installed")

import psycopg
from tests.builtin_plugins.collectors.requests import Asker
from tests.servers.postgresql import PostgreSQL

from qtforge_builtin_plugins.collectors.database import DatabaseCollector

SLEEPING = (
    "select count(*) from pg_stat_activity"
    " where application_name = 'qtforge-host' and wait_event = 'PgSleep'"
)


@pytest.fixture(scope="module")
def admin(postgresql: PostgreSQL) -> Iterator[Any]:
    """A connection of the superuser, with a table for all tests."""
    with psycopg.connect(postgresql.url(), autocommit=True) as connection:
        connection.execute(
            "create table sales (id int primary key, day date, amount numeric, tags text[],"
            " extra jsonb, address inet, made timestamptz, code uuid)"
        )
        connection.execute(
            "insert into sales values (1, '2026-01-01', 9.50, '{a,b}', '{\"k\": [1]}',"
            " '10.0.0.1', '2026-01-01 10:00+00', '00000000-0000-0000-0000-000000000001'),"
            " (2, '2026-02-01', 3, null, null, null, null, null)"
        )
        connection.execute("create role reader login password 'reads-only'")
        yield connection


@pytest.fixture
def ask(tmp_path: Path, postgresql: PostgreSQL, admin: Any) -> Asker:
    secrets = {"PG": postgresql.password, "URL": postgresql.url(), "WRONG": "wr0ng-p@ss/word"}
    return Asker(DatabaseCollector(), "database.query", tmp_path, secrets)


@pytest.fixture
def here(postgresql: PostgreSQL) -> str:
    """The endpoint, with a placeholder for the password, which has characters of a URL."""
    return postgresql.url("${secret.PG}")


def test_values_become_plain(ask: Asker, here: str) -> None:
    rows = ask.rows(here, query="select * from sales where day >= :day order by id",
                    bind={"day": "2026-01-01"})  # fmt: skip
    made = rows[0].pop("made")
    assert made.startswith("2026-01-01T") or made.startswith("2025-12-31T")
    assert rows[0] == {
        "id": 1, "day": "2026-01-01", "amount": 9.5, "tags": ["a", "b"], "extra": {"k": [1]},
        "address": "10.0.0.1", "code": "00000000-0000-0000-0000-000000000001",
    }  # fmt: skip
    assert rows[1]["amount"] == 3
    assert rows[1]["tags"] is None


# Every built-in type: a value in SQL, and what it is in a row; as docs/aggregation.md says.
TYPES: dict[str, tuple[str, Any]] = {
    "bool": ("true", True),
    "int2": ("-7", -7),
    "int4": ("2147483647", 2147483647),
    "int8": ("9223372036854775807", 9223372036854775807),
    "oid": ("42", 42),
    "xid": ("'7'", "7"),
    "cid": ("'7'", "7"),
    "float4": ("1.5", 1.5),
    "float8": ("1e300", 1e300),
    "numeric": ("12.50", 12.5),
    "text": ("'a'", "a"),
    "varchar": ("'a'", "a"),
    "bpchar": ("'a'", "a"),
    "char": ("'a'", "a"),
    "name": ("'a'", "a"),
    "xml": ("'<a/>'", "<a/>"),
    "date": ("'2026-01-02'", "2026-01-02"),
    "time": ("'10:30:00.5'", "10:30:00.500000"),
    "timetz": ("'10:30+02'", "10:30:00+02:00"),
    "timestamp": ("'2026-01-02 10:30:00.25'", "2026-01-02T10:30:00.250000"),
    "timestamptz": ("'2026-01-02 10:30+02'", "2026-01-02T08:30:00+00:00"),
    "interval": ("'1 mon 1 day 00:00:01.5'", 31 * 86400 + 1.5),
    "bytea": ("'\\x00ff'", "00ff"),
    "uuid": ("'{0000000000000000000000000000000f}'", "00000000-0000-0000-0000-00000000000f"),
    "json": ("'{\"a\": [1, null]}'", {"a": [1, None]}),
    "jsonb": ("'[1.5]'", [1.5]),
    "money": ("12.5", "$12.50"),
    "bit": ("B'1'", "1"),
    "varbit": ("B'101'", "101"),
    "inet": ("'10.0.0.1/24'", "10.0.0.1/24"),
    "cidr": ("'10.0.0.0/8'", "10.0.0.0/8"),
    "macaddr": ("'08:00:2b:01:02:03'", "08:00:2b:01:02:03"),
    "macaddr8": ("'08:00:2b:01:02:03:04:05'", "08:00:2b:01:02:03:04:05"),
    "point": ("'(1,2)'", "(1,2)"),
    "line": ("'{1,2,3}'", "{1,2,3}"),
    "lseg": ("'[(1,2),(3,4)]'", "[(1,2),(3,4)]"),
    "box": ("'(3,4),(1,2)'", "(3,4),(1,2)"),
    "path": ("'((1,2),(3,4))'", "((1,2),(3,4))"),
    "polygon": ("'((1,2),(3,4))'", "((1,2),(3,4))"),
    "circle": ("'<(1,2),3>'", "<(1,2),3>"),
    "tsvector": ("'a b'", "'a' 'b'"),
    "tsquery": ("'a & b'", "'a' & 'b'"),
    "jsonpath": ("'$.a'", '$."a"'),
    "int4range": ("'[1,5)'", "[1,5)"),
    "int8range": ("'empty'", "empty"),
    "numrange": ("'[1.5,)'", "[1.5,)"),
    "daterange": ("'[2026-01-01,infinity)'", "[2026-01-01,infinity)"),
    "tsrange": ("'[2026-01-01,)'", '["2026-01-01 00:00:00",)'),
    "tstzrange": ("'(,)'", "(,)"),
    "int4multirange": ("'{[1,5)}'", "{[1,5)}"),
    "int8multirange": ("'{}'", "{}"),
    "nummultirange": ("'{[1.5,)}'", "{[1.5,)}"),
    "datemultirange": ("'{[2026-01-01,2026-01-02)}'", "{[2026-01-01,2026-01-02)}"),
    "tsmultirange": ("'{(,)}'", "{(,)}"),
    "tstzmultirange": ("'{(,)}'", "{(,)}"),
    "pg_lsn": ("'16/B374D848'", "16/B374D848"),
    "pg_snapshot": ("'10:20:10,14'", "10:20:10,14"),
    "txid_snapshot": ("'10:20:10,14'", "10:20:10,14"),
    "xid8": ("'7'", "7"),
    "tid": ("'(0,1)'", "(0,1)"),
    "aclitem": ("'=r/tester'", "=r/tester"),
    "refcursor": ("'a'", "a"),
    "regclass": ("'pg_class'", "pg_class"),
    "regcollation": ("'\"C\"'", '"C"'),
    "regconfig": ("'simple'", "simple"),
    "regdictionary": ("'simple'", "simple"),
    "regnamespace": ("'public'", "public"),
    "regoper": ("'||/'", "||/"),
    "regoperator": ("'+(integer,integer)'", "+(integer,integer)"),
    "regproc": ("'now'", "now"),
    "regprocedure": ("'now()'", "now()"),
    "regrole": ("'tester'", "tester"),
    "regtype": ("'int4'", "integer"),
}
INTERNAL = {
    "gtsvector", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "pg_dependencies",
    "pg_mcv_list", "pg_ndistinct", "pg_node_tree",
}  # fmt: skip
BUILT_IN = (
    "select typname as name from pg_type where typnamespace = 'pg_catalog'::regnamespace"
    " and typtype in ('b', 'r', 'm') and typcategory <> 'A'"
)


def test_every_built_in_type_has_a_plain_form(ask: Asker, here: str) -> None:
    known = {row["name"] for row in ask.rows(here, query=BUILT_IN)}
    (server,) = ask.rows(here, query="select current_setting('server_version_num')::int as version")
    if server["version"] < 160_000:  # a newer server has types that the tests do not know
        assert known - INTERNAL == set(TYPES)
    wanted = {name: value for name, value in TYPES.items() if name in known}
    columns = ", ".join(
        f'{value}::pg_catalog."{name}" as "{name}"' for name, (value, _) in wanted.items()
    )
    collected = ask(here, query=f"select {columns}")
    assert collected.rows == [{name: plain for name, (_, plain) in wanted.items()}]
    assert collected.warnings == ()
    docs = (Path(__file__).parents[3] / "docs" / "aggregation.md").read_text()
    assert [name for name in TYPES if f"`{name}`" not in docs] == []


ODD = {
    "'infinity'::date": "infinity",
    "'-infinity'::timestamptz": "-infinity",
    "'0044-03-15 BC'::date": "0044-03-15 BC",
    "'10000-01-01'::timestamp": "10000-01-01 00:00:00",
    "'24:00:00'::time": "24:00:00",
    "'24:00:00+00'::timetz": "24:00:00+00",
    "array['infinity'::date, '2026-01-02']": ["infinity", "2026-01-02"],
    "(repeat('[', 5000) || repeat(']', 5000))::json": "[" * 5000 + "]" * 5000,
    "(repeat('[', 400) || repeat(']', 400))::jsonb": "[" * 400 + "]" * 400,
}


@pytest.mark.parametrize(("value", "plain"), ODD.items(), ids=range(len(ODD)))
def test_an_odd_value_costs_a_warning_and_not_the_source(
    ask: Asker, here: str, value: str, plain: object
) -> None:
    query = f"select id, case id when 2 then {value} end as odd from generate_series(1, 2) as id"
    collected = ask(here, query=query)
    assert collected.rows == [{"id": 1, "odd": None}, {"id": 2, "odd": plain}]
    (warning,) = collected.warnings
    assert (warning.code, warning.count) == ("database.odd_value", 1)
    first = plain[0] if isinstance(plain, list) else str(plain)
    assert warning.message.startswith(f"row 2, odd: '{first[:60]}': no ")


def test_numbers_that_json_does_not_have_become_null_with_a_warning(ask: Asker, here: str) -> None:
    query = "select 'NaN'::float8 a, 'Infinity'::numeric b, 1e400::numeric c, 1 d"
    collected = ask(here, query=query)
    assert collected.rows == [{"a": None, "b": None, "c": None, "d": 1}]
    assert [each.code for each in collected.warnings] == ["rows.not_finite"] * 3


def test_warnings_are_counted_for_each_column(ask: Asker, here: str) -> None:
    query = "select 'infinity'::date a, 'NaN'::float8 b from generate_series(1, 5)"
    found = {each.message[:9]: each.count for each in ask(here, query=query).warnings}
    assert found == {"row 1, a:": 5, "row 1, b:": 5}


@pytest.mark.parametrize(
    ("query", "bind", "found"),
    [
        ("select :day::date as a", {"day": "2026-01-02"}, "2026-01-02"),
        ("select :n::bigint + 1 as a", {"n": 5_000_000_000}, 5_000_000_001),
        ("select (:a::int[])[1] as a", {"a": "{1,2}"}, 1),
        ("select :t::text || ' :t::x' as a", {"t": "x"}, "x :t::x"),
        ("select :t::text as a -- :u::int", {"t": "x"}, "x"),
        ("select :t::text /* :u::int */ || $$ :v::int $$ as a", {"t": "x"}, "x :v::int "),
        ("select :t :: int as a", {"t": "1"}, 1),
        ("select '1'::int as a where 1 in :l", {"l": [1, 2]}, 1),
    ],
)
def test_casts_stand_beside_placeholders(
    ask: Asker, here: str, query: str, bind: dict[str, Any], found: object
) -> None:
    assert ask.rows(here, query=query, bind=bind) == [{"a": found}]


def test_a_secret_may_be_the_whole_endpoint(ask: Asker) -> None:
    assert ask.rows("${secret.URL}", query="select 1 as a") == [{"a": 1}]


def test_the_databases_name_may_stand_in_the_originals_parameter(
    ask: Asker, postgresql: PostgreSQL
) -> None:
    endpoint = postgresql.url("${secret.PG}", database="")
    query = "select current_database() as name"
    assert ask.rows(endpoint, query=query, database="template1") == [{"name": "template1"}]
    refused = ask.refusal(postgresql.url("${secret.PG}"), query=query, database="template1")
    assert refused.code == "database.invalid_endpoint"


def test_casts_percent_signs_lists_and_comments_are_understood(ask: Asker, here: str) -> None:
    query = """
        -- select what is asked for
        /* * */ select id::text, '12:30' as time, '100%' as share from sales
        where id in :ids and tags::text like '%a%';
    """
    rows = ask.rows(here, query=query, bind={"ids": [1, 2, 3]})
    assert rows == [{"id": "1", "time": "12:30", "share": "100%"}]


@pytest.mark.parametrize(
    "query",
    [
        "insert into sales values (9)",
        "with x as (insert into sales values (9) returning id) select * from x",
        "select 1 as a into other",
        "select * from sales for update",
        "select set_config('transaction_read_only', 'off', false); delete from sales",
        "select 1; commit; delete from sales",
        "do $$ begin delete from sales; end $$",
        "copy sales to program 'true'",
        "explain analyze delete from sales",
        "begin",
    ],
)
def test_nothing_is_written(ask: Asker, here: str, admin: Any, query: str) -> None:
    refused = ask.refusal(here, query=query)
    expected = "database.several_statements" if ";" in query else "database.read_only"
    if query.startswith("do"):
        expected = "database.read_only"
    assert (refused.code, refused.retryable) == (expected, False)
    assert admin.execute("select count(*) from sales").fetchone() == (2,)


def test_a_function_that_writes_is_refused_even_when_it_asks_to_write(
    ask: Asker, here: str, admin: Any
) -> None:
    admin.execute(
        "create or replace function sneaky() returns int language plpgsql as $$ begin"
        " perform set_config('transaction_read_only', 'off', false);"
        " delete from sales; return 1; end $$"
    )
    code = ask.refusal(here, query="select sneaky()").code
    assert code in ("database.read_only", "database.failed")
    assert admin.execute("select count(*) from sales").fetchone() == (2,)


@pytest.mark.parametrize(
    ("query", "code", "why"),
    [
        ("select * from nono", "database.no_such_table", 'relation "nono" does not exist'),
        ("select nono from sales", "database.no_such_column", 'column "nono" does not exist'),
        ("select * form sales", "database.invalid_query", 'syntax error at or near "form"'),
        ("select 1/0", "database.invalid_value", "division by zero"),
        ("select * from pg_authid", "", ""),
    ],
)
def test_an_error_has_the_databases_own_words(
    ask: Asker, here: str, query: str, code: str, why: str
) -> None:
    if not code:
        endpoint = here.replace("tester:${secret.PG}", "reader:reads-only")
        refused = ask.refusal(endpoint, query=query)
        assert (refused.code, refused.retryable) == ("database.access_denied", False)
        return
    refused = ask.refusal(here, query=query)
    assert (refused.code, refused.why, refused.retryable) == (code, why, False)


def test_a_value_that_does_not_fit_is_told_without_the_secret(ask: Asker, here: str) -> None:
    refused = ask.refusal(here, query="select cast(:a as date)", bind={"a": "${secret.WRONG}"})
    assert refused.code == "database.invalid_value"
    assert refused.why == 'invalid input syntax for type date: "***"'


@pytest.mark.parametrize(
    ("change", "code", "retryable"),
    [
        (lambda url: url.replace(".PG", ".WRONG"), "database.access_denied", False),
        (lambda url: url.replace("tester", "nobody"), "database.access_denied", False),
        (lambda url: url.replace("/postgres", "/nono"), "database.not_found", False),
        (
            lambda url: url.replace("127.0.0.1", "no-such-host.invalid"),
            "database.unavailable",
            True,
        ),
        (lambda url: url.partition("@")[0] + "@127.0.0.1:1/x", "database.unavailable", True),
    ],
)
def test_who_can_t_connect_is_told_why_and_whether_to_try_again(
    ask: Asker, here: str, change: Callable[[str], str], code: str, retryable: bool
) -> None:
    refused = ask.refusal(change(here), query="select 1")
    assert (refused.code, refused.retryable) == (code, retryable)
    assert "wr0ng" not in f"{refused}{refused.__cause__!r}{refused.__cause__}"


def test_an_option_that_changes_the_session_is_refused(ask: Asker, here: str) -> None:
    refused = ask.refusal(f"{here}?options=-crole%3Dreader", query="select 1")
    assert refused.code == "database.invalid_endpoint"
    assert "sslmode" in refused.fix


def test_many_rows_stream_through(ask: Asker, here: str) -> None:
    query = "select i, 'row ' || i as text from generate_series(1, 50000) as i"
    rows = ask.rows(here, query=query)
    assert (len(rows), rows[-1]) == (50_000, {"i": 50_000, "text": "row 50000"})


def test_a_limit_leaves_the_rest_on_the_server(ask: Asker, here: str) -> None:
    collected = ask(here, query="select generate_series(1, 1000000000) as i", limit=5)
    assert (collected.count, collected.truncated) == (5, True)


def test_a_statement_ends_at_its_own_timeout(ask: Asker, here: str) -> None:
    query = "select pg_sleep(60), 'own timeout'"
    refused = ask.refusal(here, query=query, statement_timeout="200ms")
    assert refused.code == "database.timeout"
    assert refused.fix.endswith("raise statement_timeout")


def test_the_server_knows_the_requests_deadline(ask: Asker, here: str) -> None:
    (row,) = ask.rows(here, query="select current_setting('statement_timeout') as t")
    assert row["t"].endswith("ms") or row["t"] in ("29s", "30s")


@pytest.mark.parametrize("how", ["cancelled", "stopped"])
def test_a_statement_that_nobody_waits_for_ends_on_the_server(
    ask: Asker, here: str, admin: Any, how: str
) -> None:
    def sleeping() -> int:
        return int(admin.execute(SLEEPING).fetchone()[0])

    async def given_up() -> None:
        await ask.start()
        given = {"query": "select pg_sleep(60)"}
        task = asyncio.create_task(ask.ask(here, given, None))
        await asyncio.to_thread(_wait_until, lambda: sleeping() == 1)
        if how == "cancelled":
            task.cancel()
        else:
            await ask.plugin.stop()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(given_up())
    _wait_until(lambda: sleeping() == 0)


@pytest.mark.parametrize("wrong", [True, False])
def test_a_password_is_nowhere_in_a_real_runs_journal_logs_and_errors(
    tmp_path: Path, here: str, admin: Any, postgresql: PostgreSQL, wrong: bool
) -> None:
    secret = "wr0ng-p@ss/word" if wrong else postgresql.password
    definition = tmp_path / "ask.toml"
    definition.write_text(
        'name = "ask"\nkind = "sequential"\nversion = "1.0.0"\n'
        '[[stages]]\nname = "sales"\noperation = "database.query"\n'
        f'message = {{ name = "sales", endpoint = "{here}",'
        ' parameters = { query = "select :a as a", bind = { a = "${secret.PG}" } } }\n'
    )
    state = tmp_path / "state"
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "QTFORGE_SECRET_PG": secret,
        "PYTHONUTF8": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "qtforge_host.cli.main", "--debug", "--state-dir", str(state),
         "run", str(definition), "--json"],
        capture_output=True, text=True, timeout=120, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert done.returncode == int(wrong), done.stderr
    result = json.loads(done.stdout)
    if wrong:
        assert "password authentication failed" in json.dumps(result["error"])
    else:  # the query gives it back
        assert result["result"]["sales"]["rows"] == [{"a": "***"}]
    forms = {secret, urllib.parse.quote(secret), urllib.parse.quote(secret, safe="")}
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert any(b"${secret.PG}" in text for text in written)  # the journal is among them
    for text in [done.stdout.encode(), done.stderr.encode(), *written]:
        assert not any(form.encode() in text for form in forms)


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
