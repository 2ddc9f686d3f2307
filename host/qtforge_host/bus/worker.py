"""The worker process: ``python -m qtforge_host.bus.worker``.

It makes one instance of one plugin, and does the calls from its standard input one after
another. What the plugin prints goes to standard error. It ends with the host, because its
standard input ends then.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import queue
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO

import msgspec

from qtforge_host.bus.frames import HEADER, Answer, Call, Failure, Hello, Progress, frame, length_of
from qtforge_sdk import OperationContext
from qtforge_sdk.conversion import convert, to_plain
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.operations import handler_signature

_DECODER = msgspec.msgpack.Decoder(Hello | Call)


def read_frames(source: BinaryIO, frames: queue.SimpleQueue[Hello | Call]) -> None:
    """Put arriving frames into a queue; end the process when the host has ended."""
    while True:
        header = source.read(HEADER.size)
        if len(header) < HEADER.size:
            os._exit(0)  # also during a call: no caller waits for its result
        frames.put(_DECODER.decode(source.read(length_of(header))))


def make_plugin(hello: Hello) -> Any:
    """Import the plugin, make an instance and set its configuration."""
    sys.path[:] = hello.path
    module, _, attribute = hello.target.partition(":")
    found: Any = importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    plugin = found()
    if hello.config is not None and plugin.Config is not None:
        plugin.config = convert(hello.config, plugin.Config)
    return plugin


def perform(plugin: Any, call: Call, sink: BinaryIO) -> Any:
    """Do one call, and return its result as plain values."""
    method = getattr(plugin, call.method)
    signature = handler_signature(method, call.plugin)

    def listen(done: float, total: float | None, text: str) -> None:
        send(sink, Progress(done, total, text))

    context = OperationContext(
        call.topic,
        call.plugin,
        run_id=call.run_id,
        step=call.step,
        attempt=call.attempt,
        deadline=None if call.remaining_s is None else time.monotonic() + call.remaining_s,
        idempotency_key=call.idempotency_key,
        listener=listen,
    )
    message = convert(call.message, signature.message_type)
    result = method(message, context) if signature.takes_context else method(message)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    return to_plain(result)


def send(sink: BinaryIO, message: msgspec.Struct) -> None:
    """Write one frame to the host."""
    sink.write(frame(message))
    sink.flush()


def failure_of(error: BaseException) -> Failure:
    """Return the message for an exception."""
    known = isinstance(error, QtForgeError)
    return Failure(
        kind=type(error).__name__,
        code=error.code if isinstance(error, QtForgeError) else "",
        what=error.what if isinstance(error, QtForgeError) else str(error),
        why=error.why if isinstance(error, QtForgeError) else "",
        fix=error.fix if isinstance(error, QtForgeError) else "",
        traceback="" if known else "".join(traceback.format_exception(error)),
        retryable=error.retryable if isinstance(error, QtForgeError) else None,
        retry_after_s=error.retry_after_s if isinstance(error, QtForgeError) else None,
    )


def main() -> None:
    """Do calls until the host ends."""
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a plugin's print() must not mix with the frames
    frames: queue.SimpleQueue[Hello | Call] = queue.SimpleQueue()
    reader = threading.Thread(target=read_frames, args=(sys.stdin.buffer, frames), daemon=True)
    reader.start()
    plugin: Any = None
    while True:
        message = frames.get()
        try:
            if isinstance(message, Hello):
                plugin = make_plugin(message)
                answer: Answer | Failure = Answer(None)
            else:
                answer = Answer(perform(plugin, message, sink))
            encoded = frame(answer)
        except BaseException as error:  # noqa: BLE001 - whatever the plugin raises is the result
            encoded = frame(failure_of(error))
        sink.write(encoded)
        sink.flush()


if __name__ == "__main__":
    main()
