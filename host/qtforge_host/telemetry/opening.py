"""Open telemetry where the configuration asks for it; OpenTelemetry is imported only then."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from qtforge_host.config.settings import Settings
from qtforge_sdk.errors import ConfigError

if TYPE_CHECKING:
    from qtforge_host.telemetry.telemetry import Telemetry

__all__ = ["open_telemetry"]

_INSTALL: Final = {
    "opentelemetry.exporter.otlp.proto.grpc": "pip install opentelemetry-exporter-otlp-proto-grpc",
}


def open_telemetry(
    settings: Settings, *, ambient: bool, environ: Mapping[str, str] = os.environ
) -> Telemetry | None:
    """Return what traces the runs of this process; None where that is not asked for.

    Args:
        settings: The configuration.
        ambient: Whether runs are traced as a part of what ``TRACEPARENT`` names: a command's are.
        environ: The environment variables.

    Raises:
        ConfigError: A package that it needs is not installed, or a variable is not valid.
    """
    if not settings.telemetry.enabled or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    where = f"{settings.config_path}: telemetry.enabled"
    try:
        from qtforge_host.telemetry.provider import find_provider
        from qtforge_host.telemetry.telemetry import Telemetry

        provider, queue = find_provider(settings.telemetry, environ)
    except ImportError as error:
        fix = next((line for name, line in _INSTALL.items() if name in str(error)), "")
        raise ConfigError(
            where,
            f"a package is not installed: {error}",
            fix or "pip install 'qtforge-host[telemetry]', or set enabled = false",
        ) from error
    return Telemetry(settings.telemetry, provider, queue, environ if ambient else {})
