"""Quotes, version 1: one price, tax included."""

from __future__ import annotations

from typing import Any

import msgspec

from qtforge_sdk import Plugin, Run, hookimpl, operation, workflow


class Order(msgspec.Struct, frozen=True):
    """What somebody wants.

    Attributes:
        customer: Who.
        net: The price without tax, in euros.
    """

    customer: str
    net: float


class Offer(msgspec.Struct, frozen=True):
    """What we offer.

    Attributes:
        total: The price with tax, in euros.
    """

    total: float


class Accepted(msgspec.Struct, frozen=True):
    """An offer that was accepted.

    Attributes:
        customer: By whom.
        offer: The offer.
    """

    customer: str
    offer: Offer


@workflow("quote", requires=("quotes",), description="Offer, wait for the customer, and bill")
async def quote(run: Run, given: dict[str, Any]) -> dict[str, Any]:
    """Offer a price, wait until it is accepted, and bill it."""
    order = {"customer": given["customer"], "net": given["net"]}
    offer = await run.request("offer", "quote.offer", order, response_type=Offer)
    text = f"we offer it for {offer.total:.2f} EUR"
    await run.request("print", "letter.print", {"to": given["customer"], "text": text})
    await run.wait_event("accepted", timeout="30d")
    accepted = {"customer": given["customer"], "offer": offer}
    return {"bill": await run.request("bill", "quote.bill", accepted)}


class Quotes(Plugin):
    """Offers and bills."""

    @hookimpl
    def qtforge_workflows(self) -> list[Any]:
        """Return the workflow."""
        return [quote]

    @operation("quote.offer")
    async def offer(self, order: Order) -> Offer:
        """Return the price with tax."""
        return Offer(total=round(order.net * 1.19, 2))

    @operation("quote.bill")
    async def bill(self, accepted: Accepted) -> str:
        """Return the bill of an accepted offer."""
        return f"{accepted.customer} pays {accepted.offer.total:.2f} EUR (quotes 1.0)"
