"""One text for sync and async.

What a store does is a generator: it yields what it asks its server and is sent the answer. A
driver asks in the one way or in the other, so that no rule is written down twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from importlib.resources import files
from typing import Any, TypeVar

T = TypeVar("T")
Program = Generator[Any, Any, T]


def drive(program: Program[T], ask: Callable[[Any], Any]) -> T:
    """Runs a program to its end."""
    try:
        question = next(program)
        while True:
            question = program.send(ask(question))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def adrive(program: Program[T], ask: Callable[[Any], Awaitable[Any]]) -> T:
    """Runs a program to its end, in asyncio."""
    try:
        question = next(program)
        while True:
            question = program.send(await ask(question))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def shipped(path: str) -> str:
    """The text of a file of this package; kits in every language share them."""
    return files("hooklatch_receiver").joinpath(path).read_text(encoding="utf-8")


def milliseconds(seconds: float) -> int:
    """A span as the servers take it."""
    if not 0 <= seconds < 1e12:
        raise ValueError(f"{seconds} is no span in seconds")
    return -int(-seconds * 1_000 // 1)
