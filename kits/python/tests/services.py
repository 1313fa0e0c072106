"""Starts PostgreSQL and Redis for the tests: loopback, free ports, a temporary directory."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres() -> Iterator[str]:
    binaries = _postgres_binaries()
    folder = Path(tempfile.mkdtemp(prefix="hooklatch-postgres-"))
    data = folder / "data"
    data.mkdir()
    # PostgreSQL refuses to run as root.
    prefix = _hand_over(folder, data) if os.getuid() == 0 else []
    initdb = [*prefix, str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust"]
    subprocess.run([*initdb, "-N"], check=True, capture_output=True, cwd="/")
    port = _free_port()
    settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"]
    command = [*prefix, str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
    for setting in settings:
        command += ["-c", setting]
    ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    with _running(command, ready, signal.SIGINT, folder):
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


@contextmanager
def redis() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="hooklatch-redis-"))
    port = _free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
    ready = ["redis-cli", "-h", "127.0.0.1", "-p", str(port), "ping"]
    with _running(command, ready, signal.SIGTERM, folder):
        yield f"redis://127.0.0.1:{port}"


def _postgres_binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    asked = subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True)
    return Path(asked.stdout.strip())


def _hand_over(*folders: Path) -> list[str]:
    user = pwd.getpwnam("postgres")
    for folder in folders:
        os.chown(folder, user.pw_uid, user.pw_gid)
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


@contextmanager
def _running(command: list[str], ready: list[str], stop: int, folder: Path) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd="/", stdout=quiet, stderr=quiet)
    try:
        for _ in range(200):
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            if subprocess.run(ready, stdout=quiet, stderr=quiet).returncode == 0:
                break
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(stop)
        process.wait(timeout=30)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
