"""Waive: a waiver is signed, logged, and laid into the product's folder with its proof; in this order, so that each has one."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from devicepipe.approval.accounts import Identified
from devicepipe.approval.record import check_signer, moment
from devicepipe.build.source import authors_since_tag, read_commit
from devicepipe.durable import write_new
from devicepipe.errors import UsageError
from devicepipe.evidence.decisions import WAIVER_SUFFIX, Waiver, WaiverSigner
from devicepipe.evidence.personal_waivers import (
    Beside,
    WaiverPolicy,
    entry_of,
    objection,
    open_given,
    proof_file,
    roster_file,
    stands_for,
)
from devicepipe.evidence.signatures import Roster, open_roster
from devicepipe.evidence.waivers import sign_waiver
from devicepipe.policy.rules import load_policy
from devicepipe.policy.waivers import digest_of, problem
from devicepipe.project.config import Project
from devicepipe.stages import ledger
from devicepipe.stages.context import SigningKey, open_keys

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Waiving:
    """Who waives with an account, in which of its roles, under which roster (its bytes)."""

    account: str
    role: str
    roster: bytes


def roles_for(project: Project, rule: str, account: str, roster: bytes, wanted: str | None) -> tuple[str, str]:
    """The role of an account, and what the rule calls it, in which it may waive a rule.

    Args:
        project: The product.
        rule: The rule's id.
        account: The account's id.
        roster: The roster's file.
        wanted: The role that was asked for, as the account or the rule calls it; None takes the one that may.

    Raises:
        UsageError: There is no such rule, the roster does not know the account, or none of its roles may.
        IntegrityError: The roster is not one of the release key.
    """
    name, key = project.product.name, open_keys(project).release.public
    people = open_roster(roster, key, name, project.approval.roster).people
    mine = sorted({role for one in people if one.account == account and one.until is None for role in one.roles})
    if not mine:
        raise UsageError(f"the roster knows no {account}", remedy="have it signed anew: `devicepipe account roster`")
    lets = load_policy(project).rule(rule).text.waivable_by
    may = [(role, name) for role in mine for name in stands_for(role) if name in lets]
    chosen = [pair for pair in may if wanted is None or wanted in pair]
    if not chosen:
        who = f"only {' or '.join(lets)}" if lets else "nobody"
        told = f"as {wanted}" if wanted is not None else f"with the roles {', '.join(mine)}"
        raise UsageError(
            f"{account} may not waive {rule} {told}: {who} may", remedy=f"see `devicepipe gate explain {rule}`"
        )
    return chosen[0]


def check_waiver(project: Project, waiver: Waiver, waiving: Waiving | None) -> str:
    """Find out, before anybody is asked for a secret, whether a waiver would count; returns the digest of its rule.

    Raises:
        UsageError: It would do nothing, the product does not take it, or its signer is an author of the change.
    """
    rules = load_policy(project)
    digest = digest_of(rules.rule(waiver.rule))
    names = {board.name for board in project.boards}
    told = problem(waiver, digest, rules, project.product.name, names, datetime.now(UTC).date())
    if waiving is None and project.policy.waivers_by == "account":
        raise UsageError(
            "this product takes waivers of accounts only", remedy="say whose: --as ID (`waivers-by` of [policy])"
        )
    if not told and waiving is not None:
        told = _separation(project, waiver, waiving)
    if told:
        raise UsageError(f"this waiver would do nothing: {told}", remedy="see `devicepipe gate explain`")
    return digest


def _separation(project: Project, waiver: Waiver, waiving: Waiving) -> str:
    around = Beside({hashlib.sha256(waiving.roster).hexdigest(): waiving.roster})
    policy = WaiverPolicy(separate=frozenset(project.approval.separate), authors=frozenset(_authors(project)))
    given = waiver.model_copy(update={"signer": _signer(waiving, _moment(project, waiving))})
    return objection(given, policy, around, open_keys(project).release.public)


def _authors(project: Project) -> Collection[str]:
    """Who wrote what would be released now; nobody is known where there is no commit yet. Raises as `authors_since_tag`."""
    try:
        commit = read_commit(project.root)
    except UsageError:
        return ()
    return authors_since_tag(project.root, commit.id)


def write_waiver(
    project: Project, waiver: Waiver, digest: str, who: Identified | None, waiving: Waiving | None
) -> tuple[Path, Waiver]:
    """Sign a waiver, log it, and write it with its proof under a name of its own; returns its file, and what it says.

    Args:
        project: The product.
        waiver: What is waived; who signs it is filled in.
        digest: That of its rule.
        who: The person who signs it; None for the release key.
        waiving: What the person signs as.

    Raises:
        UsageError: The folder cannot be written, or the roster does not know the person's key.
        BenchError, IntegrityError: As `ledger.append`.
    """
    release = open_keys(project).release
    around = Beside()
    if who is not None and waiving is not None:
        person = check_signer(_roster(project, waiving), who)
        signer = _signer(waiving, _moment(project, waiving), who)
        around = Beside({signer.roster: waiving.roster})
        waiver = waiver.model_copy(update={"signer": signer, "by": person.name, "made_on": f"{signer.on[:19]}Z"})
        data = sign_waiver(waiver, digest, who.signer, who.public_key)
    else:
        data = sign_waiver(waiver, digest, release.signer, release.public)
    folder = project.root / project.policy.waivers
    for name, roster in around.rosters.items():
        _write(folder / roster_file(name), roster)
    stem = ".".join(part for part in (waiver.rule, waiver.board, waiver.until) if part)
    for number in range(1, _MOST):
        name = f"{stem}{f'-{number}' if number > 1 else ''}{WAIVER_SUFFIX}"
        if (folder / name).exists() or (folder / proof_file(name)).exists():
            continue
        if _log_and_write(project, folder / name, waiver, data, release, around):
            return folder / name, waiver
    raise UsageError("there are too many waivers of this rule until that day", file=folder)


def _log_and_write(
    project: Project, path: Path, waiver: Waiver, data: bytes, release: SigningKey, around: Beside
) -> bool:
    """Log a waiver, and write proof and waiver; False where somebody else took the name meanwhile."""
    entry = entry_of(waiver, path.name, hashlib.sha256(data).hexdigest())
    (number,) = ledger.append(project, [entry])
    proof = ledger.prove(project, number)
    open_given(data, release.public, Beside(around.rosters, {path.name: proof}), path.name)
    if not _write(path.with_name(proof_file(path.name)), proof):
        return False
    # Last: whoever finds the waiver finds its proof.
    return _write(path, data)


def _moment(project: Project, waiving: Waiving) -> str:
    return moment(_roster(project, waiving).on, "the roster", datetime.now(UTC))


def _roster(project: Project, waiving: Waiving) -> Roster:
    key = open_keys(project).release.public
    return open_roster(waiving.roster, key, project.product.name, project.approval.roster)


def _signer(waiving: Waiving, on: str, who: Identified | None = None) -> WaiverSigner:
    """Who signs; before somebody was identified, as it will be."""
    return WaiverSigner(
        account=waiving.account,
        role=waiving.role,
        roster=hashlib.sha256(waiving.roster).hexdigest(),
        on=on,
        components=[*who.components] if who else ["password", "totp"],
        session=who.session if who else "none yet",
        first_of_session=who.first_of_session if who else True,
        login=who.login if who else None,
    )


def _write(path: Path, data: bytes) -> bool:
    """Write a file whole, never over another one; False where there is another one."""
    if path.exists():
        return path.read_bytes() == data
    try:
        return write_new(path, data)
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", file=path) from error
