"""What a store says about a key, and what it says when a claim is ended.

Every store speaks these words and no others, so that the receiver decides the same way over each
of them. Spans are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

ClaimState = Literal["processing", "completed", "released", "dead"]
#: ``fenced``: somebody else has taken over, and nothing was changed. ``gone``: there is no record.
Completed = Literal["applied", "already_complete", "fenced", "gone"]
Ended = Literal["ok", "fenced"]
Saved = Literal["saved", "fenced"]

ATTEMPTS_MAX = 8
RETENTION_SECONDS = 30 * 24 * 60 * 60.0
#: Longest error that is kept, in characters.
ERROR_LENGTH_MAX = 500


@dataclass(frozen=True, slots=True)
class Run:
    """The claim is yours: run the handler, then complete, release or fail it with this object."""

    key: bytes
    #: Proves ownership to the store. A token that was overtaken can end nothing.
    token: str = field(repr=False)
    #: Counts from 1; above 1 an earlier run failed or died.
    attempt: int
    #: Grows with an operator's forced replay; part of every step key.
    generation: int = 1


@dataclass(frozen=True, slots=True)
class Done:
    """The event was handled before; this is what was stored then."""

    result: bytes


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody is handling the event at this moment, or a failed run is not due again yet."""

    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class Conflict:
    """The key is known with another payload; ``state`` is what has become of that one."""

    state: ClaimState | None = None


@dataclass(frozen=True, slots=True)
class Dead:
    """The event failed for good, or too often."""

    error: str | None = None


Begin = Run | Done | Busy | Conflict | Dead


@dataclass(frozen=True, slots=True)
class Metadata:
    """What is noted beside a claim for people who look it up."""

    provider: str = ""
    event_type: str = ""
    #: Seconds since 1970.
    received_at: float | None = None


@dataclass(frozen=True, slots=True)
class BeginRequest:
    """What ``begin`` is asked."""

    #: 32 bytes, from :func:`scope_key`.
    key: bytes
    #: 32 bytes, from :func:`fingerprint`.
    fingerprint: bytes
    lease_seconds: float
    #: A key that was tried so often is dead instead of run.
    attempts_max: int = ATTEMPTS_MAX
    #: How long a key that dies for its attempts is remembered.
    retention_seconds: float = RETENTION_SECONDS
    #: Runs a completed or dead key once more, in the next generation: for operators.
    force: bool = False
    #: 32 lower-case hex digits from a good random source; made where it is not given. The same
    #: token again finds its own claim, where the answer to the first call was lost.
    token: str | None = field(default=None, repr=False)
    metadata: Metadata = Metadata()


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """A record as ``lookup`` shows it."""

    state: ClaimState
    attempt: int
    generation: int
    metadata: Metadata
    result: bytes | None
    error: str | None


class ClaimStore(Protocol):
    """Where claims are kept. Every call may raise :class:`Unavailable`."""

    def begin(self, request: BeginRequest) -> Begin: ...
    def complete(self, run: Run, result: bytes, retention_seconds: float) -> Completed: ...
    def release(self, run: Run, retry_after_seconds: float, error: str) -> Ended: ...
    def renew(self, run: Run, lease_seconds: float) -> Ended: ...
    def fail(self, run: Run, error: str, retention_seconds: float) -> Ended: ...
    def load_step(self, key: bytes, generation: int, step: str) -> bytes | None: ...
    def save_step(self, run: Run, step: str, result: bytes) -> Saved: ...


class AsyncClaimStore(Protocol):
    """The same for asyncio."""

    async def begin(self, request: BeginRequest) -> Begin: ...
    async def complete(self, run: Run, result: bytes, retention_seconds: float) -> Completed: ...
    async def release(self, run: Run, retry_after_seconds: float, error: str) -> Ended: ...
    async def renew(self, run: Run, lease_seconds: float) -> Ended: ...
    async def fail(self, run: Run, error: str, retention_seconds: float) -> Ended: ...
    async def load_step(self, key: bytes, generation: int, step: str) -> bytes | None: ...
    async def save_step(self, run: Run, step: str, result: bytes) -> Saved: ...


class Unavailable(Exception):
    """The store cannot answer: nothing may be run on the strength of it."""


class PermanentFailure(Exception):
    """Raised by a handler: the event can never be handled, trying again is of no use."""


class RetryLater(Exception):
    """Raised by a handler: try again, not before so many seconds."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


def error_text(error: str) -> str:
    """The error as it is kept: bounded, and without characters that a text column refuses."""
    clean = error.replace("\0", "").encode("utf-8", "replace").decode()
    return clean[:ERROR_LENGTH_MAX]


def gave_up(attempts: int, error: str | None) -> str:
    """Why a key whose attempts are used up is dead."""
    text = f"gave up after {attempts} attempts"
    return f"{text}: {error}" if error else text
