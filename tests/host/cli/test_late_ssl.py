"""asyncio is imported without ssl, and finds it when something is encrypted."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

BEFORE = """\
import json, sys
from qtforge_host.cli.late_ssl import import_ssl_late
finders = list(sys.meta_path)
import_ssl_late()
import asyncio
"""


def said(code: str, before: str = BEFORE) -> Any:
    """Return what a new interpreter gives for an expression, after some lines."""
    lines, _, expression = code.rpartition("\n")
    done = subprocess.run(
        [sys.executable, "-c", f"{before}{lines}\nprint(json.dumps({expression}))"],
        capture_output=True, encoding="utf-8", timeout=120, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_asyncio_is_imported_without_ssl_and_is_otherwise_as_ever() -> None:
    late = "[name in sys.modules for name in ('ssl', 'asyncio.sslproto')]"
    assert said(late) == [False, False]
    facts = (
        "[sys.meta_path == finders, type(asyncio.__spec__.loader).__name__,"
        " asyncio.__loader__ is asyncio.__spec__.loader]"
    )
    assert said(facts) == [True, "SourceFileLoader", True]
    assert said("asyncio.run(asyncio.sleep(0, 'done'))") == "done"


@pytest.mark.parametrize(
    "code",
    [
        "import ssl\nasyncio.base_events.ssl.SSLContext is ssl.SSLContext",
        "asyncio.base_events.ssl.SSLContext is __import__('ssl').SSLContext",
        "from asyncio import base_events as loops, sslproto\n"
        "sslproto.SSLProtocol is loops.sslproto.SSLProtocol",
        "asyncio.sslproto.SSLProtocol.__module__ == 'asyncio.sslproto'",
        "import asyncio.sslproto\nasyncio.sslproto is sys.modules['asyncio.sslproto']",
    ],
)
def test_whoever_asks_for_ssl_gets_the_real_one(code: str) -> None:
    assert said(code) is True


ENCRYPTED = """\
import socket, ssl
def refused():
    with socket.socket() as server:  # answers in no language that TLS knows
        server.bind(("127.0.0.1", 0))
        server.listen()
        async def ask():
            loop = asyncio.get_running_loop()
            opening = loop.create_task(
                asyncio.open_connection(*server.getsockname(), ssl=ssl.create_default_context())
            )
            peer = await asyncio.to_thread(lambda: server.accept()[0])
            with peer:
                peer.sendall(b"no TLS\\n")
                try:
                    await opening
                except ssl.SSLError as error:
                    return error.reason
        return asyncio.run(ask())
refused()"""


def test_a_loop_encrypts_after_that() -> None:
    assert said(ENCRYPTED) == said(ENCRYPTED, "import asyncio, json, sys\n") != ""


def test_an_asyncio_that_is_there_already_stays_as_it_is() -> None:
    before = (
        "import asyncio, json, ssl, sys\nfrom qtforge_host.cli.late_ssl import import_ssl_late\n"
    )
    code = (
        "found = list(sys.meta_path)\nimport_ssl_late()\n"
        "[asyncio.base_events.ssl is ssl, found == sys.meta_path]"
    )
    assert said(code, before) == [True, True]
