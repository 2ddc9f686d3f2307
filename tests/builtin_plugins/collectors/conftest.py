"""Collectors by themselves, asked as the bus would, and the servers that they ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.servers.http import Certificates, HttpServer, running_http_server


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with running_http_server() as running:
        yield running


@pytest.fixture
def other_server() -> Iterator[HttpServer]:
    """A second one: another port is another place."""
    with running_http_server() as running:
        yield running


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    try:
        return Certificates.made_in(tmp_path_factory.mktemp("certificates"))
    except FileNotFoundError:
        pytest.skip("the command openssl is not installed")


@pytest.fixture
def safe_server(certificates: Certificates) -> Iterator[HttpServer]:
    with running_http_server(certificates=certificates) as running:
        yield running


@pytest.fixture
def ca_file(certificates: Certificates) -> Path:
    return certificates.certificate
