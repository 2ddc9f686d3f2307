"""The markers by which pluggy recognises QtForge's hook specifications and implementations."""

from __future__ import annotations

from typing import Final

import pluggy

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT: Final = "qtforge"
"""The project name under which pluggy knows the markers."""

hookspec: Final = pluggy.HookspecMarker(PROJECT)
"""Marks a method as the specification of a hook."""

hookimpl: Final = pluggy.HookimplMarker(PROJECT)
"""Marks a plugin's method as the implementation of the hook of the same name."""
