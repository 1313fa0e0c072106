"""Workers as processes, each delivery redelivered until it is acknowledged.

In half of the deliveries the worker dies: before the effect, between effect and completion, or
before the answer. No event may be lost; in transactions none may have its effect twice.
"""

from __future__ import annotations

import os
import queue
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

EVENTS = int(os.environ.get("HOOKLATCH_TEST_CHAOS_EVENTS", "30"))
WORKERS = 6
HERE = Path(__file__).parent


class Worker:
    """A process that takes one event a line and answers one status a line; restarted if it dies."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env
        self._process: subprocess.Popen[str] | None = None
        self.deaths = 0

    def deliver(self, event_id: str) -> int | None:
        """The status, or None where the worker died over it."""
        if self._process is None:
            command = [sys.executable, str(HERE / "chaos_worker.py")]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                command, env=self._env, stdin=pipe, stdout=pipe, text=True
            )
        assert self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(f"{event_id}\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return int(line)
        assert self._process.wait(10) == -9, "a worker ended by itself"
        self._close()
        self.deaths += 1
        return None

    def stop(self) -> None:
        if self._process is not None and self._process.stdin:
            self._process.stdin.close()
            self._process.wait(30)
            self._close()

    def _close(self) -> None:
        assert self._process is not None and self._process.stdout
        self._process.stdout.close()
        self._process = None


def chaos(env: dict[str, str]) -> int:
    """Delivers every event until it is acknowledged, and says how often a worker died."""
    waiting: queue.Queue[str] = queue.Queue()
    acknowledged = threading.Semaphore(0)
    for number in range(EVENTS):
        waiting.put(f"evt_{number}_{secrets.token_hex(4)}")
    path = os.pathsep.join([str(HERE.parent / "src"), str(HERE)])
    workers = [Worker({**os.environ, **env, "PYTHONPATH": path}) for _ in range(WORKERS)]
    ended = threading.Event()

    def work(worker: Worker) -> None:
        while not ended.is_set():
            try:
                event_id = waiting.get(timeout=0.05)
            except queue.Empty:
                continue
            status = worker.deliver(event_id)
            if status is not None and status < 300:
                acknowledged.release()
                continue
            # As a provider does: whatever is not 2xx comes again, later.
            waiting.put(event_id)
            if status is not None:
                time.sleep(0.02)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        for _ in range(EVENTS):
            assert acknowledged.acquire(timeout=240), "an event is never acknowledged"
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a delivery never ends"
        for worker in workers:
            worker.stop()
    return sum(worker.deaths for worker in workers)


@pytest.mark.parametrize(
    "store", ["transactions", "async transactions", "postgres", "redis", "gateway"]
)
def test_no_event_is_lost_and_in_transactions_none_is_repeated(
    store: str, database: str, redis_url: str, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if store == "gateway" and not os.environ.get("HOOKLATCH_TEST_GATEWAY_URL"):
        pytest.skip("HOOKLATCH_TEST_GATEWAY_URL names no gateway; kits/run starts one")
    env: dict[str, Any] = {
        "STORE": store,
        "GATEWAY_SCOPE": f"chaos {secrets.token_hex(6)}",
        "DATABASE_URL": database,
        "REDIS_URL": redis_url,
        "REDIS_PREFIX": prefix,
    }
    deaths = chaos(env)
    with psycopg.connect(database) as connection:
        counted = connection.execute("SELECT count(*) FROM effects GROUP BY order_id").fetchall()
    lost, repeated = EVENTS - len(counted), sum(times > 1 for (times,) in counted)
    with capsys.disabled():
        print(f"\n{store}: {EVENTS} events, {deaths} deaths, {lost} lost, {repeated} repeated")
    assert deaths > EVENTS / 4
    assert lost == 0
    if "transactions" in store:
        assert repeated == 0
