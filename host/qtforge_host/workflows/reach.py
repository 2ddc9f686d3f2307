"""Which topics and plugins a workflow can reach, as far as its definition says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from qtforge_host.workflows.catalog import Catalog
from qtforge_host.workflows.definitions import Workflow

__all__ = ["reach"]


def reach(
    workflow: Workflow, topics: Collection[str], catalog: Catalog
) -> tuple[set[str], set[str]]:
    """Return the topics that a workflow can reach, and the requirements of what it can run.

    Each text of the definition that is the name of a topic or of a workflow counts, wherever it
    stands, since what a text means is known to the orchestrator alone. So more may be returned
    than is requested, and never less, but for what is computed.

    Args:
        workflow: The workflow.
        topics: All topics that are answered.
        catalog: Knows the workflows that it may run.
    """
    found, requires = set[str](), set[str]()
    seen = {workflow.definition.name}
    waiting = [workflow]
    while waiting:
        definition = waiting.pop().definition
        requires.update(definition.requires)
        for text in _texts(msgspec.to_builtins(definition, enc_hook=str)):
            if text in topics:
                found.add(text)
            elif text not in seen and (other := catalog.readable(text)) is not None:
                seen.add(text)
                waiting.append(other)
    return found, requires


def _texts(value: Any) -> Iterator[str]:
    """Give every text in plain values, keys included."""
    open_values = [value]
    while open_values:
        each = open_values.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            open_values.extend(each)
            open_values.extend(each.values())
        elif isinstance(each, list | tuple):
            open_values.extend(each)
