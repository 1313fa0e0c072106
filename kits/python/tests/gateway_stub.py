"""A stand-in for the gateway's claim API, over a store in memory: same paths, bodies, answers."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hooklatch_receiver import BeginRequest, Busy, Conflict, Dead, Done, Run, scope_key
from hooklatch_receiver.memory import MemoryStore

API_KEY = "hl_0123456789abcdef0123456789abcdef"


@dataclass
class Gateway:
    url: str = ""
    #: Every request: path and body.
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    #: Answers with this status instead, where set.
    fail_with: int | None = None
    store: MemoryStore = field(default_factory=MemoryStore)
    claims: dict[str, Run] = field(default_factory=dict)

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        parts = path.split("/")
        if len(parts) == 3:
            return self._claim(body)
        held = self.claims.get(parts[3])
        if held is None:
            return {"outcome": "gone"}
        run = replace(held, token=body["token"])
        match parts[4]:
            case "complete":
                outcome: str = self.store.complete(run, body.get("result", "").encode(), 86_400)
            case "release":
                after = body.get("retry_after_seconds", 0)
                outcome = self.store.release(run, after, body.get("error", ""))
            case "renew":
                outcome = self.store.renew(run, body["lease_seconds"])
            case "fail":
                outcome = self.store.fail(run, body.get("error", ""), 86_400)
            case verb:
                raise AssertionError(f"no such path: {verb}")
        return {"outcome": "applied" if outcome == "ok" else outcome}

    def _claim(self, body: dict[str, Any]) -> dict[str, Any]:
        begun = self.store.begin(
            BeginRequest(
                key=scope_key([body["key"]], source=body["scope"]),
                fingerprint=bytes.fromhex(body["fingerprint"]),
                lease_seconds=body["lease_seconds"],
                attempts_max=1_000,
            )
        )
        match begun:
            case Run(_key, token, attempt, _generation):
                claim = f"clm_{secrets.token_hex(6)}"
                self.claims[claim] = begun
                return {"outcome": "acquired", "id": claim, "token": token, "attempt": attempt}
            case Done(result):
                return {"outcome": "completed", "result": result.decode()}
            case Busy(after):
                return {"outcome": "in_progress", "retry_after": -int(-after // 1)}
            case Conflict():
                return {"outcome": "conflict"}
            case Dead():
                return {"outcome": "dead"}


@contextmanager
def running() -> Iterator[Gateway]:
    gateway = Gateway()

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            gateway.seen.append((self.path, body))
            known = self.headers["authorization"] == f"Bearer {API_KEY}"
            status = (gateway.fail_with or 200) if known else 401
            answer = gateway.answer(self.path, body) if status == 200 else {}
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
