"""Changes of the configuration's files are noticed once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qtforge_host.config.settings import Settings
from qtforge_host.serving.config_watcher import Watch


def test_a_changed_file_is_noticed_unless_it_was_looked_at(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("")

    async def check() -> None:
        watch = Watch(Settings(config_path=config, state_dir=tmp_path), poll_s=0.01)
        config.write_text("# one\n")
        await asyncio.wait_for(watch.changed(), 60)
        config.write_text("# another\n")
        watch.look()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.changed(), 0.2)
        (tmp_path / "workflows").mkdir()
        (tmp_path / "workflows" / "mine.toml").write_text("")
        await asyncio.wait_for(watch.changed(), 60)

    asyncio.run(check())
