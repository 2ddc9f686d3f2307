"""The ``host`` fixture, used as a plugin's author uses it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import logging
import time
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from qtforge_host.testing import (
    Answered,
    Delivered,
    Failed,
    PluginTestHost,
    PublishedMessage,
    Requested,
)
from qtforge_sdk import Plugin, PluginContext, hookimpl, operation, subscriber
from qtforge_sdk.errors import (
    BusClosedError,
    ConfigError,
    HandlerFailedError,
    InvalidMessageError,
    NoHandlerError,
    PluginError,
)


class Settings(msgspec.Struct, frozen=True):
    greeting: str = "Hello"
    tone: Literal["loud", "soft"] = "soft"


class WarmGreeter(Plugin):
    Config = Settings

    def __init__(self) -> None:
        self.context: PluginContext | None = None
        self.life: list[str] = []
        self.heard: list[Any] = []

    async def start(self, context: PluginContext) -> None:
        self.context = context
        self.life.append("started")

    async def stop(self) -> None:
        self.life.append("stopped")

    @operation("greeting.make")
    async def make(self, request: dict[str, str]) -> str:
        return f"{self.config.greeting}, {request['name']}"

    @operation("greeting.count", execution="process")
    def count(self, request: dict[str, str]) -> int:
        return len(request)

    @operation("greeting.lie")
    async def lie(self, request: dict[str, str]) -> int:
        return "many"  # type: ignore[return-value]

    @operation("greeting.chain")
    async def chain(self, request: dict[str, str]) -> str:
        assert self.context is not None
        await self.context.bus.publish("greeting.made", request)
        made: str = await self.context.bus.request("greeting.make", request)
        return made

    @subscriber("greeting.made")
    def on_made(self, event: dict[str, str]) -> None:
        time.sleep(0.05)
        self.heard.append(event)


class Watching(Plugin):
    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    @hookimpl
    def qtforge_before_request(self, topic: str) -> None:
        self.seen.append(("before", topic))

    @hookimpl
    def qtforge_after_request(self, plugin: str, response: object) -> None:
        self.seen.append(("after", plugin, str(response)))

    @hookimpl
    def qtforge_on_request_error(self, error: BaseException, plugin: str) -> None:
        self.seen.append(("error", plugin, type(error).__name__))
        raise RuntimeError("an observer's own trouble")

    @hookimpl
    def qtforge_workflows(self) -> list[str]:
        return ['name = "one"']


def test_a_plugin_is_started_configured_and_named_after_its_class(host: PluginTestHost) -> None:
    greeter = host.add(WarmGreeter(), version="1.2.0", config={"greeting": "Hi"})
    assert greeter.config == Settings(greeting="Hi")
    assert greeter.life == ["started"]
    assert greeter.context is not None
    assert (greeter.context.name, greeter.context.version) == ("warm-greeter", "1.2.0")
    assert greeter.context.data_dir == host.data_dir / "warm-greeter"
    assert greeter.context.bus is host.bus
    assert host.request("greeting.make", {"name": "Ada"}) == "Hi, Ada"


def test_plugins_are_stopped_last_first_and_once(tmp_path: Path) -> None:
    order: list[str] = []

    class Stopping(Plugin):
        def __init__(self, label: str) -> None:
            self.label = label

        async def stop(self) -> None:
            order.append(self.label)

    with PluginTestHost(tmp_path) as host:
        host.add(Stopping("a"), "a")
        host.add(Stopping("b"), "b")
    host.close()
    assert order == ["b", "a"]
    with pytest.raises(BusClosedError):
        host.request("a.b", {})


def test_a_stop_that_fails_is_reported_and_the_others_are_stopped(tmp_path: Path) -> None:
    class Stuck(Plugin):
        async def stop(self) -> None:
            raise OSError("no space")

    host = PluginTestHost(tmp_path)
    greeter = host.add(WarmGreeter())
    host.add(Stuck(), "stuck")
    with pytest.raises(ExceptionGroup) as caught:
        host.close()
    [error] = caught.value.exceptions
    assert isinstance(error, PluginError)
    assert error.plugin == "stuck"
    assert isinstance(error.__cause__, OSError)
    assert greeter.life == ["started", "stopped"]


def test_a_start_that_fails_makes_the_plugin_broken_and_leaves_nothing(
    host: PluginTestHost,
) -> None:
    class Stillborn(WarmGreeter):
        async def start(self, context: PluginContext) -> None:
            raise LookupError("no licence")

    with pytest.raises(PluginError, match="LookupError: no licence") as caught:
        host.add(Stillborn())
    assert (caught.value.plugin, caught.value.code) == ("stillborn", "plugin.broken")
    assert host.bus.topics() == {}
    host.add(WarmGreeter(), "stillborn")


def test_configuration_that_does_not_fit_names_plugin_and_key(host: PluginTestHost) -> None:
    with pytest.raises(ConfigError, match=r"plugins\.warm-greeter\.config\.tone"):
        host.add(WarmGreeter(), config={"tone": "shrill"})
    with pytest.raises(ConfigError, match="takes no configuration"):
        host.add(Watching(), config={"a": 1})


def test_one_name_is_for_one_plugin(host: PluginTestHost) -> None:
    host.add(WarmGreeter())
    with pytest.raises(PluginError) as caught:
        host.add(WarmGreeter())
    assert caught.value.code == "plugin.conflict"


def test_a_hook_that_does_not_exist_is_refused(host: PluginTestHost) -> None:
    class Misspelt:
        @hookimpl
        def qtforge_strat(self) -> None: ...

    class Greedy:
        @hookimpl
        def qtforge_start(self, contxt: object) -> None: ...

    for plugin in (Misspelt(), Greedy()):
        with pytest.raises(PluginError) as caught:
            host.add(plugin)
        assert caught.value.code == "plugin.invalid_hook"


def test_a_condition_that_does_not_compile_is_refused_when_added(host: PluginTestHost) -> None:
    class Careless(Plugin):
        @operation("a.b", accepts="message.x ==")
        async def handle(self, message: dict[str, Any]) -> None: ...

    class Inattentive(Plugin):
        @subscriber("a.b", where="message.x ==")
        async def handle(self, message: dict[str, Any]) -> None: ...

    for plugin in (Careless(), Inattentive()):
        with pytest.raises(PluginError, match=r"message\.x ==") as caught:
            host.add(plugin)
        assert caught.value.code == "plugin.invalid_condition"
    assert host.bus.topics() == {}


def test_every_message_is_recorded_in_order(host: PluginTestHost) -> None:
    greeter = host.add(WarmGreeter(), version="1.2.0")
    host.request("greeting.make", {"name": "Ada"})
    with pytest.raises(HandlerFailedError):
        host.request("greeting.make", {})
    host.publish("greeting.made", {"name": "Bo"})
    asked, answered, asked_again, failed, published, delivered = host.messages
    assert asked == Requested(topic="greeting.make", message={"name": "Ada"})
    assert isinstance(answered, Answered)
    assert (answered.response, answered.plugin, answered.version) == (
        "Hello, Ada",
        "warm-greeter",
        "1.2.0",
    )
    assert asked_again == Requested(topic="greeting.make", message={})
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, HandlerFailedError)
    assert isinstance(failed.error.__cause__, KeyError)
    assert failed.plugin == "warm-greeter"
    assert published == PublishedMessage(
        topic="greeting.made", message={"name": "Bo"}, delivered=1, dropped=0
    )
    assert delivered == Delivered(
        topic="greeting.made",
        message={"name": "Bo"},
        plugin="warm-greeter",
        pattern="greeting.made",
    )
    assert greeter.heard == [{"name": "Bo"}]


def test_publish_returns_when_the_subscribers_are_done_or_the_time_is_over(
    host: PluginTestHost,
) -> None:
    greeter = host.add(WarmGreeter())
    assert host.publish("greeting.made", {"name": "Bo"}, timeout=0.001).delivered == 1
    assert greeter.heard == []
    host.publish("greeting.made", {"name": "Cy"})
    assert greeter.heard == [{"name": "Bo"}, {"name": "Cy"}]


def test_a_subscriber_that_fails_is_recorded_and_logged(
    host: PluginTestHost, caplog: pytest.LogCaptureFixture
) -> None:
    class Deaf(Plugin):
        @subscriber("greeting.*")
        async def hear(self, event: dict[str, str]) -> None:
            raise LookupError(event["name"])

    host.add(Deaf())
    with caplog.at_level(logging.ERROR):
        host.publish("greeting.made", {"name": "Bo"})
        host.publish("greeting.made", {"name": 3})
    first, second = (each for each in host.messages if isinstance(each, Failed))
    assert isinstance(first.error, LookupError)
    assert isinstance(second.error, InvalidMessageError)
    assert (first.plugin, second.plugin) == ("deaf", "deaf")
    assert "deaf 0.0.0 failed on the message of 'greeting.*'" in caplog.text


def test_a_plugin_uses_the_bus_that_it_was_given(host: PluginTestHost) -> None:
    greeter = host.add(WarmGreeter())
    assert host.request("greeting.chain", {"name": "Ada"}, response_type=str) == "Hello, Ada"
    host.run(asyncio.sleep(0))
    host.close()
    assert greeter.heard == [{"name": "Ada"}]


def test_a_process_operation_runs_in_a_thread_here(host: PluginTestHost) -> None:
    host.add(WarmGreeter())
    assert host.request("greeting.count", {"name": "Ada"}) == 1
    assert host.bus.topics()["greeting.count"][0].execution == "process"


def test_an_answer_that_belies_its_annotation_is_caught(host: PluginTestHost) -> None:
    host.add(WarmGreeter())
    with pytest.raises(HandlerFailedError) as caught:
        host.request("greeting.lie", {})
    assert caught.value.cause_code == "plugin.invalid_answer"


def test_observers_see_requests_and_their_own_trouble_harms_nobody(host: PluginTestHost) -> None:
    watching = host.add(Watching())
    host.add(WarmGreeter())
    host.request("greeting.make", {"name": "Ada"})
    with pytest.raises(HandlerFailedError):
        host.request("greeting.make", {})
    with pytest.raises(NoHandlerError):
        host.request("greeting.absent", {})
    assert watching.seen == [
        ("before", "greeting.make"),
        ("after", "warm-greeter", "Hello, Ada"),
        ("before", "greeting.make"),
        ("error", "warm-greeter", "HandlerFailedError"),
        ("before", "greeting.absent"),
        ("error", "", "NoHandlerError"),
    ]


def test_the_hooks_can_be_asked_for_workflows(host: PluginTestHost) -> None:
    host.add(Watching())
    assert host.hooks.qtforge_workflows() == [['name = "one"']]
    assert host.hooks.qtforge_commands() == []


def test_a_coroutine_that_never_ends_is_cancelled(host: PluginTestHost) -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError, match="not done within"):
        host.run(forever(), timeout=0.05)


def test_a_handler_that_ignores_its_cancellation_does_not_hang_the_test(
    tmp_path: Path,
) -> None:
    class Stubborn(Plugin):
        @operation("stubborn.wait")
        async def wait(self, message: dict[str, Any]) -> None:
            while True:
                try:
                    await asyncio.sleep(0.1)
                except asyncio.CancelledError:
                    continue

    host = PluginTestHost(tmp_path)
    host.add(Stubborn())
    with pytest.raises(TimeoutError, match="not done within"):
        host.run(host.bus.request("stubborn.wait", {}), timeout=0.05)
    with pytest.raises(ExceptionGroup) as caught:
        host.close()
    assert caught.group_contains(TimeoutError, match="still running, although cancelled")


class Keeper(Plugin):
    """Keeps texts among its files."""

    async def start(self, context: PluginContext) -> None:
        self.files = context.files

    @operation("text.keep")
    async def keep(self, request: dict[str, str]) -> list[str]:
        await self.files.write(f"{request['id']}.txt", request["text"].encode())
        return [each.name for each in await self.files.list()]


def test_a_plugin_has_files_in_its_data_folder(host: PluginTestHost) -> None:
    host.add(Keeper(), name="keeper")
    assert host.request("text.keep", {"id": "a", "text": "hello"}) == ["a.txt"]
    assert (host.data_dir / "keeper" / "a.txt").read_text() == "hello"
    with pytest.raises(HandlerFailedError) as refused:
        host.request("text.keep", {"id": "../other/a", "text": "hello"})
    assert refused.value.cause_code == "files.invalid_name"
    assert not (host.data_dir / "other").exists()


def test_nothing_installed_is_ever_looked_for(
    host: PluginTestHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("the test host looked for what is installed")

    monkeypatch.setattr(importlib.metadata, "entry_points", refuse)
    monkeypatch.setattr(importlib.metadata, "distributions", refuse)
    host.add(WarmGreeter())
    assert host.request("greeting.make", {"name": "Ada"}) == "Hello, Ada"
    assert list(host.bus.topics()) == [
        "greeting.chain",
        "greeting.count",
        "greeting.lie",
        "greeting.make",
    ]


def test_the_package_names_only_what_it_has() -> None:
    testing = importlib.import_module("qtforge_host.testing")
    assert all(getattr(testing, name) is not None for name in testing.__all__)
    with pytest.raises(AttributeError):
        testing.nothing  # noqa: B018
