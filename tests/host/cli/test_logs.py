"""Logs: text and JSON, with the run and the step that they are about."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import warnings
from typing import Any

import pytest

from qtforge_host.cli.logs import JsonFormatter, TextFormatter, log_to_stderr
from qtforge_host.runs.context import RUN, STEP

PLUGIN = """
from qtforge_sdk import OperationContext, Plugin, hookimpl, operation


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        stage = '[[stages]]\\nname = "{0}"\\noperation = "noisy.{0}"\\n'
        stages = stage.format("loop") + stage.format("thread")
        return ['name = "noisy"\\nkind = "sequential"\\n' + stages]

    @operation("noisy.loop")
    async def loop(self, message: dict, context: OperationContext) -> None:
        context.logger.warning("from the %s", "loop")

    @operation("noisy.thread")
    def thread(self, message: dict, context: OperationContext) -> None:
        context.logger.warning("from the thread")
"""


def _record(text: str, *, failed: bool = False) -> logging.LogRecord:
    info: Any = None
    if failed:
        try:
            raise ValueError("no good")
        except ValueError:
            info = sys.exc_info()
    return logging.LogRecord("acme", logging.WARNING, "acme.py", 1, text, None, info)


async def _in_step(text: str, step: str) -> dict[str, Any]:
    STEP.set(step)
    await asyncio.sleep(0)
    found: dict[str, Any] = json.loads(JsonFormatter().format(_record(text)))
    return found


def test_a_log_of_nothing_in_particular_has_no_run_and_no_step() -> None:
    found = json.loads(JsonFormatter().format(_record("a\nb")))
    assert found.pop("time").endswith("+00:00")
    assert found == {"level": "warning", "logger": "acme", "message": "a\nb"}
    assert TextFormatter("warning: %(message)s").format(_record("hello")) == "warning: hello"


def test_an_error_comes_with_its_traceback_and_is_still_one_line() -> None:
    line = JsonFormatter().format(_record("it failed", failed=True))
    assert "\n" not in line
    assert json.loads(line)["error"].endswith("ValueError: no good")


def test_steps_at_once_do_not_see_each_others_names() -> None:
    async def main() -> tuple[dict[str, Any], dict[str, Any]]:
        RUN.set("run-1")
        return await asyncio.gather(_in_step("a", "one"), _in_step("b", "two"))

    found = asyncio.run(main())
    assert [(each["run"], each["step"]) for each in found] == [("run-1", "one"), ("run-1", "two")]
    assert RUN.get() == ""


def test_what_a_plugin_logs_says_run_and_step_in_json(cli: Any, site: Any) -> None:
    site.plugin("noisy", source=PLUGIN)
    said = cli("--log-format", "json", "run", "noisy", "--json", path=site.root)
    logs = [json.loads(line) for line in said.err.splitlines()]
    run_id = said.json["run_id"]
    assert [(each["message"], each["run"], each["step"]) for each in logs] == [
        ("from the loop", run_id, "loop"), ("from the thread", run_id, "thread"),
    ]  # fmt: skip


def test_what_a_plugin_logs_says_run_and_step_in_text(cli: Any, site: Any) -> None:
    site.plugin("noisy", source=PLUGIN)
    said = cli("run", "noisy", "--json", path=site.root)
    assert f"warning: from the loop [{said.json['run_id']} loop]" in said.err


def test_a_warning_of_python_has_the_form_of_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # put back at the end
    given = ("coroutine 'ask' was never awaited", RuntimeWarning, "acme.py", 7, "ask()")
    text = f"RuntimeWarning: {given[0]} (acme.py:7)"

    log_to_stderr("text", debug=False)
    assert warnings.formatwarning(*given) == f"warning: {text}\n"

    log_to_stderr("json", debug=False)
    found = json.loads(warnings.formatwarning(*given))
    assert (found["level"], found["message"]) == ("warning", text)
