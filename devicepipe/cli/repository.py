"""`devicepipe repository`: make, look at, renew and rotate the TUF repository that releases are published in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import json_option, note, open_project, print_json, project_option, tell
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED, BenchError, UsageError

if TYPE_CHECKING:
    from devicepipe.project.config import Project
    from devicepipe.stages.repository_root import RootProgress

_NOTICE = timedelta(days=60)
"""How long before its end the root is told of: to make the next one can take several people."""


@click.group()
def repository() -> None:
    """Make, check, renew and rotate the TUF repository that releases are published in.

    Where it is and who signs it is in [publication] of devicepipe.toml. docs/reference/publication.md tells the rest.
    """


@repository.command()
@project_option
@json_option
def init(folder: Path, as_json: bool) -> int:
    """Make the repository, with a root of the keys in devicepipe.toml.

    Where not enough keys of the root can be used here, the root waits for the signatures of others (`repository sign`); run this
    again when they are there. Commit the root: it is what clients start from.

    Exit codes: 0 made, 1 the root wants further signatures, 2 a key cannot be used, 3 the repository cannot be.
    """
    from devicepipe.stages import repository_root as root

    project = open_project(folder)
    if root.trusted_file(project).exists() and not root.next_file(project).exists():
        raise UsageError(
            "there is a repository",
            file=root.trusted_file(project),
            remedy="change its keys: `devicepipe repository rotate`",
        )
    return _advance(folder, as_json=as_json, broken=False)


@repository.command()
@click.option(
    "--broken",
    is_flag=True,
    help="Also if what is published does not hold under the new root: a key was lost or stolen.",
)
@project_option
@json_option
def rotate(folder: Path, broken: bool, as_json: bool) -> int:
    """Have the repository's root followed by one of the keys in devicepipe.toml, or by one that lasts longer.

    The next root is signed by enough keys of both. Where they are not all here, it waits for the signatures of others
    (`repository sign`); run this again when they are there. A key of another role is changed in two rotations, so that no
    client is ever refused: first name the new one beside the old one, then take the old one out.

    Exit codes: 0 published, 1 the root wants further signatures, 2 a key cannot be used or what is published would not hold, 3 the
    repository cannot be used, 4 it does not hold.
    """
    from devicepipe.stages import repository_root as root

    if not root.trusted_file(open_project(folder)).exists():
        raise UsageError("there is no repository yet", remedy="make it: `devicepipe repository init`")
    return _advance(folder, as_json=as_json, broken=broken)


@repository.command()
@click.option("--signer", required=True, metavar="URI", help="The private key, e.g. file:root-b.key.pem or pkcs11:….")
@click.option("--public", required=True, type=click.Path(path_type=Path), help="Its public half: a PEM file.")
@project_option
@json_option
def sign(signer: str, public: Path, folder: Path, as_json: bool) -> int:
    """Sign the root that waits with a further key of it, or of the one before.

    Exit codes: 0 enough have signed, 1 it wants further signatures, 2 nothing waits or the key cannot be used.
    """
    from devicepipe.distribution.signing import RoleSigner
    from devicepipe.signing.keys import PublicKey, load_signer
    from devicepipe.stages.repository_root import sign_root

    key = PublicKey.load(public)
    done = sign_root(open_project(folder), RoleSigner(key, lambda: load_signer(signer, key, Path())))
    return _tell_root(done, as_json=as_json)


@repository.command()
@click.option("--all", "everything", is_flag=True, help="Sign all of it anew, not only what is past half of its time.")
@click.option(
    "--unlogged", is_flag=True, help="Do not log it: on a machine that has the key of the timestamp, and not the log."
)
@project_option
@json_option
def refresh(folder: Path, everything: bool, unlogged: bool, as_json: bool) -> int:
    """Sign the timestamp anew, and the other metadata where they are past half of their time.

    Run it often enough that the timestamp never expires, e.g. daily by a timer: clients refuse what has expired, because newer
    metadata may be kept from them. Each use of a key is logged, which takes the release key.

    Exit codes: 0 done, 1 done, but the root has expired, 2 a key cannot be used, 3 the repository cannot be, 4 it does not hold.
    """
    from devicepipe.stages import publication

    project = open_project(folder)
    if not unlogged:
        _check_log(project)
    opened, root = publication.open_repository(project, logged=not unlogged), publication.trusted_root(project)
    roles = opened.renew(root, everything=everything)
    state = opened.state(root)
    ends, now = state.root.signed.expires, datetime.now(UTC)
    code = EXIT_PRODUCT_FAILED if ends < now else EXIT_OK
    if ends < now + _NOTICE:
        said = "has expired: clients refuse the repository" if ends < now else f"holds until {_time(ends)} only"
        note(f"the root {said}; make the next one: `devicepipe repository rotate`")
    waiting = opened.past_half(state)
    for role in waiting:
        note(
            f"{role} was not renewed, since its keys are not at hand: it holds until {_time(state.of(role).signed.expires)}"
        )
    if as_json:
        print_json(
            {
                "waiting": [*waiting],
                "renewed": [*roles],
                "expires": {role: _time(state.of(role).signed.expires) for role in state.versions},
            }
        )
        return code
    for role in roles:
        tell(f"{role:9} version {state.versions[role]}, holds until {_time(state.of(role).signed.expires)}", fg="green")
    return code


@repository.command()
@click.option("--full", is_flag=True, help="Read every published file as well, and compare it with its digest.")
@project_option
@json_option
def status(folder: Path, full: bool, as_json: bool) -> int:
    """Verify the repository, and show its releases, who signs it, and when its metadata expire.

    Exit codes: 0 it holds, 1 it holds but something of it has expired, 2 there is none, 3 it cannot be used, 4 it does not hold.
    """
    from devicepipe.distribution.releases import releases_of
    from devicepipe.stages import publication
    from devicepipe.stages.repository_root import next_file

    project = open_project(folder)
    opened, root = publication.open_repository(project), publication.trusted_root(project)
    state = opened.state(root)
    opened.check_seen(state)
    waiting = str(next_file(project)) if next_file(project).exists() else None
    found = releases_of(state.targets.signed)
    checked = opened.check_files(state) if full else None
    now = datetime.now(UTC)
    expired = [role for role in state.versions if state.of(role).signed.is_expired(now)]
    code = EXIT_PRODUCT_FAILED if expired else EXIT_OK
    roles: dict[str, dict[str, Any]] = {
        role: {
            "version": version,
            "expires": _time(state.of(role).signed.expires),
            "expired": role in expired,
            "threshold": state.root.signed.roles[role].threshold,
            "keys": [*state.root.signed.roles[role].keyids],
        }
        for role, version in state.versions.items()
    }
    if as_json:
        releases = [one.state.to_json() | {"files": len(one.targets)} for one in found]
        document = {"repository": opened.store.url, "roles": roles, "releases": releases}
        print_json(document | {"filesChecked": checked, "waitingRoot": waiting})
        return code
    tell(opened.store.url, bold=True)
    for role, of in roles.items():
        told = f"{role:9} version {of['version']:<4} {of['threshold']} of {len(of['keys'])} keys, "
        told += f"{'EXPIRED' if of['expired'] else 'holds until'} {of['expires']}"
        tell(told, fg="red" if of["expired"] else "green")
    for one in found:
        style = {"fg": "green"} if one.state.state == "released" else {"fg": "red"}
        tell(f"  {one.title:24} {one.state.state:9} {one.state.on[:10]}  {one.state.meaning}", **style)
    if waiting is not None:
        tell(f"the next root waits for signatures: {waiting}", fg="yellow")
    if checked is not None:
        tell(f"{checked} published files are as their digests say", fg="green")
    return code


def _check_log(project: Project) -> None:
    """See that uses of keys can be logged. Raises UsageError where the log's key, which is the release key, cannot be used."""
    from devicepipe.stages import ledger

    try:
        ledger.check(project)
    except (UsageError, BenchError) as error:
        raise UsageError(
            f"the uses of keys cannot be logged: {error.message}",
            remedy=f"{error.remedy or 'make it work'}; on a machine that has no release key: --unlogged",
        ) from error


def _advance(folder: Path, *, as_json: bool, broken: bool) -> int:
    from devicepipe.stages.context import default_tester
    from devicepipe.stages.publication import open_repository
    from devicepipe.stages.repository_root import advance_root

    project = open_project(folder)
    done = advance_root(project, open_repository(project), default_tester(), broken=broken)
    return _tell_root(done, as_json=as_json)


def _tell_root(done: RootProgress, *, as_json: bool) -> int:
    code = EXIT_PRODUCT_FAILED if done.missing else EXIT_OK
    if as_json:
        document = {
            "version": done.version,
            "file": str(done.file),
            "published": done.published,
            "missing": done.missing,
        }
        print_json(document)
    elif done.published:
        tell(f"root {done.version} is published; commit {done.file}", fg="green", bold=True)
    elif done.missing:
        tell(f"root {done.version} {done.missing}: {done.file}", fg="yellow")
        tell("pass it on to whoever has the other keys (`devicepipe repository sign`), then run this again")
    else:
        tell(
            f"root {done.version} has the signatures that it needs: `devicepipe repository init` or `rotate`",
            fg="green",
        )
    return code


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
