"""The provider of tracers: the one that is set already, or one that sends spans by OTLP."""

from __future__ import annotations

import importlib
import importlib.metadata
import socket
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from qtforge_host.config.telemetry import TelemetrySettings
from qtforge_host.telemetry.span_queue import QueueLimits, SpanQueue
from qtforge_sdk.errors import ConfigError

__all__ = ["find_provider", "protocol_of"]

_PROTOCOLS: Final = {
    "http/protobuf": "opentelemetry.exporter.otlp.proto.http",
    "grpc": "opentelemetry.exporter.otlp.proto.grpc",
}


class _Sampling(Sampler):
    """Samples as another sampler does, which a later configuration may replace."""

    def __init__(self) -> None:
        named = TracerProvider(shutdown_on_exit=False).sampler  # by the variables
        self.default: Final = named
        self.inner: Sampler = named

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        return self.inner.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        return self.inner.get_description()


class _OwnProvider(TracerProvider):
    """A provider that was made here.

    Args:
        resource: What spans are of.
        queue: In which they wait; None where they are not sent.

    Attributes:
        sampling: Decides which traces are recorded.
    """

    def __init__(self, resource: Resource, queue: SpanQueue | None) -> None:
        self.sampling: Final = _Sampling()
        self.queue: Final = queue
        super().__init__(sampler=self.sampling, resource=resource)
        if queue is not None:
            self.add_span_processor(queue)


def find_provider(
    settings: TelemetrySettings, environ: Mapping[str, str]
) -> tuple[trace.TracerProvider, SpanQueue | None]:
    """Return the provider that is set, else set one.

    Args:
        settings: What is traced.
        environ: The environment variables.

    Returns:
        The provider, and what its spans wait in where it was made here.

    Raises:
        ConfigError: A variable is not valid.
        ImportError: The exporter is not installed.
    """
    found = trace.get_tracer_provider()
    sampler = None if settings.sample is None else ParentBased(TraceIdRatioBased(settings.sample))
    if isinstance(found, _OwnProvider):  # of a host before this one, in the same process
        found.sampling.inner = sampler or found.sampling.default
        return found, found.queue
    if not isinstance(found, trace.ProxyTracerProvider):
        return found, None
    exporter = _exporter(environ)
    queue = None if exporter is None else SpanQueue(exporter, _limits(environ))
    made = _OwnProvider(_resource(environ), queue)
    made.sampling.inner = sampler or made.sampling.default
    trace.set_tracer_provider(made)
    return made, queue


def protocol_of(environ: Mapping[str, str], signal: str) -> str:
    """Return the package of the exporter that the variables name.

    Args:
        environ: The environment variables.
        signal: ``TRACES`` or ``METRICS``.

    Raises:
        ConfigError: There is none for the protocol.
    """
    names = (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    name = next((each for each in names if environ.get(each)), "")
    given = environ.get(name, "http/protobuf")
    if given not in _PROTOCOLS:
        known = " or ".join(_PROTOCOLS)
        raise ConfigError(name, f"'{given}' is no protocol that is supported", f"set it to {known}")
    return _PROTOCOLS[given]


def _exporter(environ: Mapping[str, str]) -> SpanExporter | None:
    kind = environ.get("OTEL_TRACES_EXPORTER", "otlp")
    if kind == "none":
        return None
    if kind != "otlp":
        raise ConfigError(
            "OTEL_TRACES_EXPORTER", f"'{kind}' is not supported", "set it to otlp or none"
        )
    module = importlib.import_module(f"{protocol_of(environ, 'TRACES')}.trace_exporter")
    made: SpanExporter = module.OTLPSpanExporter()
    return made


def _resource(environ: Mapping[str, str]) -> Resource:
    own = {
        "service.name": "qtforge-host",
        "service.version": importlib.metadata.version("qtforge-host"),
        "service.instance.id": socket.gethostname(),
    }
    named = Resource.create()  # of OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME
    if named.attributes.get("service.name") == "unknown_service":
        return named.merge(Resource(own))
    return Resource(own).merge(named)


def _limits(environ: Mapping[str, str]) -> QueueLimits:
    batch = _number(environ, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)
    return QueueLimits(
        most=max(batch, _number(environ, "OTEL_BSP_MAX_QUEUE_SIZE", 16_384)),
        batch=batch,
        # Less than the 5 s of the specification: a killed process takes what waits with it.
        delay_s=_number(environ, "OTEL_BSP_SCHEDULE_DELAY", 500) / 1000,
    )


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    given = environ.get(name, "")
    if not given:
        return default
    if not given.isascii() or not given.isdecimal() or not 0 < int(given) <= 10_000_000:
        raise ConfigError(name, f"'{given}' is no whole number above 0", f"such as {default}")
    return int(given)
