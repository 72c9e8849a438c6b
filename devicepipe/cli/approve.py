"""`devicepipe approve` and its kin: a person signs a release; `approvals` tells where it stands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from devicepipe.cli.common import json_option, note, open_project, print_json, project_option, tell
from devicepipe.cli.secrets_in import secrets_option
from devicepipe.cli.trusted_key import trusted_key, trusted_key_options
from devicepipe.errors import EXIT_OK, EXIT_PRODUCT_FAILED, DevicepipeError, UsageError

if TYPE_CHECKING:
    from devicepipe.approval.lifecycle import ApprovalPolicy, Standing
    from devicepipe.approval.record import Intent
    from devicepipe.evidence.signatures import Given, SignedRecord
    from devicepipe.evidence.verify import VerifiedBundle
    from devicepipe.project.config import Project

_COLORS = {"draft": "yellow", "candidate": "yellow", "approved": "green", "released": "green", "withdrawn": "red"}


def _signing(action: str, words: str) -> Callable[[Callable[..., Any]], click.Command]:
    """The options that every signature has."""

    def made(function: Callable[..., Any]) -> click.Command:
        for one in (
            json_option,
            project_option,
            secrets_option,
            click.option("--role", help="What you sign as (default: the one role of yours that may)."),
            click.option("--as", "account", required=True, metavar="ID", help="Your account."),
            click.option("--meaning", required=True, help=f"What your signature means, e.g. {words}."),
            click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path)),
        ):
            function = one(function)
        return click.command(action)(function)

    return made


@_signing("submit", '"Ready for review"')
def submit(**options: Any) -> int:
    """Sign the release BUNDLE as a candidate, for others to judge."""
    return _sign("submit", **options)


@_signing("approve", '"I have reviewed the verification report and approve the release"')
def approve(**options: Any) -> int:
    """Sign your approval of the release BUNDLE (21 CFR Part 11).

    The first signature of a session asks for password and one-time code, each later one for the password. The bundle is verified
    first; the signature goes into BUNDLE.signatures beside it.

    Exit codes: 0 signed, 2 it may not be signed by you now, 4 the bundle or its signatures do not hold.
    """
    return _sign("approve", **options)


@_signing("reject", '"The occlusion test misses a case, see issue 12"')
def reject(**options: Any) -> int:
    """Sign that the release BUNDLE is not approved; approvals so far are void."""
    return _sign("reject", **options)


@_signing("retract", '"I overlooked an open anomaly"')
def retract(**options: Any) -> int:
    """Sign that you take your own approval of the release BUNDLE back."""
    return _sign("retract", **options)


@_signing("withdraw", '"Field report 7: alarms without cause"')
def withdraw(**options: Any) -> int:
    """Sign that the release BUNDLE is withdrawn, for good."""
    return _sign("withdraw", **options)


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@trusted_key_options
@project_option
@json_option
def approvals(bundle: Path, *, key: Path | None, history: Path | None, folder: Path, as_json: bool) -> int:
    """Show who signed what of the release BUNDLE, and what it wants yet.

    Without --key it is the project's: then the project's log is asked, too, whether a signature that was logged is not there.

    Exit codes: 0 approved or released, 1 not (yet), 4 the bundle or its signatures do not hold.
    """
    from devicepipe.evidence.verify import verify_bundle
    from devicepipe.stages.logged import shown_as_logged
    from devicepipe.stages.standing import signed_standing

    verified = verify_bundle(bundle, trusted_key(key, history, folder))
    record, policy, standing = signed_standing(verified)
    if key is None and not shown_as_logged(open_project(folder), verified) and record.logged:
        note("there is no log here: a signature that was taken away from the end would not be seen")
    if as_json:
        release = {"product": verified.release.product, "version": verified.release.version}
        print_json(release | standing_json(record, policy, standing))
    else:
        tell(f"{verified.release.product} {verified.release.version}", bold=True)
        tell_standing(record, policy, standing)
    return EXIT_OK if standing.state in ("approved", "released") else EXIT_PRODUCT_FAILED


def standing_json(record: SignedRecord, policy: ApprovalPolicy, standing: Standing) -> dict[str, Any]:
    """The signatures and where a release stands, as JSON data."""
    from devicepipe.stages.standing import counts

    return {
        "state": standing.state,
        "asked": {
            "approvals": {str(role): count for role, count in policy.thresholds.items()},
            "separate": sorted(policy.separate),
        },
        "missing": {str(role): count for role, count in standing.missing(policy).items()},
        "unlogged": record.unlogged,
        "signatures": [
            one.signature.to_json() | {"file": one.file, "keyid": one.keyid, "counts": counts(one, record, standing)}
            for one in record.signatures
        ],
    }


def tell_standing(record: SignedRecord, policy: ApprovalPolicy, standing: Standing, *, state: bool = True) -> None:
    """The signatures and where a release stands, for people; without the state where that was told already."""
    from devicepipe.approval.lifecycle import RIGHTS, Action
    from devicepipe.stages.standing import counts

    for one in record.signatures:
        void = not counts(one, record, standing)
        tell(f"  {one.signature.action:9} {one.signature.told}{' (counts no more)' if void else ''}", dim=void)
    for file in record.unlogged:
        tell(f"  no proof that {file} is in the log", fg="yellow")
    if state:
        tell(standing.state.upper(), fg=_COLORS[standing.state], bold=True)
    if record.signatures:
        asked = ", ".join(f"{count} as {role}" for role, count in policy.thresholds.items())
        apart = " or ".join(sorted(policy.separate)) or "any role"
        may = "never" if policy.separate else "also"
        tell(f"  its own rules: approvals {asked}; authors and who submits it {may} approve as {apart}", dim=True)
    missing = standing.missing(policy)
    if standing.state == "draft" and standing.releasable:
        tell(f"wanted: `devicepipe submit`, as {' or '.join(sorted(RIGHTS[Action.SUBMIT]))}")
    elif missing and standing.state == "candidate":
        tell(f"wanted: {', '.join(f'{count} approval as {role}' for role, count in missing.items())}")


def _sign(action: str, *, folder: Path, bundle: Path, as_json: bool, **who: Any) -> int:
    from devicepipe.evidence.production import NAME_A_KEY, unshippable
    from devicepipe.evidence.verify import verify_bundle
    from devicepipe.stages.context import open_keys
    from devicepipe.stages.logged import verify_to_withdraw

    project = open_project(folder)
    note(f"verifying {bundle}")
    withdrawing = action == "withdraw"
    verified = verify_to_withdraw(project, bundle) if withdrawing else verify_bundle(bundle, open_keys(project).trust)
    if action == "submit" and (why := unshippable(verified)):
        note(f"{why}. To ship it, {NAME_A_KEY}")
    given, standing, policy = sign_as(project, verified, action, **who)
    published = _still_published(project, verified) if withdrawing else False
    if as_json:
        told = signed_json(given, standing, policy)
        print_json(told | ({"published": published} if withdrawing else {}))
        return EXIT_OK
    tell_signed(given)
    tell(f"{verified.release.product} {verified.release.version} is {standing.state.told}", bold=True)
    finish = f"`devicepipe unpublish {bundle}` finishes it"
    if published:
        tell(f"it is still published: {finish}", fg="red", bold=True)
    elif published is None:
        tell(f"the repository could not be asked whether it is still published: if it is, {finish}", fg="yellow")
    return EXIT_OK


def _still_published(project: Project, verified: VerifiedBundle) -> bool | None:
    """Whether the repository has a release that was withdrawn; None where it cannot be asked. Of what never was there it is not."""
    from devicepipe.approval.record import read_record
    from devicepipe.stages import publication

    if all(one.signature.action != "release" for one in read_record(verified).signatures):
        return False
    try:
        repository = publication.open_repository(project, logged=False)
        return publication.is_published(project, repository, verified)
    except DevicepipeError:
        return None


def sign_as(
    project: Project,
    verified: VerifiedBundle,
    action: str,
    *,
    meaning: str,
    account: str,
    role: str | None,
    secrets_fd: int | None,
) -> tuple[Given, Standing, ApprovalPolicy]:
    """Ask a person for the secrets that it takes, and have the action signed; returns the signature and where the release stands.

    Raises:
        UsageError: It may not be signed now, or not by this person; what was given for a secret is wrong.
        IntegrityError: The signatures as they stand do not hold.
    """
    from devicepipe.approval.lifecycle import Action
    from devicepipe.approval.record import Intent, check_intent, sign
    from devicepipe.cli.identify import identify
    from devicepipe.stages.approval import log_signatures
    from devicepipe.stages.logged import check_logged
    from devicepipe.stages.rosters import current_roster, while_newest
    from devicepipe.stages.standing import authors_of, policy_of

    roster, policy = current_roster(project), policy_of(verified)
    intent = Intent(Action(action), _role(roster, verified, account, role, Action(action)), meaning)
    now = functools.partial(datetime.now, UTC)
    check_intent(verified, intent, account, roster, policy=policy, authors=authors_of(verified), now=now())
    tell_unlogged(verified)
    log_signatures(project, verified)  # of a signer whose process was killed before it came to that
    _tell_intent(verified, intent, account)
    who = identify(project, account, secrets_fd)
    given, standing = sign(
        verified,
        intent,
        who,
        roster,
        policy=policy,
        authors=authors_of(verified),
        now=now,
        held=while_newest(project, roster),
        check=lambda record: check_logged(project, verified, record),
    )
    log_signatures(project, verified)
    return given, standing, policy


def _tell_intent(bundle: VerifiedBundle, intent: Intent, account: str) -> None:
    """Tell who is about to sign what that signature will say (21 CFR 11.50): before any secret is asked for."""
    from devicepipe.evidence.layout import RELEASE_STATEMENT

    note(f"{account} signs: {intent.action} {bundle.release.product} {bundle.release.version} as {intent.role}")
    note(f"  meaning: {intent.meaning.strip()}")
    note(f"  release.json: SHA-256 {bundle.sha256(RELEASE_STATEMENT)}")


def tell_unlogged(bundle: VerifiedBundle) -> None:
    """Tell whoever goes on which signatures are there that nothing proves to be logged: they are logged now."""
    from devicepipe.approval.record import read_record

    record = read_record(bundle)
    for one in record.signatures:
        if one.signature.number not in record.logged:
            note(
                f"{one.file} has no proof that it was logged, and is logged now: {one.signature.action}, {one.signature.told}"
            )


def _role(roster: bytes, bundle: VerifiedBundle, account: str, wanted: str | None, action: Any) -> Any:
    """The role that is signed in: the wanted one, or the only one that the person has and that may do it."""
    from devicepipe.approval.lifecycle import RIGHTS, Role
    from devicepipe.evidence.signatures import open_roster

    people = open_roster(roster, bundle.trust, bundle.release.product, "the roster").people
    own = [one for one in people if one.account == account]
    if not own:
        there = ", ".join(sorted({one.account for one in people if one.until is None}))
        raise UsageError(
            f"the roster has no account '{account}'", remedy=f"accounts: {there}; or `devicepipe account add`"
        )
    if all(one.until is not None for one in own):
        raise UsageError(f"the account {account} is closed", remedy="sign with an account that is not")
    if wanted is not None:
        if wanted not in [*Role]:
            raise UsageError(f"there is no role '{wanted}'", remedy=f"roles: {', '.join(Role)}")
        return Role(wanted)
    mine = {role for one in own if one.until is None for role in one.roles}
    may = sorted(mine & {*RIGHTS[action]})
    if len(may) != 1:
        why = (
            f"{account} has several roles that may {action}: {', '.join(may)}"
            if may
            else f"{account} has no role that may {action}"
        )
        raise UsageError(
            why, remedy="name one: --role" if may else f"roles that may: {', '.join(sorted(RIGHTS[action]))}"
        )
    return Role(may[0])


def signed_json(given: Given, standing: Standing, policy: ApprovalPolicy) -> dict[str, Any]:
    """A signature that was given, and where the release stands with it, as JSON data."""
    missing = {str(role): count for role, count in standing.missing(policy).items()}
    return given.signature.to_json() | {"file": given.file, "state": standing.state, "missing": missing}


def tell_signed(given: Given) -> None:
    """A signature that was given, for people."""
    tell(f"signed: {given.signature.told}", fg="green")
