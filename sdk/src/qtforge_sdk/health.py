"""How a plugin fares, in its own words."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Health", "HealthStatus"]

HealthStatus = Literal["healthy", "degraded", "unhealthy"]
"""``degraded`` still gets work; ``unhealthy`` gets none while another plugin can do it."""


class Health(msgspec.Struct, frozen=True):
    """What `qtforge_sdk.Plugin.health` answers.

    Attributes:
        status: ``healthy`` (the default), ``degraded`` or ``unhealthy``.
        text: Why, in one line; "" where there is nothing to say.

    >>> Health("degraded", "the mirror answers, the main server does not").status
    'degraded'
    """

    status: HealthStatus = "healthy"
    text: str = ""
