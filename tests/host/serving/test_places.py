"""A run that needs a place of its concurrency key waits for it, in a process that serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serving import Serving, until

PLUGIN = '''
import asyncio
import os
from pathlib import Path

from qtforge_sdk import Plugin, hookimpl, operation

FOLDER = Path(os.environ["STEPS"])
TRANSLATE = """
name = "translate"
kind = "graph"
tags = { language = "${input.language}" }

[inputs.text]
type = "string"
max_length = 100_000

[inputs.language]
type = "string"
enum = ["de", "ru", "fr"]
default = "de"

[concurrency_key]
key = "${input.language}"
limit = 2
when_full = "wait"

[[stages]]
name = "look"
operation = "content.analyze"
message = { text = "${input.text}" }

[[stages]]
name = "keep"
needs = ["look"]
operation = "document.store"
message = { text = "${input.text}" }
"""


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [TRANSLATE]

    @operation("content.analyze")
    async def analyze(self, message: dict) -> dict:
        (FOLDER / f"begun-{message['text']}").touch()
        while not (FOLDER / f"go-{message['text']}").exists():
            await asyncio.sleep(0.02)
        return {"language": "de"}

    @operation("document.store")
    async def store(self, message: dict) -> None:
        pass
'''


@pytest.fixture
def translating(site: Any, tmp_path: Path) -> Iterator[Serving]:
    site.plugin("translating", source=PLUGIN)
    folder = tmp_path / "serving"
    folder.mkdir()
    made = Serving(site, folder)
    yield made
    made.close()


def test_a_third_translation_waits_while_two_of_its_language_run(translating: Serving) -> None:
    server = translating.serve("--grace", "1s")
    first, second, third = (
        server.start("translate", text=text)["run_id"] for text in ("one", "two", "three")
    )
    other = server.start("translate", text="un", language="fr")["run_id"]

    def has_begun(*texts: str) -> bool:
        return all((translating.folder / f"begun-{text}").exists() for text in texts)

    until(lambda: has_begun("one", "two", "un"))
    (queued,) = translating.json("runs", "list", "--status", "queued", "--json")["runs"]
    assert (queued["run_id"], set(queued["held_by"])) == (third, {first, second})
    assert "place held by" in translating.cli("runs", "list", "--status", "queued").stdout
    assert not has_begun("three")
    (translating.folder / "go-two").touch()
    until(lambda: server.run(second)["status"] == "succeeded")
    until(lambda: has_begun("three"))
    assert server.run(first)["status"] == "running"
    for text in ("one", "three", "un"):
        (translating.folder / f"go-{text}").touch()
    ids = (first, second, third, other)
    until(lambda: all(server.run(each)["status"] == "succeeded" for each in ids))
