"""Spans on their way to a receiver of OTLP: delivered, dropped and counted, never waited for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from tests.servers.otlp import (
    running_grpc_receiver,
    running_otlp_receiver,
)

from qtforge_host.config.settings import Settings, load_settings
from qtforge_host.config.telemetry import TelemetrySettings
from qtforge_host.telemetry import provider as providers
from qtforge_host.telemetry.opening import open_telemetry
from qtforge_host.telemetry.provider import find_provider
from qtforge_host.telemetry.span_queue import QueueLimits, SpanQueue
from qtforge_sdk.errors import ConfigError

ON = TelemetrySettings(enabled=True)


@pytest.fixture
def no_provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no provider be set, as in a process that has just started."""
    held: list[Any] = []
    monkeypatch.setattr(trace, "set_tracer_provider", held.append)
    monkeypatch.setattr(
        trace, "get_tracer_provider", lambda: held[-1] if held else trace.ProxyTracerProvider()
    )
    yield
    for each in held:
        each.shutdown()


def send(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    made, queue = find_provider(ON, environ)
    assert queue is not None
    with made.get_tracer("test").start_as_current_span("one"):
        pass
    assert queue.force_flush(60_000)
    queue.close(5)
    assert queue.dropped == 0


@pytest.mark.usefixtures("no_provider")
def test_spans_are_sent_over_http_with_the_name_of_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running_otlp_receiver() as receiver:
        variables = {"OTEL_SERVICE_NAME": "billing", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
        send(variables, monkeypatch)
        assert [span.name for span in receiver.spans] == ["one"]
        assert receiver.resources[0]["service.name"] == "billing"
        assert receiver.resources[0]["service.version"]


@pytest.mark.usefixtures("no_provider")
def test_spans_are_sent_over_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(
        "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
        reason="opentelemetry-exporter-otlp-proto-grpc is not installed",
    )
    with running_grpc_receiver() as receiver:
        variables = {
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        }
        send(variables, monkeypatch)
        assert [span.name for span in receiver.spans] == ["one"]


@pytest.mark.usefixtures("no_provider")
def test_a_later_configuration_changes_what_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    nothing = {"OTEL_TRACES_EXPORTER": "none"}
    made, _ = find_provider(TelemetrySettings(enabled=True, sample=0.0), nothing)
    assert not made.get_tracer("test").start_span("one").is_recording()
    again, _ = find_provider(TelemetrySettings(enabled=True, sample=1.0), nothing)
    assert again is made
    assert made.get_tracer("test").start_span("one").is_recording()


def test_a_provider_that_is_set_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    own = TracerProvider(shutdown_on_exit=False)
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: own)
    assert find_provider(ON, {}) == (own, None)


class Exporter(SpanExporter):
    """Does with each batch what it is given."""

    def __init__(self, export: Callable[[], SpanExportResult]) -> None:
        self.sizes: list[int] = []
        self._export = export

    def export(self, spans: Any) -> SpanExportResult:
        self.sizes.append(len(spans))
        return self._export()


def filled(queue: SpanQueue, count: int) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    for _ in range(count):
        span = tracer.start_span("x")
        span.end()
        assert isinstance(span, ReadableSpan)
        queue.on_end(span)


def test_what_is_too_much_for_the_queue_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    exporter = Exporter(lambda: SpanExportResult.SUCCESS)
    queue = SpanQueue(exporter, QueueLimits(most=5, batch=100, delay_s=60))
    filled(queue, 8)
    assert queue.dropped == 3
    with caplog.at_level(logging.WARNING):
        queue.close(60)
    assert exporter.sizes == [5]
    assert [each.getMessage() for each in caplog.records] == ["3 spans were not delivered"]


def test_a_receiver_that_is_down_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> SpanExportResult:
        logging.getLogger("opentelemetry.exporter.otlp").error("connection refused")
        return SpanExportResult.FAILURE

    exporter = Exporter(refuse)
    queue = SpanQueue(exporter, QueueLimits(most=100, batch=1, delay_s=60))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            filled(queue, 1)
            assert queue.force_flush(60_000)
    assert [each.getMessage() for each in caplog.records] == [
        "traces are not delivered: connection refused"
    ]
    assert queue.dropped == 3
    queue.close(60)


def test_an_exporter_that_raises_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    answers = iter([ValueError("odd"), None])

    def export() -> SpanExportResult:
        error = next(answers)
        if error is not None:
            raise error
        return SpanExportResult.SUCCESS

    exporter = Exporter(export)
    queue = SpanQueue(exporter, QueueLimits(most=100, batch=1, delay_s=60))
    for _ in range(2):
        filled(queue, 1)
        assert queue.force_flush(60_000)
    assert "ValueError: odd" in caplog.text
    assert queue.dropped == 1
    queue.close(60)


def test_closing_does_not_wait_for_a_receiver_that_is_slow() -> None:
    with running_otlp_receiver() as receiver:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        receiver.waits.clear()
        exporter = OTLPSpanExporter(f"{receiver.url}/v1/traces")
        queue = SpanQueue(exporter, QueueLimits(most=100, batch=1, delay_s=60))
        filled(queue, 1)
        began = time.monotonic()
        queue.close(0.1)
        assert time.monotonic() - began < 30  # it would wait 60 s for the answer


def test_without_a_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    settings = Settings(config_path=tmp_path / "c.toml", state_dir=tmp_path, telemetry=ON)

    def missing(*_: Any) -> Any:
        raise ModuleNotFoundError("No module named 'opentelemetry.exporter.otlp.proto.grpc'")

    monkeypatch.setattr(providers, "find_provider", missing)
    with pytest.raises(ConfigError) as found:
        open_telemetry(settings, ambient=False, environ={})
    assert found.value.fix == "pip install opentelemetry-exporter-otlp-proto-grpc"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0"),
    ],
)
@pytest.mark.usefixtures("no_provider")
def test_a_variable_that_is_not_valid_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as found:
        find_provider(ON, {name: value})
    assert name in str(found.value)
    assert value in str(found.value)


def test_without_being_asked_for_nothing_is_opened(tmp_path: Any) -> None:
    off = Settings(config_path=tmp_path / "c.toml", state_dir=tmp_path)
    on = Settings(config_path=tmp_path / "c.toml", state_dir=tmp_path, telemetry=ON)
    assert open_telemetry(off, ambient=False, environ={}) is None
    assert open_telemetry(on, ambient=False, environ={"OTEL_SDK_DISABLED": "true"}) is None


@pytest.mark.parametrize("text", ["sample = 2", "sample = 'all'", "capture = ['all']", "on = 1"])
def test_a_table_that_is_not_valid_names_its_key(tmp_path: Any, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"[telemetry]\n{text}\n")
    with pytest.raises(ConfigError, match=f"telemetry.{text.split()[0]}"):
        load_settings(file, environ={})
