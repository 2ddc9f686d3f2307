"""An S3 server of the tests' own: moto, in a process of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Final

__all__ = ["S3", "S3Unavailable", "running_s3"]

_NEEDED: Final = ("moto", "flask", "flask_cors")
_PROGRAM: Final = """
import sys
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""


class S3Unavailable(Exception):
    """The server can't be started here; the text says why."""


class S3:
    """A server.

    Args:
        port: On 127.0.0.1.
        process: Its process.
    """

    def __init__(self, port: int, process: subprocess.Popen[str]) -> None:
        self.port = port
        self._process = process

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{name}", method="PUT")
        urllib.request.urlopen(request, timeout=60).close()

    def url(self, bucket: str, secret: str = "key") -> str:
        """Return the address of a folder in a bucket, as ``[host] files`` takes it."""
        return (
            f"s3://{bucket}/qtforge?endpoint=http://127.0.0.1:{self.port}&region=us-east-1"
            f"&access_key_id=tests&secret_access_key={secret}"
        )

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait(30)


@contextlib.contextmanager
def running_s3() -> Iterator[S3]:
    """Start a server, and stop it at the end of the block.

    Raises:
        S3Unavailable: It is not installed.
    """
    missing = [each for each in _NEEDED if importlib.util.find_spec(each) is None]
    if missing:
        raise S3Unavailable(
            f"{', '.join(missing)} not installed: pip install moto flask flask-cors"
        )
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        server = S3(int(next(each for each in process.stdout if each.strip().isdigit())), process)
        try:
            yield server
        finally:
            server.stop()
