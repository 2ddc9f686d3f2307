"""Commands of the host as processes of their own, forked from one that has imported the code.

Most tests run several commands, and most of a short command's time is imports. The process here
imports what commands import and forks for each command: arguments, environment, working
directory, streams, exit code and signals are as they are when the command is executed. What a
test writes itself, such as a plugin on ``PYTHONPATH``, is imported by the command alone.

`tests.host.cli.test_startup` and the tests of installed environments execute real interpreters.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import functools
import gc
import importlib
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
_SIZE = 1 << 20
_START_TIMEOUT_S = 120
# Commands that show which modules are worth importing once.
_TYPICAL = (("plugins", "list"), ("runs", "list"), ("workflows", "list"), ("bus", "topics"))

# The same for `serve`, which does not end by itself.
_SERVING = (
    "qtforge_host.cli.serve",
    "qtforge_host.serving.http.server",
    "qtforge_host.serving.process",
    "qtforge_host.serving.scheduler",
    "uvicorn.protocols.http.h11_impl",
)


class Command:
    """A command that executes; as `subprocess.Popen`, with text.

    Args:
        control: A connection to the process that forked it.
        words: Its arguments.
        output: The files that it writes to, if they are to be read here.
    """

    def __init__(
        self, control: socket.socket, words: Sequence[str], output: Sequence[IO[bytes]] = ()
    ) -> None:
        self._control = control
        self._words = words
        self._output = output
        self.returncode: int | None = None
        self.pid = int(self._answer(_START_TIMEOUT_S)["pid"])

    def _answer(self, timeout_s: float | None) -> dict[str, Any]:
        self._control.settimeout(timeout_s)
        told = self._control.recv(_SIZE)
        if not told:
            raise AssertionError("the process that forks commands is gone")
        found: dict[str, Any] = json.loads(told)
        return found

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit code, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: It has not ended.
        """
        if self.returncode is None:
            try:
                self.returncode = int(self._answer(timeout)["code"])
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(list(self._words), timeout or 0) from None
            self._control.close()
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end, and return what it wrote and its errors.

        Raises:
            subprocess.TimeoutExpired: It has not ended.
        """
        self.wait(timeout)
        said = []
        for file in self._output:
            with file:
                file.seek(0)
                said.append(file.read().decode().replace("\r\n", "\n"))
        out, error = said
        return out, error

    def poll(self) -> int | None:
        """Return its exit code, or None while it executes."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


class CommandForker:
    """The process that forks commands, seen from the tests.

    Args:
        process: The process.
        requests: A connection to it.
    """

    def __init__(self, process: subprocess.Popen[bytes], requests: socket.socket) -> None:
        self._process = process
        self._requests = requests

    def start(
        self,
        words: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdout: IO[Any] | None = None,
        stderr: IO[Any] | None = None,
    ) -> Command:
        """Start a command.

        Args:
            words: The arguments after ``qtforge-host``.
            env: Its environment.
            cwd: Its working directory.
            stdout: The file that it writes to; None for one that `Command.communicate` reads.
            stderr: The same for its errors.
        """
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        files = [
            tempfile.TemporaryFile() if each is None else each  # noqa: SIM115 - the command's
            for each in (stdout, stderr)
        ]
        request = json.dumps({"words": list(words), "env": dict(env), "cwd": str(cwd)})
        rights = array.array("i", [its.fileno(), *(each.fileno() for each in files)])
        with its:
            self._requests.sendmsg(
                [request.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            )
        return Command(mine, words, files)

    def run(
        self, words: Sequence[str], *, env: Mapping[str, str], cwd: Path, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Execute a command, and return what it wrote and its exit code.

        Raises:
            subprocess.TimeoutExpired: It did not end in time; it is killed.
        """
        command = self.start(words, env=env, cwd=cwd)
        try:
            out, error = command.communicate(timeout)
        except BaseException:
            command.kill()
            command.wait(timeout)
            raise
        return subprocess.CompletedProcess(list(words), command.wait(), out, error)

    def close(self) -> None:
        """End it, and what it has forked."""
        self._requests.close()
        self._process.wait(timeout=_START_TIMEOUT_S)


@functools.cache
def forker() -> CommandForker:
    """Return the process that forks commands; it ends with the tests."""
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SIZE)
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    with its:
        process = subprocess.Popen(
            [sys.executable, __file__, str(its.fileno())],
            env={**kept, "HOME": tempfile.gettempdir(), "PYTHONUTF8": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[its.fileno()],
            cwd=ROOT,
        )
    made = CommandForker(process, mine)
    atexit.register(made.close)
    return made


def run_command(
    words: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout: float = 120,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Execute ``qtforge-host`` with these words; see `CommandForker.run`.

    What changes how an interpreter starts has one of its own.
    """
    cwd = cwd or Path.cwd()
    if not _starts_as_usual(env):
        return subprocess.run(
            [sys.executable, "-m", "qtforge_host.cli.main", *words],
            capture_output=True, text=True, timeout=timeout, env=env, cwd=cwd,
        )  # fmt: skip
    return forker().run(words, env=env, cwd=cwd, timeout=timeout)


def _starts_as_usual(env: Mapping[str, str]) -> bool:
    paths = env.get("PYTHONPATH", "").split(os.pathsep)
    return (
        env.get("PYTHONUTF8") == "1"
        and not any(
            name.startswith(("LC_", "PYTHON")) and name not in ("PYTHONPATH", "PYTHONUTF8")
            for name in env
        )
        and not any(Path(each, "sitecustomize.py").exists() for each in paths if each)
    )


def _import_typical() -> None:
    """Import what commands import, found by asking some that are forked for it."""
    found = list(_SERVING)
    with tempfile.TemporaryDirectory() as folder:
        names = Path(folder) / "names"
        for words in _TYPICAL:
            pid = os.fork()
            if pid == 0:
                with contextlib.suppress(SystemExit):
                    _main(["--state-dir", folder, *words])
                names.write_text("\n".join(sys.modules))
                os._exit(0)
            os.waitpid(pid, 0)
            found += names.read_text().splitlines()
    for name in found:
        if not name.startswith(("__main__", "tests")):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def _main(words: Sequence[str]) -> None:
    from qtforge_host.cli.main import main

    sys.argv = ["qtforge-host", *words]
    main()


def _main_and_exit(words: Sequence[str]) -> None:
    """Execute a command, and end as an interpreter does, but for taking each module apart.

    That takes as long as a short command. What is left over is collected, since it may say so.
    """
    try:
        _main(words)
    except SystemExit as exiting:
        code = int(exiting.code or 0)
    threading._shutdown()  # type: ignore[attr-defined]
    gc.collect()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _fork(request: Mapping[str, Any], control: int, out: int, error: int) -> int:
    """Fork a command; return its process id, but not in the command itself."""
    pid = os.fork()
    if pid:
        return pid
    os.dup2(out, 1)
    os.dup2(error, 2)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=os.isatty(1))
    for descriptor in (control, out, error):
        os.close(descriptor)
    os.chdir(request["cwd"])
    env = request["env"]
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    # As `python -m` does.
    sys.path[0] = request["cwd"]
    sys.path[1:1] = [each for each in env.get("PYTHONPATH", "").split(os.pathsep) if each]
    importlib.invalidate_caches()
    sys.orig_argv[1:] = ["-m", "qtforge_host.cli.main", *request["words"]]
    return 0


def _serve(requests: socket.socket) -> Sequence[str] | None:
    """Fork commands until the tests end; return the arguments, in a command."""
    ends: dict[int, tuple[int, socket.socket]] = {}  # by the descriptor of a process
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                descriptor = key.fd
                if descriptor in ends:
                    pid, control = ends.pop(descriptor)
                    selector.unregister(descriptor)
                    os.close(descriptor)
                    _, status = os.waitpid(pid, 0)
                    with contextlib.suppress(OSError), control:
                        code = os.waitstatus_to_exitcode(status)
                        control.send(json.dumps({"code": code}).encode())
                    continue
                told, rights, _, _ = socket.recv_fds(requests, _SIZE, 3)
                if not told:
                    for pid, _ in ends.values():
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    return None
                request = json.loads(told)
                pid = _fork(request, *rights)
                if pid == 0:
                    for process, (_, other) in ends.items():
                        os.close(process)
                        other.close()
                    requests.close()
                    words: Sequence[str] = request["words"]
                    return words
                control = socket.socket(fileno=rights[0])
                for each in rights[1:]:
                    os.close(each)
                control.send(json.dumps({"pid": pid}).encode())
                process = os.pidfd_open(pid)
                ends[process] = pid, control
                selector.register(process, selectors.EVENT_READ)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)
    _import_typical()
    gc.collect()
    gc.freeze()
    connection = socket.socket(fileno=int(sys.argv[1]))
    given = _serve(connection)
    if given is not None:
        _main_and_exit(given)
