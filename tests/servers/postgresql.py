"""A PostgreSQL server of the tests' own, from the system's package, on a socket in a folder.

`postgresql_programs` finds the package's programs, and `running_postgresql` starts a server
that ends with its ``with`` block. Root can't run it, so that root's tests run it as ``nobody``
or ``postgres``.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["PostgreSQL", "PostgreSQLUnavailable", "postgresql_programs", "running_postgresql"]

_START_TIMEOUT_S: Final = 60
_VARIABLE: Final = "QTFORGE_TEST_POSTGRESQL"
_OFF: Final = ("fsync", "full_page_writes")  # it lives for a test


class PostgreSQLUnavailable(Exception):
    """The server can't be started here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgreSQL:
    """A server that runs.

    Attributes:
        user: Its superuser.
        password: That user's.
        port: On 127.0.0.1.
        folder: With its socket and its data.
        account: Whom it runs as, or None for who we are.
    """

    user: str
    password: str
    port: int
    folder: Path
    account: pwd.struct_passwd | None = None

    def restart(self) -> None:
        """Crash it, and start it again; its clients lose their connections."""
        self._control("-m", "immediate", "-l", self.folder / "log", "restart")

    def stop(self) -> None:
        """Crash it."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start it again, as it was started first."""
        options = (self.folder / "data" / "postmaster.opts").read_text().split(" ", 1)[1]
        self._control("-l", self.folder / "log", "-o", options.strip().replace('"', ""), "start")

    def send(self, number: int) -> None:
        """Send a signal to all its processes, such as SIGSTOP to freeze it."""
        first = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        for pid in (first, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def is_running(self) -> bool:
        """Return whether its process is there."""
        try:
            self._control("status")
        except PostgreSQLUnavailable:
            return False
        return True

    def _control(self, *words: object) -> None:
        control = [postgresql_programs() / "pg_ctl", "-D", self.folder / "data", "-w", "-t",
                   str(_START_TIMEOUT_S)]  # fmt: skip
        _run([*control, *words], self.account)

    def url(self, password: str | None = None, *, database: str = "postgres") -> str:
        """Return where it is, with its own or another password, which may be a placeholder."""
        shown = urllib.parse.quote(self.password, safe="") if password is None else password
        return f"postgresql://{self.user}:{shown}@127.0.0.1:{self.port}/{database}"


def postgresql_programs() -> Path:
    """Return the folder of a server's programs.

    It is what ``QTFORGE_TEST_POSTGRESQL`` names, such as that of a wheel with another version;
    else the newest of those that are installed.

    Raises:
        PostgreSQLUnavailable: There is none.
    """
    if named := os.environ.get(_VARIABLE):
        if not (Path(named) / "initdb").exists():
            raise PostgreSQLUnavailable(f"{_VARIABLE} names no folder with 'initdb'")
        return Path(named)
    found = [each.parent for each in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    on_path = shutil.which("initdb")
    if on_path is not None:
        found.append(Path(on_path).resolve().parent)
    if not found:
        raise PostgreSQLUnavailable("the package 'postgresql' is not installed")
    return max(found, key=lambda each: [int(number) for number in re.findall(r"\d+", str(each))])


@contextlib.contextmanager
def running_postgresql(*, durable: bool = False, listen: str = "") -> Iterator[PostgreSQL]:
    """Start a server, and stop it at the end of the block.

    Args:
        durable: Whether it waits for the disk, as a server does by default.
        listen: A further address to listen on, for clients of the network around it.

    Raises:
        PostgreSQLUnavailable: There is no package, or it did not start.
    """
    programs = postgresql_programs()
    account = _account()
    # Not in the test's folder, which another user may not enter; a socket's path is short.
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        password = f"pw/{secrets.token_urlsafe(12)}@:"
        password_file = folder / "password"
        password_file.write_text(password)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
            os.chown(password_file, account.pw_uid, account.pw_gid)
        data = folder / "data"
        _run(
            [programs / "initdb", "-D", data, "-U", "tester", "-A", "scram-sha-256", "-N",
             "--encoding=UTF8", "--locale=C", f"--pwfile={password_file}"],
            account,
        )  # fmt: skip
        port = _free_port()
        if listen:
            with (data / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet scram-sha-256\n")
        options = [
            f"-p {port}",
            f"-k {folder}",
            f"-h 127.0.0.1{',' if listen else ''}{listen}",
            *(f"-c {each}=off" for each in _OFF if not durable),
        ]
        control = [programs / "pg_ctl", "-D", data, "-w", "-t", str(_START_TIMEOUT_S)]
        _run([*control, "-l", folder / "log", "-o", " ".join(options), "start"], account)
        try:
            yield PostgreSQL(
                user="tester", password=password, port=port, folder=folder, account=account
            )
        finally:
            with contextlib.suppress(PostgreSQLUnavailable):  # it has ended already
                _run([*control, "-m", "immediate", "stop"], account)


def _account() -> pwd.struct_passwd | None:
    """Return whom to run it as, or None for who we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgreSQLUnavailable("root can't run it, and there is no other user to run it as")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _run(command: Sequence[object], account: pwd.struct_passwd | None) -> None:
    # Its output goes to a file: a server that inherits a pipe would hold it open.
    with tempfile.TemporaryFile() as output:
        ended = subprocess.run(
            [str(each) for each in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=_START_TIMEOUT_S + 10,
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            cwd="/",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
        if ended.returncode != 0:
            output.seek(0)
            text = output.read().decode(errors="replace").strip()
            raise PostgreSQLUnavailable(f"{Path(str(command[0])).name} failed: {text[-500:]}")
