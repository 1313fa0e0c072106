"""One request from its bytes to its answer: verify, read the key, claim, run the handler once.

The handler runs in the thread of the request. A client that hangs up stops nothing and frees
nothing. Where the store cannot say whose turn it is, nothing is run.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

from .answers import Failed, Processed, Refused, Rejected, Situation, answer_for
from .event import HookEvent
from .outcomes import Begin, BeginRequest, Busy, ClaimStore, Run, Unavailable
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
from .transactions import Steps, Transactions, is_transactions

Handler = Callable[[HookEvent], Any]


class Receiver:
    """Receives one kind of webhook. Make it once; it holds no connection.

    ``store`` is a leased store, or one of ``…Transactions``; the other arguments are those of
    :class:`Settings`.
    """

    def __init__(self, store: ClaimStore | Transactions, **settings: Any) -> None:
        self.settings = Settings(**settings)
        self._transactions = store if is_transactions(store) else None
        # Failures of a transaction are counted outside of it.
        self._store = self._transactions.leased if self._transactions else cast(ClaimStore, store)
        self._stopping = False
        self._working = 0
        self._idle = threading.Condition()

    def receive(self, request: HookRequest, handler: Handler) -> Answer:
        """Handles one request. Every failure of the handler or the store has its answer."""
        self._enter()
        try:
            situation = self._situation(request, handler)
        finally:
            self._leave()
        return answer_for(situation, self.settings.policy)

    def drain(self, timeout_seconds: float | None = None) -> bool:
        """Takes no more events, and waits until those under way have ended; False if not all."""
        self._stopping = True
        with self._idle:
            return self._idle.wait_for(lambda: self._working == 0, timeout_seconds)

    def _situation(self, request: HookRequest, handler: Handler) -> Situation:
        if self._stopping:
            return Refused()
        wanted = self.settings.examine(request)
        if wanted is None:
            return self._unprotected(request, handler, "the event has no key")
        if not isinstance(wanted, BeginRequest):
            return wanted
        try:
            if self._transactions is not None:
                return self._in_transaction(self._transactions, wanted, request, handler)
            begun = self._begin_or_wait(self._store, wanted)
        except Unavailable as error:
            self.settings.notify("unavailable", wanted.key, error)
            if self.settings.on_unavailable == "refuse":
                return Refused()
            return self._unprotected(request, handler, "the store is unavailable")
        if not isinstance(begun, Run):
            return self.settings.not_run(begun, wanted.key)
        return self._leased(self._store, begun, request, handler)

    def _begin_or_wait(self, store: ClaimStore, wanted: BeginRequest) -> Begin:
        """Webhook mode waits for the first delivery to end, so that its answer can be repeated."""
        until = time.monotonic() + self.settings.wait_seconds
        pause = POLL_SECONDS_MIN
        # One token for all tries: where an answer was lost, the claim is found to be our own.
        wanted = replace(wanted, token=secrets.token_hex(16))
        while True:
            begun = store.begin(wanted)
            late = time.monotonic() + pause > until or self._stopping
            if not isinstance(begun, Busy) or late:
                return begun
            time.sleep(pause)
            pause = min(2 * pause, POLL_SECONDS_MAX)

    def _leased(
        self, store: ClaimStore, run: Run, request: HookRequest, handler: Handler
    ) -> Situation:
        self.settings.started(run)
        event = HookEvent(request, run, None, store)
        with self._renewed(store, run, event):
            ending = _ended(handler, event)
        return self._settle(store, run, ending)

    @contextmanager
    def _renewed(self, store: ClaimStore, run: Run, event: HookEvent) -> Iterator[None]:
        """Renews at a third of the lease, up to the deadline; then the lease may lapse."""
        ended = threading.Event()
        settings = self.settings
        until = time.monotonic() + settings.deadline_seconds

        def renew() -> None:
            while not ended.wait(min(settings.lease_seconds / 3, max(0, until - time.monotonic()))):
                if time.monotonic() >= until:
                    event.cancelled = True
                    return
                try:
                    if store.renew(run, settings.lease_seconds) == "fenced" and not ended.is_set():
                        settings.notify("lease_lost", run.key)
                        event.cancelled = True
                        return
                except Unavailable as error:
                    settings.notify("renew_failed", run.key, error)

        thread = threading.Thread(target=renew, name="hooklatch-renew", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()

    def _settle(self, store: ClaimStore, run: Run, ending: Ending) -> Situation:
        match ending:
            case Answered(answer):
                if self.settings.is_final(answer):
                    return self._complete(store, run, answer)
                error = f"the handler answered {answer.status}"
                if self.settings.is_refusal(answer):
                    return self._give_up(store, run, error, answer)
                return self._release(store, run, error, retry_after_of(answer), answer)
            case Permanent(error):
                return self._give_up(store, run, error, None)
            case Retryable(error, after, _cause):
                return self._release(store, run, error, after, None)

    def _complete(self, store: ClaimStore, run: Run, answer: Answer) -> Situation:
        """The effect is there, so the answer is the handler's, whatever becomes of the record."""
        result = self.settings.encoded(answer)
        if not self._completed(store, run, result):
            self._enter()
            later = threading.Thread(
                target=self._complete_later, args=(store, run, result), daemon=True
            )
            later.start()
        return Processed(answer)

    def _completed(self, store: ClaimStore, run: Run, result: bytes) -> bool:
        try:
            completed = store.complete(run, result, self.settings.retention_seconds)
        except Unavailable as error:
            self.settings.notify("complete_failed", run.key, error)
            return False
        kept = completed in ("applied", "already_complete")
        self.settings.notify("completed" if kept else "complete_fenced", run.key)
        return True

    def _complete_later(self, store: ClaimStore, run: Run, result: bytes) -> None:
        try:
            for tries in range(1, COMPLETE_TRIES_MAX + 1):
                time.sleep(0.05 * 2**tries)
                if self._completed(store, run, result):
                    return
        finally:
            self._leave()

    def _release(
        self, store: ClaimStore, run: Run, error: str, after: float | None, answer: Answer | None
    ) -> Situation:
        after = self.settings.retry_after_seconds if after is None else after
        try:
            released = store.release(run, after, error)
        except Unavailable as cause:
            # The lease lapses by itself, and the event is taken over then.
            self.settings.notify("release_failed", run.key, cause)
            return Failed(after, answer)
        if released != "ok":
            return self.settings.overtaken(run, error)
        self.settings.notify("released", run.key, error)
        return Failed(after, answer)

    def _give_up(
        self, store: ClaimStore, run: Run, error: str, answer: Answer | None
    ) -> Situation:
        try:
            failed = store.fail(run, error, self.settings.retention_seconds)
        except Unavailable as cause:
            # Not written down: it comes again, and fails again.
            self.settings.notify("release_failed", run.key, cause)
            return Failed(self.settings.lease_seconds, None)
        if failed != "ok":
            return self.settings.overtaken(run, error)
        self.settings.notify("dead", run.key, error)
        return Rejected(answer, error)

    def _in_transaction(
        self, store: Transactions, wanted: BeginRequest, request: HookRequest, handler: Handler
    ) -> Situation:
        answers: list[Answer] = []

        def work(tx: Any, run: Run, steps: Steps) -> bytes:
            self.settings.started(run)
            ending = _ended(handler, HookEvent(request, run, tx, steps))
            # Anything but a final answer rolls back: an effect without its record must not be.
            if not isinstance(ending, Answered) or not self.settings.is_final(ending.answer):
                raise NotFinal(ending)
            answers.append(ending.answer)
            return self.settings.encoded(ending.answer)

        try:
            begun = store.transact(wanted, self.settings.wait_seconds, work)
        except Unavailable:
            raise
        except Exception as error:
            ending = error.ending if isinstance(error, NotFinal) else failure_of(error)
            return self._after_rollback(store.leased, wanted, ending)
        if not isinstance(begun, Run):
            return self.settings.not_run(begun, wanted.key)
        self.settings.notify("completed", wanted.key)
        return Processed(answers[-1])

    def _after_rollback(
        self, store: ClaimStore, wanted: BeginRequest, ending: Ending
    ) -> Situation:
        """Nothing of the work is left: the failure is counted in a transaction of its own."""
        begun = store.begin(wanted)
        if not isinstance(begun, Run):
            return self.settings.not_run(begun, wanted.key)
        if isinstance(ending, Answered) and self.settings.is_final(ending.answer):
            raise AssertionError("a final answer is not rolled back")
        return self._settle(store, begun, ending)

    def _unprotected(self, request: HookRequest, handler: Handler, why: str) -> Situation:
        if self._transactions is not None:
            return Refused()
        self.settings.notify("ran_unprotected", None, why)
        match _ended(handler, HookEvent(request, None, None, None)):
            case Answered(answer):
                return Processed(answer)
            case Retryable():
                return Failed(self.settings.retry_after_seconds, None)
            case Permanent(error):
                return Rejected(None, error)

    def _enter(self) -> None:
        with self._idle:
            self._working += 1

    def _leave(self) -> None:
        with self._idle:
            self._working -= 1
            self._idle.notify_all()


def _ended(handler: Handler, event: HookEvent) -> Ending:
    """Runs a handler to its end. Errors are endings; what ends the process is not caught."""
    try:
        return ending_of(handler(event))
    except Exception as error:
        return failure_of(error)
