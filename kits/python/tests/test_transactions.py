"""Claims in a transaction of the caller's own."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest

from hooklatch_receiver import BeginRequest, Busy, Conflict, Done, Run, fingerprint, scope_key
from hooklatch_receiver.postgres import (
    abegin_in,
    acomplete_in,
    begin_in,
    complete_in,
    once_by_constraint,
)

REQUEST = BeginRequest(
    key=scope_key(["evt_1"], source="shop"), fingerprint=fingerprint(b"{}"), lease_seconds=60
)


def test_v3_claim_and_effect_are_rolled_back_together(database: str) -> None:
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        run = begin_in(cursor, REQUEST)
        assert isinstance(run, Run)
        cursor.execute("INSERT INTO effects VALUES ('7')")
        connection.rollback()
        run = begin_in(cursor, REQUEST)
        assert isinstance(run, Run) and run.attempt == 1
        cursor.execute("INSERT INTO effects VALUES ('7')")
        complete_in(cursor, run, b"paid")
        connection.commit()
        assert begin_in(cursor, REQUEST) == Done(b"paid")
        other = replace(REQUEST, fingerprint=fingerprint(b"[]"))
        assert begin_in(cursor, other) == Conflict("completed")
        assert len(cursor.execute("SELECT 1 FROM effects").fetchall()) == 1


def test_a_transaction_in_flight_is_busy_and_leaves_the_other_usable(database: str) -> None:
    with psycopg.connect(database) as holder, psycopg.connect(database) as other:
        with holder.cursor() as first, other.cursor() as second:
            assert isinstance(begin_in(first, REQUEST), Run)
            before = second.execute("SHOW lock_timeout").fetchone()
            assert isinstance(begin_in(second, REQUEST, wait_seconds=0.05), Busy)
            assert second.execute("SHOW lock_timeout").fetchone() == before
            assert second.execute("SELECT 1").fetchone() == (1,)


def test_a_lost_claim_does_not_commit(database: str) -> None:
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        run = begin_in(cursor, REQUEST)
        assert isinstance(run, Run)
        cursor.execute("DELETE FROM hooklatch_claims")
        with pytest.raises(RuntimeError, match="the claim is lost"):
            complete_in(cursor, run, b"paid")


def test_v3_the_same_in_asyncio(database: str) -> None:
    async def walk() -> None:
        async with await psycopg.AsyncConnection.connect(database) as connection:
            run = await abegin_in(connection, REQUEST)
            assert isinstance(run, Run)
            async with await psycopg.AsyncConnection.connect(database) as other:
                assert isinstance(await abegin_in(other, REQUEST, wait_seconds=0.05), Busy)
                assert await (await other.execute("SELECT 1")).fetchone() == (1,)
            await acomplete_in(connection, run, b"paid")
            await connection.commit()
            assert await abegin_in(connection, REQUEST) == Done(b"paid")

    asyncio.run(walk())


def test_v3_once_by_constraint_means_done_where_the_work_was_done(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE bookings (event_id text CONSTRAINT once UNIQUE, n int)")
        connection.execute("CREATE UNIQUE INDEX other ON bookings (n)")

        def book(event_id: str, number: int) -> str:
            connection.execute("INSERT INTO bookings VALUES (%s, %s)", [event_id, number])
            return "booked"

        assert once_by_constraint(connection, "once", lambda: book("a", 1)) == (True, "booked")
        assert once_by_constraint(connection, "once", lambda: book("a", 2)) == (False, None)
        with pytest.raises(psycopg.errors.UniqueViolation):
            once_by_constraint(connection, "once", lambda: book("b", 1))
        assert connection.execute("SELECT count(*) FROM bookings").fetchone() == (1,)
