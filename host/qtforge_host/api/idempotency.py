"""Idempotency keys: the same key starts one run, however often it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from qtforge_host.api.errors import KeyInvalidError, KeyReusedError
from qtforge_host.runs.serialization import normalize
from qtforge_host.runs.state import RunState
from qtforge_host.runs.supervisor import Durable
from qtforge_host.workflows.definitions import Workflow

__all__ = ["check_same", "run_id_of"]

_KEY_CHARACTERS: Final = 255


def run_id_of(key: str) -> str:
    """Return the id of the run that a key starts: always the same.

    Raises:
        KeyInvalidError: The key can't be used.
    """
    import hashlib  # its first import makes OpenSSL ready, in 3 ms

    if not 0 < len(key) <= _KEY_CHARACTERS or not (key.isascii() and key.isprintable()):
        raise KeyInvalidError(_KEY_CHARACTERS)
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:20]}"


async def check_same(
    durable: Durable, workflow: Workflow, given: Mapping[str, Any], run_id: str
) -> None:
    """Check that a key is used again for the workflow and the input of the run that it started.

    Args:
        durable: The journal, and the secrets of the run.
        workflow: The workflow that is to be started.
        given: Its input.
        run_id: The run that the key has started.

    Raises:
        KeyReusedError: The key has started another workflow, or with another input.
    """
    records = await durable.journal.records(run_id, limit=1)
    started = RunState.from_records(run_id, records).started
    if started is not None and started.workflow == workflow.definition.name:
        secrets = durable.engine.secrets_of(run_id)
        try:
            await secrets.load()
            filled = secrets.fill(started.input)
        finally:
            secrets.close()
        was = filled if isinstance(filled, Mapping) else {}
        plain = normalize(given)
        if all(key in was and was[key] == value for key, value in plain.items()):
            return
    raise KeyReusedError(run_id)
