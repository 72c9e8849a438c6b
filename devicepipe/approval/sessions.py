"""Signing sessions: the one continuous period in which a person signs on with the password alone (21 CFR 11.200(a)(1)(i)).

What always holds: a session goes on for whoever holds its secret, and for its account alone. The secret is in no database, evidence
or log: the database has its SHA-256, the others an id that was drawn apart from it. A session is over a fixed time after it began,
however often it was signed in; one that began in the future, by a clock that was put right since, is over, too.
"""

from __future__ import annotations

import hashlib
import secrets as randomness
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from devicepipe.approval.schema import SESSION


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """A signing session: the id that evidence and log have of it, and the secret by which it goes on."""

    id: str
    secret: str


def begin(db: sa.Connection, account: str, now: datetime) -> Session:
    """Begin a session of an account whose person was identified by all components."""
    made = Session(randomness.token_hex(8), randomness.token_hex(32))
    db.execute(SESSION.insert().values(secret_sha256=_digest(made.secret), id=made.id, account=account, started=now))
    return made


def running(db: sa.Connection, account: str, secret: str, now: datetime, minutes: int) -> Session | None:
    """The session of an account that goes on by a secret; None where there is none. Those that are over are forgotten."""
    over = sa.or_(SESSION.c.started <= now - timedelta(minutes=minutes), SESSION.c.started > now)
    db.execute(SESSION.delete().where(SESSION.c.account == account, over))
    mine = sa.select(SESSION.c.id).where(SESSION.c.secret_sha256 == _digest(secret), SESSION.c.account == account)
    found = db.execute(mine).first()
    return Session(found[0], secret) if found else None


def end_all(db: sa.Connection, account: str) -> None:
    """End all sessions of an account."""
    db.execute(SESSION.delete().where(SESSION.c.account == account))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
