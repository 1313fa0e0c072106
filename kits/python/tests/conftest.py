"""What the tests share: services, started unless they are given, and a place of their own in them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import services
from psycopg_pool import ConnectionPool

from hooklatch_receiver.postgres import PostgresStore


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    given = os.environ.get("HOOKLATCH_TEST_POSTGRES_URL")
    if given:
        yield given
    else:
        with services.postgres() as url:
            yield url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    given = os.environ.get("HOOKLATCH_TEST_REDIS_URL")
    if given:
        yield given
    else:
        with services.redis() as url:
            yield url


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    """A database with the kit's tables and one for effects."""
    name = f"kit_{secrets.token_hex(6)}"
    url = urlunsplit(urlsplit(postgres_server)._replace(path=f"/{name}"))
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        with ConnectionPool(url, min_size=1, max_size=2) as pool:
            PostgresStore(pool).migrate()
            with pool.connection() as connection:
                connection.execute("CREATE TABLE effects (order_id text)")
        yield url
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def pool(database: str) -> Iterator[ConnectionPool]:
    with ConnectionPool(database, min_size=1, max_size=40) as pool:
        yield pool


@pytest.fixture
def prefix() -> str:
    return f"test:{secrets.token_hex(6)}:"
