"""Endpoints of nodes and pools."""

from __future__ import annotations

from qtforge_host.api.nodes import NodeClient
from qtforge_host.serving.http.requests import Answer, Call, wait_s

__all__ = [
    "drain_node",
    "list_nodes",
    "list_pools",
    "pause_pool",
    "resume_node",
    "resume_pool",
    "show_node",
]


async def list_nodes(call: Call) -> Answer:
    """List the processes that take runs."""
    return Answer(await _nodes(call).list())


async def show_node(call: Call) -> Answer:
    """Show a node."""
    return Answer(await _nodes(call).show(call.path["name"]))


async def drain_node(call: Call) -> Answer:
    """Let a node begin nothing new, and hand its runs over."""
    found = await _nodes(call).drain(call.path["name"], wait=wait_s(call))
    return Answer(found, status=200 if found.status == "drained" else 202)


async def resume_node(call: Call) -> Answer:
    """Let a node take runs again."""
    return Answer(await _nodes(call).resume(call.path["name"]))


async def list_pools(call: Call) -> Answer:
    """List pools."""
    return Answer(await _nodes(call).pools())


async def pause_pool(call: Call) -> Answer:
    """Pause a pool."""
    return Answer(await _nodes(call).pause_pool(call.path["name"]))


async def resume_pool(call: Call) -> Answer:
    """Resume a pool."""
    return Answer(await _nodes(call).resume_pool(call.path["name"]))


def _nodes(call: Call) -> NodeClient:
    return call.service.client.nodes
