"""``qtforge-host status``, and what ``qtforge-host`` alone says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import click

from qtforge_host import event_loop
from qtforge_host.api.documents import HostStatus
from qtforge_host.api.store import open_store
from qtforge_host.cli.output import json_option, print_json, state
from qtforge_host.cli.pager import paged
from qtforge_host.cli.session import Session, journal_option
from qtforge_host.cli.tables import shortened, terminal_width
from qtforge_host.cli.terminal import echo, style
from qtforge_sdk.errors import QtForgeError

__all__ = ["status", "welcome"]

# What needs someone comes first.
_ORDER: Final = (
    "interrupted", "blocked", "paused", "running", "queued", "waiting", "failed", "compensated",
    "cancelled", "succeeded",
)  # fmt: skip
_INDENT: Final = " " * 11


@click.command()
@json_option
@journal_option
@click.pass_obj
@paged
def status(session: Session, as_json: bool) -> None:
    """Show runs, processes, plugins and schedules on one screen. Imports no plugin."""
    found = _status(session)
    if as_json:
        print_json(found)
        return
    for line in _lines(found):
        echo(line)


def welcome(session: Session) -> None:
    """Say what is there, and what to do next."""
    try:
        found = _status(session)
    except QtForgeError as error:
        echo(style(f"error[{error.code}]: {error.what}", fg="red"), err=True)
        _print_commands([("doctor", "what is wrong, and how to fix it")])
        return
    usable = found.plugins.get("ready", 0) + found.plugins.get("active", 0)
    runs = sum(found.runs.values())
    parts = [_count(usable, "plugin is ready", "plugins are ready"), _count(runs, "run", "runs")]
    if found.waiting:
        parts.append(_waiting(found))
    if found.troubled:
        parts.append(_count(len(found.troubled), "plugin has", "plugins have") + " a problem")
    echo("; ".join(parts))
    commands = [("inbox", "what waits for a person, with the commands to decide")]
    commands = commands if found.waiting else []
    if found.troubled or found.problems:
        commands.append(("plugins list", "what is wrong with plugins, and how to fix it"))
    commands += [("workflows list", "what can be run"), ("run WORKFLOW [FILE...]", "run it")]
    if runs:
        commands += [("runs list", "the newest runs"), ("runs show last", "what the newest did")]
    else:
        commands.append(("plugins new NAME", "begin a plugin of your own"))
    _print_commands([*commands, ("status", "all of this on one screen")])


def _print_commands(commands: list[tuple[str, str]]) -> None:
    commands = [*commands, ("help [COMMAND]", "every command, and what it takes")]
    width = max(len(name) for name, _ in commands)
    echo()
    for name, text in commands:
        echo(f"  qtforge-host {name:<{width}}  {text}")


def _status(session: Session) -> HostStatus:
    async def found() -> HostStatus:
        async with open_store(session.settings) as runs:
            return await runs.status()

    return event_loop.run(found())


def _lines(found: HostStatus) -> Iterator[str]:
    yield _titled("runs", _counts(found.runs, _ORDER) or "none yet")
    if found.runs.get("interrupted") or found.runs.get("blocked"):
        yield f"{_INDENT}fix: qtforge-host runs resume --all"
    roles = [f"{each.node} ({each.role}, {each.runs:,} runs)" for each in found.nodes]
    yield _titled("processes", ", ".join(roles) or "none")
    if found.runs.get("queued") and not roles:
        yield f"{_INDENT}fix: queued runs begin with 'qtforge-host serve' or 'worker'"
    yield _titled("people", _waiting(found) if found.waiting else "nothing waits for a person")
    for row in found.inbox:
        about = "  ".join(filter(None, (row.document, row.workflow, row.state)))
        yield f"{_INDENT}{about}, since {row.since.astimezone():%Y-%m-%d %H:%M:%S}"
    if found.waiting:
        yield f"{_INDENT}fix: qtforge-host inbox"
    yield _titled("plugins", _counts(found.plugins, ("active", "ready")))
    for plugin in found.troubled:
        yield f"{_INDENT}{state(plugin.state)}  {_short(f'{plugin.name}: {plugin.reason}', 14)}"
        if plugin.fix:
            yield f"{_INDENT}  fix: {plugin.fix}"
    for each in found.problems:
        yield f"{_INDENT}{_short(f'{each.where}: {each.reason}')}"
    coming = [
        f"{each.name} at {each.next.astimezone():%Y-%m-%d %H:%M:%S}"
        for each in found.schedules
        if each.next is not None
    ]
    paused = [f"{name} is paused" for name in found.paused]
    first, *others = [*coming, *paused] or ["none"]
    yield _titled("schedules", first)
    yield from (f"{_INDENT}{each}" for each in others)


def _titled(title: str, text: str) -> str:
    return f"{style(f'{title:<9}', bold=True)}  {text}"


def _short(text: str, used: int = 0) -> str:
    width = terminal_width()
    return text if width is None else shortened(text, max(width - len(_INDENT) - used, 20))


def _counts(counts: Mapping[str, int], order: tuple[str, ...]) -> str:
    names = [*(each for each in order if each in counts), *sorted(set(counts) - set(order))]
    return ", ".join(f"{counts[name]:,} {name}" for name in names)


def _count(number: int, one: str, several: str) -> str:
    return f"{number:,} {one if number == 1 else several}"


def _waiting(found: HostStatus) -> str:
    more = " or more" if found.waiting >= 1000 else ""
    return (
        f"{found.waiting:,}{more} {'run waits' if found.waiting == 1 else 'runs wait'} for a person"
    )
