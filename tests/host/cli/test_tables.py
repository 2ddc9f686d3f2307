"""Tables in a terminal, and in a file."""

from __future__ import annotations

import re
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.host.cli.terminals import in_terminal

from qtforge_host.cli.tables import shortened, table_lines, text_width, wrapped
from qtforge_host.cli.terminal import plain, style

_CELLS = st.lists(st.text("abc-/._é日 ", max_size=40), min_size=3, max_size=3)
HEADER = ["NAME", "WHY", "PATH"]


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(2 if each == "日" else 1 for each in text)


@given(st.lists(_CELLS, min_size=1, max_size=4), st.integers(24, 130))
def test_no_line_is_wider_than_the_terminal_and_no_character_is_lost(
    rows: list[list[str]], most: int
) -> None:
    lines = table_lines(HEADER, rows, most)
    assert all(columns(line) <= most for line in lines)
    written = "".join(lines).replace(" ", "")
    assert sorted(written) == sorted("".join([*HEADER, *chain(*rows)]).replace(" ", ""))


@given(st.lists(_CELLS, max_size=4))
def test_a_redirected_table_has_a_line_for_each_row_with_its_whole_cells(
    rows: list[list[str]],
) -> None:
    lines = table_lines(HEADER, rows, None)
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines[1:], rows, strict=True):
        assert all(cell.rstrip() in line for cell in row)


def test_a_state_stays_whole_and_in_its_colour() -> None:
    state = style("✓ succeeded", fg="green")
    lines = table_lines(["STATE", "WHY"], [[state, "one two three four five"]], 24)
    assert lines[1].startswith(state)
    assert [plain(line).split("  ")[-1].strip() for line in lines[1:]] == [
        "one two",
        "three four",
        "five",
    ]


@pytest.mark.parametrize(
    ("text", "most", "lines"),
    [
        ("", 5, [""]),
        ("one two", 7, ["one two"]),
        ("one two", 6, ["one", "two"]),
        ("a document-parser", 10, ["a", "document-", "parser"]),
        ("/tmp/files/a.txt", 8, ["/tmp/", "files/a.", "txt"]),
        ("abcdefghij", 4, ["abcd", "efgh", "ij"]),
        ("日本語", 4, ["日本", "語"]),
    ],
)
def test_a_text_is_broken_between_words_then_after_separators_then_anywhere(
    text: str, most: int, lines: list[str]
) -> None:
    assert wrapped(text, most) == lines


def test_a_column_that_is_kept_whole_is_wrapped_only_where_nothing_else_helps() -> None:
    header, row = ["NAME", "NEXT"], ["one two three four", "2026-11-30 17:45"]
    assert table_lines(header, [row], 28, whole=[1])[1] == "one two     2026-11-30 17:45"
    assert table_lines(header, [row], 24, whole=[1])[1] == "one     2026-11-30 17:45"
    assert max(map(len, table_lines(header, [row], 18, whole=[1]))) <= 18


def test_the_least_important_columns_are_shortened_first_and_each_row_stays_one_line() -> None:
    header, row = (
        ["TOPIC", "MESSAGE", "ACCEPTS"],
        ["a.topic", "a message of 28 characters..", "a" * 99],
    )
    assert table_lines(header, [row], 60, short=[2, 1])[1] == (
        "a.topic  a message of 28 characters..  aaaaaaaaaaaaaaaaaaaa…"
    )
    assert table_lines(header, [row], 50, short=[2, 1])[1] == (
        "a.topic  a message of 28 characters…  aaaaaaaaaaa…"
    )


@given(st.text("abc-/._é日e\u0301 ", min_size=1, max_size=40), st.integers(3, 50), st.booleans())
def test_a_shortened_text_fits_and_is_its_beginning_or_its_end(
    text: str, most: int, at_end: bool
) -> None:
    found = shortened(text, most, at_end=at_end)
    assert text_width(found) <= most
    if found != text:
        kept = found[:-1] if at_end else found[1:]
        assert text.startswith(kept) if at_end else text.endswith(kept)
        assert (
            text_width(found) >= most - 1
        )  # a wide character may not fit where one column is left


def test_a_path_is_shortened_at_its_beginning() -> None:
    lines = table_lines(["FROM"], [["/srv/workflows/nightly.toml"]], 16, short=[0], paths=[0])
    assert lines[1] == "…ws/nightly.toml"


@pytest.mark.parametrize(
    ("text", "width"),
    [("日本", 4), ("e\u0301", 1), ("a\u200bb", 2), ("ﾊﾝ", 2), ("👍", 2), ("…", 1)],
)
def test_a_text_is_as_wide_as_the_terminal_shows_it(text: str, width: int) -> None:
    assert text_width(text) == width


def test_a_terminal_shows_no_empty_column_and_says_which_it_left_out(
    environment: dict[str, str],
) -> None:
    shown = shown_in(80, environment, "workflows", "list")
    assert "FROM" not in shown[0]
    assert shown[-1] == "left out: FROM; a wider terminal, a file or --json has it"
    assert "left out" not in shown_in(200, environment, "workflows", "list")[-1]
    assert "WHY" not in shown_in(80, environment, "health")[0]


def test_a_terminal_without_unicode_shows_other_signs(environment: dict[str, str]) -> None:
    ascii_only = {**environment, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    shown = shown_in(80, ascii_only, "workflows", "list")
    assert any("~" in line for line in shown)
    assert all(line.isascii() for line in shown)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_listing_fits_the_terminal(environment: dict[str, str], width: int) -> None:
    shown = shown_in(width, environment, "workflows", "list")
    assert shown[0].split()[:2] == ["STATE", "WORKFLOW"]
    assert len(shown) > 5
    assert max(map(len, shown)) <= width


def test_a_listing_in_a_file_is_complete(cli: Any) -> None:
    said = cli("workflows", "list", COLUMNS="60")
    rows = [line for line in said.out.splitlines() if "ready" in line]
    assert len(rows) == len(said.out.splitlines()) - 1
    assert any("data-aggregation.toml" in line for line in rows)


def shown_in(width: int, environment: dict[str, str], *words: str) -> list[str]:
    """Return the lines that a command prints in a terminal of that width."""
    code, text = in_terminal(environment, *words, columns=width)
    assert code == 0
    return [plain_of(line) for line in text.splitlines()]


def plain_of(line: str) -> str:
    """Return a line without escape sequences."""
    return re.sub(r"\x1b\[[0-9;]*m", "", line)
