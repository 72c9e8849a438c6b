"""Accounts in a real SQLite file and in a real PostgreSQL, which the tests start and stop; a clock that tests set."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest

from devicepipe.approval.accounts import AccountRules, Accounts
from devicepipe.approval.lifecycle import Role
from devicepipe.approval.secret_box import Cost

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
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server of this session's own, on a socket in a folder of its own and no port.

    It is a child that the kernel ends with this process, however that ends.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("initdb") or "").parent]
    # A short path: a socket's has at most some hundred bytes.
    with tempfile.TemporaryDirectory(prefix="dp-pg-", dir="/tmp") as name:
        folder, data = Path(name), Path(name) / "data"
        before = ["setpriv", *_as_user(folder), "--pdeathsig", "INT", "--"]
        initdb = [
            *before,
            str(found[-1] / "initdb"),
            "-D",
            str(data),
            "-A",
            "trust",
            "-U",
            "tester",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        done = subprocess.run(initdb, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        settings = {"listen_addresses": "", "unix_socket_directories": str(folder), "fsync": "off"}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        postgres = [*before, str(found[-1] / "postgres"), "-D", str(data), *options]
        with subprocess.Popen(postgres, cwd=folder, stderr=subprocess.PIPE, text=True) as server:
            assert server.stderr is not None
            said = list(itertools.takewhile(lambda line: "ready to accept connections" not in line, server.stderr))
            try:
                assert server.poll() is None, "".join(said)
                yield f"postgresql+psycopg://tester@/postgres?host={folder}"
            finally:
                server.send_signal(signal.SIGINT)  # fast shutdown
                server.communicate()


def _as_user(folder: Path) -> list[str]:
    """What makes a command another user's, who then owns the folder: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return []
    postgres = pwd.getpwnam("postgres")
    os.chown(folder, postgres.pw_uid, postgres.pw_gid)
    return ["--reuid=postgres", "--regid=postgres", "--clear-groups"]


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
