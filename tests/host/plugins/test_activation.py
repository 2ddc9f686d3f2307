"""Plugins start when they are needed, and answer as if they had started with the host."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.host.conftest import Site

from qtforge_host.app import Host
from qtforge_host.plugins.start_reasons import StartScope
from qtforge_sdk.errors import NoHandlerError

FIRST = """
from pathlib import Path
from qtforge_sdk import Plugin, hookimpl, operation, subscriber

LOG = Path(__file__).with_name("log")

def note(text):
    with LOG.open("a") as file:
        file.write(text + "\\n")

note(__name__)
"""

ANSWERS = """
class Example(Plugin):
    requires = {requires}

    @operation("{topic}", accepts={accepts})
    async def do(self, message: dict) -> str:
        return "{name}"

    @operation("{name}.own")
    async def own(self, message: dict) -> str:
        return "{name}"

    async def stop(self):
        note("stop {name}")
"""


SLOW = """
import asyncio

class Example(Plugin):
    async def start(self, context):
        note("begins")
        await asyncio.sleep(0.2)
        note("has begun")

    async def stop(self):
        note("stops")

    @operation("slow.do")
    async def do(self, message: dict) -> str:
        return "done"
"""


def add(site: Site, name: str, text: str = ANSWERS, **given: str) -> None:
    values = {"name": name, "topic": f"{name}.do", "requires": "()", "accepts": "None", **given}
    source = FIRST + (text if text is not ANSWERS else ANSWERS.format(**values))
    site.plugin(name, source=source)


def noted(site: Site) -> list[str]:
    log = site.root / "log"
    return log.read_text().splitlines() if log.exists() else []


async def until_noted(site: Site, text: str) -> None:
    for _ in range(2000):
        if text in noted(site):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"'{text}' was never noted")


def live(site: Site, inner: Callable[[Host], Awaitable[Any]], scope: StartScope = "asked") -> Any:
    async def living() -> Any:
        async with Host(site.settings, scope=scope) as host:
            return await inner(host)

    return asyncio.run(living())


def state(host: Host, name: str) -> str:
    (entry,) = host.registry.named(name)
    return entry.status.state


def test_a_request_imports_the_plugins_of_its_topic_and_no_other(importable: Site) -> None:
    add(importable, "one", topic="both.do")
    add(importable, "two", topic="both.do")
    add(importable, "three")

    async def inner(host: Host) -> None:
        assert noted(importable) == []
        assert {state(host, name) for name in ("one", "two", "three")} == {"ready"}
        assert await host.bus.request("three.do", {}) == "three"
        assert noted(importable) == ["three_module"]
        await host.bus.request("both.do", {})
        assert sorted(noted(importable)) == ["one_module", "three_module", "two_module"]
        assert {state(host, name) for name in ("one", "two", "three")} == {"active"}

    live(importable, inner)


@pytest.mark.parametrize("asked_before", [(), ("one.own",), ("two.own",), ("two.own", "one.own")])
def test_the_plugin_that_answers_does_not_depend_on_what_was_asked_before(
    importable: Site, asked_before: tuple[str, ...]
) -> None:
    for name in ("one", "two", "three"):
        add(importable, name, topic="all.do")

    async def inner(host: Host) -> Any:
        for topic in asked_before:
            await host.bus.request(topic, {})
        answer = await host.bus.request("all.do", {})
        return answer, [each.plugin for each in host.bus.topics()["all.do"]]

    assert live(importable, inner) == live(importable, inner, "all")


def test_a_plugin_that_answers_two_topics_does_not_answer_one_without_the_others_there(
    importable: Site,
) -> None:
    add(importable, "common", topic="all.do")
    add(importable, "special", topic="all.do", accepts="'message.kind == \"special\"'")

    async def inner(host: Host) -> None:
        await host.bus.request("common.own", {})
        special = [await host.bus.request("all.do", {"kind": "special"}, plugin="special")]
        assert special == ["special"]

    live(importable, inner)


def test_a_plugin_starts_with_those_that_it_requires_and_stops_before_them(
    importable: Site,
) -> None:
    add(importable, "acme", requires="('store',)")
    add(importable, "store")

    async def inner(host: Host) -> None:
        assert await host.bus.request("acme.do", {}) == "acme"
        assert state(host, "store") == "active"

    live(importable, inner)
    assert noted(importable) == ["store_module", "acme_module", "stop acme", "stop store"]


def test_a_plugin_that_fails_when_it_is_needed_is_named_and_harms_no_other(
    importable: Site,
) -> None:
    add(importable, "good")
    add(importable, "bad", "import nowhere_to_be_found\n" + ANSWERS.format(
        name="bad", topic="bad.do", requires="()", accepts="None"
    ))  # fmt: skip
    add(importable, "dependent", requires="('bad',)")

    async def inner(host: Host) -> None:
        for _ in range(2):
            with pytest.raises(NoHandlerError) as caught:
                await host.bus.request("bad.do", {})
            assert "bad 1.0.0 does, but is broken" in caught.value.why
            assert caught.value.fix == "pip install nowhere_to_be_found"
        with pytest.raises(NoHandlerError, match=r"dependent 1\.0\.0 does, but is unmet"):
            await host.bus.request("dependent.do", {})
        assert await host.bus.request("good.do", {}) == "good"

    live(importable, inner)
    assert noted(importable).count("bad_module") == 1
    (candidate,) = (each for each in importable.candidates().values() if each.name == "bad")
    status = importable.failures.recall(candidate, 3)
    assert status is not None
    assert status.reason.endswith("(at its last start)")


def test_a_plugin_whose_last_start_failed_starts_with_the_host(importable: Site) -> None:
    broken = "import nowhere_to_be_found\n" + ANSWERS.format(
        name="bad", topic="bad.do", requires="()", accepts="None"
    )
    add(importable, "bad", broken)

    async def ask(host: Host) -> None:
        with pytest.raises(NoHandlerError):
            await host.bus.request("bad.do", {})

    async def nothing(host: Host) -> None:
        assert state(host, "bad") == "broken"

    live(importable, ask)
    live(importable, nothing)


def test_requests_at_once_start_a_plugin_once_though_the_first_is_cancelled(
    importable: Site,
) -> None:
    add(importable, "slow", SLOW)

    async def inner(host: Host) -> None:
        first = asyncio.create_task(host.bus.request("slow.do", {}))
        others = [asyncio.create_task(host.bus.request("slow.do", {})) for _ in range(5)]
        await until_noted(importable, "begins")
        first.cancel()
        assert await asyncio.gather(*others) == ["done"] * 5

    live(importable, inner)
    assert noted(importable) == ["slow_module", "begins", "has begun", "stops"]


def test_a_host_that_closes_waits_for_a_plugin_that_is_being_started(importable: Site) -> None:
    add(importable, "slow", SLOW)

    async def inner(host: Host) -> None:
        asyncio.create_task(host.bus.request("slow.do", {})).add_done_callback(
            lambda asked: asked.cancelled() or asked.exception()
        )
        await until_noted(importable, "begins")

    live(importable, inner)
    assert noted(importable) == ["slow_module", "begins", "has begun", "stops"]


def test_the_time_that_a_start_takes_is_not_the_requests(importable: Site) -> None:
    late = "import time\ntime.sleep(2.5)\n"
    text = late + ANSWERS.format(name="late", topic="late.do", requires="()", accepts="None")
    add(importable, "late", text)

    async def inner(host: Host) -> None:
        assert await host.bus.request("late.do", {}, timeout=2) == "late"

    live(importable, inner)


def test_a_publication_starts_its_subscribers_and_is_delivered_to_them(importable: Site) -> None:
    text = """
class Example(Plugin):
    @subscriber("news.*")
    async def hear(self, message: dict) -> None:
        note(f"heard {message}")
"""
    add(importable, "listener", text)
    add(importable, "other")

    async def inner(host: Host) -> None:
        assert (await host.bus.publish("olds.local", {})).delivered == 0
        assert (await host.bus.publish("news.local", {"n": 1})).delivered == 1

    live(importable, inner)
    assert noted(importable) == ["listener_module", "heard {'n': 1}"]


def test_the_start_of_a_plugin_may_ask_another_that_waits_but_not_itself(
    importable: Site,
) -> None:
    text = """
class Example(Plugin):
    async def start(self, context):
        note(await context.bus.request("other.do", {}))
        try:
            await context.bus.request("curious.do", {})
        except Exception as error:
            note(error.code)

    @operation("curious.do")
    async def do(self, message: dict) -> str:
        return "curious"
"""
    add(importable, "curious", text)
    add(importable, "other")

    async def inner(host: Host) -> None:
        assert await host.bus.request("curious.do", {}) == "curious"

    live(importable, inner)
    assert noted(importable) == [
        "curious_module", "other_module", "other", "bus.no_handler", "stop other",
    ]  # fmt: skip


WATCHING = {
    "listens": '@subscriber("news.*")\n    async def hear(self, message): ...',
    "begins": "async def start(self, context): ...",
    "checked": "async def health(self): ...",
    "answers": '@operation("answers.do")\n    async def do(self, message): ...',
}


def test_serve_starts_what_may_act_by_itself_and_the_others_when_they_are_asked(
    importable: Site,
) -> None:
    for name, body in WATCHING.items():
        add(importable, name, f"class Example(Plugin):\n    {body}\n")

    async def inner(host: Host) -> None:
        assert {name: state(host, name) for name in WATCHING} == {
            "listens": "active", "begins": "active", "checked": "active", "answers": "ready",
        }  # fmt: skip
        await host.bus.request("answers.do", {})
        assert state(host, "answers") == "active"

    live(importable, inner, "watching")


@pytest.mark.parametrize(
    "hook", ["before_request", "after_request", "on_request_error", "on_run_event"]
)
def test_a_plugin_that_observes_starts_with_every_host(importable: Site, hook: str) -> None:
    body = f"@hookimpl\n    def qtforge_{hook}(self): ...\n"
    add(importable, "observes", f"class Example(Plugin):\n    {body}")

    async def inner(host: Host) -> None:
        assert state(host, "observes") == "active"

    live(importable, inner)


def test_a_plugin_that_was_replaced_before_it_was_needed_is_not_imported(
    importable: Site,
) -> None:
    add(importable, "acme")

    async def inner(host: Host) -> None:
        newer = ANSWERS.format(name="acme", topic="acme.do", requires="()", accepts="None")
        importable.plugin("acme", "2.0.0", source=f"raise SystemExit\n{newer}")
        (importable.root / "acme-1.0.0.dist-info" / "METADATA").unlink()
        with pytest.raises(NoHandlerError, match=r"acme 1\.0\.0 was replaced"):
            await host.bus.request("acme.do", {})

    live(importable, inner)
    assert "acme_module" not in sys.modules


def test_a_workflow_starts_what_it_can_reach(importable: Site) -> None:
    for name in ("first", "undoes", "inside", "required", "unused"):
        add(importable, name)
    folder = importable.root / "workflows"
    folder.mkdir()
    (folder / "outer.toml").write_text(
        'name = "outer"\nkind = "sequential"\nrequires = ["required >= 1"]\n'
        '[[stages]]\nname = "a"\noperation = "first.do"\n'
        'compensation = { operation = "undoes.do" }\n'
        '[[stages]]\nname = "b"\nworkflow = "inner"\n'
    )
    (folder / "inner.toml").write_text(
        'name = "inner"\nkind = "sequential"\n[[stages]]\nname = "c"\noperation = "inside.do"\n'
    )

    async def inner(host: Host) -> None:
        assert (await host.started_workflow("outer")).definition.name == "outer"
        assert sorted(noted(importable)) == [
            "first_module", "inside_module", "required_module", "undoes_module",
        ]  # fmt: skip
        problems = [host.problems(each) for each in host.catalog.all() if each.name == "inner"]
        assert problems == [()]

    live(importable, inner)


def test_definitions_that_a_plugin_declares_are_read_without_importing_it(
    importable: Site, tmp_path: Path
) -> None:
    text = 'class Example(Plugin):\n    workflows = ("one.toml", "more-*.toml")\n'
    add(importable, "holder", text)
    stage = 'kind = "sequential"\n[[stages]]\nname = "s"\noperation = "file.read"\n'
    for name in ("one", "more-a", "more-b", "other"):
        (importable.root / f"{name}.toml").write_text(f'name = "{name}"\n{stage}')

    async def names(host: Host) -> list[str]:
        known = ("one", "more-a", "more-b", "other")
        return [each.name for each in host.catalog.all() if each.name in known]

    assert live(importable, names) == ["more-a", "more-b", "one"]
    assert noted(importable) == []
    assert live(importable, names, "all") == ["more-a", "more-b", "one"]
    assert noted(importable) == ["holder_module"]
