"""How a receiver works, and what it decides without asking anybody: for sync and asyncio alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from .answers import (
    AnswerPolicy,
    Duplicate,
    GivenUp,
    InProgress,
    Mismatch,
    Mode,
    NoKey,
    Situation,
    TooLarge,
    Unverified,
)
from .fingerprints import fingerprint
from .keys import scope_key
from .locations import parse_location
from .outcomes import (
    ATTEMPTS_MAX,
    RETENTION_SECONDS,
    BeginRequest,
    Busy,
    Conflict,
    Dead,
    Done,
    Metadata,
    PermanentFailure,
    RetryLater,
    Run,
)
from .providers import Provider
from .request import HookRequest
from .results import Answer, answer_of, decode_result, encode_result

#: One for each transition. Alert on ``complete_failed``, ``complete_fenced``,
#: ``payload_mismatch``, ``dead`` and ``ran_unprotected``.
NoticeKind = Literal[
    "reserved",
    "taken_over",
    "completed",
    "duplicate_in_flight",
    "duplicate_completed",
    "payload_mismatch",
    "released",
    "dead",
    "dead_again",
    "lease_lost",
    "renew_failed",
    "release_failed",
    "complete_failed",
    "complete_fenced",
    "unavailable",
    "ran_unprotected",
]

_KEY_PART_BYTES_MAX = 4_096
POLL_SECONDS_MIN = 0.025
POLL_SECONDS_MAX = 0.4
COMPLETE_TRIES_MAX = 6


@dataclass(frozen=True, slots=True)
class Notice:
    """One transition. It never holds a body, a header or a secret."""

    kind: NoticeKind
    #: The claimed key; None where there is none.
    key: bytes | None
    #: The error or the reason, where there is one.
    cause: object = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The handler ended with an answer."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Retryable:
    """The handler failed, for now."""

    error: str
    retry_after_seconds: float | None
    cause: BaseException


@dataclass(frozen=True, slots=True)
class Permanent:
    """The handler failed, for good."""

    error: str


Ending = Answered | Retryable | Permanent


def failure_of(error: BaseException) -> Ending:
    """What an error of a handler means."""
    if isinstance(error, PermanentFailure):
        return Permanent(str(error))
    after = error.retry_after_seconds if isinstance(error, RetryLater) else None
    return Retryable(str(error) or type(error).__name__, after, error)


def ending_of(returned: Any) -> Ending:
    """What a handler's return value means."""
    try:
        return Answered(answer_of(returned))
    except (TypeError, ValueError) as error:
        return failure_of(error)


def retry_after_of(answer: Answer) -> float | None:
    """What the handler's own ``Retry-After`` says, where it is a number of seconds."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None


class NotFinal(Exception):
    """Carries a handler's ending out of a transaction that must roll back."""

    def __init__(self, ending: Ending) -> None:
        super().__init__("the handler did not end with a final answer")
        self.ending = ending
        # The database may ask for the whole transaction again.
        self.__cause__ = ending.cause if isinstance(ending, Retryable) else None


class Settings:
    """The choices of a receiver, checked when it is made. Spans are seconds."""

    def __init__(
        self,
        *,
        provider: Provider,
        source: str | None = None,
        tenant: Callable[[HookRequest], str] | None = None,
        consumer: str = "",
        key: Sequence[str] | None = None,
        mode: Mode = "webhook",
        deadline_seconds: float = 20.0,
        lease_seconds: float | None = None,
        retention_seconds: float = RETENTION_SECONDS,
        attempts_max: int = ATTEMPTS_MAX,
        wait_seconds: float = 3.0,
        retry_after_seconds: float = 1.0,
        on_missing_key: Literal["reject", "content", "run"] = "reject",
        on_unavailable: Literal["refuse", "run"] = "refuse",
        on_conflict: Literal["duplicate", "reject"] = "duplicate",
        conflict_status: Literal[409, 422] = 409,
        on_dead: Literal["accept", "gone"] = "accept",
        body_bytes_max: int = 1_048_576,
        result_bytes_max: int = 32_768,
        notify: Callable[[Notice], None] | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        if retention_seconds < provider.retry_window_seconds:
            raise ValueError(
                f"{provider.name} repeats an event for {provider.retry_window_seconds:.0f} s, "
                f"but it would be forgotten after {retention_seconds:.0f} s"
            )
        self.provider = provider
        self.source = source or provider.name
        self.tenant = tenant
        self.consumer = consumer
        self.locations = [parse_location(text) for text in (key or provider.key)]
        self.event_type = parse_location(provider.event_type) if provider.event_type else None
        self.policy = AnswerPolicy(mode, on_conflict, conflict_status, on_dead)
        self.deadline_seconds = deadline_seconds
        self.lease_seconds = lease_seconds or 2 * deadline_seconds
        self.retention_seconds = retention_seconds
        self.attempts_max = attempts_max
        # In API mode a client is told at once that its request is under way.
        self.wait_seconds = wait_seconds if mode == "webhook" else 0.0
        self.retry_after_seconds = retry_after_seconds
        self.on_missing_key = on_missing_key
        self.on_unavailable = on_unavailable
        self.body_bytes_max = body_bytes_max
        self.result_bytes_max = result_bytes_max
        self.now = now
        self._notify = notify
        if not self.locations:
            raise ValueError("a key needs at least one location")

    def examine(self, request: HookRequest) -> BeginRequest | Situation | None:
        """What to begin; or what is answered at once; or None: to be run without a claim."""
        if len(request.body) > self.body_bytes_max:
            return TooLarge()
        now = self.now()
        verifier = self.provider.verifier
        refusal = verifier.verify(request, now) if verifier else None
        if refusal is not None:
            return Unverified(refusal)
        event_type = self.event_type.read(request) if self.event_type else None
        printed = fingerprint(request.body, event_type, self.provider.fingerprint_exclude)
        parts = self._key_parts(request, printed)
        if parts is None and self.on_missing_key == "run":
            return None
        if parts is None:
            return NoKey()
        tenant = self.tenant(request) if self.tenant else ""
        return BeginRequest(
            key=scope_key(parts, source=self.source, tenant=tenant, consumer=self.consumer),
            fingerprint=printed,
            lease_seconds=self.lease_seconds,
            attempts_max=self.attempts_max,
            retention_seconds=self.retention_seconds,
            metadata=Metadata(self.provider.name, event_type or "", now),
        )

    def _key_parts(self, request: HookRequest, printed: bytes) -> list[str] | None:
        parts = [location.read(request) for location in self.locations]
        whole = [part for part in parts if part is not None]
        if len(whole) < len(parts):
            return ["content", printed.hex()] if self.on_missing_key == "content" else None
        if any(len(part.encode()) > _KEY_PART_BYTES_MAX for part in whole):
            return None
        return whole

    def not_run(self, begun: Done | Busy | Conflict | Dead, key: bytes) -> Situation:
        """Where somebody else has run it, runs it, or nobody will."""
        match begun:
            case Done(result):
                self.notify("duplicate_completed", key)
                return Duplicate(decode_result(result))
            case Busy(after):
                self.notify("duplicate_in_flight", key)
                return InProgress(after)
            case Conflict():
                self.notify("payload_mismatch", key)
                return Mismatch()
            case Dead(error):
                self.notify("dead_again", key)
                return GivenUp(error)

    def overtaken(self, run: Run, error: str) -> Situation:
        """Somebody else has the event by now: their end of it decides."""
        self.notify("lease_lost", run.key, error)
        return InProgress(self.lease_seconds)

    def is_final(self, answer: Answer) -> bool:
        """In API mode a refusal of the handler is an answer like any other, and is repeated."""
        return answer.status < (500 if self.policy.mode == "api" else 300)

    def is_refusal(self, answer: Answer) -> bool:
        """Whether the handler said that the event can never be handled."""
        return 400 <= answer.status <= 499 and answer.status not in (408, 409, 425, 429)

    def encoded(self, answer: Answer) -> bytes:
        """The answer as the store keeps it."""
        return encode_result(answer, self.result_bytes_max)

    def started(self, run: Run) -> None:
        """Tells of a run."""
        self.notify("taken_over" if run.attempt > 1 else "reserved", run.key)

    def notify(self, kind: NoticeKind, key: bytes | None, cause: object = None) -> None:
        """Tells of a transition."""
        if self._notify is not None:
            self._notify(Notice(kind, key, cause))
