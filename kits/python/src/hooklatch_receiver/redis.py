"""Claims in Redis or Valkey, through redis-py.

Effectively once while the primary lives: a failover, an eviction, a flush or a restart without an
append-only file can forget claims. Set ``maxmemory-policy noeviction``, so that a full server
refuses instead of forgetting.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from redis.exceptions import NoScriptError, RedisError

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
    Unavailable,
    error_text,
)
from .programs import Program, adrive, drive, milliseconds, shipped

T = TypeVar("T")

_STATES: Mapping[str, ClaimState] = {
    "1": "processing",
    "2": "completed",
    "3": "released",
    "4": "dead",
}
_REPLICAS_TIMEOUT_MS = 300


@dataclass(frozen=True, slots=True)
class _Script:
    text: str
    sha: str


def _script(name: str) -> _Script:
    text = shipped(f"redis_scripts/{name}.lua")
    return _Script(text, hashlib.sha1(text.encode()).hexdigest())


_CLAIM = _script("claim")
_COMPLETE = _script("complete")
_RELEASE = _script("release")
_RENEW = _script("renew")
_FAIL = _script("fail")
_SAVE_STEP = _script("save_step")
_LOAD_STEP = _script("load_step")
_LOOKUP = _script("lookup")

#: What a program asks: a script or a command, and its arguments.
_Question = tuple[_Script | str, tuple[Any, ...]]


class _Claims:
    """What is asked, for both kinds of client."""

    def __init__(self, prefix: str, replicas_acked_min: int) -> None:
        self._prefix = prefix
        self._replicas_acked_min = replicas_acked_min

    def begin(self, request: BeginRequest) -> Program[Begin]:
        token = request.token or secrets.token_hex(16)
        received_at = request.metadata.received_at
        answer = yield self._evaluate(
            _CLAIM,
            request.key,
            token,
            request.fingerprint.hex(),
            milliseconds(request.lease_seconds),
            request.attempts_max,
            milliseconds(request.retention_seconds),
            "1" if request.force else "",
            request.metadata.provider,
            request.metadata.event_type,
            "" if received_at is None else int(received_at * 1_000),
        )
        begun = _begun(answer, request.key, token)
        if isinstance(begun, Run) and self._replicas_acked_min > 0:
            yield from self._replicated(begun)
        return begun

    def complete(self, run: Run, result: bytes, retention_seconds: float) -> Program[Completed]:
        retention = milliseconds(retention_seconds)
        answer = yield self._evaluate(_COMPLETE, run.key, run.token, result, retention)
        return cast(Completed, _text(answer))

    def release(self, run: Run, retry_after_seconds: float, error: str) -> Program[Ended]:
        after, following = milliseconds(retry_after_seconds), secrets.token_hex(16)
        arguments = (run.token, following, after, error_text(error))
        answer = yield self._evaluate(_RELEASE, run.key, *arguments)
        return cast(Ended, _text(answer))

    def renew(self, run: Run, lease_seconds: float) -> Program[Ended]:
        answer = yield self._evaluate(_RENEW, run.key, run.token, milliseconds(lease_seconds))
        return cast(Ended, _text(answer))

    def fail(self, run: Run, error: str, retention_seconds: float) -> Program[Ended]:
        arguments = (run.token, error_text(error), milliseconds(retention_seconds))
        answer = yield self._evaluate(_FAIL, run.key, *arguments)
        return cast(Ended, _text(answer))

    def lookup(self, key: bytes) -> Program[ClaimRecord | None]:
        found = yield self._evaluate(_LOOKUP, key)
        if found is None:
            return None
        state, attempt, generation, provider, event_type, received = map(_text, found[:6])
        return ClaimRecord(
            state=_STATES[state],
            attempt=int(attempt),
            generation=int(generation),
            metadata=Metadata(provider, event_type, int(received) / 1_000 if received else None),
            result=None if found[6] is None else _bytes(found[6]),
            error=None if found[7] is None else _text(found[7]),
        )

    def load_step(self, key: bytes, generation: int, step: str) -> Program[bytes | None]:
        found = yield self._evaluate(_LOAD_STEP, key, generation, step)
        return None if found is None else _bytes(found)

    def save_step(self, run: Run, step: str, result: bytes) -> Program[Saved]:
        answer = yield self._evaluate(_SAVE_STEP, run.key, run.token, step, result)
        return cast(Saved, _text(answer))

    def _replicated(self, run: Run) -> Program[None]:
        wanted = self._replicas_acked_min
        acked = yield "WAIT", (wanted, _REPLICAS_TIMEOUT_MS)
        if int(acked) < wanted:
            yield from self.release(run, 0, "too few replicas have the claim")
            raise Unavailable(f"only {acked} of {wanted} replicas have the claim")

    def _evaluate(self, script: _Script, key: bytes, *arguments: Any) -> _Question:
        name = self._name(key)
        return script, (3, name, f"{name}:steps", f"{name}:done", *arguments)

    def _name(self, key: bytes) -> str:
        # In braces, so that a cluster keeps everything of an event together.
        return f"{self._prefix}{{{key.hex()}}}"


class RedisStore:
    """Leased claims in Redis.

    ``client`` is a ``redis.Redis`` with a ``socket_timeout``: without one, a receiver would hang
    where the server does. With ``replicas_acked_min`` a claim counts only once so many replicas
    have it, else it is released again: this finds a failing primary, and does not prevent a loss.
    """

    def __init__(
        self, client: Any, *, prefix: str = "hooklatch:claim:", replicas_acked_min: int = 0
    ) -> None:
        if client.connection_pool.connection_kwargs.get("socket_timeout") is None:
            raise ValueError("give the client a socket_timeout: every wait needs an end")
        self._client = client
        self._claims = _Claims(prefix, replicas_acked_min)

    def begin(self, request: BeginRequest) -> Begin:
        return self._run(self._claims.begin(request))

    def complete(self, run: Run, result: bytes, retention_seconds: float) -> Completed:
        return self._run(self._claims.complete(run, result, retention_seconds))

    def release(self, run: Run, retry_after_seconds: float, error: str) -> Ended:
        return self._run(self._claims.release(run, retry_after_seconds, error))

    def renew(self, run: Run, lease_seconds: float) -> Ended:
        return self._run(self._claims.renew(run, lease_seconds))

    def fail(self, run: Run, error: str, retention_seconds: float) -> Ended:
        return self._run(self._claims.fail(run, error, retention_seconds))

    def lookup(self, key: bytes) -> ClaimRecord | None:
        """The record; None where there is none, or where it has expired."""
        return self._run(self._claims.lookup(key))

    def sweep(self, limit: int) -> int:
        """Redis forgets by itself."""
        return 0

    def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        return self._run(self._claims.load_step(key, generation, step))

    def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        return self._run(self._claims.save_step(run, step, result))

    def _run(self, program: Program[T]) -> T:
        try:
            return drive(program, self._ask)
        except RedisError as error:
            raise Unavailable("Redis is unavailable") from error

    def _ask(self, question: _Question) -> Any:
        asked, arguments = question
        if isinstance(asked, str):
            return self._client.execute_command(asked, *arguments)
        try:
            return self._client.evalsha(asked.sha, *arguments)
        except NoScriptError:
            return self._client.eval(asked.text, *arguments)


class AsyncRedisStore:
    """The same for asyncio, over a ``redis.asyncio.Redis``."""

    def __init__(
        self,
        client: Any,
        *,
        prefix: str = "hooklatch:claim:",
        replicas_acked_min: int = 0,
        timeout_seconds: float = 2.0,
    ) -> None:
        self._client = client
        self._claims = _Claims(prefix, replicas_acked_min)
        self._timeout_seconds = timeout_seconds

    async def begin(self, request: BeginRequest) -> Begin:
        return await self._run(self._claims.begin(request))

    async def complete(self, run: Run, result: bytes, retention_seconds: float) -> Completed:
        return await self._run(self._claims.complete(run, result, retention_seconds))

    async def release(self, run: Run, retry_after_seconds: float, error: str) -> Ended:
        return await self._run(self._claims.release(run, retry_after_seconds, error))

    async def renew(self, run: Run, lease_seconds: float) -> Ended:
        return await self._run(self._claims.renew(run, lease_seconds))

    async def fail(self, run: Run, error: str, retention_seconds: float) -> Ended:
        return await self._run(self._claims.fail(run, error, retention_seconds))

    async def lookup(self, key: bytes) -> ClaimRecord | None:
        """The record; None where there is none, or where it has expired."""
        return await self._run(self._claims.lookup(key))

    async def sweep(self, limit: int) -> int:
        """Redis forgets by itself."""
        return 0

    async def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        return await self._run(self._claims.load_step(key, generation, step))

    async def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        return await self._run(self._claims.save_step(run, step, result))

    async def _run(self, program: Program[T]) -> T:
        try:
            return await asyncio.wait_for(adrive(program, self._ask), self._timeout_seconds)
        except (RedisError, asyncio.TimeoutError, OSError) as error:
            raise Unavailable("Redis is unavailable") from error

    async def _ask(self, question: _Question) -> Any:
        asked, arguments = question
        if isinstance(asked, str):
            return await self._client.execute_command(asked, *arguments)
        try:
            return await self._client.evalsha(asked.sha, *arguments)
        except NoScriptError:
            return await self._client.eval(asked.text, *arguments)


def _begun(answer: list[Any], key: bytes, token: str) -> Begin:
    match _text(answer[0]):
        case "run":
            return Run(key, token, int(_text(answer[5])), int(_text(answer[3])))
        case "busy":
            return Busy(int(_text(answer[1])) / 1_000)
        case "done":
            return Done(_bytes(answer[1]) if len(answer) > 1 and answer[1] is not None else b"")
        case "dead":
            return Dead(_text(answer[1]))
        case "conflict":
            return Conflict(_STATES[_text(answer[1])])
        case _:
            raise Unavailable("Redis answered what the script never says")


def _bytes(value: Any) -> bytes:
    # A client may be set to decode what it gets.
    return value.encode() if isinstance(value, str) else bytes(value)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")
