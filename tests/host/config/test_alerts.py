"""What `[alerts]` may say."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from qtforge_host.config.alerts import read_alerts
from qtforge_sdk.errors import ConfigError

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TO = 'to = ["webhook:https://example.org/hook"]\n'


def read(text: str, name: str = "ops") -> Any:
    return read_alerts({name: tomllib.loads(text)}, Path("config.toml"))


def test_an_alert_needs_a_destination_alone() -> None:
    found = read(TO)["ops"]
    assert found.on == {"run.failed"}
    assert (found.after, found.quiet_s, found.recovered, found.secrets) == (1, 0, False, ())
    assert found.covers("anything", {})


@pytest.mark.parametrize(
    "text",
    [
        f'{TO}quiet = "1h"\nafter = 3\nrecovered = true\nsecret = "{KEY}"',
        f'{TO}secret = ["${{secret.OLD}}", "{KEY}"]',
        'to = ["email:${secret.WHO}", "email:ops@example.org", "webhook:${secret.HOOK}"]',
        'to = ["webhook:https://example.org/${secret.PATH}?a=b"]\non = ["run.blocked"]',
    ],
)
def test_what_is_valid_is_read(text: str) -> None:
    assert read(text)["ops"].to


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("to = []", "alerts.ops.to", "length >= 1"),
        ("", "alerts.ops.to", "is missing"),
        ('to = ["ops@example.org"]', "alerts.ops.to[0]", "neither"),
        ('to = ["email:ops"]', "alerts.ops.to[0]", "e-mail address"),
        ('to = ["email:a@b@c"]', "alerts.ops.to[0]", "e-mail address"),
        ('to = ["webhook:example.org"]', "alerts.ops.to[0]", "URL"),
        ('to = ["webhook:https://[::1"]', "alerts.ops.to[0]", "URL"),
        ('to = ["webhook:https://e.org/\\u0007"]', "alerts.ops.to[0]", "control"),
        (f'{TO}on = ["run.late"]', "alerts.ops.on[0]", "run.late"),
        (f"{TO}on = []", "alerts.ops.on", "length >= 1"),
        (f'{TO}quiet = "soon"', "alerts.ops.quiet", "not a duration"),
        (f"{TO}after = 0", "alerts.ops.after", ">= 1"),
        (f'{TO}on = ["run.blocked"]\nafter = 2', "alerts.ops.after", "no effect"),
        (f'{TO}on = ["run.blocked"]\nrecovered = true', "alerts.ops.recovered", "no effect"),
        (f'{TO}secret = "whsec_AAAA"', "alerts.ops.secret", "not a key"),
        (f'to = ["email:a@b"]\nsecret = "{KEY}"', "alerts.ops.secret", "nothing is signed"),
        (f"{TO}afte = 2", "alerts.ops.afte", "did you mean 'after'"),
    ],
)
def test_what_is_not_valid_is_refused_with_its_place(text: str, where: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert where in str(caught.value)
    assert what in str(caught.value)


def test_an_invalid_key_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        read(f'{TO}secret = "whsec_tooshort"')
    assert "tooshort" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "-a", "a\n"])
def test_a_name_is_one_of_plain_characters(name: str) -> None:
    with pytest.raises(ConfigError, match="name of an alert"):
        read(TO, name)
