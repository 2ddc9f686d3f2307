"""``[alerts.NAME]``: who is told of failures, and how."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from qtforge_host.validation import convert_table, field_errors
from qtforge_sdk.durations import Duration, DurationError, seconds
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.validation import FieldError

__all__ = ["Alert", "AlertReason", "AlertTable", "read_alerts"]

AlertReason = Literal["run.failed", "run.blocked"]
"""Why people are told."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REFERENCE: Final = re.compile(r"\$\{\s*secret\.[A-Za-z_]\w*\s*\}")
_MAIL: Final = re.compile(r"[^@\s:]+@[^@\s:]+")
_SIGNING: Final = "whsec_"
_LEAST_KEY_BYTES, _MOST_KEY_BYTES = 24, 64  # as the specification of Standard Webhooks says
_DESTINATION_FIX: Final = "such as email:ops@example.org or webhook:https://example.org/hook"
_KEY_FIX: Final = 'write "${secret.NAME}", whose value is whsec_ and 24 to 64 bytes in Base64'


class AlertTable(msgspec.Struct, frozen=True, kw_only=True):
    """``[alerts.NAME]``: who is told of failures, and how.

    Attributes:
        on: The reasons: ``run.failed``, ``run.blocked``.
        workflows: Patterns of names of workflows; all when left out.
        tags: Only runs with all of these tags.
        after: So many failures of a workflow in a row are needed.
        quiet: For so long after a message there is none about the same workflow and reason; the
            next says how many were left out. Every one is sent when it is left out.
        recovered: Whether a message says when the workflow succeeds again.
        to: Where messages are sent: ``email:ADDRESS``, or ``webhook:URL``; may contain
            ``${secret.NAME}``.
        secret: The keys with which webhooks are signed; several while one replaces another.
    """

    on: Annotated[tuple[AlertReason, ...], msgspec.Meta(min_length=1)] = ("run.failed",)
    workflows: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    after: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 1
    quiet: Duration | None = None
    recovered: bool = False
    to: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=16)]
    secret: str | tuple[str, ...] = ()


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert of the configuration.

    Attributes:
        name: Its name.
        on: The reasons for a message.
        workflows: Patterns (fnmatch) of names of workflows; empty for all.
        tags: Tags that a run must have.
        after: The failures of a workflow in a row that are needed.
        quiet_s: How long there is no other message about the same workflow and reason, in seconds.
        recovered: Whether a message says when the workflow succeeds again.
        to: The destinations, as written.
        secrets: The keys of webhooks, as written.
    """

    name: str
    on: frozenset[AlertReason]
    workflows: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    after: int = 1
    quiet_s: float = 0.0
    recovered: bool = False
    to: tuple[str, ...]
    secrets: tuple[str, ...] = ()

    def covers(self, workflow: str, tags: Mapping[str, str]) -> bool:
        """Return whether it is about a workflow's run with these tags."""
        return (
            not self.workflows
            or any(fnmatch.fnmatchcase(workflow, each) for each in self.workflows)
        ) and self.tags.items() <= tags.items()


def read_alerts(tables: Mapping[str, Any], path: Path) -> dict[str, Alert]:
    """Return what ``[alerts]`` says, by name.

    Args:
        tables: The tables, as tomllib read them.
        path: The file that they are from.

    Raises:
        ConfigError: A table is not valid, with every error of it.
    """
    return {name: _alert(name, table, path) for name, table in tables.items()}


def _alert(name: str, table: Any, path: Path) -> Alert:
    where = f"alerts.{name}"
    if _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{path}: alerts",
            f"{name[:64]!a} can't be the name of an alert",
            "give it 1 to 64 letters, digits, dots, hyphens and underscores",
        )
    if not isinstance(table, dict):
        what = f"it must be a table, not {type(table).__name__}"
        raise ConfigError(f"{path}: {where}", what, f"write it as [{where}]")
    given = convert_table(table, AlertTable, str(path), where)
    secrets = (given.secret,) if isinstance(given.secret, str) else given.secret
    errors: list[FieldError] = []
    quiet_s = 0.0
    try:
        quiet_s = 0.0 if given.quiet is None else seconds(given.quiet)
    except DurationError as error:
        errors.append(FieldError(path=f"{where}.quiet", what=error.why, fix=error.fix))
    for number, each in enumerate(given.to):
        if problem := _destination_problem(each):
            key = f"{where}.to[{number}]"
            errors.append(FieldError(path=key, what=problem, fix=_DESTINATION_FIX))
    for each in secrets:
        if not _is_key(each):  # it is not repeated: it may be a key with a slip in it
            what = "it is not a key for webhooks"
            errors.append(FieldError(path=f"{where}.secret", what=what, fix=_KEY_FIX))
    if secrets and not any(each.startswith("webhook:") for each in given.to):
        what, fix = "nothing is signed: there is no webhook in 'to'", "remove it, or add a webhook"
        errors.append(FieldError(path=f"{where}.secret", what=what, fix=fix))
    if "run.failed" not in given.on and (given.recovered or given.after > 1):
        key = "recovered" if given.recovered else "after"
        what = "it has no effect: failures of runs are not among the reasons"
        fix = f"add \"run.failed\" to 'on', or remove '{key}'"
        errors.append(FieldError(path=f"{where}.{key}", what=what, fix=fix))
    field_errors(errors, str(path))
    return Alert(
        name=name,
        on=frozenset(given.on),
        workflows=given.workflows,
        tags=given.tags,
        after=given.after,
        quiet_s=quiet_s,
        recovered=given.recovered,
        to=tuple(dict.fromkeys(given.to)),
        secrets=secrets,
    )


def _destination_problem(destination: str) -> str:
    """Return what is wrong with a destination; the text does not repeat it, as it may be secret."""
    kind, _, address = destination.partition(":")
    if not destination.isprintable():
        return "it has control characters"
    plain = _REFERENCE.sub("x", address)
    if kind == "email":
        if address != plain or _MAIL.fullmatch(address):
            return ""
        return "it is not an e-mail address"
    if kind == "webhook":
        if address != plain and _REFERENCE.fullmatch(address):
            return ""
        try:
            url = urllib.parse.urlsplit(plain)
            is_url = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:
            is_url = False
        return "" if is_url else "it is not the URL of a web server"
    return "it is neither an e-mail address nor a webhook"


def _is_key(text: str) -> bool:
    if _REFERENCE.fullmatch(text):
        return True
    try:
        key = base64.b64decode(text.removeprefix(_SIGNING), validate=True)
    except (binascii.Error, ValueError):
        return False
    return text.startswith(_SIGNING) and _LEAST_KEY_BYTES <= len(key) <= _MOST_KEY_BYTES
