"""`devicepipe publish`, `unpublish`, `pull` and `repository`, as people use them; the stock TUF client judges what they made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyotp
import pytest

from devicepipe.distribution.pulling import WithdrawnError
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.signatures import record_folder
from tests.cli.calls import run
from tests.evidence.synthetic_bundle import Spoil
from tests.publication.publishing import approve, make_release, pull, sign, sign_text, stock


def test_an_approved_release_is_published_pulled_and_withdrawn(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    told = sign("publish", bundle, "mara", people, "Released to the field")
    assert (told["state"], told["version"], told["meaning"], told["changed"]) == (
        "released", "1.2.3", "Released to the field", True,
    )  # fmt: skip
    assert run("approvals", bundle)[1]["state"] == "released"
    got = pull(root, first=True)
    assert (got["version"], got["new"], got["developmentKeys"]) == ("1.2.3", True, True)
    production = bundle.with_name(f"{bundle.name}.production")
    image = "images/alpha/factory.hex"
    assert (root / "pulled/pump-1.2.3" / image).read_bytes() == (production / image).read_bytes()
    target = stock(root).get_targetinfo(f"pump/1.2.3/{image}")
    assert target is not None

    before = {path: path.read_bytes() for path in (root / "dist/repository/targets").rglob("*") if path.is_file()}
    told = sign("unpublish", bundle, "quinn", people, "Field report 7")
    assert (told["state"], told["meaning"], told["changed"]) == ("withdrawn", "Field report 7", True)
    assert run("approvals", bundle)[1]["state"] == "withdrawn"
    with pytest.raises(WithdrawnError, match=r"pump 1\.2\.3 was withdrawn by Quinn \(qa\) on .*: Field report 7"):
        pull(root, "1.2.3")
    assert stock(root).get_targetinfo(f"pump/1.2.3/{image}") is None
    assert all(path.read_bytes() == data for path, data in before.items())
    log = run("log", "show", "--kind", "publication")[1]
    assert [(one["by"], one["subject"], one["details"]["outcome"]) for one in log] == [
        ("mara", "pump 1.2.3", "published"), ("quinn", "pump 1.2.3", "withdrawn"),
    ]  # fmt: skip
    with pytest.raises(UsageError, match="is withdrawn: only an approved release is published"):
        sign("publish", bundle, "mara", people)


def test_publishing_again_changes_nothing_and_asks_for_nothing(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("publish", bundle, "mara", people)
    metadata = sorted(path.name for path in (root / "dist/repository/metadata").iterdir())
    assert run("publish", bundle)[1]["changed"] is False
    assert sorted(path.name for path in (root / "dist/repository/metadata").iterdir()) == metadata
    assert len(run("log", "show", "--kind", "publication")[1]) == 1
    assert pull(root, first=True)["new"] is True
    assert pull(root)["new"] is False


def test_a_release_that_is_not_approved_is_not_published(root: Path, people: dict[str, pyotp.TOTP]) -> None:
    made = make_release(root, "2.0.0")
    run("repository", "init")
    for state in ("draft", "candidate"):
        with pytest.raises(UsageError, match=f"2.0.0 is a {state}: only an approved release is published"):
            sign("publish", made.path, "mara", people)
        if state == "draft":
            sign("submit", made.path, "eva", people)
    assert run("repository", "status")[1]["releases"] == []


def test_only_a_release_manager_publishes(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    with pytest.raises(UsageError, match="no role that may release"):
        sign("publish", bundle, "quinn", people)
    with pytest.raises(UsageError, match="--as is missing"):
        run("publish", bundle)
    assert run("repository", "status")[1]["releases"] == []


@pytest.mark.parametrize("what", ["dropped", "flipped", "of-another-release", "missing"])
def test_what_does_not_ship_as_attested_is_not_signed_and_not_published(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP], what: str
) -> None:
    production = bundle.with_name(f"{bundle.name}.production")
    image = production / "images/alpha/application.signed.bin"
    if what == "dropped":
        image.unlink()
    elif what == "flipped":
        image.write_bytes(image.read_bytes()[:-1] + b"!")
    elif what == "missing":
        shutil.rmtree(production)
    else:
        other = make_release(root, "1.2.4").path
        shutil.rmtree(production)
        shutil.copytree(other.with_name(f"{other.name}.production"), production)
    with pytest.raises(UsageError if what == "missing" else IntegrityError):
        sign("publish", bundle, "mara", people)
    assert run("approvals", bundle)[1]["state"] == "approved"
    assert run("repository", "status")[1]["releases"] == []


@pytest.mark.parametrize("role", ["targets", "snapshot", "timestamp"])
def test_where_a_key_of_the_repository_is_not_at_hand_nobody_is_asked_to_sign(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP], role: str
) -> None:
    for half in ("key", "pub"):  # another development key is made, which the root does not name
        (root / f".devicepipe/keys/publication-{role}.{half}.pem").unlink()
    with pytest.raises(UsageError, match=f"not enough to sign as {role}"):
        sign("publish", bundle, "mara", people)
    assert run("approvals", bundle)[1]["state"] == "approved"


def test_a_release_that_was_withdrawn_without_the_repository_is_withdrawn_there_too(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("publish", bundle, "mara", people)
    assert sign("withdraw", bundle, "quinn", people, "Field report 8")["published"] is True
    assert run("repository", "status")[1]["releases"][0]["state"] == "released"
    assert run("unpublish", bundle)[1]["meaning"] == "Field report 8"
    assert run("repository", "status")[1]["releases"][0]["state"] == "withdrawn"


@pytest.mark.parametrize("what", ["still-published", "never-published", "not-to-be-asked"])
def test_a_withdrawal_tells_whether_the_release_is_still_published(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP], what: str
) -> None:
    """It said "withdrawn", and devices went on to fetch it."""
    if what != "never-published":
        sign("publish", bundle, "mara", people)
    if what == "not-to-be-asked":
        (root / "publication/root.json").unlink()
    said = sign_text("withdraw", bundle, "quinn", people)
    assert "pump 1.2.3 is withdrawn" in said
    assert ("it is still published: `devicepipe unpublish" in said) is (what == "still-published")
    assert ("could not be asked whether it is still published" in said) is (what == "not-to-be-asked")


def test_publish_and_unpublish_tell_the_signature(bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    assert "signed: Mara (release-manager) on " in sign_text("publish", bundle, "mara", people)
    assert "signed: Quinn (qa) on " in sign_text("unpublish", bundle, "quinn", people)


def test_what_is_not_approved_is_told_as_that_and_not_by_what_does_not_ship_yet(
    root: Path, people: dict[str, pyotp.TOTP]
) -> None:
    """The first that was told of a draft was that its production folder is missing."""
    made = make_release(root, "2.0.0").path
    shutil.rmtree(made.with_name(f"{made.name}.production"))
    with pytest.raises(UsageError, match=r"pump 2\.0\.0 is a draft: only an approved release is published"):
        sign("publish", made, "mara", people)


def test_what_was_never_published_is_not_unpublished(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    with pytest.raises(UsageError, match="is not published"):
        sign("unpublish", bundle, "quinn", people)
    assert run("approvals", bundle)[1]["state"] == "approved"


def test_a_version_is_published_of_one_bundle_only(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    sign("publish", bundle, "mara", people)
    for folder in (bundle, record_folder(bundle), bundle.with_name(f"{bundle.name}.production")):
        shutil.rmtree(folder)
    made = make_release(root, spoil=Spoil(files={"documents/report.pdf": b"%PDF-1.7 another one\n"}))
    approve(made.path, people)
    with pytest.raises(UsageError, match="is published, of another bundle"):
        sign("publish", made.path, "mara", people)


def test_the_newest_release_is_pulled_and_an_older_one_by_name(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("publish", bundle, "mara", people)
    newer = make_release(root, "1.10.0").path
    approve(newer, people)
    sign("publish", newer, "mara", people)
    assert pull(root, first=True)["version"] == "1.10.0"
    assert pull(root, "1.2.3")["version"] == "1.2.3"
    sign("unpublish", newer, "quinn", people)
    assert pull(root)["version"] == "1.2.3"
    with pytest.raises(UsageError, match="no such release"):
        pull(root, "9.9.9")


def test_pull_needs_a_root_and_a_key_to_begin_with(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    sign("publish", bundle, "mara", people)
    with pytest.raises(UsageError, match="no release key is trusted"):
        pull(root)
    key = root / ".devicepipe/keys/release.pub.pem"
    with pytest.raises(UsageError, match=r"nothing of .* is trusted yet"):
        pull(root, "--key", str(key))
    other = root / "other.json"
    other.write_text('{"signed": {}, "signatures": []}')
    with pytest.raises(IntegrityError, match="is no TUF metadata"):
        pull(root, "--key", str(key), "--root", str(other))
    with pytest.raises(IntegrityError):
        pull(root, "--key", str(root / ".devicepipe/keys/image.pub.pem"), "--root", "publication/root.json")
    assert not (root / "pulled").exists() or [path for path in (root / "pulled").iterdir() if path.is_dir()] == []


def test_init_is_once_and_status_tells(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    with pytest.raises(UsageError, match="there is a repository"):
        run("repository", "init")
    sign("publish", bundle, "mara", people)
    code, told = run("repository", "status", "--full")
    assert code == 0
    assert told["filesChecked"] == told["releases"][0]["files"] > 10
    assert {role: of["version"] for role, of in told["roles"].items()} == {
        "root": 1, "timestamp": 2, "snapshot": 2, "targets": 2,
    }  # fmt: skip
    assert run("repository", "refresh")[1]["renewed"] == ["timestamp"]
    assert run("repository", "refresh", "--all")[1]["renewed"] == ["targets", "snapshot", "timestamp"]
