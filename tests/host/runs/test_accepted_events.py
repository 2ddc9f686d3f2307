"""Which data an event may need, as far as its condition tells."""

from __future__ import annotations

from typing import Any

import pytest

from qtforge_host.runs.accepted_events import example_data


@pytest.mark.parametrize(
    ("condition", "data"),
    [
        ("", {}),
        ("event.data.action == 'approve'", {"action": "approve"}),
        ('event.data.action == "approve" && data.open', {"action": "approve"}),
        ("event.data.a == 1 && event.data.b == 2.5", {"a": 1, "b": 2.5}),
        ("event.data.sure == true", {"sure": True}),
        ("event.data.by.name == 'Anna'", {"by": {"name": "Anna"}}),
        ("event.data.text == 'a || b?'", {"text": "a || b?"}),
        # It is not told by equality alone, or not all of it has to hold.
        ("event.data.amount > 5", {}),
        ("event.data.amount != 5", {}),
        ("event.data.a == 1 || event.data.a == 2", {}),
        ("!(event.data.action == 'approve')", {}),
        ("event.data.a == 1 ? data.x : data.y", {}),
        ("event.data.total == 5 + data.more", {}),
        ("data.action == 'approve'", {}),
        ("event.data.a == 1 && event.data.a.b == 2", {"a": 1}),
    ],
)
def test_an_example_is_given_only_where_the_condition_tells_it(
    condition: str, data: dict[str, Any]
) -> None:
    assert example_data(condition) == data
