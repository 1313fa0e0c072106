"""Flask: a decorator between the route and the handler.

::

    @app.post("/webhooks")
    @hooks(receiver)
    def paid(event): ...
"""

from __future__ import annotations

from collections.abc import Callable

from flask import Response, request

from .receiver import Handler, Receiver
from .request import HookRequest


def hooks(receiver: Receiver) -> Callable[[Handler], Callable[[], Response]]:
    """Makes a view of a handler. The handler runs in the request's context."""

    def decorate(handler: Handler) -> Callable[[], Response]:
        def view() -> Response:
            # One byte more than is taken: what is longer is refused, and never read whole.
            body = request.stream.read(receiver.settings.body_bytes_max + 1)
            hook = HookRequest(
                method=request.method,
                path=request.path,
                query_string=request.query_string.decode("latin-1"),
                headers=request.headers.items(),
                body=body,
            )
            answer = receiver.receive(hook, handler)
            return Response(answer.body, answer.status, list(answer.headers.items()))

        view.__name__ = getattr(handler, "__name__", "webhook")
        view.__doc__ = handler.__doc__
        return view

    return decorate
