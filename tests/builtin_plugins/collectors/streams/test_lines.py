from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from qtforge_builtin_plugins.collectors.streams.lines import LineSplitter, TooLong


def test_a_line_that_is_too_long_is_marked_and_the_next_one_is_whole() -> None:
    splitter = LineSplitter(4)
    found = splitter.feed(b"1234\n123")
    found += splitter.feed(b"45")
    found += splitter.feed(b"6\nab\n")
    assert [None if isinstance(each, TooLong) else each for each in found] == [b"1234", None, b"ab"]


def test_nothing_is_held_of_a_line_without_end() -> None:
    splitter = LineSplitter(10)
    for _ in range(1000):
        assert splitter.feed(b"x" * 100) == []
    assert sum(map(len, splitter._begun)) <= 10
    (last,) = splitter.end()
    assert isinstance(last, TooLong)


@given(st.lists(st.binary(max_size=20)), st.integers(1, 12))
def test_how_a_stream_is_cut_into_pieces_changes_nothing(pieces: list[bytes], most: int) -> None:
    def lines(parts: list[bytes]) -> list[bytes | None]:
        splitter = LineSplitter(most)
        found = [line for part in parts for line in splitter.feed(part)] + splitter.end()
        return [None if isinstance(each, TooLong) else each for each in found]

    whole = b"".join(pieces)
    expected = whole.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert lines(pieces) == [line if len(line) <= most else None for line in expected]
