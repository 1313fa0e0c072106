"""One face for the receiver in threads and the receiver in asyncio, so that both pass one test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from hooklatch_receiver import Answer, AsyncReceiver, Notice, Receiver, standard_webhooks
from hooklatch_receiver.memory import AsyncMemoryStore, MemoryStore
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from signing import SECRET, Signed

from hooklatch_receiver.postgres import AsyncPostgresTransactions, PostgresTransactions

Handler = Callable[[Any], Any]


class Flow:
    """A receiver with a store in memory, or in transactions of PostgreSQL."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.notices: list[Notice] = []
        self.memory = MemoryStore()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._pools: list[Any] = []
        self.receiver: Any = None

    def make(self, *, store: MemoryStore | None = None, database: str = "", **settings: Any) -> None:
        """Makes the receiver; with ``database`` in transactions."""
        self.memory = store or MemoryStore()
        options: dict[str, Any] = {
            "provider": standard_webhooks(SECRET),
            "wait_seconds": 0.0,
            "notify": self.notices.append,
            **settings,
        }
        if self.kind == "sync":
            place: Any = self._sync_transactions(database) if database else self.memory
            self.receiver = Receiver(place, **options)
        elif database:
            place = self.await_(self._async_transactions(database))
            self.receiver = AsyncReceiver(place, **options)
        else:
            self.receiver = AsyncReceiver(AsyncMemoryStore(self.memory), **options)

    def start(self, request: Signed, handler: Handler = lambda event: None) -> Future[Answer]:
        """Delivers, without waiting. The handler is a plain function in both kinds."""
        if self.kind == "async":
            work = self.receiver.receive(request.request(), self._in_thread(handler))
            return asyncio.run_coroutine_threadsafe(work, self._loop)
        future: Future[Answer] = Future()

        def run() -> None:
            try:
                future.set_result(self.receiver.receive(request.request(), handler))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        return future

    def send(self, request: Signed, handler: Handler = lambda event: None) -> Answer:
        return self.start(request, handler).result(30)

    def drain(self) -> None:
        if self.kind == "async":
            self.await_(self.receiver.drain())
        else:
            assert self.receiver.drain(10)

    def kinds(self) -> list[str]:
        return [notice.kind for notice in self.notices]

    def await_(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def step(self, event: Any, name: str, work: Callable[[str], Any]) -> Any:
        """A step, from within a handler."""
        if self.kind == "sync":
            return event.step(name, work)
        return asyncio.run_coroutine_threadsafe(event.step(name, work), self._loop).result(10)

    def execute(self, event: Any, statement: str) -> None:
        """A statement in the event's transaction, from within a handler."""
        if self.kind == "sync":
            event.tx.execute(statement)
        else:
            self.await_(event.tx.execute(statement))

    def close(self) -> None:
        for pool in self._pools:
            if isinstance(pool, ConnectionPool):
                pool.close()
            else:
                self.await_(pool.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _in_thread(self, handler: Handler) -> Callable[[Any], Any]:
        async def work(event: Any) -> Any:
            return await asyncio.to_thread(handler, event)

        return work

    def _sync_transactions(self, database: str) -> PostgresTransactions:
        pool = ConnectionPool(database, min_size=1, max_size=20, open=True)
        self._pools.append(pool)
        return PostgresTransactions(pool)

    async def _async_transactions(self, database: str) -> AsyncPostgresTransactions:
        pool = AsyncConnectionPool(database, min_size=1, max_size=20, open=False)
        await pool.open()
        self._pools.append(pool)
        return AsyncPostgresTransactions(pool)
