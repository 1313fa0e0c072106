"""Claims by the gateway's API."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import gateway_stub
import pytest
from gateway_stub import API_KEY, Gateway

from hooklatch_receiver import (
    BeginRequest,
    Busy,
    Conflict,
    Dead,
    Done,
    Run,
    Unavailable,
    fingerprint,
    scope_key,
)
from hooklatch_receiver.gateway import AsyncGatewayStore, GatewayStore

REQUEST = BeginRequest(
    key=scope_key(["evt_1"], source="shop"),
    fingerprint=fingerprint(b"{}"),
    lease_seconds=60,
    retention_seconds=86_400,
)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with gateway_stub.running() as running:
        yield running


def test_l2_a_claim_is_acquired_completed_and_replayed(gateway: Gateway) -> None:
    store = GatewayStore(gateway.url, API_KEY, scope="shop")
    run = store.begin(REQUEST)
    assert isinstance(run, Run) and run.attempt == 1
    assert gateway.seen[0] == (
        "/v1/claims",
        {
            "scope": "shop",
            "key": REQUEST.key.hex(),
            "fingerprint": REQUEST.fingerprint.hex(),
            "lease_seconds": 60,
            "window_seconds": 86_400,
        },
    )
    busy = store.begin(REQUEST)
    assert isinstance(busy, Busy) and busy.retry_after_seconds > 0
    assert store.renew(run, 60) == "ok"
    assert store.begin(replace(REQUEST, fingerprint=fingerprint(b"[]"))) == Conflict()
    assert store.complete(run, b"paid", 1) == "applied"
    assert store.complete(run, b"twice", 1) == "already_complete"
    assert store.release(run, 0, "late") == "fenced"
    assert store.begin(REQUEST) == Done(b"paid")


def test_l2_a_released_claim_is_run_again_and_the_old_token_is_fenced(gateway: Gateway) -> None:
    store = GatewayStore(gateway.url, API_KEY, scope="shop")
    first = store.begin(REQUEST)
    assert isinstance(first, Run)
    assert store.release(first, 0, "the bank is closed") == "ok"
    second = store.begin(REQUEST)
    assert isinstance(second, Run) and second.attempt == 2
    assert store.complete(first, b"old", 1) == "fenced"
    assert store.fail(second, "no such order", 1) == "ok"
    assert store.begin(REQUEST) == Dead()


def test_a_key_whose_attempts_are_used_up_is_dead_instead_of_run(gateway: Gateway) -> None:
    store = GatewayStore(gateway.url, API_KEY, scope="shop")
    capped = replace(REQUEST, attempts_max=1)
    first = store.begin(capped)
    assert isinstance(first, Run)
    store.release(first, 0, "the bank is closed")
    assert store.begin(capped) == Dead("gave up after 1 attempts")
    assert gateway.seen[-1][0].endswith("/fail")
    assert store.begin(capped) == Dead()


def test_l2_the_same_in_asyncio(gateway: Gateway) -> None:
    async def walk() -> None:
        store = AsyncGatewayStore(gateway.url, API_KEY, scope="shop")
        run = await store.begin(REQUEST)
        assert isinstance(run, Run)
        assert await store.renew(run, 60) == "ok"
        assert await store.complete(run, b"paid", 1) == "applied"
        assert await store.begin(REQUEST) == Done(b"paid")

    asyncio.run(walk())


def test_whatever_is_no_answer_of_the_claim_api_is_unavailable(gateway: Gateway) -> None:
    store = GatewayStore(gateway.url, API_KEY, scope="shop")
    for status in (201, 302, 400, 429, 500, 503):
        gateway.fail_with = status
        with pytest.raises(Unavailable) as failure:
            store.begin(REQUEST)
        assert API_KEY not in f"{failure.value} {failure.value.__cause__}"
    gateway.fail_with = None
    for stranger in (
        GatewayStore(gateway.url, "hl_other", scope="shop"),
        GatewayStore("http://127.0.0.1:9", API_KEY, scope="shop"),
    ):
        with pytest.raises(Unavailable):
            stranger.begin(REQUEST)
