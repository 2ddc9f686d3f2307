"""``[telemetry]``: whether runs are traced, and which of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from qtforge_host.validation import convert_table

__all__ = ["Captured", "TelemetrySettings", "read_telemetry"]

Captured = Literal["input", "output"]
"""What spans may have besides names, times and outcomes."""


class TelemetrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """The table ``[telemetry]``.

    Attributes:
        enabled: Whether spans and metrics are made; where they are sent, ``OTEL_*`` variables say.
        sample: The part of traces that is recorded, from 0 to 1; when it is left out,
            ``OTEL_TRACES_SAMPLER`` decides, and without that all are.
        capture: Spans have the ``input`` or ``output`` of runs and steps, too, without secrets.
    """

    enabled: bool = False
    sample: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    capture: tuple[Captured, ...] = ()


def read_telemetry(table: Mapping[str, Any], path: Path) -> TelemetrySettings:
    """Return what ``[telemetry]`` says.

    Args:
        table: The table, as tomllib read it.
        path: The file that it is from.

    Raises:
        ConfigError: It is not valid, with every error.
    """
    return convert_table(table, TelemetrySettings, str(path), "telemetry")
