"""``qtforge-host bus``: what can be asked, and asking it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from qtforge_host.app import Host
from qtforge_host.cli.inputs import input_option, read_input, set_option
from qtforge_host.cli.output import document, json_option, print_json, run_async, table
from qtforge_host.cli.session import Session
from qtforge_sdk import HandlerInfo
from qtforge_sdk.durations import seconds

__all__ = ["bus"]


@click.group()
def bus() -> None:
    """Look at the message bus, and ask a topic."""


@bus.command()
@json_option
@click.pass_obj
def topics(session: Session, as_json: bool) -> None:
    """List the topics that the active plugins answer, in the order in which they are asked."""

    async def found() -> list[HandlerInfo]:
        async with Host(session.settings) as host:
            return [each for handlers in host.bus.topics().values() for each in handlers]

    handlers = run_async(found())
    if as_json:
        print_json(document(handlers=handlers))
        return
    table(
        ("TOPIC", "PLUGIN", "RUNS", "MESSAGE", "RESPONSE", "ACCEPTS"),
        (
            (
                each.topic,
                f"{each.plugin} {each.version}",
                "wrapper" if each.wrapper else each.execution,
                each.message_type,
                each.response_type,
                each.accepts or "",
            )
            for each in handlers
        ),
    )


@bus.command()
@click.argument("topic")
@set_option
@input_option
@click.option("--timeout", default="30s", show_default=True, help="How long to wait.")
@click.option("--plugin", help="Ask only this plugin.")
@json_option
@click.pass_obj
def request(
    session: Session,
    topic: str,
    assignments: tuple[str, ...],
    input_file: Path | None,
    timeout: str,
    plugin: str | None,
    as_json: bool,
) -> None:
    """Ask a topic, and print the answer as JSON."""
    message = read_input(input_file, assignments)
    try:
        timeout_s = seconds(timeout)
    except ValueError as error:
        raise click.UsageError(f"--timeout: {error}") from error

    async def ask() -> Any:
        async with Host(session.settings) as host:
            return await host.bus.request(topic, message, timeout=timeout_s, plugin=plugin)

    answer = run_async(ask())
    print_json(document(topic=topic, response=answer) if as_json else answer)
