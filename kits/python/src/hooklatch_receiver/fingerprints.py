"""What a payload is compared by: the same key with another fingerprint is a conflict.

The bytes are those of the gateway (rule C5), so that both sides agree on what "another payload"
means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from .documents import NOTHING, NoCanonicalForm, canonical, read_json
from .locations import parse_path, pick


def fingerprint(
    body: bytes, event_type: str | None = None, exclude: Sequence[str] = ()
) -> bytes:
    """SHA-256 over ``hooklatch-fingerprint-v1``, the event type and the payload.

    The event type is 0x00 without one, else 0x01, its length as 32-bit big-endian and its UTF-8;
    the payload is ``c`` and the canonical JSON, or ``r`` and the raw body where there is none.
    ``exclude`` names JSON paths to leave out, such as a provider's attempt counter.
    """
    digest = hashlib.sha256(b"hooklatch-fingerprint-v1")
    if event_type is None:
        digest.update(b"\0")
    else:
        encoded = event_type.encode()
        digest.update(b"\1" + len(encoded).to_bytes(4, "big") + encoded)
    text = _canonical(body, exclude)
    digest.update(b"r" + body if text is None else b"c" + text.encode())
    return digest.digest()


def _canonical(body: bytes, exclude: Sequence[str]) -> str | None:
    document = read_json(body)
    if document is NOTHING:
        return None
    for path in exclude:
        _remove(document, path)
    try:
        return canonical(document)
    except NoCanonicalForm:
        return None


def _remove(document: Any, text: str) -> None:
    *outer, last = parse_path(text)
    container = pick(document, outer)
    if pick(container, [last]) is not NOTHING:
        del container[last]
