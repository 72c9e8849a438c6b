"""Accounts of people: how they are made, how somebody shows to be one, and what the roster says of them.

What always holds (21 CFR 11.100, 11.200, 11.300): an account belongs to one person for ever, and a person has one: neither its id
nor its address, nor the login that it is linked to, is given to another one, also when it is closed; who comes back has it opened
again. One case is let be: a login that an open account was linked to by mistake can be linked to another one, once that link has
ended. In a release that people signed before and after it both are one person (`SignedRecord.people`), and two approvals of theirs
are one. A failed attempt is counted before it is judged, so that attempts at once are no more attempts; too many lock the account
for a time. A password that is too old signs nothing, and none of the last ones is taken again; a one-time code is taken once. The
first identification of a signing session takes password and code (or a login at the OpenID provider that the account is linked to),
each later one the password, without which there is no key to sign with.

The database (SQLite, or PostgreSQL by URL) is not what signatures rest on: who may sign, with which key, in which role, is in the
rosters that the release key signed. A role or key that somebody writes into the database is in no roster, and comes into none with
the next change (roster_changes.py).
"""

from __future__ import annotations

import re
import secrets as randomness
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from securesystemslib.signer import Signer

from devicepipe.approval import passwords, sessions
from devicepipe.approval.database import open_database, told
from devicepipe.approval.lifecycle import Role
from devicepipe.approval.oidc import Login
from devicepipe.approval.one_time_codes import enrolment_uri, take_code
from devicepipe.approval.passwords import check_password
from devicepipe.approval.schema import ACCOUNT, FORMER_IDENTITY, FORMER_KEY, IDENTITY, ROLE
from devicepipe.approval.secret_box import Cost, Secrets, close, open_box
from devicepipe.errors import BenchError, UsageError
from devicepipe.evidence.model import Component, ProviderLogin
from devicepipe.evidence.names import address
from devicepipe.evidence.signatures import Identity, Person, instant
from devicepipe.signing.keys import PublicKey

_ADDRESS = re.compile(r"[^\s<>@]+@[^\s<>@]+")
LOST = "who lost password or authenticator has both made anew: `devicepipe account reset`"
AGAIN = f"try again, with the code that the authenticator shows now; {LOST}"
"""The same, whatever was wrong."""


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What is asked of passwords, codes and sessions.

    Attributes:
        shortest: The fewest characters of a password.
        password_days: How old a password may be.
        lock_after: How many failed attempts in a row lock an account.
        lock_minutes: For how long.
        session_minutes: How long after its beginning a signing session goes on.
        cost: What a guess of a password costs.
    """

    shortest: int = 12
    password_days: int = 365
    lock_after: int = 5
    lock_minutes: int = 15
    session_minutes: int = 15
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """An account, as may be shown."""

    id: str
    name: str
    email: str
    roles: tuple[Role, ...]
    created: datetime
    password_on: datetime
    closed: datetime | None
    locked_until: datetime | None


@dataclass(frozen=True, slots=True, repr=False)
class Identified:
    """Somebody who has shown to be the person of an account; there is no other way to a signer.

    Attributes:
        account: The account.
        signer: The signer of the person's key.
        public_key: Its public half.
        components: By what the person was identified this time.
        session: The id of the signing session, as evidence and log have it.
        session_secret: By what the session goes on; it is nobody's but the person's.
        first_of_session: Whether this is the session's first identification.
        provider_login: The login at the OpenID provider, where that was a component.
    """

    account: AccountInfo
    signer: Signer
    public_key: PublicKey
    components: tuple[Component, ...]
    session: str
    session_secret: str
    first_of_session: bool
    provider_login: Login | None = None

    @property
    def login(self) -> ProviderLogin | None:
        """The login as evidence tells it."""
        if self.provider_login is None:
            return None
        one = self.provider_login
        return ProviderLogin(issuer=one.issuer, subject=one.subject, on=instant(one.on), token=one.token)


class Accounts:
    """The accounts of a product or a team.

    Args:
        url: The database's URL, e.g. `sqlite:///accounts.sqlite` or `postgresql+psycopg://host/name`.
        rules: What is asked of passwords, codes and sessions.
        now: The clock, in UTC.

    Raises:
        UsageError, BenchError: As `open_database`.
    """

    def __init__(self, url: str, rules: AccountRules | None = None, now: Callable[[], datetime] | None = None) -> None:
        self._rules = rules or AccountRules()
        self._now = now or (lambda: datetime.now(UTC))
        self._engine = open_database(url)
        self._together: sa.Connection | None = None
        # What the failure of an unknown account costs, so that its time does not tell which accounts there are.
        self._nobody = close(Secrets(bytes(32), bytes(20)), "", randomness.token_hex(16), self._rules.cost)

    def dispose(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is done in here is done as a whole when the block ends well, and else not at all; others see it only then."""
        with self._begin() as db:
            self._together = db
            try:
                yield
            finally:
                self._together = None

    # --- who there is

    def everyone(self) -> tuple[AccountInfo, ...]:
        """All accounts, closed ones too, by id."""
        with self._begin() as db:
            rows = db.execute(sa.select(ACCOUNT).order_by(ACCOUNT.c.id)).mappings().all()
            return tuple(self._info(db, row) for row in rows)

    def people(self) -> list[Person]:
        """What a roster says: every key that was ever in force, with its time; a closed account's key ends with it.

        The roles are those of now: which ones a key had that has ended, the roster of then says (roster_changes.py).
        """
        with self._begin() as db:
            former = sa.select(FORMER_KEY).order_by(FORMER_KEY.c.account, FORMER_KEY.c.until)
            keys = [dict(row) for row in db.execute(former).mappings()]
            keys += [
                {"account": row["id"], "since": row["key_since"], "until": row["closed"]} | dict(row)
                for row in db.execute(sa.select(ACCOUNT).order_by(ACCOUNT.c.id)).mappings()
            ]
            return [
                Person(
                    account=key["account"],
                    name=key["name"],
                    email=key["email"],
                    roles=[*self._roles(db, key["account"])],
                    public_key=key["public_key"],
                    since=instant(key["since"]),
                    until=instant(key["until"]) if key["until"] else None,
                    identity=self._identity(db, key["account"]),
                )
                for key in keys
            ]

    # --- making and changing

    def add(self, account: str, name: str, email: str, roles: Iterable[Role], password: str) -> str:
        """Make an account; returns the URI that an authenticator takes (shown once, to its person).

        Raises:
            UsageError: The id or the address is another account's, also of a closed one; no role; or the password will not do.
        """
        given = _some(roles)
        if not name.strip():
            raise UsageError("an account has the printed name of its person")
        mail = address(email)
        if not _ADDRESS.fullmatch(mail):
            raise UsageError(
                f"'{email}' is no e-mail address",
                remedy="name the one that the person's commits have: authors do not approve",
            )
        check_password(account, password, self._rules.shortest)
        made, now = Secrets.new(), self._now()
        values = {
            "id": account,
            "name": name.strip(),
            "email": mail,
            "created": now,
            **self._box(made, account, password, now),
            "key_since": now,
            "public_key": made.public_key().pem.decode(),
        }
        with self._begin() as db:
            taken = sa.select(ACCOUNT.c.id).where(ACCOUNT.c.id == account)
            if db.execute(taken).first():
                raise UsageError(
                    f"the account {account} is taken, and an id is never given again",
                    remedy="take another id; who comes back has the own account opened again: `devicepipe account reopen`",
                )
            same = sa.select(ACCOUNT.c.id, ACCOUNT.c.closed).where(ACCOUNT.c.email == mail)
            if other := db.execute(same).mappings().first():
                raise _one_person(f"{mail} is the address of", other)
            db.execute(ACCOUNT.insert().values(values))
            passwords.remember(db, account, password, self._rules.cost)
            db.execute(ROLE.insert(), [{"account": account, "role": role} for role in given])
        return enrolment_uri(made, account)

    def change_password(self, account: str, old: str, new: str) -> None:
        """Close a person's secrets under a new password; keys and codes stay, and failed attempts stay counted.

        It takes no code: forgave it failed attempts, whoever has the password could guess codes without end.

        Raises:
            UsageError: As `identify`; the new password will not do, or is one of the last ones; or the account was changed.
        """
        self.check_new_password(account, old, new)
        opened, row = self._open(account, old, aged=True)
        with self._begin() as db:
            # `_open` counted this attempt, which did not fail; those before it stay, unless a login has forgiven them since.
            db.execute(ACCOUNT.update().where(ACCOUNT.c.id == account).values(failures=_one_fewer()))
            marks = passwords.marks_of(db, account)
        passwords.check_not_had(account, new, marks)
        box = self._box(opened, account, new, self._now())
        with self._begin() as db:
            # A reset or another change has given the account other secrets, which these must not replace.
            as_it_was = (ACCOUNT.c.id == account, ACCOUNT.c.box == row["box"], ACCOUNT.c.closed.is_(None))
            if not db.execute(ACCOUNT.update().where(*as_it_was).values(box)).rowcount:
                raise UsageError(f"the account {account} was changed meanwhile", remedy="run it again")
            passwords.remember(db, account, new, self._rules.cost)

    def check_new_password(self, account: str, old: str, new: str) -> None:
        """Whether a password will do in the place of another. Raises UsageError."""
        check_password(account, new, self._rules.shortest)
        if new == old:
            raise UsageError("the new password is the old one")

    def reset(self, account: str, password: str) -> str:
        """Give a person who lost password or authenticator new secrets; returns the URI for the authenticator.

        The key is new, too: nobody but the person could have opened the old one. What was signed with it stays valid.

        Raises:
            UsageError: There is no such account, it is closed, or the password will not do, or is one of the last ones.
        """
        return self._renew(account, password)

    def reopen(self, account: str, roles: Iterable[Role], password: str) -> str:
        """Give a person who comes back the closed account again, with new secrets; returns the URI for the authenticator.

        The key is new, as after `reset`; between the two nothing was signed.

        Raises:
            UsageError: There is no such account, it is not closed, no role; or as `reset`.
        """
        given = _some(roles)
        return self._renew(account, password, given)

    def _renew(self, account: str, password: str, reopened: Sequence[Role] = ()) -> str:
        """New secrets for an account that is open, or for one that is closed and has these roles from now on."""
        check_password(account, password, self._rules.shortest)
        made, now = Secrets.new(), self._now()
        with self._begin() as db:
            row = self._row(db, account, closed=bool(reopened))
            passwords.check_not_had(account, password, passwords.marks_of(db, account))
            former = {"account": account, "since": row["key_since"], "until": row["closed"] or now}
            former |= {name: row[name] for name in ("name", "email", "public_key")}
            db.execute(FORMER_KEY.insert().values(former))
            fresh = {"public_key": made.public_key().pem.decode(), "key_since": now, "last_step": 0, "closed": None}
            fresh |= {"failures": 0, "locked_until": None}
            changed = self._box(made, account, password, now) | fresh
            db.execute(ACCOUNT.update().where(ACCOUNT.c.id == account).values(changed))
            if reopened:
                self._give(db, account, reopened)
            passwords.remember(db, account, password, self._rules.cost)
            sessions.end_all(db, account)
        return enrolment_uri(made, account)

    def set_roles(self, account: str, roles: Sequence[Role]) -> None:
        """Give an account other roles. Raises UsageError where there is no such account, or no role is left."""
        if not roles:
            raise UsageError("an account has at least one role", remedy="close the account instead")
        with self._begin() as db:
            self._row(db, account)
            self._give(db, account, roles)

    def close(self, account: str) -> None:
        """Close an account: it signs nothing from now on. Raises UsageError where it is not there or closed."""
        with self._begin() as db:
            self._row(db, account)
            db.execute(ACCOUNT.update().where(ACCOUNT.c.id == account).values(closed=self._now()))
            sessions.end_all(db, account)

    def put_times_right(self, times: Mapping[str, str], latest: str) -> None:
        """Give keys other times, in the place of those that a clock which was ahead gave them; no password is of after `latest`."""
        moment = datetime.fromisoformat(latest)
        with self._begin() as db:
            for was, becomes in times.items():
                ahead, right = datetime.fromisoformat(was), datetime.fromisoformat(becomes)
                for column in (ACCOUNT.c.key_since, ACCOUNT.c.closed, FORMER_KEY.c.since, FORMER_KEY.c.until):
                    db.execute(sa.update(column.table).where(column == ahead).values({column: right}))
            db.execute(ACCOUNT.update().where(ACCOUNT.c.password_on > moment).values(password_on=moment))

    def link(self, account: str, login: Login) -> None:
        """Link an account to somebody of an OpenID provider, whose login is from now on asked for in the place of the code.

        Raises:
            UsageError: There is no such account, it is closed, or that somebody is another account, or was one that is closed now.
        """
        who = {"issuer": login.issuer, "subject": login.subject}
        with self._begin() as db:
            self._row(db, account)
            for table, closed in ((IDENTITY, sa.true()), (FORMER_IDENTITY, ACCOUNT.c.closed.is_not(None))):
                them = [table.c[name] == value for name, value in who.items()]
                others = sa.select(ACCOUNT.c.id, ACCOUNT.c.closed).join(table, table.c.account == ACCOUNT.c.id)
                if other := db.execute(others.where(*them, closed, ACCOUNT.c.id != account)).mappings().first():
                    raise _one_person(f"{login.subject} of {login.issuer} is", other)
            self._unlink(db, account)
            db.execute(IDENTITY.insert().values(who | {"account": account}))
            sessions.end_all(db, account)

    def unlink(self, account: str) -> None:
        """Ask an account's person for one-time codes again. Raises UsageError where there is no such account, or it is closed."""
        with self._begin() as db:
            self._row(db, account)
            self._unlink(db, account)
            sessions.end_all(db, account)

    def identity_of(self, account: str) -> Identity | None:
        """Whom of an OpenID provider an account is linked to; None where to nobody, or where there is no such account."""
        with self._begin() as db:
            return self._identity(db, account)

    # --- showing to be somebody

    def identify(
        self, account: str, password: str, code: str = "", session: str = "", login: Login | None = None
    ) -> Identified:
        """Identify a person for one signature.

        Args:
            account: The account's id.
            password: Its password.
            code: A one-time code: needed unless `session` goes on, or the account is linked to a provider.
            session: The secret of the signing session that should go on.
            login: A login at the provider that the account is linked to: needed there unless `session` goes on.

        Raises:
            UsageError: Wrong account, password or code (which of them is not told), a locked or closed account, a password that
                is too old, or a session that has ended and no code.
        """
        opened, row = self._open(account, password)
        now = self._now()
        with self._begin() as db:
            session_now = sessions.running(db, account, session, now, self._rules.session_minutes)
            goes_on, identity = session_now is not None, self._identity(db, account)
            components: tuple[Component, ...] = ("password",)
            if session_now is None:
                if identity is not None:
                    _check_login(identity, login)
                    components = ("password", "oidc")
                else:
                    if not code:
                        raise UsageError("the first signature of a session takes a one-time code as well")
                    if not take_code(db, account, opened, code, now):
                        raise UsageError("account, password or code is wrong", remedy=AGAIN)
                    components = ("password", "totp")
                session_now = sessions.begin(db, account, now)
            # Going on in a session takes no code: forgave it failed attempts, whoever can do that could guess codes without end.
            forgiven = {"failures": _one_fewer()} if goes_on else {"failures": 0, "locked_until": None}
            db.execute(ACCOUNT.update().where(ACCOUNT.c.id == account).values(forgiven))
            info = self._info(db, row)
        return Identified(
            account=info,
            signer=opened.signer(),
            public_key=PublicKey.from_pem(row["public_key"].encode()),
            components=components,
            session=session_now.id,
            session_secret=session_now.secret,
            first_of_session=not goes_on,
            provider_login=login if identity is not None and not goes_on else None,
        )

    def goes_on(self, account: str, session: str) -> bool:
        """Whether a signing session of an account still goes on by its secret, so that the next signature takes no code."""
        with self._begin() as db:
            return sessions.running(db, account, session, self._now(), self._rules.session_minutes) is not None

    def _open(self, account: str, password: str, *, aged: bool = False) -> tuple[Secrets, Any]:
        """The secrets of an account; the attempt is counted first, and forgiven by `identify` alone.

        `aged` is for the change of the password: one that is too old will do, and no code is asked for.
        """
        now = self._now()
        with self._begin() as db:
            counted = ACCOUNT.update().where(ACCOUNT.c.id == account).values(failures=ACCOUNT.c.failures + 1)
            db.execute(counted)
            row = db.execute(sa.select(ACCOUNT).where(ACCOUNT.c.id == account)).mappings().first()
            if row is not None and row["locked_until"] is None and row["failures"] > self._rules.lock_after:
                until = now + timedelta(minutes=self._rules.lock_minutes)
                db.execute(ACCOUNT.update().where(ACCOUNT.c.id == account).values(locked_until=until))
                row = db.execute(sa.select(ACCOUNT).where(ACCOUNT.c.id == account)).mappings().one()
            elif row is not None and row["locked_until"] is not None and not self._locked(row["locked_until"], now):
                db.execute(ACCOUNT.update().where(ACCOUNT.c.id == account).values(locked_until=None, failures=1))
                row = db.execute(sa.select(ACCOUNT).where(ACCOUNT.c.id == account)).mappings().one()
        opened = open_box(row["box"] if row is not None else self._nobody, account, password)
        if row is not None and row["locked_until"] is not None:
            raise UsageError(
                f"the account {account} is locked until {row['locked_until']:%H:%M} UTC, after too many failed attempts",
                remedy="wait; if the attempts were not yours, tell whoever looks after the accounts",
            )
        if opened is None or row is None or row["closed"] is not None:
            if aged:
                raise UsageError("account or password is wrong", remedy=f"try again; {LOST}")
            raise UsageError("account, password or code is wrong", remedy=AGAIN)
        if not aged and row["password_on"] + timedelta(days=self._rules.password_days) < now:
            raise UsageError(
                f"the password of {account} is of {row['password_on'].date()} and too old",
                remedy="run `devicepipe account password`",
            )
        return opened, row

    # --- small things

    def _locked(self, until: datetime | None, now: datetime) -> bool:
        """Whether a lock holds: one that ends later than a lock of now would is of a clock that was ahead, and over."""
        return until is not None and now < until <= now + timedelta(minutes=self._rules.lock_minutes)

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        if self._together is not None:
            yield self._together
            return
        try:
            with self._engine.begin() as db:
                yield db
        except sa.exc.IntegrityError as error:
            # All that a constraint forbids was looked for before: somebody else came between, on another machine.
            raise UsageError("the accounts were changed meanwhile", remedy="run it again") from error
        except sa.exc.SQLAlchemyError as error:
            raise BenchError(
                f"the database of accounts failed: {told(error, self._engine.url)}",
                remedy="check the server or file, and run it again",
            ) from error

    def _row(self, db: sa.Connection, account: str, *, closed: bool = False) -> Any:
        row = db.execute(sa.select(ACCOUNT).where(ACCOUNT.c.id == account)).mappings().first()
        if row is None or (row["closed"] is not None) != closed:
            state = "not closed" if closed else "closed"
            raise UsageError(
                f"there is no account {account}" if row is None else f"the account {account} is {state}",
                remedy="see `devicepipe account list`",
            )
        return row

    def _give(self, db: sa.Connection, account: str, roles: Iterable[Role]) -> None:
        db.execute(ROLE.delete().where(ROLE.c.account == account))
        db.execute(ROLE.insert(), [{"account": account, "role": role} for role in sorted({*roles})])

    def _unlink(self, db: sa.Connection, account: str) -> None:
        """End the link of an account, and remember whose it was."""
        if identity := self._identity(db, account):
            was = {"account": account, "issuer": identity.issuer, "subject": identity.subject}
            known = sa.select(FORMER_IDENTITY).where(*(FORMER_IDENTITY.c[name] == value for name, value in was.items()))
            if not db.execute(known).first():
                db.execute(FORMER_IDENTITY.insert().values(was))
            db.execute(IDENTITY.delete().where(IDENTITY.c.account == account))

    def _roles(self, db: sa.Connection, account: str) -> tuple[Role, ...]:
        rows = db.execute(sa.select(ROLE.c.role).where(ROLE.c.account == account).order_by(ROLE.c.role))
        return tuple(Role(role) for (role,) in rows)

    def _identity(self, db: sa.Connection, account: str) -> Identity | None:
        found = db.execute(
            sa.select(IDENTITY.c.issuer, IDENTITY.c.subject).where(IDENTITY.c.account == account)
        ).first()
        return Identity(issuer=found[0], subject=found[1]) if found else None

    def _info(self, db: sa.Connection, row: Any) -> AccountInfo:
        return AccountInfo(
            id=row["id"],
            name=row["name"],
            email=row["email"],
            roles=self._roles(db, row["id"]),
            created=row["created"],
            password_on=row["password_on"],
            closed=row["closed"],
            locked_until=row["locked_until"] if self._locked(row["locked_until"], self._now()) else None,
        )

    def _box(self, opened: Secrets, account: str, password: str, now: datetime) -> dict[str, Any]:
        box = close(opened, account, password, self._rules.cost)
        return {"box": box, "password_on": now}


def _one_fewer() -> sa.Case[int]:
    """The failed attempts of an account without the one that was counted just now, and did not fail."""
    return sa.case((ACCOUNT.c.failures > 0, ACCOUNT.c.failures - 1), else_=0)


def _some(roles: Iterable[Role]) -> list[Role]:
    """The roles that are given to an account, each once. Raises UsageError where there is none."""
    given = sorted({*roles})
    if not given:
        raise UsageError("an account has at least one role", remedy=f"roles: {', '.join(Role)}")
    return given


def _one_person(what: str, other: sa.RowMapping) -> UsageError:
    """Why somebody who is a person of an account already gets no other."""
    if other["closed"] is None:
        return UsageError(f"{what} {other['id']}: one person is one account", remedy="use that account")
    return UsageError(
        f"{what} {other['id']}, an account that is closed: one person is one account",
        remedy=f"give that person the account again: `devicepipe account reopen {other['id']} --role ROLE`",
    )


def _check_login(identity: Identity, login: Login | None) -> None:
    if login is None:
        raise UsageError(f"the first signature of a session takes a login at {identity.issuer} as well")
    if (login.issuer, login.subject) != (identity.issuer, identity.subject):
        raise UsageError("account, password or login is wrong", remedy="log in as the person of the account")
