"""`devicepipe pull` against whoever holds the keys of the repository but not the release key: nothing of it is let through.

The TUF client is satisfied in all of these: what is wrong is signed by the real keys of the real repository.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest

from devicepipe.distribution.releases import Parcel, PublishedState, find_release, sha256
from devicepipe.errors import IntegrityError, UsageError
from devicepipe.project.config import load_project
from devicepipe.stages import publication
from tests.cli.calls import run
from tests.publication.publishing import approve, make_release, pull, sign

Files = dict[str, bytes]
IMAGE = "images/alpha/application.signed.bin"


def published_files(root: Path, version: str) -> tuple[PublishedState, Files]:
    """What the repository has of a release."""
    project = load_project(root / "devicepipe.toml")
    repository = publication.open_repository(project)
    state = repository.state(publication.trusted_root(project))
    found = find_release(state.targets.signed, "pump", version)
    assert found is not None
    folder = root / "dist/repository/targets" / f"pump/{version}"
    files = {
        name: (folder / name).with_name(f"{target.hashes['sha256']}.{Path(name).name}").read_bytes()
        for name, target in found.targets.items()
    }
    return found.state, files


def publish_as_attacker(root: Path, state: PublishedState, files: Files) -> None:
    """Publish anything, with the real keys of the repository, in the place of a release."""
    project = load_project(root / "devicepipe.toml")
    repository = publication.open_repository(project)
    anchor = publication.trusted_root(project)
    with repository._opened(anchor) as opened:
        opened.targets.signed.targets.clear()
        from devicepipe.distribution.releases import targets_with

        targets = targets_with(opened.targets.signed, Parcel(state, files))
        repository._put_files(Parcel(state, files), targets, opened.targets.signed)
        repository._advance(opened.root, opened, ("targets", "snapshot", "timestamp"), targets)


def _with(name: str, change: Callable[[bytes], bytes]) -> Callable[[Files, Files], Files]:
    return lambda files, _: files | {name: change(files[name])}


def _without(prefix: str) -> Callable[[Files, Files], Files]:
    return lambda files, _: {name: data for name, data in files.items() if not name.startswith(prefix)}


def _of_other(prefix: str) -> Callable[[Files, Files], Files]:
    return lambda files, other: (
        _without(prefix)(files, other) | {name: data for name, data in other.items() if name.startswith(prefix)}
    )


def _last_signature(files: Files) -> str:
    return max(name for name in files if name.startswith("release.signatures/0") and name.endswith(".dsse.json"))


def _resigned(data: bytes) -> bytes:
    """The envelope with one bit of its signature another."""
    envelope = json.loads(data)
    sig = envelope["signatures"][0]["sig"]
    envelope["signatures"][0]["sig"] = ("B" if sig[0] == "A" else "A") + sig[1:]
    return json.dumps(envelope).encode()


ATTACKS: dict[str, tuple[Callable[[Files, Files], Files], str]] = {
    "an image with one byte flipped": (_with(IMAGE, lambda data: data[:-1] + bytes([data[-1] ^ 1])), IMAGE),
    "an image of another release": (_of_other(IMAGE), IMAGE),
    "a file of the bundle that it has not": (
        lambda files, _: files | {"release/evidence/more.txt": b"!"},
        "release/evidence/more.txt",
    ),
    "an image of the bundle below the evidence": (
        lambda files, _: files | {"release/images/alpha/factory.hex": b"!"},
        "release/images/alpha/factory.hex",
    ),
    "a file that nobody attested below the evidence": (
        lambda files, _: files | {"release/README.txt": b"flash release/images"},
        "release/README.txt",
    ),
    "an image left out": (_without(IMAGE), IMAGE),
    "a file that nobody attested": (lambda files, _: files | {"images/alpha/more.bin": b"!"}, "images/alpha/more.bin"),
    "no attestation of what ships": (_without("production.dsse.json"), "production.dsse.json"),
    "the attestation of another release": (_of_other("production.dsse.json"), "production.dsse.json"),
    "an attestation signed by nobody": (_with("production.dsse.json", _resigned), "production.dsse.json"),
    "all that ships of another release": (
        lambda files, other: _of_other("production.dsse.json")(_of_other("images/")(files, other), other),
        "production.dsse.json",
    ),
    "no signatures of people": (_without("release.signatures/"), "release.signatures/"),
    "the approvals of another release": (_of_other("release.signatures/"), "0001.dsse.json"),
    "the first approval left out": (_without("release.signatures/0002"), "0002.dsse.json"),
    "the last signature left out": (
        lambda files, _: {name: data for name, data in files.items() if "/0004." not in name},
        "release.signatures/",
    ),
    "a signature that nobody gave": (_with("release.signatures/0003.dsse.json", _resigned), "0003.dsse.json"),
    "a proof of another entry": (
        lambda files, _: files | {"release.signatures/0003.tlog-proof": files["release.signatures/0002.tlog-proof"]},
        "0003.tlog-proof",
    ),
    "a release statement that nobody signed": (
        _with("release/release.json.dsse", _resigned),
        "release/release.json.dsse",
    ),
    "laxer rules of approval": (
        _with("release/evidence/source/devicepipe.toml", lambda data: data + b"\n[approval]\napprovals = { qa = 1 }\n"),
        "evidence/source/devicepipe.toml",
    ),
}


@pytest.fixture
def two(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> Path:
    """Two releases, published."""
    sign("publish", bundle, "mara", people)
    newer = make_release(root, "1.2.4").path
    approve(newer, people)
    sign("publish", newer, "mara", people)
    return root


def test_nothing_that_the_repositorys_keys_alone_vouch_for_is_taken(two: Path) -> None:
    state, files = published_files(two, "1.2.3")
    _, other = published_files(two, "1.2.4")
    pull(two, "1.2.3", first=True)
    shutil.rmtree(two / "pulled")
    for title, (attack, link) in ATTACKS.items():
        publish_as_attacker(two, state, attack(files, other))
        with pytest.raises(IntegrityError) as caught:
            pull(two, "1.2.3")
        assert caught.value.link == link, f"{title}: {caught.value}"
        assert not [path for path in (two / "pulled").iterdir() if path.is_dir()], title
    publish_as_attacker(two, state, files)
    assert pull(two, "1.2.3")["new"] is True


def test_a_state_that_nobody_signed_is_not_taken(two: Path) -> None:
    """The repository's keys cannot name a signature that is not the last one, nor give a release another statement."""
    state, files = published_files(two, "1.2.3")
    other_state, other = published_files(two, "1.2.4")
    for changed, link in (
        (state.model_copy(update={"signature": "0" * 64}), "0004.dsse.json"),
        (other_state.model_copy(update={"version": "1.2.3"}), "release/release.json"),
    ):
        publish_as_attacker(two, changed, files if changed.release == state.release else other)
        with pytest.raises(IntegrityError) as caught:
            pull(two, "1.2.3", first=True, trust=f"trust-{link.count('.')}")
        assert caught.value.link == link


def test_images_beside_the_whole_record_of_a_withdrawal_are_not_taken(two: Path, people: dict[str, pyotp.TOTP]) -> None:
    """The withdrawal is there, and the state says `released`. Where the record is cut short: test_put_back.py."""
    state, _ = published_files(two, "1.2.3")
    _, before = published_files(two, "1.2.3")
    sign("unpublish", two / "dist/pump-1.2.3", "quinn", people)
    _, after = published_files(two, "1.2.3")
    publish_as_attacker(two, state, before | after)
    with pytest.raises(IntegrityError, match="comes to withdrawn, not to released"):
        pull(two, "1.2.3", first=True)


def test_the_date_and_the_meaning_of_a_state_are_those_that_a_person_signed(two: Path) -> None:
    state, files = published_files(two, "1.2.3")
    for lie, why in (
        ({"meaning": "Replaces 1.2.4, which is RECALLED"}, "another date or meaning"),
        ({"on": "1999-01-01T00:00:00Z"}, "another date or meaning"),
        ({"meaning": "I have read it\x1b[2K\nsigned by FDA"}, "says nothing of the release that can be understood"),
    ):
        publish_as_attacker(two, state.model_copy(update=lie), files)
        with pytest.raises(IntegrityError, match=why):
            pull(two, "1.2.3", first=True)


def test_another_release_key_than_the_kept_one_is_not_taken_by_the_way(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("publish", bundle, "mara", people)
    pull(root, first=True)
    kept = (root / "trust/release.pub.pem").read_bytes()
    other = (".devicepipe/keys/publication-targets.pub.pem",)
    with pytest.raises(UsageError, match="is not the release key that is trusted for"):
        pull(root, "--key", *other)
    with pytest.raises(IntegrityError):
        pull(root, "--key", *other, "--replace-key")
    assert (root / "trust/release.pub.pem").read_bytes() == kept
    assert pull(root)["new"] is False


@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_link_in_the_place_of_the_half_fetched_folder_is_refused(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP], target: str
) -> None:
    sign("publish", bundle, "mara", people)
    (root / "pulled").mkdir()
    (root / "elsewhere").mkdir()
    (root / "pulled/.pump-1.2.3.new").symlink_to(root / target)
    with pytest.raises(UsageError, match="is there, and is no folder"):
        pull(root, first=True)
    assert not [*(root / "elsewhere").iterdir()]


@pytest.mark.parametrize("name", ["../../escaped", "/etc/escaped", "images/alpha/.hidden", "IMAGES/alpha/factory.hex"])
def test_names_that_lead_elsewhere_are_refused(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP], name: str
) -> None:
    from tuf.api.metadata import TargetFile

    sign("publish", bundle, "mara", people)
    project = load_project(root / "devicepipe.toml")
    repository = publication.open_repository(project)
    with repository._opened(publication.trusted_root(project)) as opened:
        targets = opened.targets.signed.targets
        path = f"pump/1.2.3/{name}"
        targets[path] = TargetFile(1, {"sha256": sha256(b"!")}, path)
        repository._advance(opened.root, opened, ("targets", "snapshot", "timestamp"), targets)
    with pytest.raises(IntegrityError, match="is no name for a file of a release"):
        pull(root, first=True)


def spoil(what: str, folder: Path) -> str:
    """Alter a release that was fetched; what should be named."""
    file = folder / IMAGE
    if what == "flipped":
        file.write_bytes(file.read_bytes()[:-1] + b"!")
    elif what == "dropped":
        file.unlink()
    elif what == "more":
        (folder / "more.txt").write_text("!")
        return "more.txt"
    elif what == "a link":
        (folder / "more").symlink_to("/etc/passwd")
        return "more"
    elif what == "approval dropped":
        (folder / "release.signatures/0003.dsse.json").unlink()
        return "0003.dsse.json"
    else:
        statement = folder / "release/release.json"
        statement.write_bytes(statement.read_bytes().replace(b"1.2.3", b"1.2.4"))
        return "release/release.json"
    return IMAGE


@pytest.mark.parametrize("what", ["flipped", "dropped", "more", "a link", "approval dropped", "another version"])
def test_what_was_fetched_verifies_offline(root: Path, bundle: Path, people: dict[str, pyotp.TOTP], what: str) -> None:
    sign("publish", bundle, "mara", people)
    pull(root, first=True)
    shutil.rmtree(root / "dist")
    folder = root / "pulled/pump-1.2.3"
    words = ("verify", folder, "--key", root / ".devicepipe/keys/release.pub.pem")
    code, told = run(*words)
    assert (code, told["intact"], [*told["boards"]]) == (0, True, ["alpha"])
    link = spoil(what, folder)
    with pytest.raises(IntegrityError) as caught:
        run(*words)
    assert caught.value.link == link


def test_a_release_that_was_signed_in_the_future_is_not_taken(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP], monkeypatch: pytest.MonkeyPatch
) -> None:
    sign("publish", bundle, "mara", people)
    monkeypatch.setattr(
        "devicepipe.approval.record.FUTURE", timedelta(days=-1)
    )  # as on a machine whose clock is a day back
    with pytest.raises(IntegrityError, match="which is to come") as caught:
        pull(root, first=True)
    assert caught.value.link == "0001.dsse.json"
    assert not (root / "pulled/pump-1.2.3").exists()


def test_only_the_files_of_a_board(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    sign("publish", bundle, "mara", people)
    with pytest.raises(UsageError, match="is for no board 'beta'"):
        pull(root, "--board", "beta", first=True)
    assert pull(root, "--board", "alpha", first=True)["boards"].keys() == {"alpha"}


def test_what_lies_where_the_release_should_go_is_left_alone(
    root: Path, bundle: Path, people: dict[str, pyotp.TOTP]
) -> None:
    sign("publish", bundle, "mara", people)
    pull(root, first=True)
    file = root / "pulled/pump-1.2.3" / IMAGE
    data = file.read_bytes()
    for spoil, why in ((lambda: file.write_bytes(b"!"), "is another one"), (file.unlink, "is another one")):
        spoil()
        with pytest.raises(UsageError, match=why):
            pull(root)
        file.write_bytes(data)
    (root / "pulled/pump-1.2.3/more.txt").write_text("!")
    with pytest.raises(UsageError, match=r"holds more\.txt too"):
        pull(root)


def test_what_a_killed_pull_left_is_cleared(root: Path, bundle: Path, people: dict[str, pyotp.TOTP]) -> None:
    sign("publish", bundle, "mara", people)
    left = root / "pulled/.pump-1.2.3.new/images"
    left.mkdir(parents=True)
    (left / "half").write_text("!")
    assert pull(root, first=True)["new"] is True
    assert run("repository", "status")[0] == 0
    assert not left.exists()
