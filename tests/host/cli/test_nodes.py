"""What the commands about nodes print: a drain is short, and a node with many plugins fits."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import click
import pytest

from qtforge_host.api.documents import NeededPlugin, NeededPool, NodeDocument
from qtforge_host.cli import nodes
from qtforge_host.config.settings import Settings

NODE = NodeDocument(
    node="worker-1",
    owner="4f2a",
    role="worker",
    status="draining",
    host="ada",
    pid=4711,
    since=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    runs=3,
    capacity=100,
    pools=["default"],
    plugins={f"plugin-number-{number}": "1.0.0" for number in range(12)},
    lease_s=10.0,
    lease_left_s=7.5,
    needed=[NeededPlugin(plugin="ocr", version="1", runs=3)],
    needed_pools=[NeededPool(pool="reports", runs=1)],
)


class Client:
    """Nodes, of which there is one."""

    async def show(self, name: str) -> NodeDocument:
        return NODE

    async def drain(self, name: str, wait: float) -> NodeDocument:
        return NODE


def printed(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    @contextlib.asynccontextmanager
    async def opened(settings: Settings) -> AsyncIterator[Client]:
        yield Client()

    class Session:
        settings = Settings(config_path=Path("c.toml"), state_dir=Path("s"))

    monkeypatch.setattr(nodes, "open_nodes", opened)
    monkeypatch.setattr(nodes, "terminal_width", lambda: 80)
    command: Any = nodes.nodes
    with contextlib.suppress(click.exceptions.Exit):
        command.main(words, obj=Session(), standalone_mode=False)
    return capsys.readouterr().out.splitlines()


def test_many_plugins_fit_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(["show", "worker-1"], monkeypatch, capsys)
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    for name, version in NODE.plugins.items():
        assert f"{name} {version}" in text
    assert "lease 10 s, 7.5 s left" in text
    assert "qtforge-host runs list --needs ocr==1" in text


def test_a_drain_says_what_is_left_and_no_plugins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(["drain", "worker-1"], monkeypatch, capsys)
    assert len(lines) == 6
    assert lines[1] == "  runs     3 of 100"
    assert "3 runs need ocr 1, which no other node has" in lines[2]
    assert lines[4:] == [
        "  1 run is of the pool reports, which no other node serves:",
        "    qtforge-host runs list --pool reports",
    ]
    assert "plugin-number" not in "".join(lines)
