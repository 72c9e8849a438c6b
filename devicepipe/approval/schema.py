"""The tables of accounts, for SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


class UtcTime(sa.TypeDecorator[datetime]):
    """A time in UTC; SQLite keeps none of the time zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """As it is stored."""
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        """As it is read."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


METADATA = sa.MetaData()

ACCOUNT = sa.Table(
    "account",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False, unique=True),  # of closed accounts, too: one person is one account
    sa.Column("created", UtcTime, nullable=False),
    sa.Column("closed", UtcTime),
    sa.Column("box", sa.LargeBinary, nullable=False),
    sa.Column("password_on", UtcTime, nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),
    sa.Column("key_since", UtcTime, nullable=False),
    sa.Column("last_step", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    sa.Column("locked_until", UtcTime),
)
ROLE = sa.Table(
    "account_role",
    METADATA,
    sa.Column("account", sa.ForeignKey(ACCOUNT.c.id), primary_key=True),
    sa.Column("role", sa.String(32), primary_key=True),
)
FORMER_KEY = sa.Table(
    "former_key",
    METADATA,
    sa.Column("account", sa.ForeignKey(ACCOUNT.c.id), primary_key=True),
    sa.Column("until", UtcTime, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text, nullable=False),
    sa.Column("public_key", sa.Text, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
)
PASSWORD_MARK = sa.Table(
    "password_mark",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("account", sa.ForeignKey(ACCOUNT.c.id), nullable=False),
    sa.Column("mark", sa.LargeBinary, nullable=False),
)
IDENTITY = sa.Table(
    "account_identity",
    METADATA,
    sa.Column("account", sa.ForeignKey(ACCOUNT.c.id), primary_key=True),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.UniqueConstraint("issuer", "subject"),  # a person of a provider is one account
)
FORMER_IDENTITY = sa.Table(
    "former_identity",
    METADATA,
    sa.Column("issuer", sa.Text, primary_key=True),
    sa.Column("subject", sa.Text, primary_key=True),
    sa.Column("account", sa.ForeignKey(ACCOUNT.c.id), primary_key=True),
)
SESSION = sa.Table(
    "open_session",
    METADATA,
    sa.Column("secret_sha256", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(16), nullable=False, unique=True),  # what evidence and log have of it
    sa.Column("account", sa.ForeignKey(ACCOUNT.c.id), nullable=False),
    sa.Column("started", UtcTime, nullable=False),
)
