"""The claims of PostgreSQL as statements, on whatever connection they are asked.

The tables are shared by kits in every language. The server's clock decides.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import Any

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
from .programs import Program, milliseconds, shipped

#: The tables. Running it again changes nothing.
SCHEMA = shipped("sql/postgres.sql")

LOCK_NOT_AVAILABLE = "55P03"
TRY_AGAIN = ("40001", "40P01")
CLAIM_TRIES_MAX = 3

_STATES: Mapping[int, ClaimState] = {1: "processing", 2: "completed", 3: "released", 4: "dead"}


def _named(statement: str) -> str:
    """``$1`` as drivers of Python have it: ``%(p1)s``."""
    return re.sub(r"\$([0-9]+)", r"%(p\1)s", statement.replace("%", "%%"))


# Its comments speak of $1 as well.
_CLAIM = _named(re.sub(r"^--.*\n", "", shipped("sql/postgres_claim.sql"), flags=re.MULTILINE))
# A claim is as durable as whatever else is written on the connection.
_DURABILITY_AS_SET = ""

_READ = _named("""
SELECT state, token, fingerprint, attempt, generation, provider, event_type, result, error,
       extract(epoch FROM received_at)::double precision AS received_at,
       coalesce(expires_at <= clock_timestamp(), false) AS expired,
       extract(epoch FROM lease_until - clock_timestamp())::double precision AS remaining
FROM hooklatch_claims WHERE key = $1""")

_BURY = _named("""
UPDATE hooklatch_claims SET state = 4, error = $3, lease_until = NULL,
       expires_at = clock_timestamp() + $4::bigint * interval '1 millisecond'
WHERE key = $1 AND token = $2 AND state IN (1, 3) AND lease_until <= clock_timestamp()""")

_COMPLETE = _named("""
UPDATE hooklatch_claims SET state = 2, result = $3, error = NULL, lease_until = NULL,
       expires_at = clock_timestamp() + $4::bigint * interval '1 millisecond'
WHERE key = $1 AND token = $2 AND state = 1""")

_RELEASE = _named("""
UPDATE hooklatch_claims SET state = 3, token = $3, error = $4,
       lease_until = clock_timestamp() + $5::bigint * interval '1 millisecond'
WHERE key = $1 AND token = $2 AND state = 1""")

_RENEW = _named("""
UPDATE hooklatch_claims
SET lease_until = clock_timestamp() + $3::bigint * interval '1 millisecond'
WHERE key = $1 AND token = $2 AND state = 1""")

_FAIL = _named("""
UPDATE hooklatch_claims SET state = 4, error = $3, lease_until = NULL,
       expires_at = clock_timestamp() + $4::bigint * interval '1 millisecond'
WHERE key = $1 AND token = $2 AND state = 1""")

# Looks through 4,096 pages, which are chosen by chance where there are more: there is no index to find
# what has expired by. Records that nobody has completed are passed over.
_SWEEP = _named("""
WITH place AS MATERIALIZED (
  SELECT 4096 * floor(random() * ceil(GREATEST(1, pg_relation_size('hooklatch_claims')
    / current_setting('block_size')::bigint) / 4096.0))::bigint AS page
), expired AS (
  SELECT key FROM hooklatch_claims
  WHERE ctid >= (SELECT '(' || page || ',0)' FROM place)::tid
    AND ctid < (SELECT '(' || page + 4096 || ',0)' FROM place)::tid
    AND state IN (2, 4) AND expires_at <= (SELECT clock_timestamp())
  LIMIT $1 FOR UPDATE SKIP LOCKED
), swept AS (
  DELETE FROM hooklatch_claims USING expired WHERE hooklatch_claims.key = expired.key
  RETURNING hooklatch_claims.key, hooklatch_claims.epoch
), steps AS (
  DELETE FROM hooklatch_steps USING swept
  WHERE hooklatch_steps.key = swept.key AND hooklatch_steps.epoch <= swept.epoch
)
SELECT count(*)::integer AS swept FROM swept""")

_LOAD_STEP = _named("""
SELECT step.result FROM hooklatch_steps AS step
JOIN hooklatch_claims AS held ON held.key = step.key AND held.epoch = step.epoch
WHERE step.key = $1 AND step.generation = $2 AND step.step = $3""")

_SAVE_STEP = _named("""
WITH own AS (
  SELECT key, epoch, generation FROM hooklatch_claims
  WHERE key = $1 AND token = $2 AND state = 1 FOR UPDATE
), saved AS (
  INSERT INTO hooklatch_steps (key, epoch, generation, step, result)
  SELECT key, epoch, generation, $3, $4 FROM own ON CONFLICT DO NOTHING
)
SELECT count(*)::integer AS own FROM own""")

#: What a program asks: a statement and its parameters. The answer: rows, and how many it changed.
Question = tuple[str, Mapping[str, Any]]
Answered = tuple[list[Mapping[str, Any]], int]


def _ask(statement: str, *values: Any) -> Question:
    return statement, {f"p{number}": value for number, value in enumerate(values, start=1)}


def token_of(request: BeginRequest) -> bytes:
    """The token that the claim will have."""
    return secrets.token_bytes(16) if request.token is None else bytes.fromhex(request.token)


def begin(request: BeginRequest, token: bytes) -> Program[Begin]:
    for _ in range(CLAIM_TRIES_MAX):
        rows, _count = yield _claim(request, token)
        if rows:
            return Run(request.key, token.hex(), rows[0]["attempt"], rows[0]["generation"])
        refused = yield from _refusal(request)
        if refused is not None:
            return refused
    # It changed under our eyes each time: others are at work on it.
    return Busy(1.0)


def _claim(request: BeginRequest, token: bytes) -> Question:
    metadata = request.metadata
    received_at = metadata.received_at
    return _ask(
        _CLAIM,
        request.key,
        token,
        request.fingerprint,
        milliseconds(request.lease_seconds),
        request.attempts_max,
        request.force,
        error_text(metadata.provider),
        error_text(metadata.event_type),
        None if received_at is None else int(received_at * 1_000),
        _DURABILITY_AS_SET,
    )


def _refusal(request: BeginRequest) -> Program[Begin | None]:
    """Why there was nothing to claim; None where it must be tried again."""
    rows, _count = yield _ask(_READ, request.key)
    if not rows or rows[0]["expired"]:
        return None
    row = rows[0]
    if bytes(row["fingerprint"]) != request.fingerprint:
        return Conflict(_STATES[row["state"]])
    if row["state"] == 2:
        return Done(bytes(row["result"] or b""))
    if row["state"] == 4:
        return Dead(row["error"])
    if row["remaining"] > 0:
        return Busy(row["remaining"])
    if row["attempt"] < request.attempts_max:
        return None
    error = gave_up(row["attempt"], row["error"])
    retention = milliseconds(request.retention_seconds)
    _rows, count = yield _ask(_BURY, request.key, bytes(row["token"]), error, retention)
    return Dead(error) if count == 1 else None


def complete(run: Run, result: bytes, retention_seconds: float) -> Program[Completed]:
    token = bytes.fromhex(run.token)
    _rows, count = yield _ask(_COMPLETE, run.key, token, result, milliseconds(retention_seconds))
    if count == 1:
        return "applied"
    rows, _count = yield _ask(_READ, run.key)
    if not rows:
        return "gone"
    own = rows[0]["state"] == 2 and bytes(rows[0]["token"]) == token
    return "already_complete" if own else "fenced"


def release(run: Run, retry_after_seconds: float, error: str) -> Program[Ended]:
    after = milliseconds(retry_after_seconds)
    return _ended(_RELEASE, run, secrets.token_bytes(16), error_text(error), after)


def renew(run: Run, lease_seconds: float) -> Program[Ended]:
    return _ended(_RENEW, run, milliseconds(lease_seconds))


def fail(run: Run, error: str, retention_seconds: float) -> Program[Ended]:
    return _ended(_FAIL, run, error_text(error), milliseconds(retention_seconds))


def _ended(statement: str, run: Run, *values: Any) -> Program[Ended]:
    _rows, count = yield _ask(statement, run.key, bytes.fromhex(run.token), *values)
    return "ok" if count == 1 else "fenced"


def lookup(key: bytes) -> Program[ClaimRecord | None]:
    rows, _count = yield _ask(_READ, key)
    if not rows or rows[0]["expired"]:
        return None
    row = rows[0]
    return ClaimRecord(
        state=_STATES[row["state"]],
        attempt=row["attempt"],
        generation=row["generation"],
        metadata=Metadata(row["provider"], row["event_type"], row["received_at"]),
        result=None if row["result"] is None else bytes(row["result"]),
        error=row["error"],
    )


def sweep(limit: int) -> Program[int]:
    rows, _count = yield _ask(_SWEEP, limit)
    return int(rows[0]["swept"])


def load_step(key: bytes, generation: int, step: str) -> Program[bytes | None]:
    rows, _count = yield _ask(_LOAD_STEP, key, generation, step)
    return bytes(rows[0]["result"]) if rows else None


def save_step(run: Run, step: str, result: bytes) -> Program[Saved]:
    rows, _count = yield _ask(_SAVE_STEP, run.key, bytes.fromhex(run.token), step, result)
    return "saved" if rows[0]["own"] == 1 else "fenced"
