"""What somebody with a key of their own, and the right to write into the record's folder, can put there without devicepipe."""

from __future__ import annotations

import hashlib

from devicepipe.approval.record import read_record
from devicepipe.evidence.layout import RELEASE_STATEMENT
from devicepipe.evidence.signatures import Signature, instant, sign_release, signature_file
from tests.approval.test_record import Team


def forge(team: Team, account: str, action: str, role: str, **change: object) -> str:
    """Put a signature into the record, signed with the person's key and otherwise as the forger likes; returns its file."""
    who, roster = team.identified(account), team.roster()
    before = read_record(team.bundle).signatures
    honest = Signature(
        product=team.bundle.release.product,
        version=team.bundle.release.version,
        number=len(before) + 1,
        follows=before[-1].sha256 if before else None,
        roster=hashlib.sha256(roster).hexdigest(),
        action=action,  # type: ignore[arg-type]
        meaning="I have read it",
        account=account,
        name=who.account.name,
        role=role,
        on=instant(team.clock.now),
        components=["password", "totp"],
        session=who.session,
        first_of_session=True,
    )
    signature = honest.model_copy(update=change)
    data = sign_release(signature, team.bundle.sha256(RELEASE_STATEMENT), who.signer, who.public_key)
    (team.folder / "rosters").mkdir(parents=True, exist_ok=True)
    (team.folder / f"rosters/{signature.roster}.dsse.json").write_bytes(roster)
    (team.folder / signature_file(signature.number)).write_bytes(data)
    return signature_file(signature.number)
