"""Plugins of two machines that share their files: in a folder, and in an object store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.servers.s3 import S3Unavailable, running_s3

from qtforge_host.app import Host
from qtforge_host.config.settings import Settings, load_settings
from qtforge_sdk.errors import ConfigError
from qtforge_sdk.transport import Envelope


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """What two machines have in common."""
    if request.param == "folder":
        yield f"file://{tmp_path}/shared"
        return
    pytest.importorskip("obstore")
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running_s3())
        except S3Unavailable as error:
            pytest.skip(str(error))
        server.make_bucket("shared")
        yield server.url("shared", "${secret.STORE}")


def machine(folder: Path, url: str) -> Settings:
    folder.mkdir()
    config = folder / "config.toml"
    config.write_text(f"[host]\nfiles = '{url}'\n")
    (folder / "secrets.toml").write_text('STORE = "s3cr3t"\n')
    (folder / "secrets.toml").chmod(0o600)
    return load_settings(config, environ={}, state_dir=folder / "state")


async def archived(host: Host, text: bytes, key: str) -> Any:
    message = {
        "document": {"name": "a.md", "content": text}, "approved_by": "Anna", "request_id": key,
    }  # fmt: skip
    loop = asyncio.get_running_loop()
    envelope = Envelope("document.archive", message, 60, loop.time() + 60, idempotency_key=key)
    return await host.bus.send(envelope)


def test_an_archive_of_two_machines_keeps_each_content_once_and_the_first_receipt(
    tmp_path: Path, url: str
) -> None:
    one, two = machine(tmp_path / "one", url), machine(tmp_path / "two", url)

    async def main() -> None:
        async with Host(one) as first, Host(two) as second:
            made = await archived(first, b"content", "run/1")
            assert made.new_content
            assert made.path.startswith(url.partition("?")[0].removeprefix("file://"))
            # The step is repeated by another machine, and another step has the same content.
            assert await archived(second, b"content", "run/1") == made
            other = await archived(second, b"content", "run/2")
            assert (other.new_content, other.path) == (False, made.path)
            both = await asyncio.gather(
                archived(first, b"more", "run/3"), archived(second, b"more", "run/3")
            )
            assert both[0] == both[1]

    asyncio.run(asyncio.wait_for(main(), 120))
    for settings in (one, two):
        kept = (settings.state_dir / "plugins" / "document-archive").rglob("*")
        assert [each for each in kept if each.is_file()] == []


def test_what_can_not_be_shared_is_said_before_a_plugin_starts(tmp_path: Path) -> None:
    settings = machine(tmp_path / "one", "s3://bucket?secret_access_key=${secret.ABSENT}")

    async def main() -> None:
        with pytest.raises(ConfigError, match="ABSENT"):
            async with Host(settings):
                pass

    asyncio.run(main())
