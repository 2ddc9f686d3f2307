"""The health that a plugin reports of itself."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Health", "HealthStatus"]

HealthStatus = Literal["healthy", "degraded", "unhealthy"]
"""A ``degraded`` plugin still gets requests; an ``unhealthy`` one only where no other can."""


class Health(msgspec.Struct, frozen=True):
    """A plugin's health; `qtforge_sdk.Plugin.health` returns it.

    Attributes:
        status: ``healthy`` (the default), ``degraded`` or ``unhealthy``.
        text: The reason, in one line; "" for none.

    >>> Health("degraded", "the main server does not respond; using the mirror").status
    'degraded'
    """

    status: HealthStatus = "healthy"
    text: str = ""
