"""Where a request carries the id of its event: ``header:NAME``, ``query:NAME`` or ``body:PATH``.

A location is read when the receiver is made, so that a typing error is no surprise at the first
delivery.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .documents import NOTHING, NoCanonicalForm, Number, canonical_number
from .request import HookRequest

Step = str | int

_STEP = re.compile(r"""\.([^.\[\]'"]+)|\[([0-9]{1,9})\]|\['([^'\\]+)'\]|\["([^"\\]+)"\]""")


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a request that holds a part of the key."""

    kind: str
    name: str
    path: tuple[Step, ...] = ()

    def read(self, request: HookRequest) -> str | None:
        """The value; None where it can be no part: absent, empty, object, array."""
        match self.kind:
            case "header":
                return request.header(self.name) or None
            case "query":
                return request.query(self.name) or None
            case _:
                return _scalar(pick(request.document(), self.path))


def parse_location(text: str) -> Location:
    """Reads ``header:NAME``, ``query:NAME`` or ``body:PATH``."""
    kind, colon, name = text.partition(":")
    if kind not in ("header", "query", "body") or not colon or not name:
        raise ValueError(f'"{text}" is no location: header:NAME, query:NAME or body:PATH')
    return Location(kind, name, parse_path(name) if kind == "body" else ())


def parse_path(text: str) -> tuple[Step, ...]:
    """Reads a singular path such as ``$.data.items[0].id``; the leading ``$.`` may be left out."""
    rest = text.removeprefix("$")
    if rest[:1] not in (".", "["):
        rest = f".{rest}"
    steps: list[Step] = []
    at = 0
    while at < len(rest):
        found = _STEP.match(rest, at)
        if found is None:
            raise ValueError(f'"{text}" is no path of names and indexes')
        steps.append(int(found[2]) if found[2] else found[1] or found[3] or found[4])
        at = found.end()
    return tuple(steps)


def pick(document: Any, path: Sequence[Step]) -> Any:
    """The value at the end of a path, or ``NOTHING``."""
    for step in path:
        if isinstance(document, dict) and isinstance(step, str) and step in document:
            document = document[step]
        elif isinstance(document, list) and isinstance(step, int) and step < len(document):
            document = document[step]
        else:
            return NOTHING
    return document


def _scalar(value: Any) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value if value and _is_text(value) else None
        case Number():
            try:
                return canonical_number(value.text)
            except NoCanonicalForm:
                return None
        case _:
            return None


def _is_text(value: str) -> bool:
    """Half a surrogate pair has no bytes, so it can be no part of a key."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
