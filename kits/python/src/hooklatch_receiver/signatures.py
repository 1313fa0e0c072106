"""Checks who sent a request, over its raw bytes and in constant time.

Nothing else happens for a request that fails: no key is read, no store is asked. A refusal never
holds a secret or a signature.
"""

from __future__ import annotations

import base64
import binascii
import hmac as mac
import re
from collections.abc import Sequence
from typing import Literal, Protocol

from .request import HookRequest

Refusal = Literal["missing", "malformed", "too_old", "too_new", "mismatch"]

#: One secret, or several while a secret is being replaced.
Secrets = str | Sequence[str]

_TOLERANCE_SECONDS = 300
_SIGNATURES_MAX = 8
_HEADER_LENGTH_MAX = 8_192
_SECONDS = re.compile(r"[0-9]{1,12}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")


class Verifier(Protocol):
    """Looks at a request; None means that the sender is who it claims to be."""

    def verify(self, request: HookRequest, now: float) -> Refusal | None: ...


class StripeVerifier:
    """Stripe: ``t=<seconds>,v1=<hex>`` over ``{t}.{body}``.

    A signature may be 300 s old; one from the future passes, as in Stripe's own libraries: only
    Stripe can have made it.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._keys = [secret.encode() for secret in _listed(secrets)]

    def verify(self, request: HookRequest, now: float) -> Refusal | None:
        header = request.header("stripe-signature")
        if header is None:
            return "missing"
        parsed = _parse_stripe(header)
        if parsed is None:
            return "malformed"
        time, signatures = parsed
        if now - int(time) > _TOLERANCE_SECONDS:
            return "too_old"
        message = time.encode() + b"." + request.body
        return None if _any_matches(self._keys, "sha256", message, signatures) else "mismatch"


def _parse_stripe(header: str) -> tuple[str, list[bytes]] | None:
    time: str | None = None
    signatures: list[bytes] = []
    if len(header) > _HEADER_LENGTH_MAX:
        return None
    for item in header.split(","):
        name, equals, value = item.strip().partition("=")
        if not equals:
            return None
        if name == "t":
            if time is not None or not _SECONDS.fullmatch(value):
                return None
            time = value
        elif name == "v1" and (signature := _decoded(value, "hex")) is not None:
            signatures.append(signature)
    return None if time is None or not signatures else (time, signatures)


class HmacVerifier:
    """An HMAC of the body in one header, as most providers have it."""

    def __init__(
        self,
        secrets: Secrets,
        *,
        header: str,
        prefix: str = "",
        encoding: Literal["hex", "base64"] = "hex",
        algorithm: Literal["sha256", "sha512", "sha1"] = "sha256",
    ) -> None:
        self._keys = [secret.encode() for secret in _listed(secrets)]
        self._header = header
        self._prefix = prefix
        self._encoding = encoding
        self._algorithm = algorithm

    def verify(self, request: HookRequest, now: float) -> Refusal | None:
        text = request.header(self._header)
        if text is None:
            return "missing"
        if not text.startswith(self._prefix):
            return "malformed"
        signature = _decoded(text[len(self._prefix) :], self._encoding)
        if signature is None:
            return "malformed"
        matches = _any_matches(self._keys, self._algorithm, request.body, [signature])
        return None if matches else "mismatch"


class GithubVerifier(HmacVerifier):
    """GitHub: ``x-hub-signature-256: sha256=<hex>`` over the body."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__(secrets, header="x-hub-signature-256", prefix="sha256=")


class StandardWebhooksVerifier:
    """Standard Webhooks: ``webhook-id``, ``webhook-timestamp`` and the body are signed together.

    A secret is ``whsec_`` and base64 (HMAC-SHA256, ``v1,``). A signature may be 300 s old, or
    early. Ed25519 (``v1a,``) is not known here: it would need a package.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._keys = [_standard_key(secret) for secret in _listed(secrets)]

    def verify(self, request: HookRequest, now: float) -> Refusal | None:
        message_id = request.header("webhook-id")
        time = request.header("webhook-timestamp")
        header = request.header("webhook-signature")
        if message_id is None or time is None or header is None:
            return "missing"
        signatures = _parse_standard(header)
        if not message_id or not _SECONDS.fullmatch(time) or signatures is None:
            return "malformed"
        age = now - int(time)
        if age > _TOLERANCE_SECONDS:
            return "too_old"
        if age < -_TOLERANCE_SECONDS:
            return "too_new"
        message = f"{message_id}.{time}.".encode("utf-8", "surrogateescape") + request.body
        return None if _any_matches(self._keys, "sha256", message, signatures) else "mismatch"


def _parse_standard(header: str) -> list[bytes] | None:
    signatures: list[bytes] = []
    items = header.split()
    if len(items) > _SIGNATURES_MAX:
        return None
    for item in items:
        scheme, comma, text = item.partition(",")
        if not comma:
            return None
        if scheme == "v1" and (signature := _decoded(text, "base64")) is not None:
            signatures.append(signature)
    return signatures or None


def _standard_key(secret: str) -> bytes:
    if secret.startswith(("whpk_", "whsk_")):
        raise ValueError("Ed25519 keys are not supported: give a secret that begins with whsec_")
    key = _decoded(secret.removeprefix("whsec_"), "base64")
    if key is None:
        raise ValueError('a Standard Webhooks secret is "whsec_" and base64')
    return key


def _any_matches(
    keys: Sequence[bytes], algorithm: str, message: bytes, signatures: Sequence[bytes]
) -> bool:
    for key in keys:
        expected = mac.digest(key, message, algorithm)
        if any(mac.compare_digest(signature, expected) for signature in signatures):
            return True
    return False


def _listed(secrets: Secrets) -> Sequence[str]:
    listed = [secrets] if isinstance(secrets, str) else list(secrets)
    if not listed or not all(listed):
        raise ValueError("a secret is missing or empty")
    return listed


def _decoded(text: str, encoding: Literal["hex", "base64"]) -> bytes | None:
    if encoding == "hex":
        return bytes.fromhex(text) if _HEX.fullmatch(text) else None
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True) or None
    except (binascii.Error, ValueError):
        return None
