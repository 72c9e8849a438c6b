"""The link of a board's campaigns: they are those that the source asks for, on this release's image."""

from __future__ import annotations

from devicepipe.errors import IntegrityError
from devicepipe.evidence.bundle import Attestation
from devicepipe.evidence.campaigns import Campaigns, as_wished
from devicepipe.evidence.checks import about
from devicepipe.evidence.predicates import CampaignWish, ImageSigning


def check_campaigns(attestation: Attestation, wishes: list[CampaignWish], signing: ImageSigning) -> str:
    """Check a board's campaigns; what held, in words. Whether the device kept its promises is the gate's business.

    Raises:
        IntegrityError: They are of another board or image, one is missing or of other points, or there is one too many.
    """
    campaigns, link = attestation.read(Campaigns), attestation.path
    about(attestation, signing.image)
    own = (signing.board, signing.image_digest)
    told = [(one.board, one.image_digest) for one in campaigns.results]
    if any(one != own for one in [(campaigns.board, campaigns.image_digest), *told]):
        raise IntegrityError("its board or image digest is not that of the signing attestation", link=link)
    wished = {wish.kind: wish for wish in wishes}
    kinds = [result.kind for result in campaigns.results] + [failed.kind for failed in campaigns.unprepared]
    if sorted(kinds) != sorted(wished):
        asked, found = ", ".join(sorted(wished)), ", ".join(sorted(kinds)) or "none"
        raise IntegrityError(f"has the campaigns {found}, but the source asks for {asked}", link=link)
    for result in campaigns.results:
        wish = wished[result.kind]
        if not as_wished(result, wish):
            raise IntegrityError(
                f"its {result.kind} campaign has {result.points} points of seed {result.seed}, but the source asks for "
                f"{wish.points} of seed {wish.seed}",
                link=link,
            )
    return f"the campaigns that the source asks for ({', '.join(sorted(wished))}), on the signed image"
