"""Accounts in a real SQLite file and in a real PostgreSQL, which the tests start and stop; a clock that tests set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest

from devicepipe.approval.accounts import AccountRules, Accounts
from devicepipe.approval.lifecycle import Role
from devicepipe.approval.secret_box import Cost
from tests.approval.postgres_server import Server, running

PASSWORD = "horse battery staple"

CHEAP = AccountRules(cost=Cost(memory_kib=64, iterations=1, lanes=1))


@dataclass
class Clock:
    """The time, as the test has it."""

    now: datetime = field(default_factory=lambda: datetime(2026, 3, 2, 3, 4, 5, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        """Let time pass."""
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server of this session's own."""
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/accounts.sqlite"
    server: Server = request.getfixturevalue("postgresql")
    return server.database(f"db_{abs(hash(tmp_path)):x}")


@pytest.fixture
def quinn(accounts: Accounts) -> str:
    """The authenticator's URI of an account."""
    return accounts.add("quinn", "Quinn", "quinn@example.com", [Role.QA], PASSWORD)


@pytest.fixture
def accounts(url: str, clock: Clock) -> Iterator[Accounts]:
    made = Accounts(url, CHEAP, clock)
    yield made
    made.dispose()


def code(uri: str, clock: Clock, steps: int = 0) -> str:
    """What the person's authenticator shows."""
    totp = pyotp.parse_uri(uri)
    assert isinstance(totp, pyotp.TOTP)
    return totp.at(clock.now, counter_offset=steps)
