"""Claims in the hooklatch gateway, for receivers without a store of their own. They are leased."""

from __future__ import annotations

import asyncio
import json
import math
import urllib.request
from http.client import HTTPException
from typing import Any, cast
from urllib.parse import quote

from .outcomes import (
    Begin,
    BeginRequest,
    Busy,
    Completed,
    Conflict,
    Dead,
    Done,
    Ended,
    Run,
    Saved,
    Unavailable,
    error_text,
    gave_up,
)

_ANSWER_BYTES_MAX = 262_144


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key is for the gateway alone."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


class GatewayStore:
    """Claims by ``POST /v1/claims``.

    ``scope`` keeps your keys apart from those of your other services. The gateway keeps no results
    of steps: a repeated run does every step again, with the same key for the service it calls.
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
        if request.force:
            raise ValueError("the gateway replays by its own API")
        answer = self._post(
            "/v1/claims",
            {
                "scope": self._scope,
                "key": request.key.hex(),
                "fingerprint": request.fingerprint.hex(),
                "lease_seconds": _seconds(request.lease_seconds),
                "window_seconds": _seconds(request.retention_seconds),
            },
        )
        begun = _begun(answer, request.key)
        if not isinstance(begun, Run) or begun.attempt <= request.attempts_max:
            return begun
        error = gave_up(begun.attempt - 1, None)
        self.fail(begun, error, request.retention_seconds)
        return Dead(error)

    def complete(self, run: Run, result: bytes, retention_seconds: float) -> Completed:
        return self._end(run, "complete", {"result": result.decode()})

    def release(self, run: Run, retry_after_seconds: float, error: str) -> Ended:
        after = math.ceil(retry_after_seconds)
        body = {"retry_after_seconds": after, "error": error_text(error)}
        return _ended(self._end(run, "release", body))

    def renew(self, run: Run, lease_seconds: float) -> Ended:
        return _ended(self._end(run, "renew", {"lease_seconds": _seconds(lease_seconds)}))

    def fail(self, run: Run, error: str, retention_seconds: float) -> Ended:
        return _ended(self._end(run, "fail", {"error": error_text(error)}))

    def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        return None

    def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        return "saved"

    def _end(self, run: Run, verb: str, body: dict[str, Any]) -> Completed:
        claim, _blank, token = run.token.partition(" ")
        answer = self._post(f"/v1/claims/{quote(claim, safe='')}/{verb}", {"token": token, **body})
        return cast(Completed, answer["outcome"])

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self._url + path,
            data=json.dumps(body).encode(),
            headers={
                "authorization": f"Bearer {self._api_key}",
                "content-type": "application/json",
            },
            method="POST",
        )
        try:
            with self._opener.open(request, timeout=self._timeout_seconds) as response:
                if response.status != 200:
                    raise ValueError(f"the gateway answered {response.status}")
                text = response.read(_ANSWER_BYTES_MAX + 1)
            if len(text) > _ANSWER_BYTES_MAX:
                raise ValueError("the answer is too long")
            answer = json.loads(text)
            if not isinstance(answer, dict) or "outcome" not in answer:
                raise ValueError("the answer has no outcome")
            return answer
        except (OSError, ValueError, HTTPException) as error:
            raise Unavailable("the gateway is unavailable") from error


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

    async def load_step(self, key: bytes, generation: int, step: str) -> bytes | None:
        return None

    async def save_step(self, run: Run, step: str, result: bytes) -> Saved:
        return "saved"


def _begun(answer: dict[str, Any], key: bytes) -> Begin:
    match answer:
        case {"outcome": "acquired", "id": str(claim), "token": str(token), "attempt": int(number)}:
            return Run(key, f"{claim} {token}", number)
        case {"outcome": "completed"}:
            return Done((answer.get("result") or "").encode())
        case {"outcome": "in_progress"}:
            return Busy(float(answer.get("retry_after") or 1))
        case {"outcome": "conflict"}:
            return Conflict()
        case {"outcome": "dead"}:
            return Dead()
        case _:
            raise Unavailable("the gateway answered what the claim API never says")


def _ended(outcome: Completed) -> Ended:
    return "ok" if outcome == "applied" else "fenced"


def _seconds(span: float) -> int:
    return max(1, math.ceil(span))
