"""The receiver for asyncio.

The work has a task of its own: a client that hangs up, and a framework that then cancels the
request, stop nothing and free nothing. Where the store cannot say whose turn it is, nothing is run.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar, cast

from .answers import Failed, InProgress, Processed, Refused, Rejected, Situation, answer_for
from .event import AsyncHookEvent
from .outcomes import AsyncClaimStore, Begin, BeginRequest, Busy, Run, Unavailable
from .request import HookRequest
from .results import Answer
from .settings import (
    COMPLETE_TRIES_MAX,
    POLL_SECONDS_MAX,
    POLL_SECONDS_MIN,
    Answered,
    Ending,
    NotFinal,
    Permanent,
    Retryable,
    Settings,
    ending_of,
    failure_of,
    retry_after_of,
)
from .transactions import AsyncSteps, AsyncTransactions, is_async_transactions

T = TypeVar("T")
AsyncHandler = Callable[[AsyncHookEvent], Awaitable[Any]]


class AsyncReceiver:
    """Receives one kind of webhook. Make it once; it holds no connection.

    ``store`` is a leased store, or one of ``Async…Transactions``; the other arguments are those of
    :class:`Settings`.
    """

    def __init__(self, store: AsyncClaimStore | AsyncTransactions, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self._transactions = store if is_async_transactions(store) else None
        # Failures of a transaction are counted outside of it.
        self._store = self._transactions.leased if self._transactions else cast(AsyncClaimStore, store)
        self._stopping = False
        self._working: set[asyncio.Task[Any]] = set()

    async def receive(self, request: HookRequest, handler: AsyncHandler) -> Answer:
        """Handles one request. Every failure of the handler or the store has its answer."""
        situation = await asyncio.shield(self._task(self._situation(request, handler)))
        return answer_for(situation, self.settings.policy)

    async def drain(self) -> None:
        """Takes no more events, and waits until those under way have ended."""
        self._stopping = True
        while self._working:
            await asyncio.wait(self._working)

    def _task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that is held until it ends: asyncio itself holds it but weakly."""
        task = asyncio.ensure_future(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task

    async def _situation(self, request: HookRequest, handler: AsyncHandler) -> Situation:
        if self._stopping:
            return Refused()
        wanted = self.settings.examine(request)
        if wanted is None:
            return await self._unprotected(request, handler, "the event has no key")
        if not isinstance(wanted, BeginRequest):
            return wanted
        try:
            if self._transactions is not None:
                return await self._transacted(self._transactions, wanted, request, handler)
            begun = await self._begin_or_wait(self._store, wanted)
        except Unavailable as error:
            self.settings.notify("unavailable", wanted.key, error)
            if self.settings.on_unavailable == "refuse":
                return Refused()
            return await self._unprotected(request, handler, "the store is unavailable")
        if not isinstance(begun, Run):
            return self.settings.not_run(begun, wanted.key)
        return await self._leased(self._store, begun, request, handler)

    async def _begin_or_wait(self, store: AsyncClaimStore, wanted: BeginRequest) -> Begin:
        """Webhook mode waits for the first delivery to end, so that its answer can be repeated."""
        until = time.monotonic() + self.settings.wait_seconds
        pause = POLL_SECONDS_MIN
        # One token for all tries: where an answer was lost, the claim is found to be our own.
        wanted = replace(wanted, token=secrets.token_hex(16))
        while True:
            begun = await store.begin(wanted)
            late = time.monotonic() + pause > until or self._stopping
            if not isinstance(begun, Busy) or late:
                return begun
            await asyncio.sleep(pause)
            pause = min(2 * pause, POLL_SECONDS_MAX)

    async def _leased(
        self, store: AsyncClaimStore, run: Run, request: HookRequest, handler: AsyncHandler
    ) -> Situation:
        self.settings.started(run)
        event = AsyncHookEvent(request, run, None, store)
        renewing = self._task(self._renew(store, run, event))

        async def work() -> Situation:
            try:
                ending = await _ended(handler, event)
            finally:
                renewing.cancel()
            return await self._settle(store, run, ending)

        return await self._within_deadline(work(), event, renewing)

    async def _within_deadline(
        self,
        work: Coroutine[Any, Any, Situation],
        event: AsyncHookEvent | None,
        renewing: asyncio.Task[None] | None,
    ) -> Situation:
        """Past the deadline the provider is told to come again; the work goes on, and may count."""
        task = self._task(work)
        done, _pending = await asyncio.wait([task], timeout=self.settings.deadline_seconds)
        if done:
            return task.result()
        if event is not None:
            event.cancelled = True
        if renewing is not None:
            renewing.cancel()
        return InProgress(self.settings.lease_seconds)

    async def _renew(self, store: AsyncClaimStore, run: Run, event: AsyncHookEvent) -> None:
        """Renews at a third of the lease; who is overtaken is told to stop."""
        while True:
            await asyncio.sleep(self.settings.lease_seconds / 3)
            try:
                if await store.renew(run, self.settings.lease_seconds) == "fenced":
                    self.settings.notify("lease_lost", run.key)
                    event.cancelled = True
                    return
            except Unavailable as error:
                self.settings.notify("renew_failed", run.key, error)

    async def _settle(self, store: AsyncClaimStore, run: Run, ending: Ending) -> Situation:
        match ending:
            case Answered(answer):
                if self.settings.is_final(answer):
                    return await self._complete(store, run, answer)
                error = f"the handler answered {answer.status}"
                if self.settings.is_refusal(answer):
                    return await self._give_up(store, run, error, answer)
                return await self._release(store, run, error, retry_after_of(answer), answer)
            case Permanent(error):
                return await self._give_up(store, run, error, None)
            case Retryable(error, after, _cause):
                return await self._release(store, run, error, after, None)

    async def _complete(self, store: AsyncClaimStore, run: Run, answer: Answer) -> Situation:
        """The effect is there, so the answer is the handler's, whatever becomes of the record."""
        result = self.settings.encoded(answer)
        if not await self._completed(store, run, result):
            self._task(self._complete_later(store, run, result))
        return Processed(answer)

    async def _completed(self, store: AsyncClaimStore, run: Run, result: bytes) -> bool:
        try:
            completed = await store.complete(run, result, self.settings.retention_seconds)
        except Unavailable as error:
            self.settings.notify("complete_failed", run.key, error)
            return False
        kept = completed in ("applied", "already_complete")
        self.settings.notify("completed" if kept else "complete_fenced", run.key)
        return True

    async def _complete_later(self, store: AsyncClaimStore, run: Run, result: bytes) -> None:
        for tries in range(1, COMPLETE_TRIES_MAX + 1):
            await asyncio.sleep(0.05 * 2**tries)
            if await self._completed(store, run, result):
                return

    async def _release(
        self,
        store: AsyncClaimStore,
        run: Run,
        error: str,
        after: float | None,
        answer: Answer | None,
    ) -> Situation:
        after = self.settings.retry_after_seconds if after is None else after
        try:
            released = await store.release(run, after, error)
        except Unavailable as cause:
            # The lease lapses by itself, and the event is taken over then.
            self.settings.notify("release_failed", run.key, cause)
            return Failed(after, answer)
        if released != "ok":
            return self.settings.overtaken(run, error)
        self.settings.notify("released", run.key, error)
        return Failed(after, answer)

    async def _give_up(
        self, store: AsyncClaimStore, run: Run, error: str, answer: Answer | None
    ) -> Situation:
        try:
            failed = await store.fail(run, error, self.settings.retention_seconds)
        except Unavailable as cause:
            # Not written down: it comes again, and fails again.
            self.settings.notify("release_failed", run.key, cause)
            return Failed(self.settings.lease_seconds, None)
        if failed != "ok":
            return self.settings.overtaken(run, error)
        self.settings.notify("dead", run.key, error)
        return Rejected(answer, error)

    async def _transacted(
        self,
        store: AsyncTransactions,
        wanted: BeginRequest,
        request: HookRequest,
        handler: AsyncHandler,
    ) -> Situation:
        work = self._in_transaction(store, wanted, request, handler)
        return await self._within_deadline(work, None, None)

    async def _in_transaction(
        self,
        store: AsyncTransactions,
        wanted: BeginRequest,
        request: HookRequest,
        handler: AsyncHandler,
    ) -> Situation:
        answers: list[Answer] = []

        async def work(tx: Any, run: Run, steps: AsyncSteps) -> bytes:
            self.settings.started(run)
            ending = await _ended(handler, AsyncHookEvent(request, run, tx, steps))
            # Anything but a final answer rolls back: an effect without its record must not be.
            if not isinstance(ending, Answered) or not self.settings.is_final(ending.answer):
                raise NotFinal(ending)
            answers.append(ending.answer)
            return self.settings.encoded(ending.answer)

        try:
            begun = await store.transact(wanted, self.settings.wait_seconds, work)
        except Unavailable:
            raise
        except Exception as error:
            ending = error.ending if isinstance(error, NotFinal) else failure_of(error)
            return await self._after_rollback(store.leased, wanted, ending)
        if not isinstance(begun, Run):
            return self.settings.not_run(begun, wanted.key)
        self.settings.notify("completed", wanted.key)
        return Processed(answers[-1])

    async def _after_rollback(
        self, store: AsyncClaimStore, wanted: BeginRequest, ending: Ending
    ) -> Situation:
        """Nothing of the work is left: the failure is counted in a transaction of its own."""
        begun = await store.begin(wanted)
        if not isinstance(begun, Run):
            return self.settings.not_run(begun, wanted.key)
        if isinstance(ending, Answered) and self.settings.is_final(ending.answer):
            raise AssertionError("a final answer is not rolled back")
        return await self._settle(store, begun, ending)

    async def _unprotected(
        self, request: HookRequest, handler: AsyncHandler, why: str
    ) -> Situation:
        if self._transactions is not None:
            return Refused()
        self.settings.notify("ran_unprotected", None, why)
        match await _ended(handler, AsyncHookEvent(request, None, None, None)):
            case Answered(answer):
                return Processed(answer)
            case Retryable():
                return Failed(self.settings.retry_after_seconds, None)
            case Permanent(error):
                return Rejected(None, error)


async def _ended(handler: AsyncHandler, event: AsyncHookEvent) -> Ending:
    """Runs a handler to its end. Errors are endings; a cancelled task is not caught."""
    try:
        return ending_of(await handler(event))
    except Exception as error:
        return failure_of(error)
