"""Runs the vectors that the kits of every language share against one store."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import inspect
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hooklatch_receiver import BeginRequest, Busy, Conflict, Dead, Done, Run

REPOSITORY = next(
    folder
    for folder in Path(__file__).resolve().parents
    if (folder / "crates/receiver/vectors/receiver.json").exists()
)
VECTORS = json.loads((REPOSITORY / "crates/receiver/vectors/receiver.json").read_text())
MACHINE = VECTORS["machine"] + VECTORS["machine_more"]

_NAMES = {Run: "run", Done: "done", Busy: "busy", Conflict: "conflict", Dead: "dead"}


def failures(make_store: Any, vectors: list[dict[str, Any]]) -> dict[str, str]:
    """The ids of the vectors that fail, with why. ``make_store`` is called in the event loop."""
    return asyncio.run(_failures(make_store, vectors))


async def _failures(make_store: Any, vectors: list[dict[str, Any]]) -> dict[str, str]:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(40))
    store = make_store()
    if inspect.isawaitable(store):
        store = await store
    failed: dict[str, str] = {}

    async def run(vector: dict[str, Any]) -> None:
        try:
            for _ in range(vector.get("rounds", 1)):
                await _Round(store).all(vector)
        except AssertionError as error:
            failed[vector["id"]] = str(error)

    def races(vector: dict[str, Any]) -> bool:
        return any(o["op"].startswith(("parallel", "race")) for o in vector["operations"])

    # Most of them wait: they do it together, but not while others race.
    await asyncio.gather(*(run(vector) for vector in vectors if not races(vector)))
    for vector in vectors:
        if races(vector):
            await run(vector)
    close = getattr(store, "close_for_test", None)
    if close is not None:
        await close()
    return failed


class _Round:
    def __init__(self, store: Any) -> None:
        self._store = store
        self._seed = secrets.token_bytes(16)
        self._runs: dict[str, Run] = {}

    async def all(self, vector: dict[str, Any]) -> None:
        for number, operation in enumerate(vector["operations"], start=1):
            got = await getattr(self, f"_{operation['op']}")(operation)
            for name, expected in operation.get("expect", {}).items():
                at = f"{vector['id']} {vector['name']}, operation {number}: {name}"
                assert got.get(name) == expected, f"{at}: {got.get(name)} is not {expected}"

    async def _call(self, name: str, *arguments: Any) -> Any:
        method = getattr(self._store, name)
        if inspect.iscoroutinefunction(method):
            return await method(*arguments)
        call = functools.partial(method, *arguments)
        return await asyncio.get_running_loop().run_in_executor(None, call)

    async def _begin(self, o: dict[str, Any]) -> dict[str, Any]:
        name = o.get("as") or o.get("with_token")
        begun = await self._call("begin", self._request(o, name))
        if name and isinstance(begun, Run):
            self._runs[name] = begun
        got = {"outcome": _NAMES[type(begun)]}
        for field in ("attempt", "generation", "error"):
            if hasattr(begun, field):
                got[field] = getattr(begun, field)
        if isinstance(begun, Done):
            got["result"] = begun.result.decode()
        return got

    async def _parallel_begin(self, o: dict[str, Any]) -> dict[str, Any]:
        requests = [self._request(o) for _ in range(o["count"])]
        begun = await asyncio.gather(*(self._call("begin", request) for request in requests))
        runs = [begin for begin in begun if isinstance(begin, Run)]
        if runs:
            self._runs[o["as"]] = runs[0]
        busy = sum(isinstance(begin, Busy) for begin in begun)
        return {"run": len(runs), "busy": busy, "attempt": runs[0].attempt if runs else None}

    async def _race_complete_begin(self, o: dict[str, Any]) -> dict[str, Any]:
        completed, begun = await asyncio.gather(
            self._complete(o), self._call("begin", self._request(o))
        )
        return {"winners": (completed["outcome"] == "applied") + isinstance(begun, Run)}

    async def _complete(self, o: dict[str, Any]) -> dict[str, Any]:
        arguments = (self._run(o), o["result"].encode(), o["retention_ms"] / 1_000)
        return {"outcome": await self._call("complete", *arguments)}

    async def _release(self, o: dict[str, Any]) -> dict[str, Any]:
        arguments = (self._run(o), o["retry_after_ms"] / 1_000, o["error"])
        return {"outcome": await self._call("release", *arguments)}

    async def _renew(self, o: dict[str, Any]) -> dict[str, Any]:
        return {"outcome": await self._call("renew", self._run(o), o["lease_ms"] / 1_000)}

    async def _fail(self, o: dict[str, Any]) -> dict[str, Any]:
        arguments = (self._run(o), o["error"], o["retention_ms"] / 1_000)
        return {"outcome": await self._call("fail", *arguments)}

    async def _lookup(self, o: dict[str, Any]) -> dict[str, Any]:
        found = await self._call("lookup", self._bytes(o["key"]))
        if found is None:
            return {"state": "absent"}
        result = None if found.result is None else found.result.decode()
        return {
            "state": found.state,
            "attempt": found.attempt,
            "error": found.error,
            "result": result,
        }

    async def _advance(self, o: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(o["ms"] / 1_000)
        return {}

    async def _sweep(self, o: dict[str, Any]) -> dict[str, Any]:
        await self._call("sweep", o["limit"])
        return {}

    async def _load_step(self, o: dict[str, Any]) -> dict[str, Any]:
        found = await self._call("load_step", self._bytes(o["key"]), o["generation"], o["step"])
        return {"result": None if found is None else found.decode()}

    async def _save_step(self, o: dict[str, Any]) -> dict[str, Any]:
        arguments = (self._run(o), o["step"], o["result"].encode())
        return {"outcome": await self._call("save_step", *arguments)}

    def _request(self, o: dict[str, Any], name: str | None = None) -> BeginRequest:
        return BeginRequest(
            key=self._bytes(o["key"]),
            fingerprint=self._bytes(o["fingerprint"]),
            lease_seconds=o["lease_ms"] / 1_000,
            attempts_max=o.get("attempts_max", 8),
            force=o.get("force", False),
            token=self._bytes(name).hex()[:32] if name else None,
        )

    def _run(self, o: dict[str, Any]) -> Run:
        """The claim behind a token's name; "forged" was never given out."""
        return self._runs.get(o["token"]) or Run(
            self._bytes(o["key"]), secrets.token_hex(16), 1, 1
        )

    def _bytes(self, name: str) -> bytes:
        """A value of this round for a name."""
        return hashlib.sha256(self._seed + name.encode()).digest()
