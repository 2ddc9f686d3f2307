"""A browser without scripts, for tests of the pages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

import httpx2
from tests.serving import Server

from qtforge_host.serving.http.application import PAGES as ROOT

SAME: Final = {"Sec-Fetch-Site": "same-origin"}
HOSTILE: Final = "<script>alert(1)</script>\"'&<b>"


@contextlib.contextmanager
def browser(server: Server, token: str | None = None) -> Iterator[httpx2.Client]:
    """Give a client without scripts that has logged in."""
    with httpx2.Client(
        base_url=server.url, headers=SAME, timeout=60.0, follow_redirects=True
    ) as client:
        done = client.post(f"{ROOT}/login", data={"token": token or server.token})
        assert done.status_code == 200, done.text
        yield client
