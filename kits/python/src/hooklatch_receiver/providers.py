"""Presets: how a provider signs, where it puts the id of an event, and how long it repeats it.

A claim must be remembered longer than that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .signatures import (
    GithubVerifier,
    HmacVerifier,
    Secrets,
    StandardWebhooksVerifier,
    StripeVerifier,
    Verifier,
)

_DAY_SECONDS = 24 * 60 * 60.0


@dataclass(frozen=True, slots=True)
class Provider:
    """What the receiver needs to know of a sender."""

    #: Also the default ``source`` of the keys.
    name: str
    #: Locations of the key's parts, all of which must be there.
    key: Sequence[str]
    #: None trusts everybody who can reach the route.
    verifier: Verifier | None = None
    event_type: str | None = None
    #: Paths that differ between two deliveries of one event.
    fingerprint_exclude: Sequence[str] = ()
    #: How long the provider repeats by itself.
    retry_window_seconds: float = 0.0


def stripe(secrets: Secrets) -> Provider:
    """Stripe: key ``id``; repeats for 3 days, and ``pending_webhooks`` counts down meanwhile."""
    return Provider(
        name="stripe",
        verifier=StripeVerifier(secrets),
        key=["body:$.id"],
        event_type="body:$.type",
        fingerprint_exclude=["$.pending_webhooks"],
        retry_window_seconds=3 * _DAY_SECONDS,
    )


def github(secrets: Secrets) -> Provider:
    """GitHub: key ``x-github-delivery``, the same when a person redelivers, for 3 days.

    The signature covers the body alone: who has seen a signed body can send it under another id.
    """
    return Provider(
        name="github",
        verifier=GithubVerifier(secrets),
        key=["header:x-github-delivery"],
        event_type="header:x-github-event",
        retry_window_seconds=3 * _DAY_SECONDS,
    )


def standard_webhooks(secrets: Secrets) -> Provider:
    """Any sender of Standard Webhooks, hooklatch itself among them: key ``webhook-id``, signed."""
    return Provider(
        name="standard_webhooks",
        verifier=StandardWebhooksVerifier(secrets),
        key=["header:webhook-id"],
        event_type="body:$.type",
        retry_window_seconds=4 * _DAY_SECONDS,
    )


def hmac(
    secrets: Secrets,
    *,
    name: str,
    key: Sequence[str],
    header: str,
    prefix: str = "",
    encoding: Literal["hex", "base64"] = "hex",
    algorithm: Literal["sha256", "sha512", "sha1"] = "sha256",
    event_type: str | None = None,
    fingerprint_exclude: Sequence[str] = (),
    retry_window_seconds: float = 0.0,
) -> Provider:
    """A sender without a preset that signs the body with an HMAC."""
    verifier = HmacVerifier(
        secrets, header=header, prefix=prefix, encoding=encoding, algorithm=algorithm
    )
    return Provider(
        name=name,
        key=key,
        verifier=verifier,
        event_type=event_type,
        fingerprint_exclude=fingerprint_exclude,
        retry_window_seconds=retry_window_seconds,
    )


def trusted(*, name: str, key: Sequence[str], event_type: str | None = None) -> Provider:
    """Callers that are known by other means, such as your own clients in API mode."""
    return Provider(name=name, key=key, event_type=event_type)
