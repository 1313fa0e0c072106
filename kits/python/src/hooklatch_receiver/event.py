"""What a handler is given: the event, its bytes, and steps that a repeated run does not repeat."""

from __future__ import annotations

import inspect
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from .keys import step_key
from .outcomes import Run
from .request import HookRequest
from .transactions import AsyncSteps, Steps

T = TypeVar("T")


class Overtaken(Exception):
    """Another delivery has taken the event over: this run must stop."""


class _Event:
    """What events of both kinds have."""

    def __init__(self, request: HookRequest, run: Run | None, tx: Any) -> None:
        self.request = request
        #: The transaction that holds the claim: do the work in it. None in leased mode.
        self.tx = tx
        #: Counts from 1.
        self.attempt = run.attempt if run else 1
        #: The claimed key in hex; None where the event is handled without a claim.
        self.key = run.key.hex() if run else None
        #: True once the deadline has passed or another delivery has taken over.
        self.cancelled = False
        self._run = run

    @property
    def body(self) -> bytes:
        """The raw body."""
        return self.request.body

    def json(self) -> Any:
        """The body as JSON. Raises ``ValueError`` where it is none."""
        return json.loads(self.request.body)

    def header(self, name: str) -> str | None:
        """A header's value."""
        return self.request.header(name)

    def _key_of(self, step: str) -> str:
        if self._run is None:
            return secrets.token_hex(32)
        return step_key(self._run.key, step, self._run.generation).hex()


class HookEvent(_Event):
    """One event, verified and claimed."""

    def __init__(
        self, request: HookRequest, run: Run | None, tx: Any, steps: Steps | None
    ) -> None:
        super().__init__(request, run, tx)
        self._steps = steps

    def step(self, name: str, work: Callable[[str], T]) -> T:
        """Does one step of the work and keeps what it returns (as JSON).

        A later run of the same event goes on behind it. ``work`` gets a key for the service that
        it calls: the same in every run, so that a step which was done but not kept is recognised
        there.
        """
        if self._run is None or self._steps is None:
            return work(self._key_of(name))
        kept = self._steps.load_step(self._run.key, self._run.generation, name)
        if kept is not None:
            return json.loads(kept)  # type: ignore[no-any-return]
        if self.cancelled:
            raise Overtaken("the deadline has passed, or another delivery has taken over")
        value = work(self._key_of(name))
        if self._steps.save_step(self._run, name, json.dumps(value).encode()) == "fenced":
            raise Overtaken("another delivery has taken the event over")
        return value


class AsyncHookEvent(_Event):
    """The same for asyncio."""

    def __init__(
        self, request: HookRequest, run: Run | None, tx: Any, steps: AsyncSteps | None
    ) -> None:
        super().__init__(request, run, tx)
        self._steps = steps

    async def step(self, name: str, work: Callable[[str], T | Awaitable[T]]) -> T:
        """Does one step of the work and keeps what it returns; see :meth:`HookEvent.step`."""
        if self._run is None or self._steps is None:
            return await _awaited(work(self._key_of(name)))
        kept = await self._steps.load_step(self._run.key, self._run.generation, name)
        if kept is not None:
            return json.loads(kept)  # type: ignore[no-any-return]
        if self.cancelled:
            raise Overtaken("the deadline has passed, or another delivery has taken over")
        value = await _awaited(work(self._key_of(name)))
        if await self._steps.save_step(self._run, name, json.dumps(value).encode()) == "fenced":
            raise Overtaken("another delivery has taken the event over")
        return value


async def _awaited(value: T | Awaitable[T]) -> T:
    return await value if inspect.isawaitable(value) else value
