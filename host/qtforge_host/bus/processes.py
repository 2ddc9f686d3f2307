"""Worker processes for ``execution="process"``, killed when a call exceeds its deadline.

Each has a session of its own, which is ended whole: no child outlives the worker that started
it. Calls and results go over a socket, so that standard input is empty and what a plugin or its
children print is only forwarded to the host's standard error.

The limit of memory is one of resident memory, over the worker and its children, and not
``RLIMIT_AS``: numerical libraries, garbage-collected runtimes and memory-mapped files reserve
many times the address space that they use. The host looks while a call lasts. Because one large
allocation may come between two looks, ``RLIMIT_DATA`` stops each process at twice the limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import signal
import socket
import subprocess
import sys
from typing import Any, Final

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
from qtforge_host.bus.threads import QueueFull
from qtforge_host.installed import InstalledDistribution
from qtforge_host.sizes import size_text
from qtforge_sdk.errors import OperationError
from qtforge_sdk.operations import ProgressListener

__all__ = ["DEFAULT_MEMORY_BYTES", "ProcessWorkers", "WorkerDiedError", "WorkerFailedError"]

DEFAULT_MEMORY_BYTES: Final = 2 << 30
_END_S: Final = 5.0  # how long a killed process may take to end
_LAST_OUTPUT_S: Final = 0.5  # in which the last output of an ended process is forwarded
_LOOK_S: Final = 0.1  # between two looks at the memory of a process

_LOG: Final = logging.getLogger("qtforge.host")


class WorkerDiedError(Exception):
    """The worker process ended during a call."""


class WorkerFailedError(Exception):
    """The call raised in the worker; its traceback is a note of this exception.

    Args:
        text: What was raised.
        place: ``file:line`` of the plugin's code, or "".
        worker_traceback: The traceback in the worker.
    """

    def __init__(self, text: str, place: str = "", worker_traceback: str = "") -> None:
        super().__init__(text)
        self.place = place
        self.worker_traceback = worker_traceback


class _MemoryExceededError(OperationError):
    """A call took more memory than its worker process may."""

    def __init__(self, limit_bytes: int, detail: str = "", /) -> None:
        super().__init__(
            "plugin.memory_exceeded",
            f"its worker process took more memory than the limit of {size_text(limit_bytes)}",
            detail,
            "send it less at once, or raise worker_memory in [host]",
            retryable=False,
        )


class _Worker:
    """One process, and its current call.

    Args:
        process: The process, the leader of its own session.
        mark: What its environment is marked with.
        memory_bytes: How much memory it may take, with its children.
        reader: Receives its frames.
        writer: Sends frames to it.
        output: Everything that it and its children print.

    Attributes:
        is_usable: Whether it can do another call.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        mark: str,
        memory_bytes: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        output: _Output,
    ) -> None:
        self.is_usable = True
        self._process = process
        self._mark = mark
        self._memory_bytes = memory_bytes
        self._reader = reader
        self._writer = writer
        self._output = output
        self._decoder = msgspec.msgpack.Decoder(Answer | Failure | Progress | Logged)
        self._exceeded = False
        self._exit = asyncio.create_task(self._after_exit())

    async def ask(self, message: Hello | Call, listener: ProgressListener | None) -> Any:
        """Send one frame, and return the result of the answer.

        Raises:
            WorkerDiedError: The process ended.
            WorkerFailedError: The plugin raised another exception.
            OperationError: The plugin raised an OperationError, or took too much memory.
        """
        self.is_usable = False
        self._output.context = contextvars.copy_context()
        loop = asyncio.get_running_loop()
        watch: list[asyncio.Task[None]] = []
        look = loop.call_later(
            _LOOK_S, lambda: watch.append(loop.create_task(self._watch_memory()))
        )
        try:
            self._writer.write(frame(message))
            await self._writer.drain()
            while True:
                header = await self._reader.readexactly(HEADER.size)
                body = await self._reader.readexactly(length_of(header))
                answer = self._decoder.decode(body)
                if isinstance(answer, Answer):
                    self.is_usable = True
                    return answer.result
                if isinstance(answer, Failure):
                    if answer.out_of_memory:
                        raise _MemoryExceededError(self._memory_bytes, answer.what)
                    self.is_usable = True
                    raise _raised(answer)
                if isinstance(answer, Logged):
                    logging.getLogger(answer.logger).log(answer.level, "%s", answer.text)
                elif listener is not None:
                    listener(answer.done, answer.total, answer.text)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            if self._exceeded:
                raise _MemoryExceededError(self._memory_bytes) from error
            raise WorkerDiedError(await self._exit_reason()) from error
        finally:
            look.cancel()
            for task in watch:
                task.cancel()

    async def end(self) -> None:
        """Kill the process and all that it started, and wait for its end."""
        self.is_usable = False
        self._kill()
        self._writer.close()
        try:
            async with asyncio.timeout(_END_S):  # `wait_for` may lose a cancellation
                await asyncio.shield(self._exit)
        except TimeoutError:  # in the kernel, such as in a network file system
            _LOG.warning("the killed worker process %d has not ended yet", self._process.pid)
        await self._output.close()

    def _kill(self) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _after_exit(self) -> None:
        await self._process.wait()
        await asyncio.to_thread(process_tree.end_tree, self._process.pid, self._mark)

    async def _watch_memory(self) -> None:
        while True:
            if await asyncio.to_thread(self._takes_too_much):
                break
            await asyncio.sleep(_LOOK_S)
        self._exceeded = True
        self._kill()

    def _takes_too_much(self) -> bool:
        tree = process_tree.tree_of(self._process.pid)
        limit = self._memory_bytes
        if process_tree.anonymous_bytes(tree) <= limit:
            return False
        return process_tree.proportional_bytes(tree) > limit

    async def _exit_reason(self) -> str:
        try:
            async with asyncio.timeout(_END_S):
                code = await self._process.wait()
        except TimeoutError:
            return "its worker process closed its connection to the host"
        if code < 0:
            return f"its worker process was ended by {_signal_name(-code)}"
        return f"its worker process ended with exit code {code}"


class _Output:
    """Forwards what a worker process and its children print to standard error.

    Attributes:
        context: Of the last call, to which what is printed belongs.
    """

    def __init__(self, transport: asyncio.BaseTransport, reader: asyncio.StreamReader) -> None:
        self.context = contextvars.copy_context()
        self._transport = transport
        self._reader = reader
        self._task = asyncio.create_task(self._forward())

    async def close(self) -> None:
        """Forward what is left, but don't wait for a process that keeps its output open."""
        await asyncio.wait([self._task], timeout=_LAST_OUTPUT_S)
        self._task.cancel()
        self._transport.close()

    async def _forward(self) -> None:
        while data := await self._reader.read(1 << 16):
            self.context.copy().run(sys.stderr.write, data.decode(errors="replace"))
            sys.stderr.flush()


class ProcessWorkers:
    """The worker processes of one plugin, started when they are needed.

    Args:
        target: The plugin's entry point, ``module:attribute``.
        config: Its configuration as plain values, or None.
        size: The most concurrent calls, each in a process of its own.
        capacity: The most waiting calls.
        memory_bytes: How much memory each process may take, with its children.
        installed: The plugin's distribution as it was when the host imported it: a process
            that would import another version is refused. None where that is unknown.
    """

    def __init__(
        self,
        target: str,
        config: Any,
        size: int,
        capacity: int = 1024,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
        installed: InstalledDistribution | None = None,
    ) -> None:
        self.capacity = capacity
        self._installed = installed
        self._hello = Hello(target, config, list(sys.path), memory_bytes)
        self._idle: list[_Worker] = []
        self._busy: set[_Worker] = set()
        self._slots = asyncio.Semaphore(size)
        self._waiting = 0

    async def run(self, call: Call, listener: ProgressListener | None) -> Any:
        """Make a call, and return its result as plain values.

        When the caller is cancelled, the process is killed, which ends the call at once.

        Raises:
            QueueFull: Too many calls wait; the call was not made.
            WorkerDiedError: The process ended during the call.
            WorkerFailedError: The plugin raised another exception.
            OperationError: The plugin raised an OperationError, or took too much memory.
        """
        if self._waiting >= self.capacity:
            raise QueueFull
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._perform(call, listener)
        finally:
            self._slots.release()

    async def close(self) -> None:
        """Kill every process, and wait for their ends."""
        workers = [*self._idle, *self._busy]
        self._idle.clear()
        await asyncio.gather(*(worker.end() for worker in workers))

    async def _perform(self, call: Call, listener: ProgressListener | None) -> Any:
        worker = self._idle.pop() if self._idle else await self._start()
        self._busy.add(worker)
        try:
            return await worker.ask(call, listener)
        finally:
            self._busy.discard(worker)
            if worker.is_usable:
                self._idle.append(worker)
            else:
                await asyncio.shield(worker.end())

    async def _start(self) -> _Worker:
        self._check_installed()
        worker = await _spawn(self._hello.memory_bytes)
        self._busy.add(worker)
        try:
            level = logging.getLogger("qtforge.plugin").getEffectiveLevel()
            await worker.ask(msgspec.structs.replace(self._hello, log_level=level), None)
            self._check_installed()  # it may have been upgraded while it was imported
        except BaseException:
            await asyncio.shield(worker.end())
            raise
        finally:
            self._busy.discard(worker)
        return worker

    def _check_installed(self) -> None:
        if self._installed is not None and self._installed.is_changed():
            raise OperationError(
                "plugin.replaced",
                "a worker process would run other code than the host",
                "what the host has imported is no longer what is installed",
                "restart the host; serve does so by itself",
                retryable=True,
            )


async def _spawn(memory_bytes: int) -> _Worker:
    mark = os.urandom(16).hex()
    ours, theirs = socket.socketpair()
    output, printed = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(ours.close)
        stack.callback(os.close, output)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "qtforge_host.bus.worker",
                    str(theirs.fileno()),
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=printed,
                    env={**os.environ, process_tree.MARK_VARIABLE: mark},
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # ended as a whole; the host handles Ctrl-C
                )
            finally:
                os.close(printed)
        stack.pop_all()
    reader, writer = await asyncio.open_connection(sock=ours)
    lines = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), os.fdopen(output, "rb", buffering=0)
    )
    return _Worker(process, mark, memory_bytes, reader, writer, _Output(transport, lines))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _raised(failure: Failure) -> Exception:
    if failure.code:
        return OperationError(
            failure.code,
            failure.what,
            failure.why,
            failure.fix,
            retryable=failure.retryable,
            retry_after_s=failure.retry_after_s,
        )
    error = WorkerFailedError(failure.what, failure.place, failure.traceback)
    error.add_note(failure.traceback)
    return error
