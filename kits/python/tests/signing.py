"""Signed requests, as a sender of Standard Webhooks makes them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

from hooklatch_receiver import HookRequest

_KEY = b"a secret of the tests, 32 bytes!"
SECRET = "whsec_" + base64.b64encode(_KEY).decode()
PAID = {"type": "order.paid", "order": 7}


@dataclass(frozen=True)
class Signed:
    headers: dict[str, str]
    body: bytes

    def request(self) -> HookRequest:
        return HookRequest(
            method="POST", path="/hooks", headers=self.headers.items(), body=self.body
        )


def signed(message_id: str, payload: Any) -> Signed:
    """A request that ``standard_webhooks(SECRET)`` accepts."""
    body = json.dumps(payload, ensure_ascii=False).encode()
    now = str(int(time.time()))
    mac = hmac.digest(_KEY, f"{message_id}.{now}.".encode() + body, hashlib.sha256)
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": now,
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    return Signed(headers, body)
