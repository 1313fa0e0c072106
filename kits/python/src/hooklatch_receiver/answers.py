"""What is answered in each situation.

The one table from which providers and callers learn whether to send again. A provider that gets
2xx never comes back, so 2xx is said only when the event is dealt with; 4xx is never said to an
event that is merely being handled.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Literal

from .results import Answer, KeptAnswer
from .signatures import Refusal

#: ``webhook``: providers call, and retry by status. ``api``: clients call with a key.
Mode = Literal["webhook", "api"]
Receipt = Literal["processed", "duplicate", "in-progress", "rejected"]

_UNAVAILABLE_RETRY_SECONDS = 5.0
_AGREEING: dict[Receipt, range] = {
    "processed": range(200, 300),
    "duplicate": range(200, 300),
    "in-progress": range(503, 504),
    "rejected": range(400, 500),
}


@dataclass(frozen=True, slots=True)
class AnswerPolicy:
    """The choices that the table leaves open."""

    mode: Mode = "webhook"
    #: Webhook mode, the key is known with another payload: 200 and flagged, or 409.
    on_conflict: Literal["duplicate", "reject"] = "duplicate"
    #: API mode, the same: 409, or 422 as the IETF draft has it.
    conflict_status: Literal[409, 422] = 409
    #: Webhook mode, an event that failed for good comes again: 200, or 410.
    on_dead: Literal["accept", "gone"] = "accept"


@dataclass(frozen=True, slots=True)
class Processed:
    """The handler ran, and its effect is there."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Duplicate:
    """It ran before."""

    kept: KeptAnswer | None


@dataclass(frozen=True, slots=True)
class InProgress:
    """It runs at this moment, or is not due again yet."""

    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The key is known with another payload."""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The event failed for good before."""

    error: str | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The handler said that the event can never be handled."""

    answer: Answer | None
    error: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The handler failed; the claim is released."""

    retry_after_seconds: float
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class NoKey:
    """The key is missing or unusable."""


@dataclass(frozen=True, slots=True)
class Unverified:
    """The signature was refused."""

    refusal: Refusal


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The body is longer than is read."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The store is away, or the receiver is stopping: nothing was done."""


Situation = (
    Processed | Duplicate | InProgress | Mismatch | GivenUp | Rejected | Failed | NoKey
    | Unverified | TooLarge | Refused
)


def answer_for(situation: Situation, policy: AnswerPolicy) -> Answer:
    """The table."""
    webhook = policy.mode == "webhook"
    match situation:
        case Processed(answer):
            return _receipted(answer, "processed")
        case Duplicate(kept):
            return _replayed(kept, webhook)
        case InProgress(after):
            status = 503 if webhook else 409
            return _problem(status, "the event is being handled", "in-progress", after)
        case Mismatch():
            return _mismatch(policy)
        case GivenUp(error):
            return _given_up(error, policy)
        case Rejected(answer, error):
            return _given_up(error, policy) if answer is None else _receipted(answer, "rejected")
        case Failed(after, answer):
            return _failed(answer, after, webhook)
        case NoKey():
            return _problem(400, "the key of the event is missing or unusable", "rejected")
        case Unverified(refusal):
            return _problem(401, f"the signature is refused: {refusal}", "rejected")
        case TooLarge():
            return _problem(413, "the body is too large", "rejected")
        case Refused():
            detail = "nothing was done; repeating is safe"
            return _problem(503, detail, None, _UNAVAILABLE_RETRY_SECONDS)


def _replayed(kept: KeptAnswer | None, webhook: bool) -> Answer:
    marks = {"idempotency-replayed": "true"}
    if kept is None or kept.body is None:
        if not webhook:
            return _problem(409, "handled before; the answer was not kept", "duplicate")
        return _receipted(Answer(200, marks), "duplicate")
    status = 200 if webhook else kept.status
    return _receipted(Answer(status, {**kept.headers, **marks}, kept.body), "duplicate")


def _mismatch(policy: AnswerPolicy) -> Answer:
    detail = "the key was used with another payload"
    if policy.mode == "api":
        return _problem(policy.conflict_status, detail, "rejected")
    if policy.on_conflict == "reject":
        return _problem(409, detail, "rejected")
    return _receipted(Answer(200, {"hooklatch-flag": "payload_mismatch"}), "duplicate")


def _given_up(error: str | None, policy: AnswerPolicy) -> Answer:
    detail = "the event failed for good"
    if policy.mode == "api":
        return _problem(500, f"{detail}: {error}" if error else detail, "rejected")
    if policy.on_dead == "gone":
        return _problem(410, detail, "rejected")
    # No receipt: it was neither processed, nor is it a duplicate of what was.
    return Answer(200, {"hooklatch-flag": "dead"})


def _failed(answer: Answer | None, after: float, webhook: bool) -> Answer:
    if webhook or answer is None:
        detail = "the handler failed; repeating is safe"
        return _problem(503, detail, None, after)
    return answer


def _problem(
    status: int, detail: str, receipt: Receipt | None, after: float | None = None
) -> Answer:
    headers = {"content-type": "application/problem+json"}
    if after is not None:
        headers["retry-after"] = str(max(1, math.ceil(after)))
    body = json.dumps({"status": status, "detail": detail}, separators=(",", ":")).encode()
    answer = Answer(status, headers, body)
    return answer if receipt is None else _receipted(answer, receipt)


def _receipted(answer: Answer, receipt: Receipt) -> Answer:
    """The receiver's word to a gateway, which obeys it only where it agrees with the status."""
    if answer.status not in _AGREEING[receipt]:
        return answer
    return Answer(answer.status, {**answer.headers, "hooklatch-receipt": receipt}, answer.body)
