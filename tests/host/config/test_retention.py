"""What `[retention]` says, and what is wrong with it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.config.retention import RetentionSettings, read_retention
from qtforge_host.config.settings import load_settings
from qtforge_host.toml import read
from qtforge_sdk.errors import ConfigError

DAY_S = 86_400.0


def retention(text: str) -> RetentionSettings:
    table: dict[str, Any] = read(text)
    return read_retention(table, Path("config.toml"))


def test_everything_is_kept_without_it(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    settings = load_settings(tmp_path / "config.toml", environ={})
    assert not settings.retention
    assert settings.retention.shortest_s == math.inf
    assert dict(settings.retention.of("any").ages_s) == {}


def test_ages_are_by_status_and_a_compensated_run_is_one_that_failed() -> None:
    found = retention('succeeded = "30d"\nfailed = "90d"\nkeep_last = 20')
    rule = found.of("any")
    assert dict(rule.ages_s) == {
        "succeeded": 30 * DAY_S,
        "failed": 90 * DAY_S,
        "compensated": 90 * DAY_S,
    }
    assert (rule.keep_last, found.shortest_s) == (20, 30 * DAY_S)
    assert dict(retention('failed = "2d"\ncompensated = "1d"').of("x").ages_s) == {
        "failed": 2 * DAY_S,
        "compensated": DAY_S,
    }


def test_the_first_pattern_that_fits_counts_and_the_rest_is_as_above() -> None:
    found = retention(
        """
succeeded = "30d"
failed = "90d"
keep_last = 20
[workflows]
"document-audit" = { succeeded = "forever", keep_last = 0 }
"document-*" = { succeeded = "7d" }
"""
    )
    audit, other = found.of("document-audit"), found.of("document-store")
    assert (audit.ages_s.get("succeeded"), audit.ages_s["failed"]) == (None, 90 * DAY_S)
    assert (other.ages_s["succeeded"], other.ages_s["failed"]) == (7 * DAY_S, 90 * DAY_S)
    assert (audit.keep_last, other.keep_last) == (0, 20)
    assert found.of("Document-store").ages_s["succeeded"] == 30 * DAY_S
    assert found.shortest_s == 7 * DAY_S


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("suceeded = 5", ["retention.suceeded: unknown key", "'succeeded'"]),
        ("keep_last = -1", ["retention.keep_last: expected int >= 0"]),
        ("keep_last = 5", ["nothing is ever deleted", 'succeeded = "30d"']),
        ('succeeded = "0s"', ["retention.succeeded: '0s' is not above zero"]),
        ('succeeded = "30s"', ["retention.succeeded: 30s is too short", "at least 1m"]),
        (
            'succeeded = "soon"\nfailed = 3\n[workflows."a-*"]\nfailed = "x"',
            [
                "retention.succeeded: 'soon' is not a duration",
                'or "forever"',
                "retention.failed: 3s is too short",
                "retention.workflows.\"a-*\".failed: 'x' is not a duration",
            ],
        ),
        ('[workflows."a"]\nsuceeded = "1d"', ["retention.workflows.a.suceeded: unknown key"]),
        ("workflows = 3", ["retention.workflows: expected object"]),
    ],
)
def test_what_is_wrong_is_named_with_its_path(text: str, errors: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        retention(text)
    for each in errors:
        assert each in str(caught.value)
