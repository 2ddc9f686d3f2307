"""The error of a request names the plugin that would answer it, where that does not run."""

from __future__ import annotations

import asyncio

import pytest
from tests.host.conftest import Site

from qtforge_host.app import Host
from qtforge_sdk.errors import NoHandlerError

SOURCE = """
{first}
from qtforge_sdk import Plugin, operation

class Example(Plugin):
    requires = {requires}

    {start}

    @operation("{topic}")
    async def make(self, message: dict) -> dict:
        return {{}}

    @operation(
        '{topic}.other',
    )
    async def other(self, message: dict) -> dict:
        return {{}}
"""


def source(topic: str, *, first: str = "", requires: str = "()", start: str = "") -> str:
    return SOURCE.format(topic=topic, first=first, requires=requires, start=start)


def unanswered(site: Site, topic: str) -> NoHandlerError:
    async def ask() -> None:
        async with Host(site.settings) as host:
            await host.bus.request(topic, {})

    with pytest.raises(NoHandlerError) as caught:
        asyncio.run(ask())
    return caught.value


@pytest.mark.parametrize("more", ["", ".other"])
@pytest.mark.parametrize(
    ("name", "given", "state", "why"),
    [
        ("gone", {"first": "import nowhere_to_be_found"}, "broken", "nowhere_to_be_found"),
        ("starts", {"start": "def start(self, context): 1 / 0"}, "broken", "division by zero"),
        ("lonely", {"requires": "('absent-one',)"}, "unmet", "absent-one"),
        ("off", {}, "disabled", ""),
    ],
)
def test_the_plugin_that_does_not_run_is_named_with_its_state(
    importable: Site, name: str, given: dict[str, str], state: str, why: str, more: str
) -> None:
    importable.plugin("sound", source=source("sound.make"))
    importable.plugin(name, source=source("thing.make", **given))
    importable.configure(plugins={"off": {"enabled": False}})
    error = unanswered(importable, f"thing.make{more}")
    assert f"{name} 1.0.0 does, but is {state}: " in error.why
    assert why in error.why
    assert error.fix


def test_a_misspelt_topic_blames_nobody(importable: Site) -> None:
    importable.plugin("sound", source=source("sound.make"))
    importable.plugin("gone", source=source("thing.make", first="import nowhere_to_be_found"))
    error = unanswered(importable, "sound.maek")
    assert (error.why, error.fix) == ("", "did you mean 'sound.make'?")
