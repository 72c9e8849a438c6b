"""`devicepipe account`: the people who may sign, and the roster of them that the release key signs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from devicepipe.cli.common import json_option, open_project, print_json, project_option, tell
from devicepipe.cli.secrets_in import SecretsIn, secrets_option
from devicepipe.errors import UsageError

if TYPE_CHECKING:
    from devicepipe.approval.accounts import Accounts
    from devicepipe.approval.lifecycle import Role
    from devicepipe.project.config import Project


@click.group()
def account() -> None:
    """Make and change the accounts of people who sign releases.

    What may be signed by whom is in the roster, a file that the release key signs: each change here signs it anew.
    """


@account.command()
@click.argument("id_", metavar="ID")
@click.option("--name", required=True, help="The printed name, as it stands beside signatures.")
@click.option("--email", required=True, help="The address by which commits name the person.")
@click.option("--role", "roles", multiple=True, required=True, help="What the person may sign as (repeatable).")
@secrets_option
@project_option
@json_option
def add(
    id_: str, *, name: str, email: str, roles: tuple[str, ...], secrets_fd: int | None, folder: Path, as_json: bool
) -> None:
    """Make the account ID for a person, who types the first password.

    Prints once what the person's authenticator takes (RFC 6238). An ID belongs to one person for ever.
    """
    from devicepipe.evidence.printed import check_words
    from devicepipe.evidence.signatures import ACCOUNT_FORM

    if not ACCOUNT_FORM.fullmatch(id_):
        raise UsageError(
            f"'{id_}' cannot name an account", remedy="a to z, digits, '.', '_' and '-', at most 32, a letter first"
        )
    check_words(name, "--name")
    check_words(email, "--email")
    given = _roles(roles)
    project, secret = open_project(folder), SecretsIn(secrets_fd)
    word = secret.ask(f"First password of {id_}", confirm=True)
    with _changing(project, id_, "added", roles) as accounts:
        uri = accounts.add(id_, name, email, given, word)
    _tell_enrolment(id_, uri, project, as_json=as_json)


@account.command("list")
@project_option
@json_option
def list_(folder: Path, as_json: bool) -> None:
    """List the accounts, closed ones too."""
    from devicepipe.stages.rosters import check_database

    project = open_project(folder)
    with _accounts(project) as accounts:
        check_database(project, accounts)
        found = accounts.everyone()
    if as_json:
        print_json(
            [
                {
                    "account": one.id,
                    "name": one.name,
                    "email": one.email,
                    "roles": [*one.roles],
                    "passwordOn": one.password_on.isoformat(),
                    "closed": one.closed.isoformat() if one.closed else None,
                    "lockedUntil": one.locked_until.isoformat() if one.locked_until else None,
                }
                for one in found
            ]
        )
        return
    for one in found:
        state = "closed" if one.closed else "locked" if one.locked_until else ""
        tell(f"{one.id:16} {one.name:28} {', '.join(one.roles):28} {state}".rstrip(), dim=bool(one.closed))
    if not found:
        tell("there is no account yet: `devicepipe account add`")


@account.command()
@click.argument("id_", metavar="ID")
@click.option("--role", "roles", multiple=True, required=True, help="The roles that it has from now on (repeatable).")
@project_option
@json_option
def roles(id_: str, *, roles: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Give the account ID other roles."""
    given = _roles(roles)
    project = open_project(folder)
    with _changing(project, id_, "roles", roles) as accounts:
        accounts.set_roles(id_, given)
    _tell_roster(project, as_json=as_json)


@account.command()
@click.argument("id_", metavar="ID")
@secrets_option
@project_option
def password(id_: str, *, secrets_fd: int | None, folder: Path) -> None:
    """Change the password of the account ID; the key and the authenticator stay."""
    from devicepipe.stages.approval import change_password

    project, secret = open_project(folder), SecretsIn(secrets_fd)
    with _accounts(project) as accounts:
        old = secret.ask(f"Password of {id_}")
        change_password(project, accounts, id_, old, secret.ask("New password", confirm=True))
    tell("changed")


@account.command()
@click.argument("id_", metavar="ID")
@secrets_option
@project_option
@json_option
def reset(id_: str, *, secrets_fd: int | None, folder: Path, as_json: bool) -> None:
    """Give a person who lost password or authenticator a new password, authenticator and key.

    What was signed with the old key stays valid; nothing more is signed with it.
    """
    project, secret = open_project(folder), SecretsIn(secrets_fd)
    word = secret.ask(f"New password of {id_}", confirm=True)
    with _changing(project, id_, "reset") as accounts:
        uri = accounts.reset(id_, word)
    _tell_enrolment(id_, uri, project, as_json=as_json)


@account.command()
@click.argument("id_", metavar="ID")
@click.option("--remove", is_flag=True, help="End the link: one-time codes are asked for again.")
@project_option
@json_option
def link(id_: str, *, remove: bool, folder: Path, as_json: bool) -> None:
    """Link the account ID to its person at the OpenID provider ([approval.oidc]), who logs in there now.

    From then on the first signature of a session takes the password and a login there, in the place of a one-time code.
    """
    from devicepipe.cli.identify import log_in_at_provider
    from devicepipe.stages.rosters import roster_file

    project = open_project(folder)
    if remove:
        with _changing(project, id_, "unlinked") as accounts:
            accounts.unlink(id_)
        _tell_roster(project, as_json=as_json)
        return
    login = log_in_at_provider(project)
    with _changing(project, id_, "linked") as accounts:
        accounts.link(id_, login)
    roster = roster_file(project)
    if as_json:
        print_json({"account": id_, "issuer": login.issuer, "subject": login.subject, "roster": str(roster)})
    else:
        tell(f"{id_} is {login.subject} at {login.issuer}: commit {roster}")


@account.command()
@click.argument("id_", metavar="ID")
@project_option
@json_option
def close(id_: str, *, folder: Path, as_json: bool) -> None:
    """Close the account ID. What its person signed stays valid; who comes back has it opened again (`reopen`)."""
    project = open_project(folder)
    with _changing(project, id_, "closed") as accounts:
        accounts.close(id_)
    _tell_roster(project, as_json=as_json)


@account.command()
@click.argument("id_", metavar="ID")
@click.option("--role", "roles", multiple=True, required=True, help="The roles that it has from now on (repeatable).")
@secrets_option
@project_option
@json_option
def reopen(id_: str, *, roles: tuple[str, ...], secrets_fd: int | None, folder: Path, as_json: bool) -> None:
    """Open the closed account ID again for the person whose it was, with a new password, authenticator and key.

    It is never for anybody else: make another account for somebody who follows in the same place.
    """
    given = _roles(roles)
    project, secret = open_project(folder), SecretsIn(secrets_fd)
    word = secret.ask(f"New password of {id_}", confirm=True)
    with _changing(project, id_, "reopened", roles) as accounts:
        uri = accounts.reopen(id_, given, word)
    _tell_enrolment(id_, uri, project, as_json=as_json)


@account.command()
@click.option(
    "--accept-differences",
    "accept",
    is_flag=True,
    help="Sign it as the database of accounts is, also where that differs from the roster before.",
)
@project_option
@json_option
def roster(*, accept: bool, folder: Path, as_json: bool) -> None:
    """Sign the roster of people anew with the release key.

    Shows what the database of accounts has otherwise than the newest roster: nothing does, unless a command was killed, the roster
    is an older one, or somebody wrote into the database. It is signed only with --accept-differences, and each is logged.

    Also finishes a `keys rotate` that was interrupted: the change of the key is logged, if it was not.
    """
    from devicepipe.stages.key_changes import log_changes
    from devicepipe.stages.rosters import alone_with_roster, differences_of, renew_roster

    project = open_project(folder)
    with alone_with_roster(project), _accounts(project) as accounts:
        found = differences_of(project, accounts)
        for one in () if as_json else found:
            tell(f"  {one}", fg="yellow")
        path = renew_roster(project, accounts, accept=accept)
        log_changes(project)
    if as_json:
        print_json({"roster": str(path), "differences": [str(one) for one in found]})
    else:
        _tell_roster(project, as_json=False)


@contextmanager
def _accounts(project: Project) -> Iterator[Accounts]:
    from devicepipe.stages.approval import open_accounts

    accounts = open_accounts(project)
    try:
        yield accounts
    finally:
        accounts.dispose()


@contextmanager
def _changing(project: Project, account: str, change: str, roles: Sequence[str] = ()) -> Iterator[Accounts]:
    """The accounts, for a change of one that the roster follows. Nobody is asked for anything in here: others wait."""
    from devicepipe.stages.rosters import changing

    with _accounts(project) as accounts, changing(project, accounts, account, change, roles):
        yield accounts


def _roles(names: tuple[str, ...]) -> list[Role]:
    from devicepipe.approval.lifecycle import Role

    for name in names:
        if name not in [*Role]:
            raise UsageError(f"there is no role '{name}'", remedy=f"roles: {', '.join(Role)}")
    return [Role(name) for name in names]


def _tell_enrolment(id_: str, uri: str, project: Project, *, as_json: bool) -> None:
    from devicepipe.stages.rosters import roster_file

    roster = roster_file(project)
    if as_json:
        print_json({"account": id_, "authenticator": uri, "roster": str(roster)})
        return
    tell(f"{id_}: give this to the person's authenticator now; it is not shown again", bold=True)
    tell(f"  {uri}")
    tell(f"commit {roster}")


def _tell_roster(project: Project, *, as_json: bool) -> None:
    from devicepipe.stages.rosters import roster_file

    roster = roster_file(project)
    if as_json:
        print_json({"roster": str(roster)})
    else:
        tell(f"the roster is signed: commit {roster}")
