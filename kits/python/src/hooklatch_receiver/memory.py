"""Claims in this process's memory: for tests, and for nothing that must survive a restart.

It is also the shortest complete statement of what the other stores do in SQL and in Lua.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .outcomes import (
    Begin,
    BeginRequest,
    Busy,
    ClaimRecord,
    ClaimState,
    Completed,
    Conflict,
    Dead,
    Done,
    Ended,
    Metadata,
    Run,
    Saved,
    error_text,
    gave_up,
)


@dataclass(slots=True)
class _Row:
    state: ClaimState
    token: str
    fingerprint: bytes
    attempt: int
    generation: int
    metadata: Metadata
    result: bytes | None
    error: str | None
    #: End of the lease, or the time from which a released key may be run again.
    lease_until: float
    #: End of the retention of a completed or dead row.
    expires_at: float


class MemoryStore:
    """Claims in memory. They end with the process.

    ``rows_max`` bounds it: beyond it a new key is refused, for none may be evicted. ``now`` gives
    seconds that only grow.
    """

    def __init__(
        self, *, rows_max: int = 100_000, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._rows: dict[bytes, _Row] = {}
        self._steps: dict[tuple[bytes, int, str], bytes] = {}
        self._rows_max = rows_max
        self._now = now
        self._lock = threading.RLock()

    def begin(self, request: BeginRequest) -> Begin:
        token = request.token or secrets.token_hex(16)
        with self._lock:
            row = self._live(request.key)
            if row is None:
                return self._insert(request, token)
            if row.fingerprint != request.fingerprint:
                return Conflict(row.state)
            if row.state in ("processing", "released"):
                return self._take_over(request, row, token)
            if request.force:
                row.attempt, row.generation, row.result = 1, row.generation + 1, None
                return self._own(request, row, token)
            return Done(row.result or b"") if row.state == "completed" else Dead(row.error)

    def complete(self, run: Run, result: bytes, retention_seconds: float) -> Completed:
        with self._lock:
            row = self._live(run.key)
            if row is None:
                return "gone"
            if row.token != run.token or row.state in ("released", "dead"):
                return "fenced"
            if row.state == "completed":
                return "already_complete"
            row.state, row.result = "completed", bytes(result)
            row.expires_at = self._now() + retention_seconds
            return "applied"

    def release(self, run: Run, retry_after_seconds: float, error: str) -> Ended:
        with self._lock:
            row = self._owned(run)
            if row is None:
                return "fenced"
            row.state, row.token, row.error = "released", secrets.token_hex(16), error_text(error)
            row.lease_until = self._now() + retry_after_seconds
            return "ok"

    def renew(self, run: Run, lease_seconds: float) -> Ended:
        with self._lock:
            row = self._owned(run)
            if row is None:
                return "fenced"
            row.lease_until = self._now() + lease_seconds
            return "ok"

    def fail(self, run: Run, error: str, retention_seconds: float) -> Ended:
        with self._lock:
            row = self._owned(run)
            if row is None:
                return "fenced"
            self._bury(row, error_text(error), retention_seconds)
            return "ok"

    def lookup(self, key: bytes) -> ClaimRecord | None:
        """The record; None where there is none, or where it has expired."""
        with self._lock:
            row = self._live(key)
            if row is None:
                return None
            return ClaimRecord(
                row.state, row.attempt, row.generation, row.metadata, row.result, row.error
            )

    def sweep(self, limit: int) -> int:
        """Removes at most ``limit`` expired records, and says how many. Nothing depends on it."""
        with self._lock:
            expired = [key for key, row in self._rows.items() if row.expires_at <= self._now()]
            for key in expired[:limit]:
                self._remove(key)
            return len(expired[:limit])

    def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        with self._lock:
            return self._steps.get((key, generation, step))

    def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        with self._lock:
            if self._owned(run) is None:
                return "fenced"
            self._steps.setdefault((run.key, run.generation, step), bytes(result))
            return "saved"

    def _insert(self, request: BeginRequest, token: str) -> Begin:
        self._remove(request.key)
        if len(self._rows) >= self._rows_max and self.sweep(self._rows_max) == 0:
            return Busy(1.0)
        self._rows[request.key] = row = _Row(
            state="processing",
            token=token,
            fingerprint=request.fingerprint,
            attempt=1,
            generation=1,
            metadata=request.metadata,
            result=None,
            error=None,
            lease_until=0.0,
            expires_at=0.0,
        )
        return self._own(request, row, token)

    def _take_over(self, request: BeginRequest, row: _Row, token: str) -> Begin:
        if row.state == "processing" and row.token == token:
            return self._own(request, row, token)
        remaining = row.lease_until - self._now()
        if remaining > 0:
            return Busy(remaining)
        if row.attempt >= request.attempts_max:
            self._bury(row, gave_up(row.attempt, row.error), request.retention_seconds)
            return Dead(row.error)
        row.attempt += 1
        return self._own(request, row, token)

    def _own(self, request: BeginRequest, row: _Row, token: str) -> Run:
        row.state, row.token, row.error = "processing", token, None
        row.lease_until = self._now() + request.lease_seconds
        row.expires_at = float("inf")
        return Run(request.key, token, row.attempt, row.generation)

    def _bury(self, row: _Row, error: str, retention_seconds: float) -> None:
        row.state, row.token, row.error = "dead", secrets.token_hex(16), error
        row.expires_at = self._now() + retention_seconds

    def _owned(self, run: Run) -> _Row | None:
        """The row whose running claim this is."""
        row = self._rows.get(run.key)
        return row if row and row.state == "processing" and row.token == run.token else None

    def _live(self, key: bytes) -> _Row | None:
        row = self._rows.get(key)
        return row if row and row.expires_at > self._now() else None

    def _remove(self, key: bytes) -> None:
        if self._rows.pop(key, None) is not None:
            for step in [step for step in self._steps if step[0] == key]:
                del self._steps[step]


class AsyncMemoryStore:
    """The same for asyncio."""

    def __init__(self, store: MemoryStore | None = None) -> None:
        self._store = store or MemoryStore()

    async def begin(self, request: BeginRequest) -> Begin:
        return self._store.begin(request)

    async def complete(self, run: Run, result: bytes, retention_seconds: float) -> Completed:
        return self._store.complete(run, result, retention_seconds)

    async def release(self, run: Run, retry_after_seconds: float, error: str) -> Ended:
        return self._store.release(run, retry_after_seconds, error)

    async def renew(self, run: Run, lease_seconds: float) -> Ended:
        return self._store.renew(run, lease_seconds)

    async def fail(self, run: Run, error: str, retention_seconds: float) -> Ended:
        return self._store.fail(run, error, retention_seconds)

    async def lookup(self, key: bytes) -> ClaimRecord | None:
        return self._store.lookup(key)

    async def sweep(self, limit: int) -> int:
        return self._store.sweep(limit)

    async def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        return self._store.load_step(key, generation, step)

    async def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        return self._store.save_step(run, step, result)
