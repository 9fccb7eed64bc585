"""What the tests of sweeps share: a storage of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL 15 of the tests' own; a skip with the reason where there is none."""
    reason = postgres.missing()
    if reason:
        pytest.skip(reason)
    with postgres.server() as url:
        yield url


@pytest.fixture(params=KINDS)
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Storages of both kinds: one test body for all."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sweeps.db'}"
    return str(request.getfixturevalue("postgres_url"))
