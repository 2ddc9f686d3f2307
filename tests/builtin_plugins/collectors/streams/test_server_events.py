"""Event streams, split as the HTML standard says, wherever the pieces end."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qtforge_builtin_plugins.collectors.streams.lines import TooLong
from qtforge_builtin_plugins.collectors.streams.server_events import EventSplitter

BOM = b"\xef\xbb\xbf"


def events(*pieces: bytes, most: int = 1000) -> list[bytes | None]:
    """Return the data of each event; None for one that is too long."""
    splitter = EventSplitter(most)
    found = itertools.chain.from_iterable(map(splitter.feed, pieces))
    return [None if isinstance(each, TooLong) else each for each in found]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        # The examples of the standard, section 9.2.6.
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"]),
        (b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third\n",
         [b"first event", b"second event"]),
        (b"data\n\ndata\ndata\n\ndata:\n", [b"", b"\n"]),
        (b"data:test\n\ndata: test\n\n", [b"test", b"test"]),
        # A byte order mark at the start, and only one; each kind of line end.
        (BOM + b"data: 1\n\n", [b"1"]),
        (BOM + BOM + b"data: 1\n\ndata: 2\n\n", [b"2"]),
        (b"data: 1\r\rdata: 2\r\n\r\n", [b"1", b"2"]),
        # An event without data is none; a field is matched exactly; the rest is not dispatched.
        (b"event: ping\nid: 7\n\nDATA: x\n\ndatas: y\n\n data: z\n\n", []),
        (b"data: 1\n\ndata: 2\n", [b"1"]),
        (b"data: \xff\n\n", ["\ufffd".encode()]),
    ],
)  # fmt: skip
def test_a_stream_is_split_as_the_standard_says(stream: bytes, expected: list[bytes]) -> None:
    assert events(stream) == expected
    assert events(*(bytes([each]) for each in stream)) == expected


@given(
    st.lists(
        st.sampled_from([b"data", b":", b" ", b"\r", b"\n", b"\n\n", b"x", BOM, b"id", b""]),
        max_size=20,
    )
)
def test_where_pieces_end_makes_no_difference(parts: list[bytes]) -> None:
    assert events(*parts) == events(b"".join(parts))


@pytest.mark.parametrize(
    "long",
    [
        b"data: " + b"x" * 200 + b"\n\n",
        b"data: xxxxxxxxx\n" * 40 + b"\n",
        b"data:" + b"x" * 200 + b"\ndata: y\n\n",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_event_that_is_too_long_is_only_itself_lost(long: bytes, size: int) -> None:
    stream = b"data: 1\n\n" + long + b"data: 2\n\n"
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert events(*pieces, most=100) == [b"1", None, b"2"]


def test_a_long_comment_costs_nothing() -> None:
    assert events(b":" + b"x" * 5000 + b"\ndata: 1\n\n", most=100) == [b"1"]
    assert events(b"data: " + b"x" * 100 + b"\n\n", most=100) == [b"x" * 100]
