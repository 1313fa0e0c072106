"""The key of a claim.

Parts are length-prefixed before they are hashed, so that ("ab", "c") and ("a", "bc") are two
events; tenant, source and consumer are always among them, so that no two of these can ever meet
each other's keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_VERSION = b"\x01"


def scope_key(
    parts: Iterable[str | bytes], *, source: str, tenant: str = "", consumer: str = ""
) -> bytes:
    """The key under which an event is claimed.

    SHA-256 over the version byte 1, then tenant, source, consumer and the parts, each behind its
    length in bytes as a 32-bit big-endian number.
    """
    return _hash_of([tenant, source, consumer, *parts])


def step_key(key: bytes, step: str, generation: int) -> bytes:
    """The key to hand to the next service for one step, so that a repeat is recognised there.

    SHA-256 over the version byte 1, then the claim's key, the step's name and the generation as
    four bytes (big-endian), each behind its length as above.
    """
    return _hash_of([key, step, generation.to_bytes(4, "big")])


def _hash_of(parts: Iterable[str | bytes]) -> bytes:
    digest = hashlib.sha256(_VERSION)
    for part in parts:
        encoded = part.encode() if isinstance(part, str) else part
        digest.update(len(encoded).to_bytes(4, "big"))
        digest.update(encoded)
    return digest.digest()
