"""Complete runs, workflows, plugins, topics, stages, events, nodes and pools in a shell.

What can't be read is not completed: a shell has no place for an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, split_arg_string
from click.types import StringParamType

from qtforge_host.api.known_names import NameKind, known_names
from qtforge_host.cli.session import Session
from qtforge_host.cli.terminal import clean_line

__all__ = ["with_names"]

_LAST: Final = "last"
_MOST: Final = 500
# By the parameter's name; those called otherwise by the group of their command.
_PARAMETERS: Final[Mapping[str, NameKind]] = MappingProxyType(
    {
        "run": "runs", "runs": "runs", "after": "runs", "workflow": "workflows",
        "schedule": "schedules", "topic": "topics", "plugin": "plugins", "stage": "stages",
        "kind": "kinds", "event": "events", "pool": "pools", "pools": "pools",
    }
)  # fmt: skip
_GROUPS: Final[Mapping[str, NameKind]] = MappingProxyType(
    {
        "nodes": "nodes",
        "plugins": "plugins",
        "pools": "pools",
        "schedules": "schedules",
        "workflows": "workflows",
    }
)
_NAMES: Final = frozenset({"name", "names", "targets"})
_NEW: Final = frozenset({"new"})  # commands that take a name that is not there yet
_FILES: Final = re.compile(r"PATH|FILE|WHEEL")


class _Name(StringParamType):
    """A text that a shell completes.

    Args:
        kind: What it names; None for nothing that is known.
        is_file: Whether it may be a path.
    """

    def __init__(self, kind: NameKind | None, *, is_file: bool) -> None:
        self._kind = kind
        self._is_file = is_file

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        found = [] if self._kind is None else _items(ctx, self._kind, incomplete)
        if self._is_file and not found:
            return [CompletionItem(incomplete, type="file")]
        return found


def with_names(command: click.Command, group: str = "") -> click.Command:
    """Let a shell complete the names that a command takes, and those of all below it; return it.

    Args:
        command: A command of the host.
        group: The group that it is in.
    """
    for param in command.params:
        if not isinstance(param.type, StringParamType):
            continue
        name = param.name or ""
        kind = _PARAMETERS.get(name)
        if (
            kind is None
            and isinstance(param, click.Argument)
            and name in ("name", "names", "targets")
        ):
            kind = None if command.name in _NEW else _GROUPS.get(group)
        said = param.metavar or ("FILE" if name == "workflow" else "")
        is_file = isinstance(param, click.Argument) and _FILES.search(said) is not None
        if kind is not None or is_file:
            param.type = _Name(kind, is_file=is_file)
    if isinstance(command, click.Group):
        for each in command.commands.values():
            with_names(each, command.name or "")
    return command


def _items(ctx: click.Context, kind: NameKind, incomplete: str) -> list[CompletionItem]:
    try:
        # Warnings would stand in the middle of what is typed.
        with contextlib.redirect_stderr(io.StringIO()):
            settings = _session(ctx).settings
            found = dict(asyncio.run(known_names(settings, kind, _run(ctx))))
    except Exception:  # noqa: BLE001 - a shell has no place for an error
        return []
    if kind == "runs" and found:
        found = {_LAST: "the newest", **found}
    # A name with control characters would be executed by no shell as it is shown.
    fitting = [name for name in found if name.startswith(incomplete) and name.isprintable()]
    return [CompletionItem(name, help=clean_line(found[name])) for name in fitting[:_MOST]]


def _run(ctx: click.Context) -> str:
    """Return the run that was typed after the command, or "".

    Click parses nothing of a command whose last option has no value yet.
    """
    if ctx.params.get("run"):
        return str(ctx.params["run"])
    words = split_arg_string(os.environ.get("COMP_WORDS", ""))
    command = ctx.info_name or ""
    after = words[words.index(command) + 1 :] if command in words else []
    return next((word for word in after if not word.startswith("-")), "")


def _session(ctx: click.Context) -> Session:
    """Return the options before the command; nothing has set them up for a completion."""
    given: dict[str, Any] = ctx.find_root().params
    journal = next(
        (each.params["journal"] for each in _chain(ctx) if each.params.get("journal")), None
    )
    return Session(
        config=given.get("config"),
        state_dir=given.get("state_dir"),
        journal=journal,
        safe_mode=bool(given.get("safe_mode")),
    )


def _chain(ctx: click.Context) -> list[click.Context]:
    found = [ctx]
    while found[-1].parent is not None:
        found.append(found[-1].parent)
    return found
