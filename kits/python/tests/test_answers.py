"""What a provider hears when a run's end cannot be recorded: the vectors that the kits share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flows import Flow
from signing import PAID, signed
from vectors import VECTORS

from hooklatch_receiver import Answer, Run, Unavailable
from hooklatch_receiver.memory import MemoryStore


class Scripted(MemoryStore):
    """Says of the end of a run what a vector has it say."""

    def __init__(self, vector: dict[str, Any]) -> None:
        super().__init__()
        self.renewed = threading.Event()
        self._vector = vector

    def _said(self, operation: str, otherwise: str) -> Any:
        said = self._vector.get(operation, otherwise)
        if said == "unavailable":
            raise Unavailable("the connection broke")
        return said

    def complete(self, run: Run, result: bytes, retention_seconds: float) -> Any:
        return self._said("complete", "applied")

    def release(self, run: Run, retry_after_seconds: float, error: str) -> Any:
        return self._said("release", "ok")

    def fail(self, run: Run, error: str, retention_seconds: float) -> Any:
        return self._said("fail", "ok")

    def renew(self, run: Run, lease_seconds: float) -> Any:
        try:
            return self._said("renew", "ok")
        finally:
            self.renewed.set()


@pytest.fixture(params=["sync", "async"])
def flow(request: pytest.FixtureRequest) -> Iterator[Flow]:
    made = Flow(request.param)
    yield made
    made.close()


@pytest.mark.parametrize("vector", VECTORS["answers"], ids=lambda vector: vector["id"])
def test_v5_an_effect_that_has_happened_is_answered_as_one(
    flow: Flow, vector: dict[str, Any]
) -> None:
    store = Scripted(vector)
    flow.make(store=store, lease_seconds=0.06, deadline_seconds=20.0)

    def handler(_event: Any) -> Answer:
        # It does not let itself be stopped: it is in the middle of its effect.
        if "renew" in vector:
            assert store.renewed.wait(10)
        return Answer(vector["handler_status"], {}, b"")

    answer = flow.send(signed("msg_1", PAID), handler)
    heard = (answer.status, answer.headers.get("hooklatch-receipt"))
    assert heard == (vector["status"], vector["receipt"]), vector["name"]
