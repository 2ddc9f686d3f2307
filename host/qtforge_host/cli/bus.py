"""``qtforge-host bus``: list topics, send requests, publish messages."""

from __future__ import annotations

from pathlib import Path

import click

from qtforge_host.api.documents import Published, Response, Topics
from qtforge_host.api.listings import kept_topics
from qtforge_host.cli.inputs import input_option, read_input, set_option
from qtforge_host.cli.output import json_option, print_json, run_async
from qtforge_host.cli.pager import paged
from qtforge_host.cli.runs.options import duration_option
from qtforge_host.cli.session import Session, bus_option, journal_option
from qtforge_host.cli.tables import table
from qtforge_host.cli.terminal import echo

__all__ = ["bus"]


@click.group()
def bus() -> None:
    """List topics, send requests, publish messages."""


@bus.command()
@json_option
@bus_option
@click.pass_obj
@paged
def topics(session: Session, as_json: bool) -> None:
    """List the topics that the active plugins handle, in the order in which they are tried."""

    async def found() -> Topics:
        async with session.client() as client:
            return await client.host.topics()

    listed = kept_topics(session.settings) or run_async(found())
    if as_json:
        print_json(listed)
        return
    table(
        ("TOPIC", "PLUGIN", "RUNS", "MESSAGE", "RESPONSE", "ACCEPTS"),
        (
            (
                each.topic,
                f"{each.plugin} {each.version}" + (f" on {each.node}" if each.node else ""),
                "wrapper" if each.wrapper else each.execution,
                each.message_type,
                each.response_type,
                each.accepts or "",
            )
            for each in listed.handlers
        ),
        short=("ACCEPTS", "RESPONSE", "MESSAGE"),
    )


@bus.command()
@click.argument("topic")
@click.argument("text", required=False, metavar="[MESSAGE]")
@set_option
@input_option
@click.option("--timeout", default="30s", show_default=True, help="How long to wait.")
@click.option("--plugin", help="Only this plugin.")
@json_option
@bus_option
@click.pass_obj
def request(
    session: Session,
    topic: str,
    text: str | None,
    assignments: tuple[str, ...],
    input_file: Path | None,
    timeout: str,
    plugin: str | None,
    as_json: bool,
) -> None:
    """Send a request to a topic, and print the response as JSON.

    MESSAGE is a JSON object; --set and --input give its keys one by one, or in a file.
    """
    message = read_input(input_file, assignments, text)
    limit = duration_option("--timeout", timeout)

    async def requested() -> Response:
        async with session.client() as client:
            return await client.host.request(topic, message, timeout=limit, plugin=plugin)

    answer = run_async(requested())
    print_json(answer if as_json else answer.response)


@bus.command()
@click.argument("topic")
@click.argument("text", required=False, metavar="[MESSAGE]")
@set_option
@input_option
@json_option
@journal_option
@bus_option
@click.pass_obj
def publish(
    session: Session,
    topic: str,
    text: str | None,
    assignments: tuple[str, ...],
    input_file: Path | None,
    as_json: bool,
) -> None:
    """Publish a message to the plugins that subscribe to a topic, and to runs.

    MESSAGE is a JSON object; --set and --input give its keys one by one, or in a file.

    It reaches the plugins of this process, the runs that it is an event for, and through the
    journal what 'serve' beside this process holds: the workflows that it starts ('start_on'),
    and subscribers. The answer counts the subscribers in this process.
    """
    message = read_input(input_file, assignments, text)

    async def published() -> Published:
        async with session.client() as client:
            return await client.host.publish(topic, message)

    done = run_async(published())
    if as_json:
        print_json(done)
    else:
        dropped = f", {done.dropped} dropped" if done.dropped else ""
        echo(f"delivered to {done.delivered} subscribers{dropped}")
