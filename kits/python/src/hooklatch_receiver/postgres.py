"""Claims in PostgreSQL, through psycopg 3.

Leased, or in the transaction of the work itself, which makes record and effect one commit. A store
takes a pool of ``psycopg_pool``, which bounds the wait for a connection; give its connections a
``tcp_user_timeout``, so that a network that swallows packets ends a statement as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from . import statements
from .outcomes import (
    RETENTION_SECONDS,
    Begin,
    BeginRequest,
    Busy,
    ClaimRecord,
    Completed,
    Dead,
    Ended,
    Run,
    Saved,
    Unavailable,
)
from .programs import Program, adrive, drive, milliseconds
from .statements import LOCK_NOT_AVAILABLE, SCHEMA, TRY_AGAIN
from .transactions import AsyncSteps, Steps

__all__ = [
    "SCHEMA",
    "AsyncPostgresStore",
    "AsyncPostgresTransactions",
    "PostgresStore",
    "PostgresTransactions",
    "abegin_in",
    "acomplete_in",
    "begin_in",
    "complete_in",
    "once_by_constraint",
]

T = TypeVar("T")

_TRANSACTION_TRIES_MAX = 3
# Two at once would both find no table, and one of them would fail.
_MIGRATE = f"SELECT pg_advisory_xact_lock(7236273991); {SCHEMA}"


class PostgresStore:
    """Leased claims: no event is lost; an outside effect may be repeated after a crash (steps)."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def migrate(self) -> None:
        """Makes the tables where they are not there yet. Safe from many processes at once."""
        with self._pool.connection() as connection, connection.transaction():
            connection.execute(_MIGRATE)

    def begin(self, request: BeginRequest) -> Begin:
        return self._run(statements.begin(request, statements.token_of(request)))

    def complete(self, run: Run, result: bytes, retention_seconds: float) -> Completed:
        return self._run(statements.complete(run, result, retention_seconds))

    def release(self, run: Run, retry_after_seconds: float, error: str) -> Ended:
        return self._run(statements.release(run, retry_after_seconds, error))

    def renew(self, run: Run, lease_seconds: float) -> Ended:
        return self._run(statements.renew(run, lease_seconds))

    def fail(self, run: Run, error: str, retention_seconds: float) -> Ended:
        return self._run(statements.fail(run, error, retention_seconds))

    def lookup(self, key: bytes) -> ClaimRecord | None:
        """The record; None where there is none, or where it has expired."""
        return self._run(statements.lookup(key))

    def sweep(self, limit: int) -> int:
        """Removes at most ``limit`` expired records of a part of the table; says how many."""
        return self._run(statements.sweep(limit))

    def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        return self._run(statements.load_step(key, generation, step))

    def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        return self._run(statements.save_step(run, step, result))

    def _run(self, program: Program[T]) -> T:
        try:
            with self._pool.connection() as connection:
                # Each statement for itself: one that waited must see what came meanwhile.
                return drive(program, lambda question: _asked(connection, question, commit=True))
        except psycopg.Error as error:
            raise Unavailable("PostgreSQL is unavailable") from error


class AsyncPostgresStore:
    """The same for asyncio."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def migrate(self) -> None:
        """Makes the tables where they are not there yet. Safe from many processes at once."""
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_MIGRATE)

    async def begin(self, request: BeginRequest) -> Begin:
        return await self._run(statements.begin(request, statements.token_of(request)))

    async def complete(self, run: Run, result: bytes, retention_seconds: float) -> Completed:
        return await self._run(statements.complete(run, result, retention_seconds))

    async def release(self, run: Run, retry_after_seconds: float, error: str) -> Ended:
        return await self._run(statements.release(run, retry_after_seconds, error))

    async def renew(self, run: Run, lease_seconds: float) -> Ended:
        return await self._run(statements.renew(run, lease_seconds))

    async def fail(self, run: Run, error: str, retention_seconds: float) -> Ended:
        return await self._run(statements.fail(run, error, retention_seconds))

    async def lookup(self, key: bytes) -> ClaimRecord | None:
        """The record; None where there is none, or where it has expired."""
        return await self._run(statements.lookup(key))

    async def sweep(self, limit: int) -> int:
        """Removes at most ``limit`` expired records of a part of the table; says how many."""
        return await self._run(statements.sweep(limit))

    async def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        return await self._run(statements.load_step(key, generation, step))

    async def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        return await self._run(statements.save_step(run, step, result))

    async def _run(self, program: Program[T]) -> T:
        try:
            async with self._pool.connection() as connection:
                return await adrive(
                    program, lambda question: _aasked(connection, question, commit=True)
                )
        except psycopg.Error as error:
            raise Unavailable("PostgreSQL is unavailable") from error


def begin_in(cursor: Any, request: BeginRequest, wait_seconds: float = 3.0) -> Begin:
    """Begins in a transaction of yours, which ``cursor`` (of any DB-API driver) belongs to.

    After ``Run`` do the work in the same transaction, then :func:`complete_in`, then commit: the
    effect is there exactly once. Any other outcome leaves the transaction usable and changes
    nothing, but for a key that is found dead. Waits for a transaction that holds the key, then
    says ``Busy``.
    """
    cursor.execute("SAVEPOINT hooklatch_begin")
    cursor.execute(_LOCK_TIMEOUT, {"ms": _lock_timeout(wait_seconds)})
    (before, _now) = tuple(_first(cursor).values())
    try:
        program = statements.begin(request, statements.token_of(request))
        begun = drive(program, lambda question: ask_cursor(cursor, question))
        cursor.execute("RELEASE SAVEPOINT hooklatch_begin")
        cursor.execute("SELECT set_config('lock_timeout', %(ms)s, true)", {"ms": before})
        return begun
    except Exception as error:
        if sqlstate_of(error) != LOCK_NOT_AVAILABLE:
            raise
        cursor.execute("ROLLBACK TO SAVEPOINT hooklatch_begin")
        cursor.execute("RELEASE SAVEPOINT hooklatch_begin")
        return Busy(1.0)


def complete_in(
    cursor: Any, run: Run, result: bytes, retention_seconds: float = RETENTION_SECONDS
) -> None:
    """Completes in the transaction that :func:`begin_in` was called in."""
    program = statements.complete(run, result, retention_seconds)
    _must_apply(drive(program, lambda question: ask_cursor(cursor, question)))


async def abegin_in(
    connection: psycopg.AsyncConnection[Any], request: BeginRequest, wait_seconds: float = 3.0
) -> Begin:
    """:func:`begin_in` for asyncio, on a connection of psycopg."""
    try:
        async with connection.transaction():
            setting = {"ms": _lock_timeout(wait_seconds)}
            async with connection.cursor(row_factory=dict_row) as cursor:
                await cursor.execute(_LOCK_TIMEOUT, setting)
                before = (await cursor.fetchall())[0]["before"]
            program = statements.begin(request, statements.token_of(request))
            begun = await adrive(program, lambda question: _aasked(connection, question))
            await connection.execute(
                "SELECT set_config('lock_timeout', %(ms)s, true)", {"ms": before}
            )
            return begun
    except psycopg.errors.LockNotAvailable:
        return Busy(1.0)


async def acomplete_in(
    connection: psycopg.AsyncConnection[Any],
    run: Run,
    result: bytes,
    retention_seconds: float = RETENTION_SECONDS,
) -> None:
    """:func:`complete_in` for asyncio."""
    program = statements.complete(run, result, retention_seconds)
    _must_apply(await adrive(program, lambda question: _aasked(connection, question)))


def once_by_constraint(
    connection: psycopg.Connection[Any], name: str, work: Callable[[], T]
) -> tuple[bool, T | None]:
    """``(True, value)`` where the work ran, ``(False, None)`` where it broke the constraint.

    For effects that carry the event's id in a unique column of yours: ``name`` is its constraint,
    and no table of ours is needed. Runs in a transaction of yours, which stays usable.
    """
    try:
        with connection.transaction():
            return True, work()
    except psycopg.errors.UniqueViolation as error:
        if error.diag.constraint_name != name:
            raise
        return False, None


class PostgresTransactions:
    """Claim, effect and result in one transaction: the effect in this database is exactly once.

    The handler finds the connection in ``event.tx``. A statement is ended after
    ``statement_timeout_seconds``, a transaction in which nothing happens after
    ``idle_timeout_seconds``: a dead client must not hold the key.
    """

    def __init__(
        self,
        pool: Any,
        *,
        statement_timeout_seconds: float = 30.0,
        idle_timeout_seconds: float = 60.0,
    ) -> None:
        self._pool = pool
        self._limits = _limits(statement_timeout_seconds, idle_timeout_seconds)
        self._leased = PostgresStore(pool)

    @property
    def leased(self) -> PostgresStore:
        return self._leased

    def transact(
        self, request: BeginRequest, wait_seconds: float, work: Callable[[Any, Run, Steps], bytes]
    ) -> Begin:
        for tries in range(1, _TRANSACTION_TRIES_MAX + 1):
            try:
                return self._once(request, wait_seconds, work)
            except psycopg.errors.LockNotAvailable:
                return Busy(1.0)
            except Exception as error:
                if sqlstate_of(error) not in TRY_AGAIN or tries == _TRANSACTION_TRIES_MAX:
                    raise
        raise AssertionError("the last try returns or raises")

    def _once(
        self, request: BeginRequest, wait_seconds: float, work: Callable[[Any, Run, Steps], bytes]
    ) -> Begin:
        with self._connection() as connection:
            with _as_unavailable():
                connection.execute(f"{self._limits}; {_set_lock_timeout(wait_seconds)}")
                program = statements.begin(request, statements.token_of(request))
                begun = drive(program, lambda question: _asked(connection, question))
                connection.execute("SET LOCAL lock_timeout = DEFAULT")
                if isinstance(begun, Dead):
                    connection.commit()
            if not isinstance(begun, Run):
                connection.rollback()
                return begun
            result = work(connection, begun, _TxSteps(connection))
            program_ = statements.complete(begun, result, request.retention_seconds)
            _must_apply(drive(program_, lambda question: _asked(connection, question)))
            self._commit(connection, begun)
            return begun

    def _commit(self, connection: psycopg.Connection[Any], run: Run) -> None:
        """Where the answer to COMMIT is lost, the record says whether it happened."""
        try:
            connection.commit()
        except psycopg.Error as error:
            if sqlstate_of(error) in TRY_AGAIN:
                raise
            if self._leased.complete(run, b"", RETENTION_SECONDS) != "already_complete":
                raise Unavailable("PostgreSQL did not commit") from error

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        with _as_unavailable():
            connection = self._pool.getconn()
        autocommit = connection.autocommit
        try:
            connection.autocommit = False
            yield connection
        finally:
            # A broken connection is thrown away by the pool.
            with suppress(psycopg.Error):
                connection.rollback()
                connection.autocommit = autocommit
            self._pool.putconn(connection)


class AsyncPostgresTransactions:
    """The same for asyncio."""

    def __init__(
        self,
        pool: Any,
        *,
        statement_timeout_seconds: float = 30.0,
        idle_timeout_seconds: float = 60.0,
    ) -> None:
        self._pool = pool
        self._limits = _limits(statement_timeout_seconds, idle_timeout_seconds)
        self._leased = AsyncPostgresStore(pool)

    @property
    def leased(self) -> AsyncPostgresStore:
        return self._leased

    async def transact(
        self,
        request: BeginRequest,
        wait_seconds: float,
        work: Callable[[Any, Run, AsyncSteps], Awaitable[bytes]],
    ) -> Begin:
        for tries in range(1, _TRANSACTION_TRIES_MAX + 1):
            try:
                return await self._once(request, wait_seconds, work)
            except psycopg.errors.LockNotAvailable:
                return Busy(1.0)
            except Exception as error:
                if sqlstate_of(error) not in TRY_AGAIN or tries == _TRANSACTION_TRIES_MAX:
                    raise
        raise AssertionError("the last try returns or raises")

    async def _once(
        self,
        request: BeginRequest,
        wait_seconds: float,
        work: Callable[[Any, Run, AsyncSteps], Awaitable[bytes]],
    ) -> Begin:
        async with self._connection() as connection:
            with _as_unavailable():
                await connection.execute(f"{self._limits}; {_set_lock_timeout(wait_seconds)}")
                program = statements.begin(request, statements.token_of(request))
                begun = await adrive(program, lambda question: _aasked(connection, question))
                await connection.execute("SET LOCAL lock_timeout = DEFAULT")
                if isinstance(begun, Dead):
                    await connection.commit()
            if not isinstance(begun, Run):
                await connection.rollback()
                return begun
            result = await work(connection, begun, _AsyncTxSteps(connection))
            program_ = statements.complete(begun, result, request.retention_seconds)
            _must_apply(await adrive(program_, lambda question: _aasked(connection, question)))
            await self._commit(connection, begun)
            return begun

    async def _commit(self, connection: psycopg.AsyncConnection[Any], run: Run) -> None:
        """Where the answer to COMMIT is lost, the record says whether it happened."""
        try:
            await connection.commit()
        except psycopg.Error as error:
            if sqlstate_of(error) in TRY_AGAIN:
                raise
            if await self._leased.complete(run, b"", RETENTION_SECONDS) != "already_complete":
                raise Unavailable("PostgreSQL did not commit") from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        with _as_unavailable():
            connection = await self._pool.getconn()
        autocommit = connection.autocommit
        try:
            await connection.set_autocommit(False)
            yield connection
        finally:
            with suppress(psycopg.Error):
                await connection.rollback()
                await connection.set_autocommit(autocommit)
            await self._pool.putconn(connection)


class _TxSteps:
    """Steps in the transaction of the work: they go with it if it is rolled back."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        program = statements.load_step(key, generation, step)
        return drive(program, lambda question: _asked(self._connection, question))

    def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        program = statements.save_step(run, step, result)
        return drive(program, lambda question: _asked(self._connection, question))


class _AsyncTxSteps:
    """The same for asyncio."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    async def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        program = statements.load_step(key, generation, step)
        return await adrive(program, lambda question: _aasked(self._connection, question))

    async def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        program = statements.save_step(run, step, result)
        return await adrive(program, lambda question: _aasked(self._connection, question))


_LOCK_TIMEOUT = (
    "SELECT current_setting('lock_timeout') AS before, set_config('lock_timeout', %(ms)s, true)"
)


def ask_cursor(cursor: Any, question: statements.Question) -> statements.Answered:
    """Asks a cursor of any DB-API driver that takes ``%(name)s``."""
    cursor.execute(*question)
    if cursor.description is None:
        return [], cursor.rowcount
    names = [column[0] for column in cursor.description]
    rows = cursor.fetchall()
    return [row if isinstance(row, dict) else dict(zip(names, row)) for row in rows], len(rows)


def sqlstate_of(error: BaseException) -> str | None:
    """PostgreSQL's code behind an error, also where a framework has wrapped it."""
    inner: BaseException | None = error
    while inner is not None:
        code = getattr(inner, "sqlstate", None)
        if code is not None:
            return str(code)
        inner = inner.__cause__
    return None


def _asked(
    connection: psycopg.Connection[Any], question: statements.Question, *, commit: bool = False
) -> statements.Answered:
    with connection.cursor(row_factory=dict_row) as cursor:
        answered = ask_cursor(cursor, question)
    if commit:
        connection.commit()
    return answered


async def _aasked(
    connection: psycopg.AsyncConnection[Any], question: statements.Question, *, commit: bool = False
) -> statements.Answered:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(*question)
        rows: list[Mapping[str, Any]] = []
        if cursor.description is not None:
            rows += await cursor.fetchall()
        answered = rows, cursor.rowcount
    if commit:
        await connection.commit()
    return answered


@contextmanager
def _as_unavailable() -> Iterator[None]:
    """Nothing has been done yet: an error means that the store is away."""
    try:
        yield
    except psycopg.Error as error:
        if sqlstate_of(error) in (LOCK_NOT_AVAILABLE, *TRY_AGAIN):
            raise
        raise Unavailable("PostgreSQL is unavailable") from error


def _first(cursor: Any) -> dict[str, Any]:
    row = cursor.fetchall()[0]
    if isinstance(row, dict):
        return row
    return dict(zip([column[0] for column in cursor.description], row))


def _must_apply(completed: Completed) -> None:
    if completed != "applied":
        raise RuntimeError(f"the claim is lost: {completed}")


def _limits(statement_timeout_seconds: float, idle_timeout_seconds: float) -> str:
    return (
        "SET TRANSACTION ISOLATION LEVEL READ COMMITTED; "
        f"SET LOCAL statement_timeout = {milliseconds(statement_timeout_seconds)}; "
        f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds(idle_timeout_seconds)}"
    )


def _lock_timeout(wait_seconds: float) -> str:
    # 0 would wait for ever.
    return f"{max(1, milliseconds(wait_seconds))}ms"


def _set_lock_timeout(wait_seconds: float) -> str:
    return f"SET LOCAL lock_timeout = '{_lock_timeout(wait_seconds)}'"
