"""What a plugin offers is read from its source, which is never run; what can't be read is said."""

from __future__ import annotations

import asyncio
import textwrap
from pathlib import Path

import pytest
from tests.host.conftest import Site

from qtforge_host.app import Host
from qtforge_host.plugins.candidates import PLUGIN_GROUP
from qtforge_host.plugins.discovery import scan
from qtforge_host.plugins.offers import OfferedOperation, Offers, read_offers

IMPORTS = "from qtforge_sdk import Plugin, hookimpl, operation, subscriber\n"


def read(site: Site, source: str) -> Offers:
    site.plugin("acme", source=source)
    (candidate,) = scan(site.path).candidates
    return read_offers(candidate)


def of_class(site: Site, body: str, before: str = "", after: str = "") -> Offers:
    text = f"class Example(Plugin):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
    return read(site, f"{IMPORTS}{before}\n{text}\n{after}\n")


def test_topics_subscriptions_and_hooks_are_read_without_running_the_module(site: Site) -> None:
    found = read(
        site,
        """
        import qtforge_sdk
        from qtforge_sdk import Plugin, hookimpl, operation as answers
        raise SystemExit("this must not run")

        TOPIC = "acme.make"

        class Example(Plugin):
            requires = ("other",)
            Config = dict

            @answers("acme.read", accepts="message.x > 1", trylast=True)
            async def read(self, message): ...

            @answers(TOPIC, wrapper=True)
            async def make(self, message, context, proceed): ...

            @qtforge_sdk.subscriber("acme.*", where="true")
            def hear(self, message): ...

            @hookimpl
            def qtforge_commands(self): ...

            @hookimpl(specname="qtforge_on_run_event")
            def observe(self, event): ...

            async def start(self, context): ...

            async def health(self): ...

            @property
            def size(self): return 1

            @size.setter
            def size(self, value): ...

            @staticmethod
            def double(value): return 2 * value
        """,
    )

    assert found == Offers(
        operations=(
            OfferedOperation(topic="acme.read"),
            OfferedOperation(topic="acme.make", wrapper=True),
        ),
        subscriptions=("acme.*",),
        hooks=("qtforge_commands", "qtforge_health", "qtforge_on_run_event", "qtforge_start"),
        folder=str(site.root),
    )


def test_a_method_named_start_is_a_hook_of_a_plugin_alone(site: Site) -> None:
    source = """
    from qtforge_sdk import operation

    class Example:
        def start(self): ...

        @operation("acme.do")
        def do(self, message): ...
    """
    assert read(site, source).hooks == ()


DO = '@operation("acme.do")\nasync def do(self, message): ...\n'


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"body": "@operation('acme.' + 'do')\nasync def do(self, message): ..."}, "the topic of"),
        ({"body": "@operation(**{'topic': 'a.b'})\nasync def do(self, message): ..."}, "the topic"),
        ({"body": "@operation('no topic')\nasync def do(self, message): ..."}, "the topic of"),
        ({"body": "@operation\nasync def do(self, message): ..."}, "the topic of"),
        ({"body": "@subscriber(PATTERN)\nasync def do(self, message): ..."}, "the pattern of"),
        (
            {"body": "@operation('a.b', wrapper=W)\nasync def do(self, m, c, p): ..."},
            "'wrapper' of its method do",
        ),
        ({"body": "@made\nasync def do(self, message): ..."}, "the decorator made"),
        ({"body": "do = operation('acme.do')(print)"}, "its do may be an operation"),
        ({"body": "do = helper", "before": "def helper(self, message): ..."}, "its do may be"),
        ({"body": "do = make('acme.do')"}, "its do may be an operation"),
        ({"body": "start = None"}, "its start is not a method"),
        ({"body": "if True:\n    " + DO.replace("\n", "\n    ")}, "a statement in line"),
        ({"body": "def __getattr__(self, name): ..."}, "__getattr__"),
        ({"body": DO, "after": "Example.more = operation('acme.more')(print)"}, "does more with"),
        ({"body": DO, "after": "setattr(Example, 'more', print)"}, "does more with Example"),
        (
            {"body": "def __init__(self):\n    self.do = operation('acme.do')(print)"},
            "it uses operation in line",
        ),
        (
            {"body": "async def start(self, context):\n    context.bus.subscribe('a.*', print)"},
            "calls subscribe",
        ),
        ({"body": DO, "before": "operation = print"}, "the decorator operation"),
        ({"body": "@hookimpl(specname=NAME)\ndef do(self): ..."}, "the hook of its method do"),
    ],
)
def test_what_may_offer_more_than_is_written_is_not_read(
    site: Site, parts: dict[str, str], why: str
) -> None:
    found = of_class(site, **parts)
    assert why in found.unread
    assert found == Offers(unread=found.unread)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("class Base: ...\nclass Example(Base): ...", "it is derived from Base"),
        (f"{IMPORTS}\n@print\nclass Example(Plugin): ...", "its class Example has a decorator"),
        (f"{IMPORTS}\nclass Example(Plugin, metaclass=type): ...", "has a metaclass"),
        (f"{IMPORTS}\nExample = type('Example', (Plugin,), {{}})", "not found"),
        (f"{IMPORTS}\nif True:\n    class Example(Plugin): ...", "not found"),
        ("class Example: ...", "no operation, subscriber or hook"),
        ("class Example(:", "not found"),
    ],
)
def test_a_class_that_is_not_plainly_a_plugin_is_not_read(
    site: Site, source: str, why: str
) -> None:
    assert why in read(site, source).unread


def test_what_is_read_of_each_builtin_plugin_is_what_its_class_has(tmp_path: Path) -> None:
    class Found:
        topics: dict[str, set[str]]

    async def started() -> None:
        async with Host(Site(tmp_path).settings) as host:
            Found.topics = {}
            for handler in host.bus.handlers():
                Found.topics.setdefault(handler.plugin, set()).add(handler.info.topic)

    asyncio.run(started())
    builtins = [each for each in scan().candidates if each.builtin and each.group == PLUGIN_GROUP]
    offers = {each.name: read_offers(each) for each in builtins}
    assert not [name for name, each in offers.items() if each.unread]
    assert {
        name: {one.topic for one in each.operations if not one.wrapper}
        for name, each in offers.items()
        if name in Found.topics
    } == {name: Found.topics[name] for name in Found.topics if name in offers}
