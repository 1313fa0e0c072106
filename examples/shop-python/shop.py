"""A shop that books each paid order.

HANDLER chooses how: ``naive``, as published snippets have it, or ``kit``. The contract is in
examples/README.md.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool

import kit
import naive

HANDLERS = {"naive": naive.mount, "kit": kit.mount}

TABLE = """SELECT pg_advisory_xact_lock(1);
    CREATE TABLE IF NOT EXISTS effects (
        order_id text NOT NULL,
        booked_at timestamptz NOT NULL DEFAULT clock_timestamp())"""

COUNTS = "SELECT order_id, count(*) FROM effects GROUP BY order_id ORDER BY order_id"


def setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        sys.exit(f"{name} is not set: see examples/README.md")
    return value


def shop() -> FastAPI:
    options = {"autocommit": True}
    pool = AsyncConnectionPool(
        setting("DATABASE_URL"), min_size=1, max_size=10, kwargs=options, open=False
    )
    handler, secret = setting("HANDLER"), setting("WEBHOOK_SECRET")
    if handler not in HANDLERS:
        sys.exit("HANDLER is naive or kit")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with pool:
            async with pool.connection() as connection, connection.transaction():
                await connection.execute(TABLE)
            await HANDLERS[handler](app, pool, secret)
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/effects")
    async def effects() -> dict[str, dict[str, int]]:
        async with pool.connection() as connection:
            rows = await (await connection.execute(COUNTS)).fetchall()
        return {"effects": dict(rows)}

    return app


class Server(uvicorn.Server):
    """Says when it takes requests."""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print(f"listening on http://127.0.0.1:{self.config.port}", flush=True)


if __name__ == "__main__":
    port = int(setting("PORT"))
    Server(uvicorn.Config(shop(), host="127.0.0.1", port=port, log_level="warning")).run()
