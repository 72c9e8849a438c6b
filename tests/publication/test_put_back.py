"""Whoever has the repository's keys, or the timestamp's alone, puts an earlier state back: what clients notice, and what not."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from tuf.api.metadata import Metadata, Timestamp

from devicepipe.distribution.known import KNOWN
from devicepipe.distribution.pulling import WithdrawnError
from devicepipe.distribution.releases import Parcel, PublishedState, targets_with
from devicepipe.distribution.signing import add_signatures
from devicepipe.distribution.state import read_metadata, to_bytes
from devicepipe.distribution.store import FolderStore
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.project.config import load_project
from devicepipe.stages import publication
from tests.cli.calls import entries, run
from tests.publication.publishing import pull, sign
from tests.publication.test_pull import Files, publish_as_attacker, published_files, two

People = dict[str, pyotp.TOTP]
__all__ = ["two"]
TIMESTAMP = "dist/repository/metadata/timestamp.json"


def put_beside(root: Path, state: PublishedState, files: Files) -> None:
    """Publish anything of a release with the real keys of the repository, and leave the other releases as they are."""
    project = load_project(root / "devicepipe.toml")
    repository = publication.open_repository(project)
    with repository._opened(publication.trusted_root(project)) as opened:
        prefix = f"pump/{state.version}/"
        before = opened.targets.signed
        for path in [path for path in before.targets if path.startswith(prefix)]:
            del before.targets[path]
        # As if it had never been there: `targets_with` itself lets nobody take a withdrawal back.
        state_ = state.model_copy(update={"state": "released"})
        targets = targets_with(before, Parcel(state_, files))
        repository._put_files(Parcel(state_, files), targets, before)
        path = f"{prefix}release/release.json"
        targets[path].unrecognized_fields["custom"] = {"devicepipe": state.to_json()}
        repository._advance(opened.root, opened, ("targets", "snapshot", "timestamp"), targets)


def point_at(root: Path, old: bytes) -> None:
    """With the timestamp's key alone: sign a newer timestamp that names the snapshot of an old one."""
    forged = read_metadata(old, Timestamp, "old").signed
    forged.version = read_metadata((root / TIMESTAMP).read_bytes(), Timestamp, "new").signed.version + 10
    forged.expires = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3650)
    metadata = Metadata(forged)
    setup = publication.open_repository(load_project(root / "devicepipe.toml")).setup
    add_signatures(metadata, setup["timestamp"].signers)
    (root / TIMESTAMP).write_bytes(to_bytes(metadata))


def test_a_verified_withdrawal_is_not_taken_back_by_a_record_cut_short(two: Path, people: People) -> None:
    """The record before the withdrawal is genuine, and comes to released: only who saw the withdrawal knows."""
    state, before = published_files(two, "1.2.3")
    sign("unpublish", two / "dist/pump-1.2.3", "quinn", people, "Field report 7")
    with pytest.raises(WithdrawnError, match=r"was withdrawn by Quinn \(qa\) on .*: Field report 7"):
        pull(two, "1.2.3", first=True)
    put_beside(two, state, before)
    for version in ("1.2.3", "1.2.4"):
        with pytest.raises(IntegrityError, match=r"pump 1\.2\.3: was withdrawn for good by Quinn") as caught:
            pull(two, version, first=True)
        assert caught.value.link == "pump 1.2.3"
    assert not (two / "pulled").exists()


def test_a_withdrawal_is_known_to_whoever_pulled_anything_after_it(two: Path, people: People) -> None:
    """Nobody has to ask for the version that was withdrawn to be told that it was brought back."""
    state, before = published_files(two, "1.2.3")
    sign("unpublish", two / "dist/pump-1.2.3", "quinn", people)
    assert pull(two, first=True)["version"] == "1.2.4"
    assert [one.get("withdrawn", "")[:5] for one in json.loads((two / "trust" / KNOWN).read_text())] == ["Quinn", ""]
    put_beside(two, state, before)
    with pytest.raises(IntegrityError, match="was withdrawn for good"):
        pull(two, "1.2.3")


def test_what_was_pulled_does_not_disappear_and_its_record_does_not_shrink(two: Path, people: People) -> None:
    state, files = published_files(two, "1.2.3")
    pull(two, "1.2.3", first=True)
    other = published_files(two, "1.2.4")
    publish_as_attacker(two, *other)
    with pytest.raises(IntegrityError, match=r"pump 1\.2\.3: is no longer in the repository"):
        pull(two, first=True)
    publish_as_attacker(two, state, files)
    known = json.loads((two / "trust" / KNOWN).read_text())
    known[0]["signatures"].append("0" * 64)  # it had one more when it was seen
    (two / "trust" / KNOWN).write_text(json.dumps(known))
    with pytest.raises(IntegrityError, match=r"has 4 signatures, and not all of the 5 that pump 1\.2\.3 had"):
        pull(two, "1.2.3")
    (two / "trust" / KNOWN).write_text("nothing")
    with pytest.raises(UsageError, match="cannot be read"):
        pull(two, "1.2.3")


def test_a_withdrawal_that_nobody_signed_is_told_as_the_repositorys_word(two: Path) -> None:
    """Neither its author nor its words are passed on as a person's; and whoever gets the version before is told of it."""
    state, files = published_files(two, "1.2.4")
    lie = state.model_copy(update={"state": "withdrawn", "meaning": "Recalled by Quinn", "signature": "0" * 64})
    evidence = {name: data for name, data in files.items() if name.startswith("release")}
    put_beside(two, lie, evidence)
    with pytest.raises(
        WithdrawnError, match=r"the repository says that pump 1\.2\.4 is withdrawn, and no person"
    ) as caught:
        pull(two, "1.2.4", first=True)
    assert "Recalled" not in str(caught.value)
    told = pull(two, first=True)
    assert told["version"] == "1.2.3"
    assert told["unproven"] == {"pump 1.2.4": "release.signatures/: comes to released, not to withdrawn"}
    known = json.loads((two / "trust" / KNOWN).read_text())
    assert [(one["version"], one.get("withdrawn")) for one in known] == [("1.2.3", None)]


def test_the_timestamps_key_alone_shows_an_old_state_to_a_fresh_client_until_its_snapshot_expires(
    two: Path, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit, told in ADR 0040: who has seen the newer state refuses; who has not learns of it when the old snapshot expires."""
    old = (two / TIMESTAMP).read_bytes()
    pull(two, first=True, trust="early")
    sign("unpublish", two / "dist/pump-1.2.4", "quinn", people)
    with pytest.raises(WithdrawnError):
        pull(two, "1.2.4", trust="early")
    point_at(two, old)
    with pytest.raises(IntegrityError, match="snapshot"):
        pull(two, "1.2.4", trust="early")
    assert pull(two, "1.2.4", first=True, trust="fresh")["state"] == "released"
    seven_days = timedelta(days=7)
    snapshots = sorted((two / "dist/repository/metadata").glob("*.snapshot.json"))
    for file in snapshots:
        expires = datetime.fromisoformat(json.loads(file.read_text())["signed"]["expires"])
        assert expires - datetime.now(UTC) <= seven_days


def test_unpublish_does_not_say_withdrawn_where_the_store_shows_what_was_before(
    two: Path, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody with the store alone put the old timestamp back in that moment: exit 0, and `refresh` signed it as the newest."""
    bundle, real = two / "dist/pump-1.2.3", FolderStore.swap

    def put_back(self: FolderStore, name: str, data: bytes, before: bytes | None) -> None:
        real(self, name, data, before)
        (two / TIMESTAMP).write_bytes(before or b"")

    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "swap", put_back)
        with pytest.raises(IntegrityError, match="is older than version 4, which was published: it was put back"):
            sign("unpublish", bundle, "quinn", people)
    assert [one["details"]["outcome"] for one in entries("publication")] == ["published", "published"]
    with pytest.raises(IntegrityError, match="it was put back"):
        run("repository", "refresh")
    shutil.copy(two / ".devicepipe/publication/timestamp.json", two / TIMESTAMP)
    assert run("unpublish", bundle)[1]["changed"] is False
    assert entries("publication")[-1]["details"]["outcome"] == "withdrawn"
    run("repository", "refresh")
    with pytest.raises(WithdrawnError):
        pull(two, "1.2.3", first=True)
