"""Handles one event a line, and dies at random. Started by test_chaos.py."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from hooklatch_receiver import AsyncReceiver, HookRequest, Receiver, trusted

DEATHS = 0.5
DATABASE = os.environ["DATABASE_URL"]
STORE = os.environ["STORE"]
OPTIONS: dict[str, Any] = {
    "provider": trusted(name="chaos", key=["body:$.id"]),
    "deadline_seconds": 5.0,
    "lease_seconds": 0.3,
    "attempts_max": 1_000,
    "wait_seconds": 0.0,
}


def store_of(name: str) -> Any:
    if name == "redis":
        import redis

        from hooklatch_receiver.redis import RedisStore

        client = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=5)
        return RedisStore(client, prefix=os.environ["REDIS_PREFIX"])
    if name == "gateway":
        from hooklatch_receiver.gateway import GatewayStore

        url, key = (os.environ[f"HOOKLATCH_TEST_GATEWAY_{name}"] for name in ("URL", "KEY"))
        return GatewayStore(url, key, scope=os.environ["GATEWAY_SCOPE"])
    from hooklatch_receiver.postgres import PostgresStore, PostgresTransactions

    pool = ConnectionPool(DATABASE, min_size=1, max_size=3, open=True)
    return PostgresStore(pool) if name == "postgres" else PostgresTransactions(pool)


def die_if(chosen: int, point: int) -> None:
    """Dies at the chosen point, as by a power cut."""
    if chosen == point:
        os.kill(os.getpid(), signal.SIGKILL)


def request_of(event_id: str) -> HookRequest:
    body = json.dumps({"id": event_id}).encode()
    return HookRequest(method="POST", path="/", headers=[], body=body)


def choose() -> int:
    return random.randrange(3) if random.random() < DEATHS else -1


INSERT = "INSERT INTO effects (order_id) VALUES (%s)"


def work() -> None:
    receiver = Receiver(store_of(STORE), **OPTIONS)
    with psycopg.connect(DATABASE, autocommit=True) as outside:
        for line in sys.stdin:
            chosen = choose()

            def handler(event: Any, chosen: int = chosen) -> None:
                die_if(chosen, 0)
                (event.tx or outside).execute(INSERT, [event.json()["id"]])
                die_if(chosen, 1)

            answer = receiver.receive(request_of(line.strip()), handler)
            die_if(chosen, 2)
            print(answer.status, flush=True)


async def work_async() -> None:
    from hooklatch_receiver.postgres import AsyncPostgresTransactions

    async with AsyncConnectionPool(DATABASE, min_size=1, max_size=3) as pool:
        receiver = AsyncReceiver(AsyncPostgresTransactions(pool), **OPTIONS)
        for line in sys.stdin:
            chosen = choose()

            async def handler(event: Any, chosen: int = chosen) -> None:
                die_if(chosen, 0)
                await event.tx.execute(INSERT, [event.json()["id"]])
                die_if(chosen, 1)

            answer = await receiver.receive(request_of(line.strip()), handler)
            die_if(chosen, 2)
            print(answer.status, flush=True)


if __name__ == "__main__":
    if STORE == "async transactions":
        asyncio.run(work_async())
    else:
        work()
