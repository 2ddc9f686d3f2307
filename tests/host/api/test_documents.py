"""The documents say what is recorded."""

from __future__ import annotations

import msgspec

from qtforge_host.api.documents import RunError, run_error
from qtforge_sdk import ErrorInfo


def test_an_error_is_shown_as_it_is_recorded() -> None:
    recorded = ErrorInfo(
        code="a.b",
        message="m",
        stage="s",
        plugin="p",
        plugin_version="1",
        fix="f",
        place="x.py:3",
        traceback="Traceback",
    )
    shown = run_error(recorded)
    assert shown is not None
    for field in msgspec.structs.fields(RunError):
        assert getattr(shown, field.name) == getattr(recorded, field.name) is not None
