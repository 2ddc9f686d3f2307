"""Templates in sections, and Python modules that are made of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from string import Template
from typing import Final

__all__ = ["Fragment", "import_lines", "read_fragment", "template"]

_SECTION: Final = re.compile(r"^#: (\w+) ?(.*)\n", re.MULTILINE)
_FROM: Final = re.compile(r"^from (\S+) import ([^(\n]+)$", re.MULTILINE)
_WIDTH: Final = 88


class Fragment:
    """A feature's part of a project.

    Args:
        text: The template, with a line ``#: section argument`` before each section.
        values: What stands for the template's ``${names}``.
    """

    def __init__(self, text: str, values: Mapping[str, str]) -> None:
        parts = _SECTION.split(Template(text).substitute(values))
        self._sections = list(zip(parts[1::3], parts[2::3], parts[3::3], strict=True))

    def text(self, section: str) -> str:
        """Return the text of a section, without its last line break; "" where there is none."""
        return next((text for name, _, text in self._sections if name == section), "").rstrip("\n")

    def files(self, section: str) -> Iterator[tuple[str, str]]:
        """Yield the argument and the text of each section of a name."""
        for name, argument, text in self._sections:
            if name == section:
                yield argument, _FROM.sub(_in_order, text)


def read_fragment(name: str, values: Mapping[str, str]) -> Fragment:
    """Return the fragment of a feature."""
    return Fragment(template(name), values)


def template(name: str) -> str:
    """Return a template of this package."""
    return (files(__package__) / "templates" / f"{name}.tmpl").read_text("utf-8")


def import_lines(lines: Iterable[str], own: str) -> str:
    """Merge and sort import statements as ruff and isort do.

    Args:
        lines: Statements ``import a`` and ``from a import b, c``.
        own: The package that they are in.

    >>> print(import_lines(["from b import y", "import a", "from b import x"], "own"))
    import a
    from b import x, y
    """
    modules: dict[str, set[str]] = {}
    for line in lines:
        found = _FROM.fullmatch(line)
        module, names = (found[1], found[2].split(", ")) if found else (line.split()[1], [])
        modules.setdefault(module, set()).update(names)
    groups: dict[int, list[str]] = {}
    for module in sorted(modules, key=lambda each: (bool(modules[each]), each)):
        group = _group(module, own)
        groups.setdefault(group, []).append(_statement(module, modules[module]))
    return "\n\n".join("\n".join(groups[group]) for group in sorted(groups))


def _group(module: str, own: str) -> int:
    top = module.partition(".")[0]
    return 0 if top in sys.stdlib_module_names else 2 if top == own else 1


def _in_order(found: re.Match[str]) -> str:
    """Return an import with its names sorted; where they come depends on the plugin's."""
    return _statement(found[1], set(found[2].split(", ")))


def _statement(module: str, names: set[str]) -> str:
    if not names:
        return f"import {module}"
    ordered = sorted(names, key=lambda each: (not each[0].isupper(), each))
    line = f"from {module} import {', '.join(ordered)}"
    if len(line) <= _WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")"
