"""The error codes, from the error classes and from where plugins raise them."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import qtforge_builtin_plugins
import qtforge_host
import qtforge_sdk
from qtforge_sdk import QtForgeError
from tools.site.reference.markdown import first_paragraph, table

__all__ = ["error_pages"]

_CODE: Final = re.compile(r"[a-z][a-z_-]*(\.[a-z][a-z0-9_]*)+")
_SKIPPED: Final = ("__main__", "pytest_plugin")


def error_pages(path: str) -> dict[str, str]:
    """Return the page of all codes."""
    return {
        path: "\n\n".join(
            [
                "# Error codes",
                "Each deliberate error has a code that stays the same over releases. A command"
                " prints it in brackets; the JSON of `--json` and HTTP has it as `code`. Messages"
                " may change, codes do not.",
                "## Of the host and the SDK",
                table(
                    ("code", "what happened", "exit code", "HTTP"),
                    (
                        (f"`{each.code}`", first_paragraph(each.__doc__), str(each.exit_code),
                         str(each.http_status))
                        for each in _classes()
                    ),
                ),
                "## Of the built-in plugins, and codes that an error is raised with",
                "A plugin raises `OperationError` with a code of its own; the host does the same"
                " for errors that differ in their code alone.",
                table(("code", "raised in"), _raised()),
            ]
        )
    }  # fmt: skip


def _classes() -> list[type[QtForgeError]]:
    for package in (qtforge_sdk, qtforge_host, qtforge_builtin_plugins):
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not each.name.endswith(_SKIPPED):
                importlib.import_module(each.name)
    found = {each.code: each for each in reversed([*_heirs(QtForgeError)]) if "code" in vars(each)}
    return [found[code] for code in sorted(found) if _CODE.fullmatch(code)]


def _heirs(parent: type[QtForgeError]) -> Iterator[type[QtForgeError]]:
    for each in parent.__subclasses__():
        if each.__module__.startswith("qtforge"):
            yield each
        yield from _heirs(each)


def _raised() -> list[tuple[str, str]]:
    """Return codes that are an argument of the error, with the module that raises it."""
    found: dict[str, set[str]] = {}
    for package in (qtforge_host, qtforge_builtin_plugins):
        root = Path(next(iter(package.__path__)))
        for path in sorted(root.rglob("*.py")):
            module = ".".join(path.relative_to(root.parent).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                for code in _codes(node):
                    found.setdefault(code, set()).add(module.removesuffix(".__init__"))
    return [
        (f"`{code}`", ", ".join(f"`{each}`" for each in sorted(modules)))
        for code, modules in sorted(found.items())
    ]


def _codes(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return
    if node.func.id.endswith("Error"):
        for each in node.args[:2]:
            given = each.value if isinstance(each, ast.Constant) else None
            if isinstance(given, str) and _CODE.fullmatch(given):
                yield given
