"""The Link header of RFC 8288."""

from __future__ import annotations

import pytest

from qtforge_builtin_plugins.collectors.web.links import next_link


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('</2>; rel="next"', "/2"),
        ("</2>;rel=next", "/2"),
        ('</2>; rel="prefetch next"', "/2"),
        ("</2>; REL = NEXT", "/2"),
        ('</1>; rel="first", </2>; rel="next", </9>; rel="last"', "/2"),
        ('</a,b;c>; rel="next"', "/a,b;c"),
        ('</2>; title="a, <x>; rel=prev; \\"q\\""; rel="next"', "/2"),
        ('</1>; title="; rel=next", </2>; rel=next', "/2"),
        ('</1>; rel="prev"; rel="next", </2>; rel="next"', "/2"),  # the first rel counts
        ('</1>; rel="next"; anchor="/other", </2>; rel=next', "/2"),
        (", ,</2>;rel=next,", "/2"),
        ("<>; rel=next", ""),
        ("</2>; foo; rel=next; bar=", "/2"),
        ("</2>; title*=UTF-8''n%c3%a4chste; rel=next", "/2"),
        ('</2>; rel="nextish"', None),
        ('</2>; rel="http://example.org/next"', None),
        ("</2>; rev=next", None),
        ("/2; rel=next", None),
        ("", None),
        ('</2>; rel="next', "/2"),  # not closed: the appendix reads to the end
    ],
)
def test_the_next_page_is_found(header: str, target: str | None) -> None:
    assert next_link([header]) == target


def test_every_line_of_the_header_is_read() -> None:
    assert next_link(['</1>; rel="prev"', '</2>; rel="next"']) == "/2"


@pytest.mark.parametrize(
    "header", ["<" * 50_000, "</>;" + ";" * 50_000, '</>; a="' + "\\" * 50_000]
)
def test_a_hostile_header_takes_no_time(header: str) -> None:
    assert next_link([header]) is None
