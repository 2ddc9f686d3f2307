"""The context of a trace on its way to worker processes and other nodes."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider

from qtforge_host.bus.frames import Call
from qtforge_host.trace_context import attached, carrier, current_ids
from qtforge_sdk.transport import Envelope
from qtforge_sdk.transport_kit import CallFrame, call_frame, envelope_of

OUTER = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


def test_what_one_process_carries_is_current_in_the_other() -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    assert carrier() == {}
    with tracer.start_as_current_span("one"):
        ids, carried = current_ids(), carrier()
    assert carried["traceparent"].startswith(f"00-{ids[0]}-{ids[1]}-0")
    with attached(carried):
        assert current_ids() == ids
    with attached({}):
        assert current_ids() == ("", "")
    assert current_ids() == ("", "")


@pytest.mark.parametrize("text", ["", "odd", "00-0-0-00"])
def test_a_context_that_is_damaged_on_the_way_is_none(text: str) -> None:
    with attached({"traceparent": text}):
        assert current_ids() == ("", "")


def test_a_call_of_another_node_has_the_context_and_an_older_one_has_none() -> None:
    envelope = Envelope("a", {}, 1.0, time.monotonic() + 1.0, trace=OUTER)
    sent = call_frame("t", "n", envelope, False)
    decode = msgspec.msgpack.Decoder(CallFrame).decode
    assert envelope_of(decode(sent)).trace == OUTER
    parts: list[Any] = msgspec.msgpack.decode(sent)
    older = msgspec.msgpack.encode(parts[:-1])
    assert envelope_of(decode(older)).trace == {}


def test_a_call_of_a_worker_process_has_the_context() -> None:
    call = Call("m", {}, "a", "p", None, None, 1, None, None, OUTER)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(call), type=Call).trace == OUTER
