"""Build the site: one folder for each minor version, and ``versions.json`` beside them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

from qtforge_host.toml_schema import toml_schema
from tools.site.contents import ROOT, read_contents
from tools.site.reference.keys import KINDS
from tools.site.staging import stage

__all__ = ["BuildError", "build_site", "minor_version"]

_VERSION: Final = re.compile(r"\d+\.\d+")


class BuildError(Exception):
    """Sphinx found something wrong; its words say what."""


def minor_version() -> str:
    """Return the minor version of the checkout, such as ``1.0``."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return ".".join(document["project"]["version"].split(".")[:2])


def build_site(site: Path, work: Path) -> Path:
    """Build this checkout's version into the site, and leave the other versions there.

    Args:
        site: The folder that holds a folder for each version.
        work: The folder for what Sphinx reads, and keeps between two builds.

    Returns:
        The folder of the version.

    Raises:
        BuildError: Sphinx gave a warning or an error.
        LinkError: A page links to a file that is not there.
    """
    version = minor_version()
    target = site / version
    stage(read_contents(), work / "source", version)
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "auto", "-b", "html",
         "-d", str(work / "doctrees"), str(work / "source"), str(target)],
        env={**os.environ, "QTFORGE_SITE_VERSION": version},
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise BuildError(f"{done.stdout}{done.stderr}".strip())
    _list_versions(site)
    _write_schemas(site / "schema" / "1")
    return target


def _write_schemas(folder: Path) -> None:
    """Write the JSON Schema of each kind, for editors, at an address that stays the same."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, definition in KINDS.items():
        schema = toml_schema(definition, title=f"A workflow of the kind {kind}", kind=kind)
        schema["$id"] = f"/schema/1/{kind}.json"
        text = json.dumps(schema, indent=2, ensure_ascii=False)
        (folder / f"{kind}.json").write_text(f"{text}\n", encoding="utf-8")


def _list_versions(site: Path) -> None:
    """Write ``versions.json``, newest first, and a page that leads to the newest."""
    versions = sorted(
        (each.name for each in site.iterdir() if _VERSION.fullmatch(each.name)),
        key=lambda name: tuple(int(part) for part in name.split(".")),
        reverse=True,
    )
    (site / "versions.json").write_text(f"{json.dumps(versions)}\n", encoding="utf-8")
    (site / "index.html").write_text(
        "<!doctype html>\n<title>QtForge Host</title>\n"
        f'<meta http-equiv="refresh" content="0; url={versions[0]}/index.html">\n'
        f'<a href="{versions[0]}/index.html">QtForge Host {versions[0]}</a>\n',
        encoding="utf-8",
    )
