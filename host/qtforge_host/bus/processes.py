"""Worker processes for ``execution="process"``, killed when a call exceeds its deadline."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import Any

import msgspec

from qtforge_host.bus.frames import HEADER, Answer, Call, Failure, Hello, Progress, frame, length_of
from qtforge_host.bus.threads import QueueFull
from qtforge_sdk.errors import OperationError
from qtforge_sdk.operations import ProgressListener

__all__ = ["ProcessWorkers", "WorkerDiedError", "WorkerFailedError"]

_END_S = 5.0  # how long a killed process may take to end


class WorkerDiedError(Exception):
    """The worker process ended during a call."""


class WorkerFailedError(Exception):
    """The call raised in the worker; its traceback is a note of this exception."""


class _Worker:
    """One process, and its current call."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process was started without pipes")
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._decoder = msgspec.msgpack.Decoder(Answer | Failure | Progress)

    async def ask(self, message: Hello | Call, listener: ProgressListener | None) -> Any:
        """Send one frame, and return the result of the answer.

        Raises:
            WorkerDiedError: The process ended.
            WorkerFailedError: The plugin raised another exception.
            OperationError: The plugin raised an OperationError.
        """
        try:
            self._stdin.write(frame(message))
            await self._stdin.drain()
            while True:
                header = await self._stdout.readexactly(HEADER.size)
                body = await self._stdout.readexactly(length_of(header))
                answer = self._decoder.decode(body)
                if isinstance(answer, Answer):
                    return answer.result
                if isinstance(answer, Failure):
                    raise _raised(answer)
                if listener is not None:
                    listener(answer.done, answer.total, answer.text)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise WorkerDiedError(await self._exit_reason()) from error

    async def end(self) -> None:
        """Kill the process, and wait for its end."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
        self._stdin.close()
        await asyncio.wait_for(self._process.wait(), _END_S)

    async def _exit_reason(self) -> str:
        code = await asyncio.wait_for(self._process.wait(), _END_S)
        if code < 0:
            return f"its worker process was ended by {signal.Signals(-code).name}"
        return f"its worker process ended with exit code {code}"


class ProcessWorkers:
    """The worker processes of one plugin, started when they are needed.

    Args:
        target: The plugin's entry point, ``module:attribute``.
        config: Its configuration as plain values, or None.
        size: The most concurrent calls, each in a process of its own.
        capacity: The most waiting calls.
    """

    def __init__(self, target: str, config: Any, size: int, capacity: int = 1024) -> None:
        self.capacity = capacity
        self._hello = Hello(target, config, list(sys.path))
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
            OperationError: The plugin raised an OperationError.
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
        sound = False
        try:
            result = await worker.ask(call, listener)
            sound = True
            return result
        except (OperationError, WorkerFailedError):
            sound = True
            raise
        finally:
            self._busy.discard(worker)
            if sound:
                self._idle.append(worker)
            else:
                await asyncio.shield(worker.end())

    async def _start(self) -> _Worker:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "qtforge_host.bus.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # the host handles Ctrl-C
        )
        worker = _Worker(process)
        self._busy.add(worker)
        try:
            await worker.ask(self._hello, None)
        except BaseException:
            await asyncio.shield(worker.end())
            raise
        finally:
            self._busy.discard(worker)
        return worker


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
    error = WorkerFailedError(f"{failure.kind}: {failure.what}")
    error.add_note(failure.traceback)
    return error
