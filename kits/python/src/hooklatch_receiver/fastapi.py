"""FastAPI and Starlette: a decorator between the route and the handler.

::

    @app.post("/webhooks")
    @hooks(receiver)
    async def paid(event): ...
"""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from .async_receiver import AsyncHandler, AsyncReceiver
from .request import HookRequest


def hooks(
    receiver: AsyncReceiver,
) -> Callable[[AsyncHandler], Callable[[Request], Awaitable[Response]]]:
    """Makes an endpoint of an async handler."""

    def decorate(handler: AsyncHandler) -> Callable[[Request], Awaitable[Response]]:
        if not iscoroutinefunction(handler):
            raise TypeError("the handler must be an async function: it runs in the event loop")

        async def endpoint(request: Request) -> Response:
            try:
                body = await _read(request, receiver.settings.body_bytes_max)
            except ClientDisconnect:
                # Half a request is no event.
                return Response(status_code=400)
            hook = HookRequest(
                method=request.method,
                path=request.url.path,
                query_string=request.url.query,
                headers=request.headers.items(),
                body=body,
            )
            answer = await receiver.receive(hook, handler)
            return Response(answer.body, answer.status, dict(answer.headers))

        endpoint.__name__ = getattr(handler, "__name__", "webhook")
        endpoint.__doc__ = handler.__doc__
        return endpoint

    return decorate


async def _read(request: Request, bytes_max: int) -> bytes:
    """The body; where it is longer than is taken, one byte more, which is refused later."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > bytes_max:
            break
    return bytes(body[: bytes_max + 1])
