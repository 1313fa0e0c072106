"""Every store passes the vectors that the kits share, and what is broken on purpose does not."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from vectors import MACHINE, REPOSITORY, VECTORS, failures

import hooklatch_receiver
from hooklatch_receiver import (
    BeginRequest,
    Done,
    GithubVerifier,
    HookRequest,
    Run,
    StandardWebhooksVerifier,
    StripeVerifier,
    scope_key,
    step_key,
)
from hooklatch_receiver.memory import AsyncMemoryStore, MemoryStore
from hooklatch_receiver.postgres import AsyncPostgresStore, PostgresStore
from hooklatch_receiver.redis import AsyncRedisStore, RedisStore


@pytest.mark.parametrize("vector", VECTORS["keys"], ids=lambda vector: vector["name"])
def test_keys_are_derived_as_in_every_other_language(vector: dict[str, Any]) -> None:
    scope = {name: vector[name] for name in ("tenant", "source", "consumer")}
    assert scope_key(vector["parts"], **scope).hex() == vector["scope_key"]


@pytest.mark.parametrize("vector", VECTORS["step_keys"], ids=lambda vector: vector["name"])
def test_keys_of_steps_are_derived_as_in_every_other_language(vector: dict[str, Any]) -> None:
    key = bytes.fromhex(vector["scope_key"])
    assert step_key(key, vector["step"], vector["generation"]).hex() == vector["step_key"]


@pytest.mark.parametrize(
    "vector", VECTORS["signatures"], ids=lambda vector: f"{vector['scheme']}: {vector['name']}"
)
def test_signatures_are_judged_as_in_every_other_language(vector: dict[str, Any]) -> None:
    verifiers = {
        "stripe": StripeVerifier,
        "github": GithubVerifier,
        "standard_webhooks": StandardWebhooksVerifier,
    }
    verifier = verifiers[vector["scheme"]](vector["secrets"])
    request = HookRequest(
        method="POST", path="/", headers=vector["headers"].items(), body=vector["body"].encode()
    )
    assert (verifier.verify(request, vector["now_seconds"]) is None) == vector["valid"]


def test_the_shared_files_are_the_ones_of_the_repository_byte_by_byte() -> None:
    package = Path(hooklatch_receiver.__file__).parent
    for folder, shipped in (("sql", "sql"), ("redis", "redis_scripts")):
        copies = sorted((package / shipped).iterdir())
        assert copies
        for copy in copies:
            original = REPOSITORY / "crates/receiver" / folder / copy.name
            assert copy.read_bytes() == original.read_bytes(), copy.name


def test_there_are_28_vectors() -> None:
    assert len(VECTORS["machine"]) == 28


def test_the_store_in_memory_passes_the_vectors() -> None:
    assert failures(MemoryStore, MACHINE) == {}


def test_the_async_store_in_memory_passes_the_vectors() -> None:
    assert failures(AsyncMemoryStore, MACHINE) == {}


def test_the_store_in_postgresql_passes_the_vectors(pool: ConnectionPool) -> None:
    assert failures(lambda: PostgresStore(pool), MACHINE) == {}


def test_the_async_store_in_postgresql_passes_the_vectors(database: str) -> None:
    async def store() -> AsyncPostgresStore:
        pool = AsyncConnectionPool(database, min_size=1, max_size=40, open=False)
        await pool.open()
        made = AsyncPostgresStore(pool)
        made.close_for_test = pool.close  # type: ignore[attr-defined]
        return made

    assert failures(store, MACHINE) == {}


@pytest.mark.parametrize("decoded", [False, True], ids=["bytes", "decode_responses"])
def test_the_store_in_redis_passes_the_vectors(
    redis_url: str, prefix: str, decoded: bool
) -> None:
    client = redis.Redis.from_url(redis_url, socket_timeout=5, decode_responses=decoded)
    assert failures(lambda: RedisStore(client, prefix=prefix), MACHINE) == {}


def test_the_async_store_in_redis_passes_the_vectors(redis_url: str, prefix: str) -> None:
    async def store() -> AsyncRedisStore:
        client = redis.asyncio.Redis.from_url(redis_url)
        made = AsyncRedisStore(client, prefix=prefix, timeout_seconds=10)
        made.close_for_test = client.aclose  # type: ignore[attr-defined]
        return made

    assert failures(store, MACHINE) == {}


def test_the_store_in_redis_knows_a_completion_beside_the_record(
    redis_url: str, prefix: str
) -> None:
    client = redis.Redis.from_url(redis_url, socket_timeout=5)
    store = RedisStore(client, prefix=prefix)
    key = scope_key(["evt_1"], source="stripe")
    request = BeginRequest(key=key, fingerprint=bytes(32), lease_seconds=30)
    run = store.begin(request)
    assert isinstance(run, Run)
    client.set(f"{prefix}{{{key.hex()}}}:done", f"{run.token}1ran", ex=60)
    assert store.begin(request) == Done(b"ran")
    assert store.complete(run, b"other", 60) == "already_complete"
    assert store.begin(request) == Done(b"ran")


def test_a_client_of_redis_that_could_hang_is_refused() -> None:
    with pytest.raises(ValueError, match="socket_timeout"):
        RedisStore(redis.Redis(host="127.0.0.1", socket_timeout=None))


def test_a_store_that_completes_without_looking_at_the_token_fails_the_vectors(
    pool: ConnectionPool,
) -> None:
    class Tokenless(PostgresStore):
        def complete(self, run: Run, result: bytes, retention_seconds: float) -> Any:
            with pool.connection() as connection:
                statement = """UPDATE hooklatch_claims SET state = 2, result = %s,
                    lease_until = NULL, expires_at = clock_timestamp() + interval '1 day'
                    WHERE key = %s AND state = 1"""
                changed = connection.execute(statement, [result, run.key]).rowcount
            return "applied" if changed == 1 else "already_complete"

    assert failures(lambda: Tokenless(pool), MACHINE).keys() >= {"v04", "v14", "v20", "v24", "v25"}


def test_a_store_that_looks_first_and_inserts_then_fails_the_vectors(
    pool: ConnectionPool,
) -> None:
    # The second that found nothing lets the first go on: both insert, however slow the machine.
    looks = itertools.count(1)
    both_looked = threading.Event()

    class CheckThenInsert(PostgresStore):
        def begin(self, request: BeginRequest) -> Any:
            if self.lookup(request.key) is not None:
                return super().begin(request)
            if next(looks) == 2:
                both_looked.set()
            assert both_looked.wait(30)
            token = bytes.fromhex(request.token or "00" * 16)
            with pool.connection() as connection:
                statement = """INSERT INTO hooklatch_claims
                    (key, state, token, fence, epoch, generation, origin, fingerprint, attempt,
                     lease_until)
                    VALUES (%s, 1, %s, 1, 1, 1, 1, %s, 1,
                            clock_timestamp() + %s * interval '1 second')
                    ON CONFLICT (key) DO UPDATE SET token = EXCLUDED.token"""
                values = [request.key, token, request.fingerprint, request.lease_seconds]
                connection.execute(statement, values)
            return Run(request.key, token.hex(), 1, 1)

    racing = [vector for vector in MACHINE if vector["id"] == "v26"]
    assert "operation 1: run" in failures(lambda: CheckThenInsert(pool), racing)["v26"]


def test_a_store_that_forgets_a_released_claim_fails_the_vectors(pool: ConnectionPool) -> None:
    class Forgetful(PostgresStore):
        def release(self, run: Run, retry_after_seconds: float, error: str) -> Any:
            statement = "DELETE FROM hooklatch_claims WHERE key = %s AND token = %s AND state = 1"
            with pool.connection() as connection:
                changed = connection.execute(statement, [run.key, bytes.fromhex(run.token)])
            return "ok" if changed.rowcount == 1 else "fenced"

    assert failures(lambda: Forgetful(pool), MACHINE).keys() >= {"v10", "v11", "v12"}
