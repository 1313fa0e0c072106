"""The same receiver behind FastAPI, Django and Flask."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import django_site
import fastapi
import flask
import httpx
import psycopg
import pytest
from signing import PAID, SECRET, Signed, signed

import hooklatch_receiver.fastapi
import hooklatch_receiver.flask
from hooklatch_receiver import Answer, AsyncReceiver, Receiver, scope_key, standard_webhooks
from hooklatch_receiver.memory import AsyncMemoryStore, MemoryStore

LONG_MAX = 2_000
OPTIONS: dict[str, Any] = {"provider": standard_webhooks(SECRET), "body_bytes_max": LONG_MAX}


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


Send = Callable[[Signed], Answered]


def in_flask(handler: Callable[[Any], Any]) -> Send:
    app = flask.Flask("shop")
    receiver = Receiver(MemoryStore(), **OPTIONS)

    @app.post("/hooks")
    @hooklatch_receiver.flask.hooks(receiver)
    def paid(event: Any) -> Any:
        assert flask.current_app.name == "shop"
        return handler(event)

    def send(request: Signed) -> Answered:
        with app.test_client() as client:
            got = client.post("/hooks?from=test", data=request.body, headers=request.headers)
        return Answered(got.status_code, lowered(got.headers.items()), got.data)

    return send


def in_fastapi(handler: Callable[[Any], Any]) -> Send:
    app = fastapi.FastAPI()
    receiver = AsyncReceiver(AsyncMemoryStore(), **OPTIONS)

    @app.post("/hooks")
    @hooklatch_receiver.fastapi.hooks(receiver)
    async def paid(event: Any) -> Any:
        return handler(event)

    async def sent(request: Signed) -> Answered:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
            path = "/hooks?from=test"
            got = await client.post(path, content=request.body, headers=request.headers)
        return Answered(got.status_code, lowered(got.headers.items()), got.content)

    return lambda request: asyncio.run(sent(request))


def in_django(handler: Callable[[Any], Any]) -> Send:
    django_site.configure()
    from django.test import Client

    import hooklatch_receiver.django

    receiver = Receiver(MemoryStore(), **OPTIONS)
    django_site.mount(hooklatch_receiver.django.hooks(receiver)(handler))

    def send(request: Signed) -> Answered:
        client = Client(enforce_csrf_checks=True)
        headers = {name: value for name, value in request.headers.items() if name != "content-type"}
        got = client.post(
            "/hooks?from=test", request.body, content_type="application/json", headers=headers
        )
        return Answered(got.status_code, lowered(got.headers.items()), got.content)

    return send


def in_async_django(handler: Callable[[Any], Any]) -> Send:
    django_site.configure()
    from django.test import AsyncClient

    import hooklatch_receiver.django

    receiver = AsyncReceiver(AsyncMemoryStore(), **OPTIONS)

    async def paid(event: Any) -> Any:
        return handler(event)

    django_site.mount(hooklatch_receiver.django.hooks(receiver)(paid))

    def send(request: Signed) -> Answered:
        client = AsyncClient(enforce_csrf_checks=True)
        headers = {name: value for name, value in request.headers.items() if name != "content-type"}
        post = client.post(
            "/hooks?from=test", request.body, content_type="application/json", headers=headers
        )
        got = asyncio.run(post)
        return Answered(got.status_code, lowered(got.headers.items()), got.content)

    return send


def lowered(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


@pytest.mark.parametrize("mount", [in_flask, in_fastapi, in_django, in_async_django])
def test_an_event_is_run_once_over_its_raw_bytes(mount: Callable[[Any], Send]) -> None:
    runs: list[Any] = []

    def handler(event: Any) -> Answer:
        runs.append(event.json())
        return Answer(202, {"X-Shop": "yes"}, {"booked": 7})

    send = mount(handler)
    event = signed("msg_1", {"order": 7, "name": "Åsa  🎣"})
    first = send(event)
    assert first.status == 202
    assert first.headers["hooklatch-receipt"] == "processed"
    assert first.headers["x-shop"] == "yes"
    assert first.headers["content-type"] == "application/json"
    assert json.loads(first.body) == {"booked": 7}
    again = send(event)
    assert (again.status, again.headers["hooklatch-receipt"]) == (200, "duplicate")
    assert json.loads(again.body) == {"booked": 7}
    assert send(Signed(event.headers, event.body + b" ")).status == 401
    assert send(signed("msg_2", "x" * (LONG_MAX + 1))).status == 413
    assert runs == [{"order": 7, "name": "Åsa  🎣"}]


def test_fastapi_refuses_a_handler_that_would_block_its_loop() -> None:
    receiver = AsyncReceiver(AsyncMemoryStore(), **OPTIONS)
    with pytest.raises(TypeError, match="async"):
        hooklatch_receiver.fastapi.hooks(receiver)(lambda event: None)  # type: ignore[arg-type]


def test_fastapi_a_client_that_hangs_up_stops_nothing_and_frees_nothing() -> None:
    async def walk() -> None:
        store = MemoryStore()
        receiver = AsyncReceiver(AsyncMemoryStore(store), wait_seconds=0.0, **OPTIONS)
        running, finish = asyncio.Event(), asyncio.Event()
        runs: list[int] = []

        async def paid(event: Any) -> str:
            runs.append(1)
            running.set()
            await finish.wait()
            return "booked"

        request = signed("msg_1", PAID).request()
        first = asyncio.ensure_future(receiver.receive(request, paid))
        await running.wait()
        # What a framework does with a request whose client has gone.
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        during = await receiver.receive(signed("msg_1", PAID).request(), paid)
        assert (during.status, during.headers["hooklatch-receipt"]) == (503, "in-progress")
        finish.set()
        await receiver.drain()
        record = store.lookup(scope_key(["msg_1"], source="standard_webhooks"))
        assert record is not None and record.state == "completed"
        assert runs == [1]

    asyncio.run(walk())


@pytest.fixture
def django_database(database: str) -> Iterator[str]:
    django_site.configure()
    from django.db import connections

    url = urlsplit(database)
    connections["default"].close()
    connections["default"].settings_dict.update(
        NAME=url.path[1:],
        USER=url.username,
        PASSWORD=url.password or "",
        HOST=url.hostname,
        PORT=str(url.port),
    )
    yield database
    connections["default"].close()


def test_v3_django_books_through_the_orm_in_the_claims_transaction(django_database: str) -> None:
    from django.db import connection, models

    from hooklatch_receiver.django import DjangoTransactions

    class Effect(models.Model):
        order_id = models.TextField(primary_key=True)

        class Meta:
            app_label = "shop"
            db_table = "effects"
            managed = False

    receiver = Receiver(DjangoTransactions(), retry_after_seconds=0.0, **OPTIONS)
    attempts: list[int] = []

    def book(event: Any) -> None:
        Effect.objects.bulk_create([Effect(order_id="7")])
        attempts.append(event.attempt)

    def book_and_fail(event: Any) -> None:
        book(event)
        raise RuntimeError("after the effect")

    def count() -> int:
        with psycopg.connect(django_database) as other:
            return len(other.execute("SELECT 1 FROM effects").fetchall())

    def deliver(handler: Any) -> tuple[int, str | None]:
        answer = receiver.receive(signed("msg_1", PAID).request(), handler)
        return answer.status, answer.headers.get("hooklatch-receipt")

    assert deliver(book_and_fail) == (503, None)
    assert count() == 0
    assert deliver(book) == (200, "processed")
    assert deliver(book) == (200, "duplicate")
    assert (attempts, count()) == ([1, 2], 1)
    assert not connection.in_atomic_block


def test_django_a_duplicate_of_a_transaction_in_flight_comes_again(django_database: str) -> None:
    from django.db import connections

    from hooklatch_receiver.django import DjangoTransactions

    receiver = Receiver(DjangoTransactions(), wait_seconds=0.05, **OPTIONS)
    running, finish = threading.Event(), threading.Event()
    statuses: list[int] = []

    def slow(_event: Any) -> None:
        running.set()
        assert finish.wait(10)

    def first() -> None:
        statuses.append(receiver.receive(signed("msg_1", PAID).request(), slow).status)
        connections.close_all()

    thread = threading.Thread(target=first)
    thread.start()
    assert running.wait(10)
    during = receiver.receive(signed("msg_1", PAID).request(), slow)
    assert (during.status, during.headers["hooklatch-receipt"]) == (503, "in-progress")
    finish.set()
    thread.join(10)
    assert statuses == [200]
