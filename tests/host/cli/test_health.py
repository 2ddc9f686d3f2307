"""``qtforge-host health``: plugins, and what circuit breakers last did."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from qtforge_host.app import HostParts
from qtforge_host.config.settings import Settings
from qtforge_sdk.policies import Breaker, TopicPolicy


def open_breaker(folder: Path) -> None:
    """Let a breaker open in a process of that state directory, which then is gone."""

    async def main() -> None:
        policy = TopicPolicy(breaker=Breaker(failures=1))
        parts = HostParts(
            Settings(config_path=folder / "none", state_dir=folder, topics={"a.b": policy})
        )
        breaker = parts.policies.breakers.breaker("a.b", "plug")
        assert breaker is not None
        breaker.after(breaker.before(), "failed")
        await parts.bus.close()
        await parts.wiring.close()
        parts.threads.close()

    asyncio.run(main())


def test_a_breaker_that_opened_in_another_process_is_shown(cli: Any, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    assert cli("--state-dir", folder, "health", "--json").json["breakers"] == []
    assert "BREAKER" not in cli("--state-dir", folder, "health").out
    open_breaker(folder)
    said = cli("--state-dir", folder, "health", "--json")
    (shown,) = said.json["breakers"]
    assert said.code == 0
    assert (shown["topic"], shown["plugin"], shown["state"]) == ("a.b", "plug", "open")
    assert shown["reason"] == "1 failures within 1m"
    assert shown["since"].endswith("Z")
    table = cli("--state-dir", folder, "health").out.splitlines()
    assert table[-1].startswith("✗ open   a.b    plug")
