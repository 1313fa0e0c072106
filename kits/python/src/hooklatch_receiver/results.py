"""The answer of a handler, and how it is kept for later duplicates."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Everything else belongs to one connection or to one person, and is never kept.
_HEADERS_KEPT = (
    "content-type",
    "content-language",
    "content-disposition",
    "etag",
    "last-modified",
    "location",
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: from a handler, or ready to be sent."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Text, bytes, or a value that is answered as JSON. Bytes once it is ready to be sent.
    body: Any = b""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it was kept; ``body`` is None where it was too large to keep."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


def answer_of(returned: Any) -> Answer:
    """What a handler returned: nothing (200), an :class:`Answer`, text, bytes or a JSON value."""
    answer = returned if isinstance(returned, Answer) else Answer(body=returned)
    if not 200 <= answer.status <= 599:
        raise ValueError(f"a handler answered with the status {answer.status}")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    match answer.body:
        case None:
            return Answer(answer.status, headers, b"")
        case bytes():
            return Answer(answer.status, headers, answer.body)
        case str():
            kind, body = "text/plain; charset=utf-8", answer.body.encode()
        case _:
            kind, body = "application/json", json.dumps(answer.body, separators=(",", ":")).encode()
    return Answer(answer.status, {"content-type": kind, **headers}, body)


def encode_result(answer: Answer, bytes_max: int) -> bytes:
    """The bytes that a store keeps, the same in kits of every language.

    JSON with ``v``, ``status``, the ``headers`` of a short list, and ``body`` in base64, or its
    ``body_sha256`` where it is longer than ``bytes_max``.
    """
    kept: dict[str, Any] = {
        "v": 1,
        "status": answer.status,
        "headers": [[name, answer.headers[name]] for name in _HEADERS_KEPT if name in answer.headers],
    }
    if len(answer.body) <= bytes_max:
        kept["body"] = base64.b64encode(answer.body).decode()
    else:
        kept["body_sha256"] = hashlib.sha256(answer.body).hexdigest()
    return json.dumps(kept, separators=(",", ":")).encode()


def decode_result(result: bytes) -> KeptAnswer | None:
    """What :func:`encode_result` wrote; None where the bytes are of another make."""
    try:
        kept = json.loads(result)
        if kept["v"] != 1 or not isinstance(kept["status"], int):
            return None
        body = base64.b64decode(kept["body"]) if "body" in kept else None
        headers = {name: value for name, value in kept["headers"] if name in _HEADERS_KEPT}
        return KeptAnswer(kept["status"], headers, body)
    except (ValueError, KeyError, TypeError):
        return None
