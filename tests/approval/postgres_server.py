"""A real PostgreSQL server of the tests' own, which can be killed and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

_TRIES, _MOMENT = 100, 0.05


@dataclass
class Server:
    """A server on a socket in a folder of its own and no port. The kernel ends it with this process, however that ends."""

    folder: Path
    programs: Path
    before: list[str]
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The URL of the database that is there from the beginning."""
        return f"postgresql+psycopg://tester@/postgres?host={self.folder}"

    def database(self, name: str) -> str:
        """Make an empty database; returns its URL."""
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as db:
            db.execute(sa.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url.replace("/postgres?", f"/{name}?")

    def initialise(self) -> None:
        """Make the folder of its data."""
        words = ["-D", str(self.folder / "data"), "-A", "trust", "-U", "tester", "--no-sync", "-E", "UTF8"]
        initdb = [*self.before, str(self.programs / "initdb"), *words]
        done = subprocess.run(initdb, cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "fsync": "off"}
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        words = [*self.before, str(self.programs / "postgres"), "-D", str(self.folder / "data"), *options]
        log = self.folder / "log"
        for _ in range(_TRIES):
            with log.open("wb") as file:
                self.process = subprocess.Popen(words, cwd=self.folder, stderr=file)
            while self.process.poll() is None:
                if b"ready to accept connections" in log.read_bytes():
                    return
                time.sleep(_MOMENT)
            time.sleep(_MOMENT)  # children of one that was killed are there still
        raise AssertionError(log.read_text())

    def kill(self) -> None:
        """kill -9 of the postmaster, and so the end of all: its children see it, and end."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """A fast shutdown, where it runs."""
        self._end(signal.SIGINT)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()
            self.process = None


@contextmanager
def running() -> Iterator[Server]:
    """A new server, which runs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [Path(shutil.which("initdb") or "").parent]
    # A short path: a socket's has at most some hundred bytes.
    with tempfile.TemporaryDirectory(prefix="dp-pg-", dir="/tmp") as name:
        folder = Path(name)
        server = Server(folder, found[-1], ["setpriv", *_as_user(folder), "--pdeathsig", "INT", "--"])
        server.initialise()
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _as_user(folder: Path) -> list[str]:
    """What makes a command another user's, who then owns the folder: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return []
    postgres = pwd.getpwnam("postgres")
    os.chown(folder, postgres.pw_uid, postgres.pw_gid)
    return ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
