"""A run whose step another machine does."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

from tests.servers.nats import Nats

from qtforge_host.app import Host
from qtforge_host.config.settings import Settings, load_settings
from qtforge_host.nodes.node_bus import Answering
from qtforge_sdk.records import RunStarted, StepSucceeded

_WORKFLOW = """
name = "far"
kind = "sequential"
requires = ["document-storage >= 1.0"]

[[stages]]
name = "find"
operation = "document.find"
message = { query = "anything" }
"""


def test_a_workflow_may_require_a_plugin_that_another_machine_has(
    nats_server: Nats, tmp_path: Path
) -> None:
    url = f"{nats_server.url}?prefix=t{uuid.uuid4().hex}"

    def settings(name: str, text: str) -> Settings:
        folder = tmp_path / name
        folder.mkdir()
        config = folder / "config.toml"
        config.write_text(f'[host]\nbus = "{url}"\n{text}')
        return load_settings(config, environ={}, state_dir=folder / "state")

    file = tmp_path / "far.toml"
    file.write_text(_WORKFLOW)
    here = settings("here", "[plugins.document-storage]\nenabled = false\n")
    far = settings("far", "")

    async def main() -> None:
        async with Host(far, answering=Answering(name="far")), Host(here) as host:
            workflow = host.workflow(str(file))
            durable = await host.durable()
            state = await durable.engine.execute(workflow, {})
            assert state.status == "succeeded", state.error
            records = list(await durable.journal.records(state.run_id))
            (started,) = [each for each in records if isinstance(each, RunStarted)]
            assert started.plugins["document-storage"] == "1.0.0"
            (done,) = [each for each in records if isinstance(each, StepSucceeded)]
            assert (done.plugin, done.plugin_version) == ("document-storage", "1.0.0")

    asyncio.run(asyncio.wait_for(main(), 120))
