"""As published snippets have it: look the id up, book, note the id (check-then-act).

Two deliveries at once both find nothing, and book twice: this is here to be caught.
"""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

from fastapi import FastAPI, Request, Response

SEEN = "SELECT 1 FROM seen_events WHERE id = %s"
NOTE = "INSERT INTO seen_events VALUES (%s) ON CONFLICT DO NOTHING"
BOOK = "INSERT INTO effects (order_id) VALUES (%s)"


async def mount(app: FastAPI, pool: Any, secret: str) -> None:
    async with pool.connection() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS seen_events (id text PRIMARY KEY)")
    key = base64.b64decode(secret.removeprefix("whsec_"))

    @app.post("/webhooks")
    async def paid(request: Request) -> Response:
        body = await request.body()
        if not verified(key, request, body):
            return Response(status_code=401)
        event_id = request.headers["webhook-id"]
        async with pool.connection() as connection:
            if await (await connection.execute(SEEN, [event_id])).fetchone():
                return Response(status_code=200)
            await connection.execute(BOOK, [json.loads(body)["order_id"]])
            await connection.execute(NOTE, [event_id])
        return Response(status_code=200)


def verified(key: bytes, request: Request, body: bytes) -> bool:
    message_id = request.headers.get("webhook-id", "")
    sent_at = request.headers.get("webhook-timestamp", "")
    if not sent_at.isdecimal() or abs(time.time() - int(sent_at)) > 300:
        return False
    expected = hmac.digest(key, f"{message_id}.{sent_at}.".encode() + body, "sha256")
    signature = "v1," + base64.b64encode(expected).decode()
    given = request.headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(signature, item) for item in given)
