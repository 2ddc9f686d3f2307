"""The worker process: ``python -m qtforge_host.bus.worker DESCRIPTOR``.

It makes one instance of one plugin, and does the calls that come from the socket of that
descriptor one after another. Its standard input is empty, and what the plugin or its children
print goes to the host. When the host ends, the socket does, and the worker ends with everything
that it has started.
"""

from __future__ import annotations

import importlib
import inspect
import io
import logging
import os
import queue
import resource
import sys
import threading
import time
import traceback
from typing import Any, BinaryIO

import msgspec

from qtforge_host.bus import process_tree
from qtforge_host.bus.frames import (
    HEADER,
    Answer,
    Call,
    Failure,
    Hello,
    Logged,
    Progress,
    frame,
    length_of,
)
from qtforge_host.plugin_code import clean_text, description_of, place_of, traceback_of
from qtforge_host.trace_context import attached
from qtforge_sdk import OperationContext
from qtforge_sdk.conversion import check_keys, convert, to_plain
from qtforge_sdk.errors import QtForgeError
from qtforge_sdk.operations import handler_signature

_DECODER = msgspec.msgpack.Decoder(Hello | Call)


def read_frames(source: BinaryIO, frames: queue.SimpleQueue[Hello | Call]) -> None:
    """Put arriving frames into a queue; end the process when the host has ended."""
    while True:
        try:
            header = source.read(HEADER.size)
        except ConnectionError:
            header = b""
        if len(header) < HEADER.size:  # also during a call: no caller waits for its result
            mark = os.environ.get(process_tree.MARK_VARIABLE, "")
            process_tree.end_tree(os.getpid(), mark, spare=os.getpid())
            os._exit(0)
        frames.put(_DECODER.decode(source.read(length_of(header))))


def make_plugin(hello: Hello) -> Any:
    """Limit the memory, import the plugin, make an instance and set its configuration."""
    _limit_memory(2 * hello.memory_bytes)
    sys.path[:] = hello.path
    module, _, attribute = hello.target.partition(":")
    found: Any = importlib.import_module(module)
    for name in attribute.split("."):
        found = getattr(found, name)
    plugin = found()
    if hello.config is not None and plugin.Config is not None:
        plugin.config = convert(hello.config, plugin.Config)
    return plugin


class Sink:
    """Writes whole frames, from whichever thread of the plugin they come."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def send(self, encoded: bytes) -> None:
        """Write one frame to the host."""
        with self._lock:
            self._file.write(encoded)
            self._file.flush()


class _LogSender(logging.Handler):
    """Sends what is logged to the host, which prints and keeps it.

    Args:
        sink: Writes frames.
    """

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record."""
        try:
            text = clean_text(self.format(record))
            self._sink.send(frame(Logged(clean_text(record.name), record.levelno, text)))
        except Exception:  # noqa: BLE001 - the arguments of a plugin's message
            self.handleError(record)


def perform(plugin: Any, call: Call, sink: Sink) -> Any:
    """Do one call, and return its result as plain values."""
    method = getattr(plugin, call.method)
    signature = handler_signature(method, call.plugin)

    def listen(done: float, total: float | None, text: str) -> None:
        sink.send(frame(Progress(done, total, text)))

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
    if signature.is_async:
        import asyncio  # a fifth of the process's start, and few such operations are async

        result = asyncio.run(result)
    elif inspect.iscoroutine(result):
        result.close()
        raise TypeError(f"{call.method} returned a coroutine that was not awaited")
    check_keys(result)
    return to_plain(result)


def failure_of(error: BaseException, owner: object) -> Failure:
    """Return the message for an exception of a plugin's code; it can't fail."""
    known = isinstance(error, QtForgeError)
    said = description_of(error)
    return Failure(
        code=said.code,
        what=said.what,
        why=said.why,
        fix=said.fix,
        traceback="" if known else _traceback(error),
        retryable=said.retryable,
        retry_after_s=said.retry_after_s,
        out_of_memory=isinstance(error, MemoryError),
        place="" if known else place_of(error, owner),
    )


def main() -> None:
    """Do calls until the host ends."""
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    # A forked child that keeps the socket would hide the worker's end from the host.
    os.register_at_fork(after_in_child=lambda: _detach(descriptor))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a killed process keeps nothing back
    sink = Sink(os.fdopen(descriptor, "wb", closefd=False))
    logging.getLogger().addHandler(_LogSender(sink))
    source = os.fdopen(descriptor, "rb", closefd=False)
    frames: queue.SimpleQueue[Hello | Call] = queue.SimpleQueue()
    reader = threading.Thread(target=read_frames, args=(source, frames), daemon=True)
    reader.start()
    plugin: Any = None
    while True:
        message = frames.get()
        try:
            if isinstance(message, Hello):
                logging.getLogger("qtforge.plugin").setLevel(message.log_level)
                plugin = make_plugin(message)
                answer: Answer | Failure = Answer(None)
            else:
                with attached(message.trace):
                    answer = Answer(perform(plugin, message, sink))
            encoded = frame(answer)
        except BaseException as error:  # noqa: BLE001 - whatever the plugin raises is the result
            encoded = frame(failure_of(error, plugin))
        sink.send(encoded)


def _limit_memory(size_bytes: int) -> None:
    """Limit the private memory of this process, and of each child of its own."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or size_bytes < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (size_bytes, hard))


def _detach(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(nowhere, descriptor, inheritable=False)
    os.close(nowhere)


def _traceback(error: BaseException) -> str:
    try:
        return traceback_of(error) or clean_text("".join(traceback.format_exception(error)))
    except BaseException as second:  # noqa: BLE001 - its text fails
        return f"no traceback: {type(second).__name__}"


if __name__ == "__main__":
    main()
