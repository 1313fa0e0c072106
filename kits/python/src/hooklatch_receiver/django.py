"""Django: a decorator that makes a view of a handler, and claims in Django's own transactions.

::

    urlpatterns = [path("webhooks", hooks(receiver)(paid))]

With a :class:`Receiver` the view is sync, with an :class:`AsyncReceiver` async.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from . import statements
from .async_receiver import AsyncReceiver
from .outcomes import (
    Begin,
    BeginRequest,
    Busy,
    ClaimRecord,
    Completed,
    Ended,
    Run,
    Saved,
    Unavailable,
)
from .postgres import ask_cursor, begin_in, complete_in, sqlstate_of
from .programs import Program, drive
from .receiver import Receiver
from .request import HookRequest
from .results import Answer
from .statements import SCHEMA, TRY_AGAIN
from .transactions import Steps

T = TypeVar("T")

_TRANSACTION_TRIES_MAX = 3


def hooks(receiver: Receiver | AsyncReceiver) -> Callable[[Callable[..., Any]], Any]:
    """Makes a view of a handler. The signature stands for the token against forged forms."""

    def decorate(handler: Callable[..., Any]) -> Any:
        if isinstance(receiver, AsyncReceiver):
            if not iscoroutinefunction(handler):
                raise TypeError("an AsyncReceiver needs an async handler")
            return csrf_exempt(_async_view(receiver, handler))
        return csrf_exempt(_view(receiver, handler))

    return decorate


def _view(receiver: Receiver, handler: Callable[..., Any]) -> Callable[..., HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        return _response(receiver.receive(_hook(request, receiver), handler))

    return view


def _async_view(receiver: AsyncReceiver, handler: Callable[..., Any]) -> Callable[..., Any]:
    async def view(request: HttpRequest) -> HttpResponse:
        return _response(await receiver.receive(_hook(request, receiver), handler))

    return view


def _hook(request: HttpRequest, receiver: Receiver | AsyncReceiver) -> HookRequest:
    return HookRequest(
        method=request.method or "POST",
        path=request.path,
        query_string=request.META.get("QUERY_STRING", ""),
        headers=request.headers.items(),
        # One byte more than is taken: what is longer is refused, and never read whole.
        body=request.read(receiver.settings.body_bytes_max + 1),
    )


def _response(answer: Answer) -> HttpResponse:
    response = HttpResponse(answer.body, status=answer.status)
    del response["Content-Type"]
    for name, value in answer.headers.items():
        response[name] = value
    return response


class DjangoStore:
    """The records through Django's connection to PostgreSQL.

    To make the tables, to look claims up and to sweep. A leased receiver renews from a thread of
    its own, for which Django would open one more connection: give it a ``PostgresStore`` or a
    ``RedisStore``.
    """

    def __init__(self, using: str = "default") -> None:
        self._using = using

    def migrate(self) -> None:
        """Makes the tables where they are not there yet: call it in a migration (``RunPython``)."""
        with connections[self._using].cursor() as cursor:
            cursor.execute(SCHEMA)

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
            with connections[self._using].cursor() as cursor:
                return drive(program, lambda question: ask_cursor(cursor, question))
        except (DatabaseError, InterfaceError) as error:
            raise Unavailable("PostgreSQL is unavailable") from error


class DjangoTransactions:
    """Claim, effect and result in one ``transaction.atomic``: the effect is exactly once.

    What the handler does through the ORM belongs to the transaction; no ``event.tx`` is needed.
    Set ``ATOMIC_REQUESTS`` off for the view: a transaction around it would hold everything back.
    """

    def __init__(self, using: str = "default") -> None:
        self._using = using
        self._leased = DjangoStore(using)

    @property
    def leased(self) -> DjangoStore:
        return self._leased

    def transact(
        self, request: BeginRequest, wait_seconds: float, work: Callable[[Any, Run, Steps], bytes]
    ) -> Begin:
        for tries in range(1, _TRANSACTION_TRIES_MAX + 1):
            try:
                return self._once(request, wait_seconds, work)
            except Exception as error:
                if sqlstate_of(error) not in TRY_AGAIN or tries == _TRANSACTION_TRIES_MAX:
                    raise
        raise AssertionError("the last try returns or raises")

    def _once(
        self, request: BeginRequest, wait_seconds: float, work: Callable[[Any, Run, Steps], bytes]
    ) -> Begin:
        phase = "begin"
        begun: Begin = Busy(1.0)
        try:
            with transaction.atomic(using=self._using, durable=True):
                with connections[self._using].cursor() as cursor:
                    begun = begin_in(cursor, request, wait_seconds)
                if not isinstance(begun, Run):
                    return begun
                phase = "work"
                result = work(None, begun, self._leased)
                with connections[self._using].cursor() as cursor:
                    complete_in(cursor, begun, result, request.retention_seconds)
                phase = "commit"
            return begun
        except (DatabaseError, InterfaceError) as error:
            if phase == "work" or sqlstate_of(error) in TRY_AGAIN:
                raise
            if phase == "commit" and isinstance(begun, Run):
                return self._after_commit(begun, request, error)
            raise Unavailable("PostgreSQL is unavailable") from error

    def _after_commit(self, run: Run, request: BeginRequest, error: Exception) -> Begin:
        """Where the answer to COMMIT is lost, the record says whether it happened."""
        if self._leased.complete(run, b"", request.retention_seconds) != "already_complete":
            raise Unavailable("PostgreSQL did not commit") from error
        return run
