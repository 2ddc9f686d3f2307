"""Import asyncio without ssl, which a command that opens no TLS connection never needs.

asyncio imports ssl with itself, for the few methods of a loop that encrypt: about as long as Python
itself takes to start. So, while asyncio is imported, it gets a module in ssl's place that imports
the real one when an attribute of it is read. Every other ``import ssl``, also a plugin's, is an
ordinary one.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Final

__all__ = ["import_ssl_late"]

_LATE: Final = ("ssl", "asyncio.sslproto")  # sslproto uses ssl as soon as it is imported


def import_ssl_late() -> None:
    """Let the first import of asyncio leave out ssl; without effect where asyncio is imported."""
    if "asyncio" not in sys.modules:
        sys.meta_path.insert(0, _AsyncioFinder())


class _AsyncioFinder:
    """Finds asyncio, once, and nothing else."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name != "asyncio":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _AsyncioLoader(spec.loader)  # type: ignore[assignment]
        return spec


class _AsyncioLoader:
    def __init__(self, real: Any) -> None:
        self._real: Final = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._real.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:  # later questions about the module go to the real loader
            module.__spec__.loader = self._real
        module.__loader__ = self._real
        late = [_LateModule(name) for name in _LATE if name not in sys.modules]
        sys.modules.update({each.__name__: each for each in late})
        try:
            self._real.exec_module(module)
        finally:
            for each in late:
                each.leave()
                parent, _, attribute = each.__name__.rpartition(".")
                if parent:  # what is imported with a package is its attribute
                    vars(module).setdefault(attribute, each)


class _LateModule(ModuleType):
    """Imports the module of its name when an attribute is read, and gives that one's."""

    def __getattr__(self, name: str) -> Any:
        self.leave()
        return getattr(importlib.import_module(self.__name__), name)

    def leave(self) -> None:
        """Let the next import find the real module."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
