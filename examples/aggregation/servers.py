"""Starts the servers that examples/aggregation.toml asks, and says how to run it.

A PostgreSQL of its own, from the system's package (Debian: ``apt install postgresql``), where
there is one, and an HTTP server; both end with Ctrl-C, and nothing of them stays.
Run it from the checkout: ``python examples/aggregation/servers.py``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HTTP_PORT = 18480
POSTGRESQL_PORT = 18432
PASSWORD = "example"  # noqa: S105 - of a server that lives as long as this script
FOLDER = Path(__file__).parent
ORDERS = [{"shop": "online", "day": f"2026-01-0{day}", "amount": 20.5 * day} for day in range(1, 8)]
TABLE = """
create table sales (shop text, day date, amount numeric);
insert into sales values ('center', '2026-01-05', 410.00), ('center', '2026-01-06', 95.50),
  ('station', '2026-01-05', 230.10), ('station', '2026-01-06', null);
"""


class Handler(BaseHTTPRequestHandler):
    """``/orders`` in two pages; ``/broken`` always fails."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        status, body = 200, json.dumps(ORDERS[:4])
        if path == "/orders" and "page=2" in query:
            body = json.dumps(ORDERS[4:])
        elif path != "/orders":
            status, body = (503, "busy") if path == "/broken" else (404, "?")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if path == "/orders" and not query:
            self.send_header("Link", f'<http://127.0.0.1:{HTTP_PORT}/orders?page=2>; rel="next"')
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the run records the outcome."""


def postgresql_programs() -> Path | None:
    """Return the folder of the newest installed server's programs, or None."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    versions = sorted(found, key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None


@contextlib.contextmanager
def postgresql(programs: Path) -> Iterator[None]:
    """Run a PostgreSQL server with the table until the block ends."""
    as_root = os.geteuid() == 0  # it does not run as root
    user = "postgres" if as_root else None
    with tempfile.TemporaryDirectory(prefix="qtforge-pg-", ignore_cleanup_errors=True) as name:
        folder, data = Path(name), Path(name) / "data"
        folder.chmod(0o777 if as_root else 0o700)
        (folder / "password").write_text(PASSWORD)
        (folder / "password").chmod(0o644)

        def do(program: str, *words: str, given: str | None = None, **more: str) -> None:
            with (folder / "output").open("a") as output:
                subprocess.run(
                    [programs / program, *words], check=True, input=given, text=True, cwd="/",
                    stdout=output, stderr=output, env={**os.environ, **more}, timeout=60, user=user,
                )  # fmt: skip

        do("initdb", "-D", str(data), "-U", "reporter", "-A", "scram-sha-256", "-N",
           f"--pwfile={folder / 'password'}")  # fmt: skip
        options = f"-p {POSTGRESQL_PORT} -k {folder} -h 127.0.0.1 -c fsync=off"
        control = ("-D", str(data), "-w", "-l", str(data / "log"), "-o", options)
        do("pg_ctl", *control, "start")
        try:
            do("psql", "-h", "127.0.0.1", "-p", str(POSTGRESQL_PORT), "-U", "reporter",
               "-d", "postgres", "-q", given=TABLE, PGPASSWORD=PASSWORD)  # fmt: skip
            yield
        finally:
            do("pg_ctl", "-D", str(data), "-m", "immediate", "stop")


def main() -> None:
    """Start the servers, say how to use them, and wait for Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.ExitStack() as stack:
        programs = postgresql_programs()
        if programs is None:
            print("no PostgreSQL: its source will fail, and the others are kept", file=sys.stderr)
        else:
            stack.enter_context(postgresql(programs))
        server = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", HTTP_PORT), Handler))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        print("The servers run until Ctrl-C. In another terminal:\n")
        print(f"  export QTFORGE_SECRET_SHOP={PASSWORD}")
        config = FOLDER / "config.toml"
        print(f"  qtforge-host --config {config} run data-aggregation \\")
        print(f"    --input {FOLDER.parent / 'aggregation.toml'} --json", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


if __name__ == "__main__":
    main()
