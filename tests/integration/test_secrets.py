"""Secrets through real processes: nothing that they write or print has one, but the secrets."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx2", reason="the extra 'http' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'serve' is not installed")

from tests.host.conftest import Site
from tests.serving import Server, Serving, until

KNOWN, GIVEN, FIELD = "known-s3cret-1", "given-s3cret-2", "field-s3cret-3"
OTHER = "other-s3cret-4"
ALL = (KNOWN, GIVEN, FIELD, OTHER)
PLUGIN = f'''
import asyncio
import json
import os
from pathlib import Path

from qtforge_sdk import OperationError, Plugin, hookimpl, operation

FOLDER = Path(os.environ["STEPS"])
SAFE = """
name = "safe"
kind = "sequential"
version = "1.0.0"
inputs = ["password", "user"]
secret_inputs = ["password"]
result = {{ it = "${{input.password}}", known = "${{stages.get.data.known}}" }}
summary = "${{input.user}} used ${{input.password}}"

[[checks]]
input = "password"
condition = "size(input.password) > 5"
wants = "a longer password"

[[stages]]
name = "get"
operation = "safe.get"
message = {{}}

[[stages]]
name = "use"
operation = "safe.use"
compensation = {{ operation = "safe.use", message = {{ undo = "${{input.password}}" }} }}
[stages.message]
given = "${{input.password}}"
known = "${{stages.get.data.known}}"
field = "${{stages.get.data.auth.token}}"

[[stages]]
name = "wait"
operation = "safe.wait"
timeout = "60s"
message = {{ given = "${{input.password}}", field = "${{stages.get.data.auth.token}}" }}
"""


class Example(Plugin):
    @hookimpl
    def qtforge_workflows(self):
        return [SAFE]

    async def start(self, context):
        self.secrets = context.secrets

    @operation("safe.get", secret_fields=["auth.token"])
    async def get(self, message: dict) -> dict:
        known = self.secrets.reveal("${{secret.TOKEN}}")
        return {{"known": known, "auth": {{"token": "{FIELD}"}}}}

    @operation("safe.use")
    async def use(self, message: dict, context) -> dict:
        print("uses", message)
        context.logger.warning("uses %s", message)
        context.progress(1, 2, str(message))
        self._note(message)
        return {{"echo": message}}

    @operation("safe.wait")
    async def wait(self, message: dict) -> dict:
        self._note(message)
        while not (FOLDER / "go").exists():
            await asyncio.sleep(0.02)
        if not (FOLDER / "works").exists():
            raise OperationError("safe.stuck", f"{{message}} does not fit", f"change {{message}}")
        return message

    def _note(self, message):
        with open(FOLDER / "received", "a") as file:
            file.write(json.dumps(message) + "\\n")
'''


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """The plugin with its workflow, and a file of secrets, which nobody serves yet."""
    (tmp_path / "site").mkdir()
    (tmp_path / "serving").mkdir()
    site = Site(tmp_path / "site")
    site.plugin("safe", source=PLUGIN)
    made = Serving(site, tmp_path / "serving")
    secrets = made.folder / "secrets.toml"
    secrets.write_text(f'TOKEN = "{KNOWN}"\n')
    secrets.chmod(0o600)
    yield made
    made.close()


def received(serving: Serving) -> list[dict[str, Any]]:
    file = serving.folder / "received"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def assert_clean(what: str, text: str) -> None:
    for secret in ALL:
        assert secret not in text, f"{what} has {secret}:\n{text[:3000]}"


def assert_folder_clean(serving: Serving) -> None:
    """Check every file of the state directory, and what `serve` printed."""
    state = serving.folder / "state"
    found = [each for each in state.rglob("*") if each.is_file()]
    assert any(each.name.startswith("journal.sqlite3") for each in found)
    for path in [*found, serving.folder / "stdout", serving.folder / "stderr"]:
        if path.parent == state / "runs" / "secrets":
            assert path.stat().st_mode & 0o077 == 0
        elif path.exists():
            assert_clean(str(path), path.read_bytes().decode("latin-1"))


def shown_by_http(server: Server, run_id: str) -> None:
    for path in ("", "/records", "/graph", "/export", "/timeline"):
        assert_clean(path, server.get(f"/v1/runs/{run_id}{path}").content.decode("latin-1"))
    assert_clean("the list", server.get("/v1/runs").text)


def test_secrets_outlive_kill_9_and_are_kept_by_retry_and_fork(serving: Serving) -> None:
    server = serving.serve()
    wanted = {"workflow": "safe", "input": {"password": GIVEN, "user": "ada"}}
    keyed = {"headers": {"Idempotency-Key": "one"}}
    run_id = server.post("/v1/runs", wanted, **keyed).json()["run_id"]
    until(lambda: len(received(serving)) == 2)
    (stored,) = (serving.folder / "state" / "runs" / "secrets").iterdir()
    lines = stored.read_bytes()
    assert server.post("/v1/runs", wanted, **keyed).json()["run_id"] == run_id
    wanted["input"] = {"password": OTHER, "user": "ada"}
    assert server.post("/v1/runs", wanted, **keyed).json()["error"]["code"] == "http.key_reused"
    assert stored.read_bytes() == lines
    shown_by_http(server, run_id)
    server.end(signal.SIGKILL)
    assert_folder_clean(serving)

    (serving.folder / "received").unlink()
    server = serving.serve()
    until(lambda: received(serving))
    assert received(serving) == [{"given": GIVEN, "field": FIELD}]
    (serving.folder / "go").touch()
    failed = until(lambda: (it := server.run(run_id))["status"] == "compensated" and it)
    assert received(serving)[1:] == [{"undo": GIVEN}]
    assert "does not fit" in failed["error"]["message"]
    shown_by_http(server, run_id)

    (serving.folder / "works").touch()
    (serving.folder / "received").unlink()
    assert server.post(f"/v1/runs/{run_id}/retry", {}).is_success
    done = until(lambda: (it := server.run(run_id))["status"] == "succeeded" and it)
    assert received(serving) == [
        {"given": GIVEN, "known": KNOWN, "field": FIELD},
        {"given": GIVEN, "field": FIELD},
    ]
    assert done["result"]["it"].startswith("${input.password~")
    assert done["result"]["known"].startswith("${secret.TOKEN~")

    (serving.folder / "received").unlink()
    content = {"from": "use", "input": {"password": OTHER}}
    forked = server.post(f"/v1/runs/{run_id}/fork", content)
    assert forked.is_success, forked.text
    fork_id = forked.json()["run_id"]
    until(lambda: server.run(fork_id)["status"] == "succeeded")
    assert received(serving) == [
        {"given": OTHER, "known": KNOWN, "field": FIELD},
        {"given": OTHER, "field": FIELD},
    ]
    refused = server.post("/v1/runs", {"workflow": "safe", "input": {"password": OTHER[:5]}})
    assert refused.status_code == 422
    assert OTHER[:5] not in refused.text
    for each in (run_id, fork_id):
        shown_by_http(server, each)
    assert server.end() == 0
    assert_folder_clean(serving)

    backup = serving.folder / "backup"
    assert serving.cli("journal", "backup", str(backup)).returncode == 0
    assert_clean("the backup", backup.read_bytes().decode("latin-1"))
    assert serving.cli("runs", "prune", "--older-than", "1ms", "--yes").returncode == 0
    assert not list((serving.folder / "state" / "runs" / "secrets").iterdir())


def test_the_command_line_shows_no_secret(serving: Serving) -> None:
    for name in ("go", "works"):
        (serving.folder / name).touch()
    done = serving.cli("run", "safe", "--set", f"password={GIVEN}", "--set", "user=ada", "--json")
    assert done.returncode == 0, done.stderr
    assert received(serving)[0] == {"given": GIVEN, "known": KNOWN, "field": FIELD}
    assert "uses" in done.stderr
    assert_clean("run", done.stdout + done.stderr)
    for words in (["show", "last"], ["show", "last", "--json"], ["list", "--json"]):
        assert_clean(" ".join(words), serving.cli("runs", *words).stdout)
    assert_folder_clean(serving)


def test_a_journal_without_secrets_has_no_folder_of_them(serving: Serving) -> None:
    assert serving.cli("runs", "list").returncode == 0
    assert not (serving.folder / "state" / "runs" / "secrets").exists()
