"""Claims by the gateway's API.

Against a real gateway where ``HOOKLATCH_TEST_GATEWAY_URL`` and ``HOOKLATCH_TEST_GATEWAY_KEY`` name
one, as kits/run does, and against one that fails.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from vectors import MACHINE, failures

from hooklatch_receiver import BeginRequest, Done, Metadata, Run, Unavailable, fingerprint, scope_key
from hooklatch_receiver.gateway import AsyncGatewayStore, GatewayStore

API_KEY = "hl_0123456789abcdef0123456789abcdef"
REQUEST = BeginRequest(
    key=scope_key(["evt_1"], source="shop"),
    fingerprint=fingerprint(b"{}"),
    lease_seconds=60,
    retention_seconds=86_400,
    metadata=Metadata("stripe", "charge", 1_767_225_600.123),
)


@pytest.fixture
def place() -> tuple[str, str]:
    """The address of the gateway, and a key to it."""
    url = os.environ.get("HOOKLATCH_TEST_GATEWAY_URL")
    if not url:
        pytest.skip("HOOKLATCH_TEST_GATEWAY_URL names no gateway; kits/run starts one")
    return url, os.environ["HOOKLATCH_TEST_GATEWAY_KEY"]


def store(place: tuple[str, str]) -> GatewayStore:
    scope = f"test {secrets.token_hex(6)}"
    return GatewayStore(*place, scope=scope, timeout_seconds=30)


def test_the_store_in_the_gateway_passes_the_vectors(place: tuple[str, str]) -> None:
    assert failures(lambda: store(place), MACHINE) == {}


def test_the_async_store_in_the_gateway_passes_the_vectors(place: tuple[str, str]) -> None:
    scope = f"test {secrets.token_hex(6)}"
    made = AsyncGatewayStore(*place, scope=scope, timeout_seconds=30)
    assert failures(lambda: made, MACHINE) == {}


def test_l2_a_result_may_be_any_bytes_and_metadata_is_kept(place: tuple[str, str]) -> None:
    claims = store(place)
    run = claims.begin(REQUEST)
    assert isinstance(run, Run)
    assert claims.complete(run, b"\x00\xff\n", 86_400) == "applied"
    assert claims.begin(REQUEST) == Done(b"\x00\xff\n")
    seen = claims.lookup(REQUEST.key)
    assert seen is not None and seen.metadata == REQUEST.metadata


def test_two_scopes_of_one_project_do_not_meet(place: tuple[str, str]) -> None:
    assert isinstance(store(place).begin(REQUEST), Run)
    assert isinstance(store(place).begin(REQUEST), Run)


class Failing:
    def __init__(self) -> None:
        self.status = 503
        self.url = ""


@pytest.fixture
def failing() -> Iterator[Failing]:
    gateway = Failing()

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(gateway.status)
            self.send_header("content-length", "15")
            self.end_headers()
            self.wfile.write(b'{"detail":"no"}')

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    gateway.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield gateway
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_whatever_is_no_answer_of_the_claim_api_is_unavailable(failing: Failing) -> None:
    store = GatewayStore(failing.url, API_KEY, scope="shop")
    for status in (200, 201, 302, 400, 401, 404, 429, 500, 503):
        failing.status = status
        with pytest.raises(Unavailable) as failure:
            store.begin(REQUEST)
        assert API_KEY not in f"{failure.value} {failure.value.__cause__}"
    with pytest.raises(Unavailable):
        GatewayStore("http://127.0.0.1:9", API_KEY, scope="shop").begin(REQUEST)
