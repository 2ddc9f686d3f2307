"""A shop that reserves a pen, waits a day for its payment, and ships it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qtforge_sdk import OperationContext, Plugin, Run, hookimpl, operation, workflow
from qtforge_sdk.errors import StageFailedError

__all__ = ["PenShop", "pen_order"]


@workflow("pen-order", version="1.1.0", description="Reserves a pen, waits for a day, ships it")
async def pen_order(run: Run, given: Mapping[str, Any]) -> str:
    """Return what became of an order."""
    item = {"item": given["item"]}
    await run.request("reserve", "pens.reserve", item)
    try:
        paid = await run.wait_event("paid", timeout="1d")
    except StageFailedError:
        await run.request("release", "pens.release", item)
        return "not paid"
    if await run.patched("wrapping"):  # version 1.0 has wrapped nothing
        await run.request("wrap", "pens.wrap", item)
    await run.request("ship", "pens.ship", {**item, "amount": paid["amount"]})
    return "shipped"


class PenShop(Plugin):
    """The shelf of the shop.

    Attributes:
        done: What was done with which item, once for each step of each run.
    """

    def __init__(self) -> None:
        self.done: dict[str, str] = {}

    @hookimpl
    def qtforge_workflows(self) -> Sequence[Any]:
        """Contribute the workflow."""
        return [pen_order]

    @operation("pens.reserve")
    async def reserve(self, order: dict[str, str], context: OperationContext) -> str:
        """Put a pen aside."""
        return self._do("reserved", order, context)

    @operation("pens.release")
    async def release(self, order: dict[str, str], context: OperationContext) -> str:
        """Put a pen back."""
        return self._do("released", order, context)

    @operation("pens.wrap")
    async def wrap(self, order: dict[str, str], context: OperationContext) -> str:
        """Wrap a pen."""
        return self._do("wrapped", order, context)

    @operation("pens.ship")
    async def ship(self, order: dict[str, Any], context: OperationContext) -> str:
        """Send a pen."""
        return self._do("shipped", order, context)

    def _do(self, what: str, order: Mapping[str, Any], context: OperationContext) -> str:
        # A step may be requested again after a crash, with the same key; it has none outside runs.
        key = context.idempotency_key or f"request {len(self.done)}"
        return self.done.setdefault(key, f"{what} {order['item']}")
