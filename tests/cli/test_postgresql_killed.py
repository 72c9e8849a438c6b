"""kill -9 in a PostgreSQL while an account is added and while somebody signs: as if of the signer's own process.

Whatever is killed, a backend or the whole server, and also where the database has done what it could not tell any more: what was
acknowledged is there, nothing half done is accepted, the error says what to do, and the same command goes on.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from devicepipe.approval.accounts import Accounts
from devicepipe.errors import BenchError, UsageError
from tests.approval.conftest import Clock
from tests.approval.postgres_server import Server, running
from tests.cli.calls import TEAM, WORDS, enrol, entries, run, sign
from tests.cli.test_accounts_at_once import in_database, in_roster
from tests.killing import how_many

SOON = 30


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as one:
        yield one


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("devicepipe.stages.approval.Accounts", functools.partial(Accounts, now=made))
    return made


class Steps:
    """What is asked of the database, counted, and what happens before one of these: each statement, and each commit."""

    def __init__(self, server: Server) -> None:
        self.server, self.how, self.at, self.count = server, "", -1, 0

    def point(self, connection: psycopg.Connection[Any]) -> None:
        here, self.count = self.count == self.at, self.count + 1
        if here and self.how == "backend":
            os.kill(connection.info.backend_pid, signal.SIGKILL)
            _wait(lambda: not Path(f"/proc/{connection.info.backend_pid}").exists())
        elif here and self.how == "server":
            self.server.kill()

    def of(self, action: Callable[[], object]) -> int:
        self.at, self.count = -1, 0
        action()
        return self.count

    def killed(self, action: Callable[[], object], how: str, at: int) -> str:
        """Do it, and have something killed before a step; what was said of that, "" where it was done all the same."""
        self.how, self.at, self.count = how, at, 0
        try:
            action()
        except BenchError as error:
            return str(error)
        finally:
            self.at = -1
            if self.server.process is None:
                self.server.start()
            _wait(self._answers)
        return ""

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.server.url.replace("+psycopg", "")).close()
        except psycopg.OperationalError:
            return False
        return True


def _wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + SOON
    while not until():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def steps(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Steps]:
    """The steps of the accounts of this test, which are in a database of their own."""
    monkeypatch.setenv("DEVICEPIPE_ACCOUNTS", server.database(f"db_{abs(hash(tmp_path)):x}"))
    counted, commit = Steps(server), psycopg.Connection.commit

    def statement(connection: sa.Connection, *_: object) -> None:
        counted.point(connection.connection.dbapi_connection)  # type: ignore[arg-type]

    def committed(self: psycopg.Connection[Any]) -> None:
        counted.point(self)
        commit(self)
        if counted.how == "answer" and counted.at == counted.count - 1:
            server.kill()
            self.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    sa.event.listen(sa.Engine, "before_cursor_execute", statement)
    monkeypatch.setattr(psycopg.Connection, "commit", committed)
    yield counted
    sa.event.remove(sa.Engine, "before_cursor_execute", statement)


def commits(steps: Steps, action: Callable[[], object], patch: pytest.MonkeyPatch) -> list[int]:
    """At which steps it commits."""
    found: list[int] = []
    before = psycopg.Connection.commit

    def noted(self: psycopg.Connection[Any]) -> None:
        found.append(steps.count)
        before(self)

    with patch.context() as own:
        own.setattr(psycopg.Connection, "commit", noted)
        steps.of(action)
    return found


def chosen(steps: Steps, action: Callable[[], object], patch: pytest.MonkeyPatch, how: str) -> list[int]:
    last = commits(steps, action, patch)
    if how == "answer":
        return last
    # The last commits are those of what is done; before them is what is looked at.
    return [*last[-2:], *random.Random(7).choices(range(last[-1]), k=how_many(4))]


@pytest.mark.parametrize("how", ["backend", "server", "answer"])
def test_account_add(root: Path, steps: Steps, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    enrol("eva", WORDS["eva"], "engineer")
    points = chosen(steps, lambda: enrol("ron", WORDS["ron"], "reviewer"), monkeypatch, how)
    assert len(points) >= 4
    for number, point in enumerate(points):
        who = f"new{number}"
        add = functools.partial(enrol, who, "some words of mine", "qa")
        said = steps.killed(add, how, point)
        assert "\n  remedy: check " in said or not said, point
        there = who in in_database()
        assert there if not said else how == "answer" or not there, point
        if there:  # the roster lacks whom the database was the last to hear of: the next command puts them there
            with pytest.raises(UsageError, match="is taken"):
                add()
        else:
            add()
        assert in_roster(root) == in_database() >= {"eva", "ron", who}, point


@pytest.mark.parametrize("how", ["backend", "server", "answer"])
def test_approve(
    root: Path, bundle: Path, steps: Steps, clock: Clock, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    people = {who: enrol(who, WORDS[who], role) for who, role in TEAM.items()}
    given: list[str] = []

    def act(command: str, who: str) -> None:
        clock.pass_(minutes=16)  # a session of its own
        sign(command, bundle, who, WORDS[who], people[who].at(clock.now))
        given.append(command)

    act("submit", "eva")
    approve, retract = (functools.partial(act, one, "ron") for one in ("approve", "retract"))
    points = chosen(steps, approve, monkeypatch, how)
    retract()
    for point in points:
        said = steps.killed(approve, how, point)
        assert "\n  remedy: check " in said or not said, point
        told = run("approvals", bundle)[1]
        assert [one["action"] for one in told["signatures"]] == given, point
        if said:
            approve()
        retract()
        assert run("approvals", bundle)[1]["unlogged"] == [], point
    assert len(entries("approval")) == len(given)
