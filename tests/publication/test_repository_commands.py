"""`devicepipe repository` and [publication]: a root of several people's keys, their signatures in turn, rotation, and mistakes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from devicepipe.distribution.releases import sha256
from devicepipe.distribution.repository import Repository
from devicepipe.errors import BenchError, UsageError
from devicepipe.project.config import Project, load_project
from devicepipe.stages import publication
from tests.cli.calls import entries, run
from tests.publication.publishing import APPROVED, pull, sign, stock


def make_key(root: Path, name: str) -> None:
    private = Ed25519PrivateKey.generate()
    (root / "keys").mkdir(exist_ok=True)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (root / f"keys/{name}.key.pem").write_bytes(pem)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (root / f"keys/{name}.pub.pem").write_bytes(public)


def configure(root: Path, roots: dict[str, bool], timestamp: tuple[str, ...] = ("online",), threshold: int = 2) -> None:
    """[publication] with these root keys (whether their signer is at hand) and timestamp keys; others have one key."""

    def key(name: str, signer: bool = True) -> str:
        uri = f', signer = "file:keys/{name}.key.pem"' if signer else ""
        return f'{{ public = "keys/{name}.pub.pem"{uri} }}'

    config = root / "devicepipe.toml"
    text = config.read_text().split("\n[publication.root]")[0]
    config.write_text(f"""{text}
[publication.root]
threshold = {threshold}
keys = [{", ".join(key(name, signer) for name, signer in roots.items())}]
[publication.targets]
keys = [{key("targets")}]
[publication.snapshot]
keys = [{key("online")}]
[publication.timestamp]
days = 2
keys = [{", ".join(map(key, timestamp))}]
""")


@pytest.fixture
def keys(root: Path) -> Path:
    for name in ("a", "b", "c", "targets", "online", "other"):
        make_key(root, name)
    return root


def test_a_root_of_two_people_waits_for_the_second_signature(keys: Path) -> None:
    configure(keys, {"a": True, "b": False, "c": False})
    code, told = run("repository", "init")
    assert (code, told["published"], told["missing"]) == (1, False, "is signed by 1 of its own keys, 2 must")
    assert run("repository", "init")[0] == 1  # nothing has come
    assert not (keys / "dist/repository").exists()
    words = ("repository", "sign", "--public", keys / "keys/b.pub.pem", "--signer", f"file:{keys}/keys/b.key.pem")
    assert run(*words)[0] == 0
    code, told = run("repository", "init")
    assert (code, told["published"], told["version"]) == (0, True, 1)
    stock(keys).refresh()
    status = run("repository", "status")[1]["roles"]
    assert (status["root"]["threshold"], len(status["root"]["keys"])) == (2, 3)
    added = [(one["subject"], one["details"]["change"]) for one in entries("key-change")]
    assert added.count(("repository root", "added")) == 3
    assert len(added) == 6


def test_a_key_that_does_not_count_signs_no_root(keys: Path) -> None:
    configure(keys, {"a": True, "b": False})
    run("repository", "init")
    words = (
        "repository",
        "sign",
        "--public",
        keys / "keys/other.pub.pem",
        "--signer",
        f"file:{keys}/keys/other.key.pem",
    )
    with pytest.raises(UsageError, match="neither of the next root nor of the one before"):
        run(*words)
    words = ("repository", "sign", "--public", keys / "keys/b.pub.pem", "--signer", f"file:{keys}/keys/other.key.pem")
    with pytest.raises(UsageError, match="does not fit the public key"):
        run(*words)


def test_a_root_that_waits_is_not_that_of_other_settings(keys: Path) -> None:
    configure(keys, {"a": True, "b": False})
    run("repository", "init")
    configure(keys, {"a": True, "c": False})
    with pytest.raises(UsageError, match="names other keys or thresholds than"):
        run("repository", "init")


@pytest.mark.parametrize(
    ("old", "new"), [(b'"sig":"', b'"sig":"00'), (b'"threshold":2', b'"threshold":1'), (b'"version":2', b'"version":3')]
)
def test_a_root_that_was_altered_while_it_waited_is_not_published(keys: Path, old: bytes, new: bytes) -> None:
    """A signature that is none counts for nothing, and is given anew; other content is not what devicepipe.toml says."""
    configure(keys, {"a": True, "b": True})
    run("repository", "init")
    configure(keys, {"a": True, "b": False})
    run("repository", "rotate")
    waiting = keys / "publication/root.next.json"
    assert run("repository", "status")[1]["waitingRoot"] == str(waiting)
    waiting.write_bytes(waiting.read_bytes().replace(old, new, 1))
    if b"sig" in old:
        assert run("repository", "rotate")[1]["missing"].startswith("is signed by 1 of its own keys, 2 must")
    else:
        with pytest.raises(UsageError, match="names other keys or thresholds"):
            run("repository", "rotate")
    assert run("repository", "status")[1]["roles"]["root"]["version"] == 1


def test_a_root_whose_machine_was_lost_is_taken_over_and_logged(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was published, and neither logged nor committed: "take it over from whoever made it" was all that was told."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    configure(keys, {"a": True, "b": True})
    run("repository", "init")
    configure(keys, {"a": True, "b": True, "c": True})
    with monkeypatch.context() as patch:
        patch.setattr("devicepipe.stages.repository_root._log", killed)
        with pytest.raises(AssertionError):  # that nothing was raised
            run("repository", "rotate")
    waiting = keys / "publication/root.next.json"
    waiting.unlink()
    with pytest.raises(UsageError, match="the repository's root is version 2, that of the project 1") as caught:
        run("repository", "rotate")
    assert f"copy metadata/2.root.json of the repository to {waiting}, and run it again" in (caught.value.remedy or "")
    shutil.copy(keys / "dist/repository/metadata/2.root.json", waiting)
    assert run("repository", "rotate")[1]["version"] == 2
    assert entries("key-change")[-1]["details"]["reason"] == "root 2 of the repository"


def test_root_and_timestamp_keys_are_rotated_while_releases_are_pulled(
    root: Path, people: dict[str, pyotp.TOTP], bundle: Path
) -> None:
    """From development keys, which the repository began with, it goes on under others: step by step, clients along."""
    sign("publish", bundle, "mara", people)
    first = (root / "publication/root.json").read_bytes()
    pull(root, first=True)
    assert run("repository", "rotate")[1]["version"] == 2  # the same keys, and a new time to hold
    assert pull(root)["new"] is False
    assert (root / "publication/root.json").read_bytes() != first
    assert run("publish", bundle)[1]["changed"] is False
    (root / "publication/root.json").write_bytes(first)  # another clone, that has not taken it over
    with pytest.raises(UsageError, match="root is version 2, that of the project 1"):
        run("repository", "rotate")
    assert run("repository", "status")[1]["roles"]["root"]["version"] == 2


def test_a_timestamp_key_is_changed_in_two_rotations(keys: Path) -> None:
    configure(keys, {"a": True, "b": True})
    run("repository", "init")
    configure(keys, {"a": True, "b": True}, timestamp=("other",))
    with pytest.raises(UsageError, match="name the former keys of timestamp beside the new ones"):
        run("repository", "rotate")
    assert not (keys / "publication/root.next.json").exists()  # none waits that could never be published
    configure(keys, {"a": True, "b": True}, timestamp=("online", "other"))
    assert run("repository", "rotate")[1]["version"] == 2
    configure(keys, {"a": True, "b": True}, timestamp=("other",))
    assert run("repository", "rotate")[1]["version"] == 3
    changes = [one["details"]["change"] for one in entries("key-change") if one["subject"] == "repository timestamp"]
    assert changes == ["added", "added", "removed"]
    stock(keys).refresh()


def test_a_release_of_development_keys_is_not_published_among_others(keys: Path, people: dict[str, pyotp.TOTP]) -> None:
    configure(keys, {"a": True, "b": True})
    run("repository", "init")
    with pytest.raises(UsageError, match="the release is signed with development keys, the repository is not"):
        sign("publish", keys / APPROVED, "mara", people)


@pytest.mark.parametrize("command", ["status", "refresh", "rotate"])
def test_without_a_repository(root: Path, command: str) -> None:
    assert root
    with pytest.raises(UsageError, match="repository"):
        run("repository", command)


MISTAKES: dict[str, tuple[str, str, str]] = {
    "no keys of one role": (
        '[publication.root]\nkeys = [{ public = "k.pem" }]\n',
        "publication.targets",
        "name those of all",
    ),
    "more than there are": (
        "[publication.targets]\nthreshold = 2\n",
        "publication.targets.threshold",
        "2 keys must sign",
    ),
    "unknown key": ('[publication]\nbucket = "x"\n', "publication.bucket", "unknown key"),
    "no number": ('[publication.root]\ndays = "7"\n', "publication.root.days", "valid integer"),
    "a root outside": (
        '[publication]\ntrusted-root = "../root.json"\n',
        "publication.trusted-root",
        "outside the project",
    ),
}


@pytest.mark.parametrize("title", MISTAKES)
def test_mistakes_in_devicepipe_toml_are_told_with_their_place(root: Path, title: str) -> None:
    text, key, why = MISTAKES[title]
    config = root / "devicepipe.toml"
    config.write_text(config.read_text() + "\n" + text)
    with pytest.raises(UsageError, match=why) as caught:
        load_project(config)
    assert caught.value.key == key
    assert caught.value.line is not None


def test_a_public_key_that_is_not_there(keys: Path) -> None:
    configure(keys, {"a": True, "b": True})
    (keys / "keys/online.pub.pem").unlink()
    with pytest.raises(UsageError) as caught:
        load_project(keys / "devicepipe.toml")
    assert caught.value.key == "publication.snapshot.keys.0.public"


def test_a_signer_that_is_not_there(keys: Path) -> None:
    configure(keys, {"a": True, "b": True})
    (keys / "keys/online.key.pem").unlink()
    with pytest.raises(UsageError, match="private key cannot be read"):
        run("repository", "init")
    assert not (keys / "publication/root.json").exists()


def test_status_tells_what_has_expired(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(keys, {"a": True, "b": True})
    opened = publication.open_repository

    def three_days_ago(project: Project) -> Repository:
        return replace(opened(project), now=lambda: datetime.now(UTC) - timedelta(days=3))

    with monkeypatch.context() as patch:
        patch.setattr(publication, "open_repository", three_days_ago)
        run("repository", "init")
    code, told = run("repository", "status")
    assert code == 1
    assert [role for role, of in told["roles"].items() if of["expired"]] == ["timestamp"]
    assert run("repository", "refresh")[1]["renewed"] == ["timestamp"]
    assert run("repository", "status")[0] == 0


@pytest.mark.parametrize(
    ("days", "renewed"), [(20, ["snapshot", "timestamp"]), (5, ["snapshot", "timestamp"]), (1, ["timestamp"])]
)
def test_targets_wait_for_their_key_and_the_others_are_renewed(
    keys: Path, monkeypatch: pytest.MonkeyPatch, days: int, renewed: list[str]
) -> None:
    """After 20 of 30 days; once they have expired it is an error."""
    configure(keys, {"a": True, "b": True})
    opened = publication.open_repository

    def then(ago: int) -> Callable[..., Repository]:
        return lambda project, **logged: replace(
            opened(project, **logged), now=lambda: datetime.now(UTC) - timedelta(days=ago)
        )

    with monkeypatch.context() as patch:
        patch.setattr(publication, "open_repository", then(days))
        run("repository", "init")
    (keys / "keys/targets.key.pem").unlink()
    told = run("repository", "refresh")[1]
    assert (told["renewed"], told["waiting"]) == (renewed, ["targets"] if days == 20 else [])
    monkeypatch.setattr(publication, "open_repository", then(-40))
    with pytest.raises(UsageError, match="private key cannot be read"):
        run("repository", "refresh")


def uses() -> list[tuple[str, str | None]]:
    """The logged uses of keys of the repository: what was signed, and its SHA-256."""
    found = [one for one in entries("key-use") if one["details"]["purpose"] == "repository metadata"]
    return [(one["subject"], one["digest"]) for one in found]


def published(keys: Path) -> list[tuple[str, str]]:
    """What is published: role and version, and SHA-256."""
    state = publication.open_repository(load_project(keys / "devicepipe.toml")).state(
        (keys / "publication/root.json").read_bytes()
    )
    folder = keys / "dist/repository/metadata"
    files = {role: f"{version}.{role}.json" for role, version in state.versions.items()} | {
        "timestamp": "timestamp.json"
    }
    return [(f"{role} {state.versions[role]}", sha256((folder / file).read_bytes())) for role, file in files.items()]


def test_every_use_of_a_key_of_the_repository_is_logged(keys: Path) -> None:
    configure(keys, {"a": True, "b": True})
    run("repository", "init")
    root, timestamp, snapshot, targets = published(keys)
    assert uses() == [targets, snapshot, timestamp, root, root]  # two people signed the root
    run("repository", "refresh")
    assert uses()[5:] == [published(keys)[1]]
    run("repository", "rotate")
    root, timestamp, snapshot, targets = published(keys)
    assert uses()[6:] == [targets, snapshot, timestamp, root, root]
    assert run("repository", "refresh", "--unlogged")[1]["renewed"] == ["timestamp"]
    assert len(uses()) == 11


def test_what_cannot_be_logged_is_not_written(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(keys, {"a": True, "b": True})
    run("repository", "init")
    before = published(keys)

    def full(*_: object) -> None:
        raise BenchError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("devicepipe.stages.publication.ledger.append", full)
        with pytest.raises(BenchError, match="the disk is full"):
            run("repository", "refresh", "--all")
    assert published(keys) == before
    assert not (keys / "dist/repository/metadata/2.targets.json").exists()


def test_a_machine_without_the_release_key_is_told_of_unlogged(keys: Path) -> None:
    configure(keys, {"a": True, "b": True})
    run("repository", "init")
    config = keys / "devicepipe.toml"
    release = '[keys]\nrelease = "file:away.pem"\nrelease-public = ".devicepipe/keys/release.pub.pem"\n'
    config.write_text(config.read_text() + release)
    with pytest.raises(UsageError, match="the uses of keys cannot be logged") as caught:
        run("repository", "refresh")
    assert "--unlogged" in caught.value.remedy
    assert run("repository", "refresh", "--unlogged")[1]["renewed"] == ["timestamp"]


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_a_refresh_of_a_lost_repository_leaves_nothing_behind(root: Path, bundle: Path, left: str) -> None:
    """It left a folder with nothing but a lock file in it, as if there were a repository."""
    place = root / "dist/repository"
    shutil.rmtree(place)
    if left == "an empty folder":  # where something should be mounted
        place.mkdir()
    for words in (("refresh",), ("refresh", "--unlogged")):
        with pytest.raises(
            UsageError, match=r"not the repository of the project's root: it has no metadata/1\.root\.json"
        ):
            run("repository", *words)
        assert [*place.iterdir()] == [] if place.exists() else left == "nothing"
