"""Accounts in a real SQLite file and in a real PostgreSQL, which the tests start and stop; a clock that tests set."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest

from devicepipe.approval.accounts import AccountRules, Accounts
from devicepipe.approval.secret_box import Cost

CHEAP = AccountRules(cost=Cost(memory_kib=64, iterations=1, lanes=1))


@dataclass
class Clock:
    """The time, as the test has it."""

    now: datetime = field(default_factory=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        """Let time pass."""
        self.now += timedelta(**time)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server of this session's own, on a socket in a folder of its own and no port."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("initdb") or "").parent]
    # A short path: a socket's has at most some hundred bytes.
    with tempfile.TemporaryDirectory(prefix="dp-pg-", dir="/tmp") as name:
        folder, data = Path(name), Path(name) / "data"
        prefix = _as_user(folder)

        def call(program: str, *arguments: str) -> None:
            command = [*prefix, str(found[-1] / program), *arguments]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            log = folder / "log"
            assert done.returncode == 0, done.stdout + done.stderr + (log.read_text() if log.exists() else "")

        call("initdb", "-D", str(data), "-A", "trust", "-U", "tester", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
        call("pg_ctl", "start", "-w", "-D", str(data), "-l", str(folder / "log"), "-o", options)
        try:
            yield f"postgresql+psycopg://tester@/postgres?host={folder}"
        finally:
            call("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(data))


def _as_user(folder: Path) -> list[str]:
    """What makes a command another user's, who then owns the folder: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return []
    postgres = pwd.getpwnam("postgres")
    os.chown(folder, postgres.pw_uid, postgres.pw_gid)
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/accounts.sqlite"
    import sqlalchemy as sa

    server: str = request.getfixturevalue("postgresql")
    name = f"db_{abs(hash(tmp_path)):x}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as db:
        db.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.replace("/postgres?", f"/{name}?")


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
