"""[approval] of devicepipe.toml: where the accounts are, and what a release takes to be approved."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from devicepipe.project.database_url import has_password, is_database_url
from devicepipe.project.toml_file import Table

ApprovingRole = Literal["reviewer", "qa", "regulatory", "release-manager"]


class OidcSettings(Table):
    """[approval.oidc]: the OpenID provider at which people log in, and the id of the public client that devicepipe is there."""

    issuer: str
    client_id: str


class ApprovalSettings(Table):
    """Who approves a release, and how people show who they are.

    Attributes:
        accounts: The URL of the database of accounts; the environment variable DEVICEPIPE_ACCOUNTS goes before it.
        roster: The file with the roster of people, signed by the release key.
        approvals: Role -> how many different people must approve in it.
        separate: The roles in which neither an author of the change nor who submitted it may approve.
        password_days: How old a password may be.
        lock_after: How many failed attempts in a row lock an account.
        lock_minutes: For how long.
        session_minutes: How long a signing session goes on after its beginning; at most a working day.
        oidc: The OpenID provider whose login goes before the one-time code, for accounts that are linked to it.
        tsa: The address of the time-stamping authority (RFC 3161) for signed documents; without it they have none.
        tsa_certificates: The file of the certificates, in PEM, that the authority's own must lead to.
    """

    accounts: str = "sqlite:///.devicepipe/accounts.sqlite"
    roster: str = "approval/roster.dsse.json"
    approvals: dict[ApprovingRole, int] = Field(default={"reviewer": 1, "qa": 1}, min_length=1)
    separate: tuple[ApprovingRole, ...] = Field(default=("reviewer", "qa", "regulatory"), strict=False)
    password_days: int = Field(default=365, ge=1)
    lock_after: int = Field(default=5, ge=1)
    lock_minutes: int = Field(default=15, ge=1)
    session_minutes: int = Field(default=15, ge=0, le=480)
    oidc: OidcSettings | None = None
    tsa: str | None = None
    tsa_certificates: str | None = None

    @field_validator("approvals")
    @classmethod
    def _at_least_one(cls, value: dict[ApprovingRole, int]) -> dict[ApprovingRole, int]:
        if min(value.values()) < 1:
            raise ValueError("a role that is named takes at least 1 approval; leave it out if it takes none")
        return value

    @model_validator(mode="after")
    def _no_password(self) -> Self:
        # Of the table, not of the key: an error about a key repeats its value.
        if not is_database_url(self.accounts):
            raise ValueError("accounts: expected sqlite:///FILE or postgresql+psycopg://USER@HOST:PORT/NAME")
        if has_password(self.accounts):
            raise ValueError(
                "accounts: holds a password, and this file lies in every bundle: take it out and change it, and put it into a "
                "password file (~/.pgpass), or the whole URL into the environment variable DEVICEPIPE_ACCOUNTS"
            )
        return self

    @model_validator(mode="after")
    def _both_of_the_authority(self) -> Self:
        if (self.tsa is None) != (self.tsa_certificates is None):
            raise ValueError("a time-stamping authority takes both tsa and tsa-certificates")
        return self
