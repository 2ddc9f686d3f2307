"""Templates, with what all of them may use."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from qtforge_host.serving.web.static_files import StaticFiles
from qtforge_host.serving.web.steps import anchor_text
from qtforge_host.serving.web.words import (
    ICONS,
    json_tree,
    length_text,
    sentence_text,
    since_text,
    title_text,
)

__all__ = ["SECTIONS", "Renderer"]

SECTIONS: Final = (
    ("runs", "runs", "Runs"),
    ("inbox", "inbox", "Inbox"),
    ("workflows", "flow", "Workflows"),
    ("schedules", "clock", "Schedules"),
    ("plugins", "plug", "Plugins"),
)
"""The navigation: the path of each page beneath ``/ui``, its symbol, and its text."""

_FOLDER: Final = Path(__file__).parent / "templates"


class Renderer:
    """Fills in templates.

    Args:
        files: The static files.
        base: Where the pages are, such as ``/forge/ui``.
    """

    def __init__(self, files: StaticFiles, base: str) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            undefined=StrictUndefined,
        )
        self._base = base
        self._files = files
        self._sprite = f"{base}/static/{files.name('icons.svg')}"
        self._environment.globals.update(
            base=base,
            static=self._static,
            icon=self._icon,
            pill=self._pill,
            icon_of=lambda status: ICONS.get(status, "clock"),
            length=length_text,
            ago=_ago,
            tree=json_tree,
            words=title_text,
            part=lambda text: quote(str(text), safe=""),
            sections=SECTIONS,
        )
        self._environment.filters["anchor"] = anchor_text
        self._environment.filters["sentence"] = sentence_text

    def render(self, template: str, context: Mapping[str, Any]) -> str:
        """Return a template, filled in."""
        return self._environment.get_template(template).render(context)

    def _static(self, name: str) -> str:
        return f"{self._base}/static/{self._files.name(name)}"

    def _icon(self, name: str, classes: str = "") -> Markup:
        return Markup('<svg class="i {}" aria-hidden="true"><use href="{}#{}"/></svg>').format(
            classes, self._sprite, name
        )

    def _pill(self, status: str, text: str = "", *, big: bool = False) -> Markup:
        return Markup('<span class="pill st st-{}{}">{}{}</span>').format(
            status, " big" if big else "", self._icon(ICONS.get(status, "clock")),
            title_text(text or status),
        )  # fmt: skip


def _ago(at: datetime.datetime) -> Markup:
    """Return when something was, for the server's clock; the browser keeps it up to date."""
    text = since_text(at, datetime.datetime.now(datetime.UTC))
    in_utc = at.astimezone(datetime.UTC)
    return Markup('<time data-ago datetime="{}" title="{} UTC">{}</time>').format(
        in_utc.isoformat(timespec="milliseconds"), f"{in_utc:%Y-%m-%d %H:%M:%S}", escape(text)
    )
