"""``python -m tools.architecture``: the packages and their imports, as a Mermaid picture.

With ``--write`` the picture between the markers of docs/internals/architecture.md is renewed.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from qtforge_host.workflows.mermaid import mermaid
from qtforge_sdk.graphs import Edge, Graph, Node
from tools.distributions import ROOT

__all__ = ["PAGE", "draw", "imports", "picture_of"]

PAGE = ROOT / "docs" / "internals" / "architecture.md"
_BEGIN = "<!-- picture: begin -->"
_END = "<!-- picture: end -->"
_HOST = ROOT / "host" / "qtforge_host"
_TOOLS = "small tools"
_OTHERS = {
    "qtforge_builtin_plugins": ROOT / "builtin_plugins" / "qtforge_builtin_plugins",
    "qtforge_sdk": ROOT / "sdk" / "src" / "qtforge_sdk",
}


def imports() -> dict[str, set[str]]:
    """Return each part, and the parts that it imports; imports for types alone don't count.

    A part is a package of the host, all of its loose modules together, the SDK, or the built-in
    plugins.
    """
    found: dict[str, set[str]] = {}
    for path in sorted(_HOST.rglob("*.py")):
        found.setdefault(_part(path), set()).update(_imported(path))
    for name, folder in _OTHERS.items():
        for path in sorted(folder.rglob("*.py")):
            found.setdefault(name, set()).update(_imported(path))
    return {part: others - {part} for part, others in found.items()}


def draw() -> str:
    """Return the picture; an arrow that follows from two others is left out."""
    arrows = imports()
    nodes = tuple(Node(id=part, label=_label(part)) for part in arrows)
    edges = tuple(
        Edge(source=part, target=other)
        for part, others in arrows.items()
        for other in sorted(others)
        if not _is_implied(arrows, part, other)
    )
    return mermaid(Graph(title="qtforge-host", nodes=nodes, edges=edges))


def picture_of(page: str) -> str:
    """Return the picture in a page.

    Raises:
        ValueError: The page has not exactly one of each marker.
    """
    picture = _split(page)[1]
    return picture.removeprefix("\n```mermaid\n").removesuffix("```\n")


def _split(page: str) -> tuple[str, str, str]:
    before, begin, rest = page.partition(_BEGIN)
    picture, end, after = rest.partition(_END)
    if not begin or not end or _BEGIN in rest or _END in after:
        raise ValueError(f"the page must have one line '{_BEGIN}' and below it one '{_END}'")
    return before + begin, picture, end + after


def _part(path: Path) -> str:
    parts = path.relative_to(_HOST).parts
    # `app` composes the whole and is drawn alone.
    return parts[0] if len(parts) > 1 else "app" if path.stem == "app" else _TOOLS


def _imported(path: Path) -> Iterator[str]:
    for name in _names(ast.parse(path.read_text(encoding="utf-8"))):
        top, _, rest = name.partition(".")
        if top in _OTHERS:
            yield top
        elif top == "qtforge_host" and rest:
            part = rest.partition(".")[0]
            module = _HOST / f"{part}.py"
            yield _part(module) if module.is_file() else part


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            # `from qtforge_host import app` names a module too.
            if node.module == "qtforge_host":
                yield from (f"qtforge_host.{each.name}" for each in node.names)
        yield from _names(node)


def _is_implied(arrows: Mapping[str, set[str]], part: str, other: str) -> bool:
    """Tell whether another part that this one imports leads there too."""
    seen, waiting = {part}, [each for each in arrows[part] if each != other]
    while waiting:
        each = waiting.pop()
        if each == other:
            return True
        if each not in seen:
            seen.add(each)
            waiting += arrows.get(each, ())
    return False


def _label(part: str) -> str:
    if part == _TOOLS:
        modules = sorted(
            path.stem for path in _HOST.glob("*.py") if path.stem not in ("__init__", "app")
        )
        return "\n".join([part, ", ".join(modules)])
    folder = _OTHERS.get(part, _HOST / part)
    source = _HOST / "app.py" if part == "app" else folder / "__init__.py"
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return "\n".join([part, text.partition("\n")[0].replace("`", "")]).strip()


def main() -> None:
    """Print the picture, or write it into the page."""
    parser = argparse.ArgumentParser(prog="python -m tools.architecture", description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew the picture in the page")
    options = parser.parse_args()
    if not options.write:
        print(draw(), end="")
        return
    before, _, after = _split(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(f"{before}\n```mermaid\n{draw()}```\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
