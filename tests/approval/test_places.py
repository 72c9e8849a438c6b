"""A bundle that is named by a symbolic link or by "..": its signatures are those beside the folder itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.approval.lifecycle import Action, Role, State
from devicepipe.approval.record import read_record
from devicepipe.errors import IntegrityError
from devicepipe.evidence.production import production_folder, verify_production
from devicepipe.evidence.verify import verify_bundle
from devicepipe.stages.standing import signed_standing
from tests.approval.test_record import KEYS, Team, team

__all__ = ["team"]


def test_a_withdrawal_is_seen_however_the_bundle_is_named(team: Team, tmp_path: Path) -> None:
    team.sign("quinn", Action.WITHDRAW, Role.QA)
    folder = team.bundle.folder
    link = tmp_path / "elsewhere"
    link.symlink_to(folder)
    for name in (link, folder / "documents/..", folder / "documents/../documents/.."):
        bundle = verify_bundle(name, KEYS.release.public)
        assert signed_standing(bundle)[2].state is State.WITHDRAWN, name
        assert production_folder(name) == production_folder(folder.resolve()), name


@pytest.mark.parametrize("what", ["a file", "a link to nothing"])
def test_a_record_or_a_production_that_is_no_folder_is_refused(team: Team, what: str) -> None:
    for place in (team.folder, production_folder(team.bundle.folder)):
        place.write_text("") if what == "a file" else place.symlink_to("nothing")
    with pytest.raises(IntegrityError, match="is no folder") as caught:
        read_record(team.bundle)
    assert caught.value.link == team.folder.name
    with pytest.raises(IntegrityError, match="is no folder"):
        verify_production(team.bundle)
