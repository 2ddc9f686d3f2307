"""The SDK, from its docstrings: one page for each public module."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType

import qtforge_sdk
from tools.site.reference.markdown import first_paragraph, table

__all__ = ["sdk_pages"]


def sdk_pages(path: str) -> dict[str, str]:
    """Return the page of the package, and one for each public module."""
    modules = [qtforge_sdk, *_modules()]
    home = _homes(modules)
    groups: dict[str, list[ModuleType]] = {}
    for module in modules[1:]:
        groups.setdefault(".".join(module.__name__.split(".")[:2]), []).append(module)
    pages, rows = {}, []
    for group, members in groups.items():
        parts = [
            _objects(module, own)
            for module in members
            if (own := [name for name in _names(module) if home[_key(module, name)] is module])
        ]
        if parts:
            file = f"sdk/{group.removeprefix('qtforge_sdk.')}.md"
            about = first_paragraph(members[0].__doc__)
            pages[f"reference/{file}"] = "\n".join([f"# {group}\n", *parts])
            rows.append((f"[`{group}`]({file})", about))
    names = (
        (f"{{py:obj}}`{name} <{_path(home, qtforge_sdk, name)}>`",
         first_paragraph(inspect.getdoc(getattr(qtforge_sdk, name))))
        for name in qtforge_sdk.__all__
    )  # fmt: skip
    hidden = "\n".join(page.removeprefix("reference/") for page in pages)
    pages[path] = "\n\n".join(
        [
            "# SDK",
            "What a plugin imports. Everything in these two tables is public and typed; modules"
            " whose names begin with `_` are private.",
            "## In `qtforge_sdk` itself",
            table(("name", "what it is"), names),
            "## Modules",
            table(("module", "what is in it"), rows),
            f"```{{toctree}}\n:hidden:\n\n{hidden}\n```\n",
        ]
    )
    return pages


def _modules() -> list[ModuleType]:
    names = [each.name for each in pkgutil.walk_packages(qtforge_sdk.__path__, "qtforge_sdk.")]
    return [
        importlib.import_module(name)
        for name in sorted(names)
        if "._" not in name and not name.endswith("pytest_plugin")
    ]


def _names(module: ModuleType) -> list[str]:
    return sorted(getattr(module, "__all__", ()))


def _key(module: ModuleType, name: str) -> tuple[int, str]:
    return id(getattr(module, name)), name


def _homes(modules: list[ModuleType]) -> dict[tuple[int, str], ModuleType]:
    """Return where each public object is documented: once, and where it is defined if it may."""
    homes: dict[tuple[int, str], ModuleType] = {}
    for module in modules:
        for name in _names(module):
            defined = getattr(getattr(module, name), "__module__", "")
            known = homes.get(_key(module, name))
            if known is None or known is qtforge_sdk or defined == module.__name__:
                homes[_key(module, name)] = module
    return homes


def _path(homes: dict[tuple[int, str], ModuleType], module: ModuleType, name: str) -> str:
    return f"{homes[_key(module, name)].__name__}.{name}"


def _objects(module: ModuleType, names: list[str]) -> str:
    """Return the directives that document a module's objects."""
    blocks = []
    for name in names:
        found = getattr(module, name)
        if inspect.isclass(found) and found.__name__ == name:
            raised = issubclass(found, BaseException)
            kind, options = ("autoexception" if raised else "autoclass"), "   :members:\n"
        else:
            kind, options = ("autofunction" if inspect.isroutine(found) else "autodata"), ""
        blocks.append(f".. {kind}:: {module.__name__}.{name}\n{options}")
    body = "\n".join(blocks)
    return f"```{{eval-rst}}\n.. automodule:: {module.__name__}\n   :no-members:\n\n{body}```\n"
