"""pgbouncer in transaction mode, before a PostgreSQL server of the tests."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.servers.postgresql import PostgreSQL

__all__ = ["PgbouncerUnavailable", "running_pgbouncer"]

_TIMEOUT_S: Final = 30
_CONFIG: Final = """[databases]
* = host=127.0.0.1 port={server_port} user={user} password='{password}'

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
logfile = {log}
{more}
"""


class PgbouncerUnavailable(Exception):
    """It can't be started here; the text says why."""


@contextlib.contextmanager
def running_pgbouncer(server: PostgreSQL, more: str = "") -> Iterator[PostgreSQL]:
    """Start it before a server; give where it listens, as the server is given.

    Args:
        server: The server; three sessions of it are shared by all clients.
        more: Further lines of the configuration.

    Raises:
        PgbouncerUnavailable: There is none, or it did not start.
    """
    program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
    if not Path(program).exists():
        raise PgbouncerUnavailable("the package 'pgbouncer' is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    account = server.account
    with tempfile.TemporaryDirectory(prefix="pgb-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        config = folder / "pgbouncer.ini"
        config.write_text(
            _CONFIG.format(server_port=server.port, user=server.user, password=server.password,
                           port=port, log=folder / "log", more=more)
        )  # fmt: skip
        if account is not None:
            for path in (folder, config):
                shutil.chown(path, account.pw_uid, account.pw_gid)
        process = subprocess.Popen(
            [program, config],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            cwd="/",
        )  # fmt: skip
        try:
            _wait(process, port, folder / "log")
            yield dataclasses.replace(server, port=port)
        finally:
            process.kill()
            process.wait(_TIMEOUT_S)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _TIMEOUT_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None or time.monotonic() > until:
            said = log.read_text(errors="replace")[-500:] if log.exists() else ""
            raise PgbouncerUnavailable(f"pgbouncer did not start: {said}")
        time.sleep(0.05)
