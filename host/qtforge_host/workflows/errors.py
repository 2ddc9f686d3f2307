"""Why a workflow can't be drawn.

::

    QtForgeError
    └── DrawingError
        ├── NotDrawableError      graph.not_drawable
        ├── RendererMissingError  graph.no_renderer
        └── RenderingError        graph.not_drawn
"""

from __future__ import annotations

from qtforge_sdk.errors import QtForgeError

__all__ = ["DrawingError", "NotDrawableError", "RendererMissingError", "RenderingError"]


class DrawingError(QtForgeError):
    """A workflow can't be drawn."""


class NotDrawableError(DrawingError):
    """The workflow has no graph.

    Args:
        name: The workflow or the run.
        why: Why it has none.
    """

    code = "graph.not_drawable"
    http_status = 409

    def __init__(self, name: str, why: str, /) -> None:
        super().__init__(f"{name} can't be drawn", why)
        self.name = name


class RendererMissingError(DrawingError):
    """The library that draws SVG is not installed, or can't run here.

    Args:
        why: What the import or the library says.
    """

    code = "graph.no_renderer"
    http_status = 501

    def __init__(self, why: str, /) -> None:
        super().__init__(
            "SVG can't be drawn here",
            why,
            "pip install 'qtforge-host[graphs]', or draw it as mermaid or dot",
        )


class RenderingError(DrawingError):
    """Graphviz refuses the graph.

    Args:
        why: What Graphviz says.
    """

    code = "graph.not_drawn"

    def __init__(self, why: str, /) -> None:
        super().__init__("Graphviz can't draw the graph", why)
