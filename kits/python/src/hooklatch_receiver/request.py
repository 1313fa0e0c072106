"""A request as the kit sees it, whatever the web framework: raw bytes, looked at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qsl

from .documents import read_json


class HookRequest:
    """The request: its body is the raw bytes, since a signature covers nothing else."""

    def __init__(
        self,
        *,
        method: str,
        path: str,
        query_string: str = "",
        headers: Iterable[tuple[str, str]],
        body: bytes,
    ) -> None:
        self.method = method.upper()
        self.path = path
        self.body = body
        self._query = dict(reversed(parse_qsl(query_string, keep_blank_values=True)))
        self._headers: dict[str, str] = {}
        for name, value in headers:
            lowered = name.lower()
            before = self._headers.get(lowered)
            self._headers[lowered] = value if before is None else f"{before}, {value}"
        self._document: list[Any] = []

    def header(self, name: str) -> str | None:
        """A header's value; several are joined by a comma and a blank."""
        return self._headers.get(name.lower())

    def query(self, name: str) -> str | None:
        """The first value of a name in the query."""
        return self._query.get(name)

    def document(self) -> Any:
        """The body as JSON with exact numbers, or ``documents.NOTHING``. Read once."""
        if not self._document:
            self._document.append(read_json(self.body))
        return self._document[0]
