"""With the kit: the claim, the booking and the kept answer are one commit."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from hooklatch_receiver import Answer, AsyncHookEvent, AsyncReceiver, standard_webhooks
from hooklatch_receiver.fastapi import hooks
from hooklatch_receiver.postgres import AsyncPostgresTransactions


async def mount(app: FastAPI, pool: Any, secret: str) -> None:
    store = AsyncPostgresTransactions(pool)
    await store.leased.migrate()
    receiver = AsyncReceiver(store, provider=standard_webhooks(secret), consumer="shop")

    @app.post("/webhooks")
    @hooks(receiver)
    async def paid(event: AsyncHookEvent) -> Answer:
        order_id = event.json()["order_id"]
        await event.tx.execute("INSERT INTO effects (order_id) VALUES (%s)", [order_id])
        return Answer(body={"booked": order_id})
