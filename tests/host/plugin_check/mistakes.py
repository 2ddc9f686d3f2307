"""Sixty-six mistakes that authors of plugins make, and what finds each of them.

A source begins with `HEAD`. The line that a finding names ends with ``# here``; a mistake of the
metadata has none. ``{n}`` is the mistake's number, so that all can be in one distribution.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import indent
from typing import Final

HEAD: Final = """\
import asyncio, sys, time
from pathlib import Path

import click, msgspec

from qtforge_sdk import OperationError, Plugin, hookimpl, operation, subscriber


class Greet(msgspec.Struct, frozen=True):
    name: str


class Greeting(msgspec.Struct, frozen=True):
    text: str


"""


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A mistake.

    Attributes:
        title: What the author has done.
        source: The module, after `HEAD`.
        code: The code of the finding; "" where nothing is wrong, or only a request shows it.
        says: A part of the finding's text, or of the error that a request ends with.
        level: The finding's level.
        requested: Whether a request shows it.
        entry: The value of the entry point; None for the class P of the module.
        plugin: The plugin's name; None for one with the mistake's number.
        requires: Further lines of Requires-Dist.
        alone: Whether it needs a distribution of its own.
        files: Further files of the package.
    """

    title: str
    source: str
    code: str = ""
    says: str = ""
    level: str = "error"
    requested: bool = False
    entry: str | None = None
    plugin: str | None = None
    requires: str = "qtforge-sdk>=1,<2"
    alone: bool = False
    files: dict[str, str] = field(default_factory=dict)


def _class(body: str) -> str:
    return "class P(Plugin):\n" + indent(body, "    ")


def _operation(body: str, signature: str = "request: Greet", answer: str = " -> str") -> str:
    method = f"async def x(self, {signature}){answer}:\n" + indent(body, "    ")
    return _class(f'@operation("m{{n}}.x")\n{method}')


def _asking(body: str) -> str:
    """Return an operation that uses the bus."""
    start = "async def start(self, context):\n    self.bus = context.bus\n\n"
    method = "async def x(self, request: Greet) -> str:\n" + indent(body, "    ")
    return _class(f'{start}@operation("m{{n}}.x")\n{method}')


def _workflows(answer: str) -> str:
    return _class(f"@hookimpl  # here\ndef qtforge_workflows(self):\n    return {answer}\n")


def _toml(name: str) -> str:
    stage = '\\n[[stages]]\\nname=\\"a\\"\\noperation=\\"document.parse\\"\\n'
    return f'"name=\\"{name}\\"\\nkind=\\"sequential\\"\\n{stage}"'


TOML: Final = """\
name = "{name}"
kind = "sequential"

[[stages]]
name = "read"
operation = "document.parse"
message = {{ document = "${{input.document}}" }}
"""
PLAIN: Final = _class("pass\n")

MISTAKES: Final = {
    1: Mistake(
        title="an annotation names nothing",
        source=_class(
            '@operation("m{n}.x")  # here\nasync def x(self, request: "Gret") -> str:\n'
            '    return "a"\n'
        ),
        code="plugin.invalid_handler", says="'Gret' is not defined",
    ),
    2: Mistake(
        title="a table is annotated as a text", requested=True,
        source=_operation('return "a"\n', "request: str"),
        says="m-2 1.2.0 takes str",
    ),
    3: Mistake(
        title="a message of a class that nothing can make",
        source="class Own:\n    def __init__(self, a):\n        self.a = a\n\n\n"
        + _class(
            '@operation("m{n}.x")  # here\nasync def x(self, request: Own) -> str:\n'
            "    return request.a\n"
        ),
        code="operation.message_type", says="is a Own",
    ),
    4: Mistake(
        title="a request is not awaited",
        source=_asking('return self.bus.request("content.analyze", {})  # here\n'),
        code="operation.missing_await", says="does not await self.bus.request()",
    ),
    5: Mistake(
        title="a topic is misspelt in a request",
        source=_asking('return await self.bus.request("content.analyse", {})  # here\n'),
        code="topic.unknown", says="did you mean 'content.analyze'?",
    ),
    6: Mistake(
        title="an operation has an invalid topic",
        source=_class(
            '@operation("M X!")  # here\nasync def x(self, request: Greet) -> str:\n'
            '    return "a"\n'
        ),
        code="plugin.import_failed", says="'M X!' is not a topic",
    ),
    7: Mistake(
        title="a topic is misspelt in a subscriber", level="advice",
        source=_class(
            '@subscriber("documnt.stored")\nasync def x(self, event) -> None:  # here\n    pass\n'
        ),
        code="topic.never_published", says="did you mean 'document.stored'?",
    ),
    8: Mistake(
        title="the entry point names no module", source=PLAIN, entry="missing_{n}:P",
        code="plugin.no_module", says="the module 'missing_8'",
    ),
    9: Mistake(
        title="the entry point names no class", source=_class("pass\n").replace(" P(", " Plugged("),
        entry="m{n}:Pluged", code="plugin.no_class", says="did you mean 'Plugged'?",
    ),
    10: Mistake(
        title="the entry point names a function", source="def P():  # here\n    pass\n",
        code="plugin.not_a_plugin", says="of type function, not a class",
    ),
    11: Mistake(
        title="the entry point names a module", source=PLAIN, entry="m{n}",
        code="plugin.invalid_entry_points", says="module:Class",
    ),
    12: Mistake(
        title="the entry point is malformed", source=PLAIN, entry="m{n}/P",
        code="plugin.invalid_entry_points", says="module:Class",
    ),
    13: Mistake(
        title="the class is no plugin",
        source="class P:  # here\n    def greet(self):\n        pass\n",
        code="plugin.not_a_plugin", says="no operation, subscriber or hook",
    ),
    14: Mistake(
        title="a def operation returns a coroutine",
        source=_class(
            'async def help(self):\n    return "a"\n\n@operation("m{n}.x")\n'
            "def x(self, request: Greet) -> str:\n    return self.help()  # here\n"
        ),
        code="operation.missing_await", says="does not await self.help()",
    ),
    15: Mistake(
        title="start is not async", level="advice",
        source=_class("def start(self, context):  # here\n    self.a = 1\n"),
        code="plugin.start_not_async", says="write async def start",
    ),
    16: Mistake(
        title="asyncio.run in an async operation",
        source=_operation('return asyncio.run(asyncio.sleep(0, "a"))  # here\n'),
        code="operation.blocking_call", says="await the coroutine",
    ),
    17: Mistake(
        title="an answer of another type",
        source=_operation("return 5  # here\n", answer=" -> Greeting"),
        code="operation.answer_type", says="returns 5, and is annotated with",
    ),
    18: Mistake(
        title="no answer, and one is annotated",
        source=_class(
            '@operation("m{n}.x")\nasync def x(self, request: Greet) -> Greeting:  # here\n'
            "    pass\n"
        ),
        code="operation.no_answer", says="return a Greeting",
    ),
    19: Mistake(
        title="an exception that is no OperationError", requested=True,
        source=_operation('return {}["nothing"]  # here\n', answer=" -> Greeting"),
        says="KeyError: 'nothing'",
    ),
    20: Mistake(
        title="an async operation that blocks the loop",
        source=_operation('time.sleep(20)  # here\nreturn "a"\n'),
        code="operation.blocking_call", says="write 'def' instead of 'async def'",
    ),
    21: Mistake(
        title="a def operation that takes too long", requested=True,
        source=_class(
            '@operation("m{n}.x")\ndef x(self, request: Greet) -> str:\n'
            '    time.sleep(12)\n    return "a"\n'
        ),
        says="within 2 s",
    ),
    22: Mistake(
        title="an operation in a process that never ends", requested=True,
        source=_class(
            '@operation("m{n}.x", execution="process")\ndef x(self, request: Greet) -> str:\n'
            "    while True:\n        pass\n"
        ),
        says="within 2 s",
    ),
    23: Mistake(
        title="an async operation in a process", level="advice",
        source=_class(
            '@operation("m{n}.x", execution="process")  # here\n'
            'async def x(self, request: Greet) -> str:\n    return "a"\n'
        ),
        code="operation.async_process", says="write def x",
    ),
    24: Mistake(
        title="an answer that can't be stored", requested=True, level="advice",
        source=_class(
            '@operation("m{n}.x")\nasync def x(self, request: Greet):  # here\n'
            '    return open("/dev/null")\n'
        ),
        code="operation.untyped_answer", says="TextIOWrapper",
    ),
    25: Mistake(
        title="an answer of a process that can't be stored", requested=True, level="advice",
        source=_class(
            '@operation("m{n}.x", execution="process")\ndef x(self, request: Greet):  # here\n'
            "    return lambda: 1\n"
        ),
        code="operation.untyped_answer", says="function",
    ),
    26: Mistake(
        title="accepts is no CEL",
        source=_class(
            "@operation(\"m{n}.x\", accepts=\"message.name = 'A'\")  # here\n"
            'async def x(self, request: Greet) -> str:\n    return "a"\n'
        ),
        code="plugin.invalid_condition", says="Syntax error",
    ),
    27: Mistake(
        title="accepts asks for a field that is not there",
        source=_class(
            "@operation(\"m{n}.x\", accepts=\"message.nam == 'A'\")  # here\n"
            'async def x(self, request: Greet) -> str:\n    return "a"\n'
        ),
        code="operation.accepts", says="did you mean 'name'?",
    ),
    28: Mistake(
        title="it requires itself", source=_class('requires = ("m-{n}",)  # here\n'),
        code="plugin.requirement_cycle", says="require each other",
    ),
    29: Mistake(
        title="a bad range in requires",
        source=_class('requires = ("document-storage >>= 1",)  # here\n'),
        code="plugin.invalid_requirement", says="'document-storage >>= 1'",
    ),
    30: Mistake(
        title="it requires a plugin that is not there",
        source=_class('requires = ("document-storag >= 1",)  # here\n'),
        code="plugin.unmet", says="document-storag",
    ),
    31: Mistake(
        title="it requires a version that is not there",
        source=_class('requires = ("document-storage >= 3",)  # here\n'),
        code="plugin.unmet", says="document-storage",
    ),
    32: Mistake(
        title="requires is not literal", level="advice",
        source='NAME = "document-storage"\n\n\n'
        + _class('requires = (NAME + " >= 1",)  # here\n'),
        code="plugin.not_literal", says="without importing",
    ),
    33: Mistake(
        title="requires is a text",
        source=_class('requires = "document-storage >= 1"  # here\n'),
        code="plugin.invalid_requirement", says="must be a tuple of texts",
    ),
    34: Mistake(
        title="a library that is not installed", source="import requestz  # here\n" + PLAIN,
        code="plugin.import_failed", says="name what provides 'requestz' in dependencies",
    ),
    35: Mistake(
        title="a syntax error", source="class P(Plugin)  # here\n    pass\n",
        code="plugin.syntax", says="expected ':'",
    ),
    36: Mistake(
        title="a range of the SDK without the one that runs", source=PLAIN, alone=True,
        requires="qtforge-sdk>=2,<3", code="plugin.incompatible", says="qtforge-sdk>=1,<2",
    ),
    37: Mistake(
        title="a TOML file that is not in the wheel",
        source=_workflows('[Path(__file__).parent / "workflows" / "x.toml"]'),
        code="workflow.no_file", says="package-data",
    ),
    38: Mistake(
        title="a glob of TOML files that are not in the wheel",
        source=_workflows('list((Path(__file__).parent / "workflows").glob("*.toml"))'),
        code="workflow.none", says="package-data",
    ),
    39: Mistake(
        title="a relative path, and the file is in the wheel",
        source=_workflows('[Path("workflows/x39.toml")]'),
        files={"workflows/x39.toml": TOML.format(name="x39")},
    ),
    40: Mistake(
        title="a relative path as a text, and the file is in the wheel",
        source=_workflows('["workflows/x40.toml"]'),
        files={"workflows/x40.toml": TOML.format(name="x40")},
    ),
    41: Mistake(
        title="a text that is not TOML",
        source=_workflows('["name = \\"x41\\"\\nkind = sequential\\n"]'),
        code="workflow.invalid", says="it is not TOML",
    ),
    42: Mistake(
        title="one text instead of a list", source=_workflows(_toml("x42")),
        code="hook.no_list", says="write return [...]",
    ),
    43: Mistake(
        title="a misspelt hook",
        source=_class("@hookimpl  # here\ndef qtforge_workflow(self):\n    return []\n"),
        code="hook.unknown", says="did you mean 'qtforge_workflows'?",
    ),
    44: Mistake(
        title="a hook that is not marked",
        source=_class(f"def qtforge_workflows(self):  # here\n    return [{_toml('x44')}]\n"),
        code="hook.not_marked", says="write @hookimpl",
    ),
    45: Mistake(
        title="@operation without parentheses",
        source=_class("@operation  # here\nasync def x(self, request: Greet) -> str: ...\n"),
        code="plugin.import_failed", says="write @operation('document.parse')",
    ),
    46: Mistake(
        title="no parameter for the message",
        source=_class('@operation("m{n}.x")  # here\nasync def x(self) -> str:\n    return "a"\n'),
        code="plugin.invalid_handler", says="P.x takes 0 arguments",
    ),
    47: Mistake(
        title="a parameter too many",
        source=_class(
            '@operation("m{n}.x")  # here\n'
            'async def x(self, request: Greet, context, more) -> str:\n    return "a"\n'
        ),
        code="plugin.invalid_handler", says="P.x takes 3 arguments",
    ),
    48: Mistake(
        title="no self",
        source=_class(
            '@operation("m{n}.x")  # here\nasync def x(request: Greet) -> str:\n    return "a"\n'
        ),
        code="plugin.invalid_handler", says="P.x takes 0 arguments",
    ),
    49: Mistake(
        title="a constructor with a parameter",
        source="class P(Plugin):  # here\n    def __init__(self, a):\n        pass\n",
        code="plugin.construct_failed", says="can't be made without arguments",
    ),
    50: Mistake(
        title="the configuration is used in the constructor",
        source=_class("def __init__(self):\n    self.x = self.config.a  # here\n"),
        code="plugin.construct_failed", says="without self.config, which is set afterwards",
    ),
    51: Mistake(
        title="start raises",
        source=_class(
            'async def start(self, context):\n    raise RuntimeError("no database")  # here\n'
        ),
        code="plugin.start_failed", says="no database",
    ),
    52: Mistake(
        title="start has no parameter for the context",
        source="class P(Plugin):  # here\n    async def start(self):\n        pass\n",
        code="plugin.start_failed", says="takes 1 positional argument",
    ),
    53: Mistake(
        title="the import prints and exits",
        source='print("hello from the import")\nsys.exit(3)  # here\n' + PLAIN,
        code="plugin.import_failed", says="SystemExit: 3",
    ),
    54: Mistake(
        title="Config is no type",
        source='class P(Plugin):  # here\n    Config = {"a": 1}\n',
        code="plugin.invalid_config", says="can't describe a table",
    ),
    55: Mistake(
        title="Config has a key without a default", level="advice",
        source="class Settings(msgspec.Struct):\n    url: str\n\n\n"
        "class P(Plugin):  # here\n    Config = Settings\n",
        code="config.required", says="url: is missing",
    ),
    56: Mistake(
        title="two operations of one topic",
        source=_class(
            '@operation("m{n}.x")\nasync def x(self, request: Greet) -> str:\n    return "a"\n\n'
            '@operation("m{n}.x")\nasync def y(self, request: Greet) -> str:  # here\n'
            '    return "b"\n'
        ),
        code="operation.same_topic", says="y and x are both operations of 'm56.x'",
    ),
    57: Mistake(
        title="one workflow twice", source=_workflows(f"[{_toml('x57')}, {_toml('x57')}]"),
        code="workflow.invalid", says="contribute it once",
    ),
    58: Mistake(
        title="a workflow with a built-in's name",
        source=_workflows(f"[{_toml('document-processing')}]"),
        code="workflow.invalid", says="the name of the built-in workflow",
    ),
    59: Mistake(
        title="a plugin with a built-in's name", source=PLAIN, plugin="notifier",
        code="plugin.conflict", says="claim the one name 'notifier'",
    ),
    60: Mistake(
        title="a plugin's name with capitals", source=PLAIN, plugin="My_Plugin",
        code="plugin.invalid_name", says="lower-case words",
    ),
    61: Mistake(
        title="a command with the name of one of the host's",
        source=_class(
            "@hookimpl  # here\ndef qtforge_commands(self):\n    @click.command('runs')\n"
            "    def f():\n        pass\n\n    return [f]\n"
        ),
        code="command.taken", says="give it another name",
    ),
    62: Mistake(
        title="a command that is a function",
        source=_class(
            "@hookimpl  # here\ndef qtforge_commands(self):\n    def f():\n        pass\n\n"
            "    return [f]\n"
        ),
        code="command.no_command", says="write @click.command()",
    ),
    63: Mistake(
        title="an error is returned",
        source=_operation('return OperationError("m.x", "a", "b", "c")  # here\n'),
        code="operation.error_returned", says="write raise",
    ),
    64: Mistake(
        title="an error without its code",
        source=_operation('raise OperationError("something is wrong")  # here\n'),
        code="operation.error_arguments", says="needs a code and what happened",
    ),
    65: Mistake(
        title="an operation exits",
        source=_class(
            '@operation("m{n}.x")\ndef x(self, request: Greet) -> str:\n    sys.exit(2)  # here\n'
        ),
        code="plugin.exits", says="raise OperationError(code, what, why, fix)",
    ),
    66: Mistake(
        title="a configuration is used that the class does not have",
        source=_operation("return self.config.greeting  # here\n"),
        code="plugin.no_config", says="Config = a Struct with the field greeting",
    ),
}  # fmt: skip
