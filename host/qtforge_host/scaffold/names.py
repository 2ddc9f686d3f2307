"""Names that a new plugin can have."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from qtforge_host.plugins.candidates import (
    NAME_RULE,
    PLUGIN_GROUP,
    Candidate,
    canonical_name,
    is_plugin_name,
)
from qtforge_host.scaffold.errors import ScaffoldError

__all__ = ["PluginNames", "check_free"]

_LONGEST: Final = 64


class PluginNames:
    """The names that follow from a plugin's name.

    Args:
        name: The plugin's, which is its distribution's too.

    Attributes:
        name: The same name.
        module: The package that is imported.
        class_name: The plugin's class.

    Raises:
        ScaffoldError: It is not a plugin's name, or no Python name follows from it.

    >>> names = PluginNames("acme-greeter")
    >>> names.module, names.class_name
    ('acme_greeter', 'AcmeGreeter')
    """

    def __init__(self, name: str) -> None:
        words = [word for word in re.split(r"[-_.]+", name.lower()) if word]
        if not is_plugin_name(name):
            near = "-".join(re.findall(r"[a-z0-9]+", name.lower()))
            usable = is_plugin_name(near) and not near[0].isdigit()
            raise ScaffoldError(
                f"'{name}' is not a plugin's name",
                NAME_RULE,
                f"such as '{near}'" if usable else "such as 'acme-greeter'",
            )
        if len(name) > _LONGEST:
            why = f"it has {len(name)} characters, and may have {_LONGEST}"
            raise ScaffoldError(f"'{name}' is too long", why, "choose a shorter name")
        self.name = name
        self.module = "_".join(words)
        self.class_name = "".join(map(str.capitalize, words))
        if not self.module.isidentifier():
            why = f"its package would be '{self.module}', and a Python name begins with a letter"
            fix = f"such as 'acme-{name}'"
            raise ScaffoldError(f"'{name}' can't be imported", why, fix)
        if keyword.iskeyword(self.module) or keyword.issoftkeyword(self.module):
            why = f"'{self.module}' is a keyword of Python"
            raise ScaffoldError(f"'{name}' can't be imported", why, f"such as 'acme-{name}'")


def check_free(
    names: PluginNames, candidates: tuple[Candidate, ...], distributions: Mapping[str, str]
) -> None:
    """Refuse a name that something which is installed, or Python itself, has already.

    Args:
        names: The names.
        candidates: The installed plugins.
        distributions: The installed distributions, canonical name to version.

    Raises:
        ScaffoldError: One of them is taken.
    """
    fix = f"choose another name, such as 'acme-{names.name}'"
    for each in candidates:
        if each.group == PLUGIN_GROUP and canonical_name(each.name) == canonical_name(names.name):
            why = f"{each.distribution} {each.version} has a plugin of that name"
            raise ScaffoldError(f"the name '{names.name}' is taken", why, fix)
    if canonical_name(names.name) in distributions:
        why = "an installed distribution has that name"
        raise ScaffoldError(f"the name '{names.name}' is taken", why, fix)
    if names.module in sys.stdlib_module_names:
        why = f"'{names.module}' is a module of Python's standard library"
        raise ScaffoldError(f"the name '{names.name}' is taken", why, fix)
    found = find_spec(names.module)
    if found is not None and found.origin is not None:  # any folder may be a namespace package
        why = f"there is a module '{names.module}' already"
        raise ScaffoldError(f"the name '{names.name}' is taken", why, fix)
