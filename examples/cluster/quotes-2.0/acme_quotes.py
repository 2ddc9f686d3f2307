"""Quotes, version 2: net price and tax apart, which version 1 could not continue with."""

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
        net: The price without tax, in euros.
        tax: The tax, in euros.
    """

    net: float
    tax: float


class Accepted(msgspec.Struct, frozen=True):
    """An offer that was accepted.

    Attributes:
        customer: By whom.
        offer: The offer.
    """

    customer: str
    offer: Offer


@workflow(
    "quote",
    version="2.0.0",
    requires=("quotes",),
    description="Offer, wait for the customer, and bill",
)
async def quote(run: Run, given: dict[str, Any]) -> dict[str, Any]:
    """Offer a price, wait until it is accepted, and bill it."""
    order = {"customer": given["customer"], "net": given["net"]}
    offer = await run.request("offer", "quote.offer", order, response_type=Offer)
    text = f"we offer it for {offer.net:.2f} EUR and {offer.tax:.2f} EUR tax"
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
        """Return price and tax."""
        return Offer(net=order.net, tax=round(order.net * 0.19, 2))

    @operation("quote.bill")
    async def bill(self, accepted: Accepted) -> str:
        """Return the bill of an accepted offer."""
        total = accepted.offer.net + accepted.offer.tax
        return f"{accepted.customer} pays {total:.2f} EUR (quotes 2.0)"
