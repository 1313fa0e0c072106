"""Claims in the hooklatch gateway, for receivers without a store of their own.

They are leased, and durable in the gateway's store, whose clock ends leases.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import secrets
import urllib.request
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any, cast
from urllib.error import HTTPError
from urllib.parse import urlencode

from .keys import scope_key
from .outcomes import (
    Begin,
    BeginRequest,
    Busy,
    ClaimRecord,
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

_ANSWER_BYTES_MAX = 524_288


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key is for the gateway alone."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


class GatewayStore:
    """Claims by ``POST /v1/claims``.

    ``scope`` keeps your keys apart from those of your other services. The API key needs the scope
    ``send``, and ``manage`` for a forced replay.
    """

    def __init__(
        self, url: str, api_key: str, *, scope: str, timeout_seconds: float = 5.0
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError("the gateway's address begins with https:// or http://")
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._scope = scope
        self._timeout_seconds = timeout_seconds
        self._opener = urllib.request.build_opener(_NoRedirect)

    def begin(self, request: BeginRequest) -> Begin:
        token = request.token or secrets.token_hex(16)
        body = {
            "scope": self._scope,
            "key": request.key.hex(),
            "fingerprint": request.fingerprint.hex(),
            "lease_seconds": _seconds(request.lease_seconds),
            "window_seconds": _seconds(request.retention_seconds),
            "attempts_max": request.attempts_max,
            "token": token,
            "replay": request.force,
            "metadata": _metadata(request.metadata),
        }
        return _begun(self._ask("POST", "/v1/claims", body), request.key, token)

    def complete(self, run: Run, result: bytes, retention_seconds: float) -> Completed:
        body = {"result_base64": _base64(result), "window_seconds": _seconds(retention_seconds)}
        answer = self._end(run, "complete", body)
        return cast(Completed, _word(answer, "applied", "already_complete", "fenced", "gone"))

    def release(self, run: Run, retry_after_seconds: float, error: str) -> Ended:
        body = {"retry_after_seconds": retry_after_seconds, "error": error_text(error)}
        return _ended(self._end(run, "release", body))

    def renew(self, run: Run, lease_seconds: float) -> Ended:
        return _ended(self._end(run, "renew", {"lease_seconds": _seconds(lease_seconds)}))

    def fail(self, run: Run, error: str, retention_seconds: float) -> Ended:
        body = {"error": error_text(error), "window_seconds": _seconds(retention_seconds)}
        return _ended(self._end(run, "fail", body))

    def lookup(self, key: bytes) -> ClaimRecord | None:
        """``None`` where there is no record, or where it has expired."""
        found = self._ask("GET", self._path(key))
        if found.get("outcome") == "gone":
            return None
        try:
            noted = found["metadata"]
            received = noted["received_at"]
            metadata = Metadata(
                provider=noted["provider"] or "",
                event_type=noted["event_type"] or "",
                received_at=received and datetime.fromisoformat(received).timestamp(),
            )
            return ClaimRecord(
                state=found["state"],
                attempt=found["attempts"],
                generation=found["generation"],
                metadata=metadata,
                result=_result(found),
                error=found["error"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable("the gateway answered what the claim API never says") from error

    def sweep(self, limit: int) -> int:
        """The gateway sweeps by itself."""
        return 0

    def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        query = urlencode({"generation": generation, "name": step})
        found = self._ask("GET", f"{self._path(key)}/steps?{query}").get("data")
        return _result(found[0]) if found else None

    def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        answer = self._end(run, "steps", {"name": step, "result_base64": _base64(result)})
        return "saved" if _word(answer, "saved", "fenced", "gone") == "saved" else "fenced"

    def _end(self, run: Run, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._ask("POST", f"{self._path(run.key)}/{verb}", {"token": run.token, **body})

    def _path(self, key: bytes) -> str:
        """The id of a claim is the hash of its scope and key."""
        return f"/v1/claims/clm_{scope_key([key.hex()], source=self._scope).hex()}"

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            self._url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "authorization": f"Bearer {self._api_key}",
                "content-type": "application/json",
            },
            method=method,
        )
        try:
            status, text = self._exchange(request)
            if len(text) > _ANSWER_BYTES_MAX:
                raise ValueError("the answer is too long")
            answer = json.loads(text)
            # A conflict, a token that was overtaken and a claim that is gone are answers as well.
            if isinstance(answer, dict) and (status == 200 or "outcome" in answer):
                return answer
            raise ValueError(f"the gateway answered {status}")
        except (OSError, ValueError, HTTPException) as error:
            raise Unavailable("the gateway is unavailable") from error

    def _exchange(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with self._opener.open(request, timeout=self._timeout_seconds) as response:
                return response.status, response.read(_ANSWER_BYTES_MAX + 1)
        except HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read(_ANSWER_BYTES_MAX + 1)


class AsyncGatewayStore:
    """The same for asyncio; each call runs in a thread."""

    def __init__(
        self, url: str, api_key: str, *, scope: str, timeout_seconds: float = 5.0
    ) -> None:
        self._store = GatewayStore(url, api_key, scope=scope, timeout_seconds=timeout_seconds)

    async def begin(self, request: BeginRequest) -> Begin:
        return await asyncio.to_thread(self._store.begin, request)

    async def complete(self, run: Run, result: bytes, retention_seconds: float) -> Completed:
        return await asyncio.to_thread(self._store.complete, run, result, retention_seconds)

    async def release(self, run: Run, retry_after_seconds: float, error: str) -> Ended:
        return await asyncio.to_thread(self._store.release, run, retry_after_seconds, error)

    async def renew(self, run: Run, lease_seconds: float) -> Ended:
        return await asyncio.to_thread(self._store.renew, run, lease_seconds)

    async def fail(self, run: Run, error: str, retention_seconds: float) -> Ended:
        return await asyncio.to_thread(self._store.fail, run, error, retention_seconds)

    async def lookup(self, key: bytes) -> ClaimRecord | None:
        """``None`` where there is no record, or where it has expired."""
        return await asyncio.to_thread(self._store.lookup, key)

    async def sweep(self, limit: int) -> int:
        """The gateway sweeps by itself."""
        return 0

    async def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        return await asyncio.to_thread(self._store.load_step, key, generation, step)

    async def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        return await asyncio.to_thread(self._store.save_step, run, step, result)


def _begun(answer: dict[str, Any], key: bytes, token: str) -> Begin:
    match answer:
        case {"outcome": "acquired", "attempt": int(attempt), "generation": int(generation)}:
            return Run(key, token, attempt, generation)
        case {"outcome": "completed"}:
            return Done(_result(answer) or b"")
        case {"outcome": "in_progress"}:
            return Busy(float(answer.get("retry_after_seconds") or 1))
        case {"outcome": "conflict"}:
            return Conflict(answer.get("state"))
        case {"outcome": "dead"}:
            return Dead(answer.get("error"))
        case _:
            raise Unavailable("the gateway answered what the claim API never says")


def _result(answer: dict[str, Any]) -> bytes | None:
    """Bytes as they were given; of a JSON value, which another kind of client has stored, its text."""
    if "result_base64" in answer:
        return base64.b64decode(answer["result_base64"])
    value = answer.get("result")
    return None if value is None else json.dumps(value).encode()


def _metadata(metadata: Metadata) -> dict[str, Any]:
    received = metadata.received_at
    return {
        "provider": metadata.provider or None,
        "event_type": metadata.event_type or None,
        "received_at": None if received is None else datetime.fromtimestamp(received, UTC).isoformat(),
    }


def _ended(answer: dict[str, Any]) -> Ended:
    return "ok" if _word(answer, "applied", "fenced", "gone") == "applied" else "fenced"


def _word(answer: dict[str, Any], *words: str) -> str:
    word = answer.get("outcome")
    if word not in words:
        raise Unavailable("the gateway answered what the claim API never says")
    return cast(str, word)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _seconds(span: float) -> float:
    """A span as the API has it. What has to last, lasts a millisecond at least."""
    return max(1, math.ceil(span * 1_000)) / 1_000
