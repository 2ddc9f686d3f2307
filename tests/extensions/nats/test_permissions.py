"""Who may do what on a server with the permissions that docs/scale.md has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import nkeys  # type: ignore[import-untyped]
import pytest
import trustme
from nats.aio.client import Client
from tests.extensions.nats.nodes import Node, until
from tests.servers.nats import Nats, NatsUnavailable, running_nats

from qtforge_nats.connection import Connection, connection_fix
from qtforge_sdk.errors import BusUnavailableError, NodeGoneError, RequestTimeoutError
from qtforge_sdk.transport import NodeHandler

_OCR = NodeHandler(topic="text.echo", plugin="gpu-ocr", version="1.2.0")
_OTHER = NodeHandler(topic="text.echo", plugin="other", version="9.9.9")
_PAGE = Path(__file__).parents[3] / "docs" / "scale.md"


def permissions() -> str:
    """Return the configuration that the page has."""
    text = _PAGE.read_text(encoding="utf-8")
    _, begin, rest = text.partition("```\nauthorization {")
    assert begin
    return "authorization {" + rest.partition("\n```")[0] + "\n"


@contextlib.contextmanager
def server_with(configuration: str) -> Iterator[Nats]:
    try:
        with running_nats(configuration) as server:
            yield server
    except NatsUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def seed() -> str:
    return str(nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER).decode())


@pytest.fixture
def server(seed: str) -> Iterator[Nats]:
    public = nkeys.from_seed(seed.encode()).public_key.decode()
    configuration = permissions().replace("UPUBLICKEY", public).replace("$WORKER_1", "one")
    with server_with(configuration) as server:
        yield server


def test_a_node_answers_for_its_own_plugins_alone(server: Nats, seed: str) -> None:
    asks = server.url.replace("nats://", "nats://worker-1:one@")
    answers = f"{server.url}?nkey={seed}"

    async def main() -> None:
        one = await Node(asks, "worker-1").start()
        two = await Node(answers, "gpu-1").start(_OCR)
        await until(lambda: one.sees("gpu-1.1"))
        assert await one.ask("gpu-1.1", plugin="gpu-ocr") == "hello"
        # It claims another plugin, and another node's name: the server lets neither through.
        await two.transport.announce([_OCR, _OTHER])
        rogue = await Node(answers, "worker-1", "rogue").start(_OCR)
        await asyncio.sleep(1.5)
        entry = one.transport.directory()["gpu-1.1"]
        assert {each.plugin for each in entry.handlers} == {"gpu-ocr"}
        assert "worker-1.rogue" not in one.transport.directory()
        with pytest.raises((NodeGoneError, RequestTimeoutError)):
            await one.ask("gpu-1.1", plugin="other", timeout_s=1)
        assert two.asked == ["hello"]
        # It may not ask others either.
        with pytest.raises((NodeGoneError, RequestTimeoutError)):
            await two.ask("worker-1.1", timeout_s=0.5)
        for node in (one, two, rogue):
            await node.transport.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_who_is_not_known_is_not_let_in(server: Nats) -> None:
    async def main() -> None:
        for user in ("", "worker-1:wrong@", "t0ken@"):
            node = Node(server.url.replace("nats://", f"nats://{user}"), "worker-1")
            with pytest.raises(BusUnavailableError) as caught:
                await node.start()
            assert "user and password" in caught.value.fix
            assert "wrong" not in str(caught.value)
            assert "t0ken" not in str(caught.value)
            await node.transport.close()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_connection_that_the_server_cuts_may_be_that_of_an_unknown_user() -> None:
    # It closes the connection, and what it said before is lost when this side writes meanwhile.
    for said in ("[Errno 104] Connection reset by peer", "[Errno 32] Broken pipe"):
        assert "user and password" in connection_fix(said)
    assert connection_fix("[Errno 111] Connect call failed") == (
        "start the server, or correct [host] bus"
    )


def test_a_connection_is_encrypted_where_the_address_says_so(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key, ca = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    certificate.private_key_pem.write_to_path(key)
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    authority.cert_pem.write_to_path(ca)
    configuration = f'tls {{ cert_file: "{chain}", key_file: "{key}" }}\n'
    configuration += 'authorization { token: "s3cr/t" }\n'

    async def main(server: Nats) -> None:
        place = server.url.removeprefix("nats://")
        secured = f"tls://s3cr%2Ft@{place}?tls_ca={ca}"
        one = await Node(secured, "one").start()
        two = await Node(secured, "two").start(_OCR)
        await until(lambda: one.sees("two.1"))
        assert await one.ask("two.1", plugin="gpu-ocr") == "hello"
        await one.transport.close()
        await two.transport.close()
        unknown = Node(f"tls://s3cr%2Ft@{place}", "three")  # of another authority
        with pytest.raises(BusUnavailableError):
            await unknown.start()
        await unknown.transport.close()

    with server_with(configuration) as server:
        asyncio.run(asyncio.wait_for(main(server), 60))


def test_nothing_is_sent_in_clear_where_the_address_asks_for_encryption() -> None:
    """Whoever pretends to be the server says that it requires no TLS, and hopes for a password."""
    received = b""

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        writer.write(b'INFO {"version": "2.15.0", "auth_required": true, "max_payload": 1024}\r\n')
        received += await reader.read(4096)
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(pretend, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            node = Node(f"tls://me:s3cret@127.0.0.1:{port}", "one")
            with pytest.raises(BusUnavailableError, match="does not require TLS") as caught:
                await node.start()
            assert "tls section" in caught.value.fix
            await node.transport.close()

    asyncio.run(asyncio.wait_for(main(), 60))
    assert received == b""


def test_a_connection_that_was_not_checked_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another nats-py may not ask `Connection` before it sends."""
    monkeypatch.setattr(Connection, "_connect_command", Client._connect_command)

    async def main(server: Nats) -> None:
        node = Node(server.url, "one")
        with pytest.raises(BusUnavailableError, match="not known whether"):
            await node.start()
        await node.transport.close()

    with server_with("") as server:
        asyncio.run(asyncio.wait_for(main(server), 60))
