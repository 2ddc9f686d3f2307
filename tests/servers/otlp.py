"""A receiver of OTLP for tests: over HTTP as collectors have it, or over gRPC."""

from __future__ import annotations

import concurrent.futures
import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.servers.http import Received, Reply, running_http_server

__all__ = ["OtlpReceiver", "running_grpc_receiver", "running_otlp_receiver"]


@dataclass
class OtlpReceiver:
    """What was received.

    Attributes:
        url: The address of the receiver.
        spans: All spans, in the order in which they came.
        metrics: The last of each metric, by name.
        resources: The attributes of the resources of spans.
        waits: Requests are answered once this is set.
    """

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)
    waits: threading.Event = field(default_factory=threading.Event)

    def named(self, name: str) -> list[Span]:
        """Return the spans of a name."""
        return [span for span in list(self.spans) if span.name == name]

    def tree(self) -> dict[str, str]:
        """Return the name of each span's parent, by the span's own name; "" for none here."""
        names = {span.span_id: span.name for span in list(self.spans)}
        return {span.name: names.get(span.parent_span_id, "") for span in list(self.spans)}

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of a request."""
        for of_resource in request.resource_spans:
            self.resources.append(attributes_of(of_resource.resource))
            for scope in of_resource.scope_spans:
                self.spans += scope.spans

    def take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        """Keep the metrics of a request."""
        for of_resource in request.resource_metrics:
            for scope in of_resource.scope_metrics:
                for metric in scope.metrics:
                    self.metrics[metric.name] = metric


def attributes_of(found: Any) -> dict[str, Any]:
    """Return the attributes of a span, a resource or an event as plain values."""
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in found.attributes
    }


@contextlib.contextmanager
def running_otlp_receiver() -> Iterator[OtlpReceiver]:
    """Receive over HTTP on a free port until the block ends."""
    found = OtlpReceiver()
    found.waits.set()

    def body(request: Received) -> bytes:
        found.waits.wait(60)
        zipped = request.headers.get("content-encoding") == "gzip"
        return gzip.decompress(request.body) if zipped else request.body

    def traces(request: Received) -> Reply:
        found.take(ExportTraceServiceRequest.FromString(body(request)))
        return Reply(body=ExportTraceServiceResponse().SerializeToString())

    def metrics(request: Received) -> Reply:
        found.take_metrics(ExportMetricsServiceRequest.FromString(body(request)))
        return Reply(body=ExportMetricsServiceResponse().SerializeToString())

    with running_http_server() as server:
        server["/v1/traces"] = traces
        server["/v1/metrics"] = metrics
        found.url = server.url
        try:
            yield found
        finally:
            found.waits.set()


@contextlib.contextmanager
def running_grpc_receiver() -> Iterator[OtlpReceiver]:
    """Receive over gRPC on a free port until the block ends.

    Raises:
        ImportError: gRPC is not installed.
    """
    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

    found = OtlpReceiver()

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            found.take(request)
            return ExportTraceServiceResponse()

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    add: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add(Service(), server)
    found.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield found
    finally:
        server.stop(0).wait()
