"""Where a release stands by what people signed, told from the bundle and its signatures alone."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from devicepipe.approval.lifecycle import Action, ApprovalPolicy, Role, Standing
from devicepipe.approval.record import check_dates, read_record, standing_of
from devicepipe.errors import IntegrityError
from devicepipe.evidence import checks
from devicepipe.evidence.layout import SOURCE_CONFIG, kind_of_model
from devicepipe.evidence.predicates import Release, SourceInfo
from devicepipe.evidence.signatures import Given, SignedRecord
from devicepipe.evidence.verify import ListedBundle, VerifiedBundle
from devicepipe.project.approval_settings import ApprovalSettings

_ASKED: Final = frozenset({"approvals", "separate"})


def policy_of(bundle: ListedBundle) -> ApprovalPolicy:
    """What the release takes to be approved, as the devicepipe.toml that was released says.

    Its other settings are of the machines where people signed: what may be said there today is not asked of an older release.

    Raises:
        IntegrityError: That says nothing that can be understood.
    """
    try:
        table = tomllib.loads(bundle.read(SOURCE_CONFIG).decode()).get("approval", {})
        settings = ApprovalSettings.model_validate({key: table[key] for key in _ASKED & table.keys()})
    except (ValueError, ValidationError, AttributeError, TypeError) as error:
        raise IntegrityError(f"its [approval] cannot be read: {error}", link=SOURCE_CONFIG) from error
    return ApprovalPolicy(
        thresholds={Role(role): count for role, count in settings.approvals.items()},
        separate=frozenset(map(Role, settings.separate)),
    )


def authors_of(bundle: ListedBundle) -> frozenset[str]:
    """The e-mail addresses of who wrote what is released. Raises IntegrityError where it names nobody."""
    return checks.authors_of(bundle.predicate(SourceInfo), kind_of_model(SourceInfo).path_for())


def signed_standing(bundle: VerifiedBundle) -> tuple[SignedRecord, ApprovalPolicy, Standing]:
    """The signatures of a release, what it takes, and where it stands.

    The clock is asked for one thing only: that no signature is dated more than a day ahead. What holds today holds tomorrow.

    Raises:
        IntegrityError: A signature does not hold, could not be given when it was, or is dated in the future.
    """
    record = read_record(bundle)
    return record, *standing_by(bundle, bundle.release, record)


def standing_by(bundle: ListedBundle, release: Release, record: SignedRecord) -> tuple[ApprovalPolicy, Standing]:
    """What a release takes, and where it stands by signatures of it that were read already. Raises as `signed_standing`."""
    policy = policy_of(bundle)
    check_dates(record, datetime.now(UTC))
    return policy, standing_of(record, policy, authors_of(bundle), releasable=release.releasable)


def counts(given: Given, record: SignedRecord, standing: Standing) -> bool:
    """Whether a signature counts: an approval only where it stands, being its account's last one, not taken back nor made void."""
    if given.signature.action != Action.APPROVE.value:
        return True
    account = given.signature.account
    own = [one for one in record.signatures if one.signature.action == Action.APPROVE.value]
    last = [one for one in own if one.signature.account == account][-1]
    return given is last and account in {one.account for one in standing.approvals}
