"""The workflow definition that comes with the plugins."""

from __future__ import annotations

import tomllib
from pathlib import Path

from qtforge_builtin_plugins.documents.workflows import DocumentWorkflows


def test_the_definition_is_contributed_and_readable() -> None:
    (path,) = DocumentWorkflows().qtforge_workflows()
    definition = tomllib.loads(Path(path).read_text("utf-8"))
    assert definition["name"] == "document-processing"
    assert [stage["operation"] for stage in definition["stages"]] == [
        "document.parse",
        "content.analyze",
        "document.enrich",
        "document.store",
    ]
