"""Claims in the transaction of the work itself.

Record and effect are one commit, so the effect is there exactly once, in that database.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeGuard

from .outcomes import AsyncClaimStore, Begin, BeginRequest, ClaimStore, Run, Saved


class Steps(Protocol):
    """Where steps are kept: the store, or the transaction of the work."""

    def load_step(self, key: bytes, generation: int, step: str) -> bytes | None: ...
    def save_step(self, run: Run, step: str, result: bytes) -> Saved: ...


class AsyncSteps(Protocol):
    """The same for asyncio."""

    async def load_step(self, key: bytes, generation: int, step: str) -> bytes | None: ...
    async def save_step(self, run: Run, step: str, result: bytes) -> Saved: ...


class Transactions(Protocol):
    """A database that can hold the claim and the effect."""

    @property
    def leased(self) -> ClaimStore:
        """The same records outside of any transaction: where failures are counted."""
        ...

    def transact(
        self, request: BeginRequest, wait_seconds: float, work: Callable[[Any, Run, Steps], bytes]
    ) -> Begin:
        """Begins, and on ``Run`` does the work, completes and commits.

        ``work`` may be done again where the database asks for it. An error of ``work`` rolls back
        and is raised.
        """
        ...


class AsyncTransactions(Protocol):
    """The same for asyncio."""

    @property
    def leased(self) -> AsyncClaimStore: ...

    async def transact(
        self,
        request: BeginRequest,
        wait_seconds: float,
        work: Callable[[Any, Run, AsyncSteps], Awaitable[bytes]],
    ) -> Begin: ...


def is_transactions(store: ClaimStore | Transactions) -> TypeGuard[Transactions]:
    """Which of the two a store is."""
    return hasattr(store, "transact")


def is_async_transactions(
    store: AsyncClaimStore | AsyncTransactions,
) -> TypeGuard[AsyncTransactions]:
    """The same for asyncio."""
    return hasattr(store, "transact")
