"""What a publisher believes of the store: nothing that was not signed, and nothing older than it has seen."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path

import pytest
from tuf.api.metadata import TargetFile, Targets

from devicepipe.distribution.layout import release_folder, target_path
from devicepipe.distribution.releases import STATEMENT, Parcel, releases_of, sha256, targets_with
from devicepipe.distribution.repository import _LARGEST
from devicepipe.distribution.state import load_state
from devicepipe.errors import BenchError, IntegrityError, UsageError
from tests.distribution.publisher import IMAGE, Publisher, parcel, role, setup_of, signed_root, signer

META = "repository/metadata"


def test_a_repository_that_was_put_back_is_not_built_on(publisher: Publisher, tmp_path: Path) -> None:
    """Whoever has the disk brings the state before a withdrawal back: the next publication would sign it as the newest."""
    publisher.publish(parcel())
    kept = shutil.copytree(tmp_path / "repository", tmp_path / "kept")
    publisher.publish(parcel(state="withdrawn"))
    shutil.rmtree(tmp_path / "repository")
    shutil.copytree(kept, tmp_path / "repository")
    for attempt in (lambda: publisher.publish(parcel("1.1.0")), lambda: publisher.repository.renew(publisher.root)):
        with pytest.raises(IntegrityError, match="is older than version 3, which was published"):
            attempt()


@pytest.mark.parametrize("name", ["timestamp.json", "2.snapshot.json", "2.targets.json", "1.root.json"])
@pytest.mark.parametrize("how", ["flipped", "dropped", "of another repository", "too few signatures", "other content"])
def test_metadata_that_do_not_hold_are_named_and_not_built_on(
    publisher: Publisher, tmp_path: Path, name: str, how: str
) -> None:
    publisher.publish(parcel())
    file = tmp_path / META / name
    data = file.read_bytes()
    if how == "flipped":
        file.write_bytes(data.replace(b'"sig":"', b'"sig":"f', 1))
    elif how == "dropped":
        file.unlink()
    elif how == "of another repository":
        (tmp_path / "other").mkdir()
        other = Publisher(tmp_path / "other").create()
        other.publish(parcel())
        shutil.copy(tmp_path / "other" / META / name, file)
    elif how == "too few signatures":
        parsed = json.loads(data)
        parsed["signatures"] = []
        file.write_bytes(json.dumps(parsed).encode())
    else:
        file.write_bytes(data.replace(b'"version":2', b'"version":7').replace(b'"version":1', b'"version":7'))
    with pytest.raises((IntegrityError, UsageError)) as caught:
        publisher.publish(parcel("1.1.0"))
    if name == "1.root.json" and how == "dropped":
        assert "is not the repository of the project's root" in str(caught.value)
    else:
        assert isinstance(caught.value, IntegrityError)
        assert caught.value.link == f"metadata/{name}"


@pytest.mark.parametrize("how", ["flipped", "dropped"])
def test_a_published_file_that_was_altered_is_found(publisher: Publisher, tmp_path: Path, how: str) -> None:
    publisher.publish(parcel())
    (file,) = (tmp_path / "repository/targets/pump/1.0.0/images/alpha").glob("*.factory.hex")
    file.unlink() if how == "dropped" else file.write_bytes(b"another")
    repository = publisher.repository
    with pytest.raises(IntegrityError) as caught:
        repository.check_files(repository.state(publisher.root))
    assert caught.value.link == file.relative_to(tmp_path / "repository").as_posix()
    if how == "flipped":
        with pytest.raises(IntegrityError, match="its bytes were altered"):
            publisher.publish(parcel())
    else:  # it is put there again, by the publisher who has it
        assert publisher.publish(parcel()) is True
        assert repository.check_files(repository.state(publisher.root)) == 4


def test_a_key_that_the_root_does_not_name_signs_nothing(publisher: Publisher) -> None:
    before = publisher.repository.state(publisher.root).versions
    publisher.setup["targets"] = role(signer())
    with pytest.raises(UsageError, match="not enough to sign as targets"):
        publisher.publish(parcel())
    assert publisher.repository.state(publisher.root).versions == before


def test_another_root_is_not_accepted_for_a_repository(publisher: Publisher) -> None:
    publisher.root = signed_root(setup_of())
    with pytest.raises(IntegrityError, match="is not the root that the project has committed"):
        publisher.publish(parcel())


def test_a_repository_is_made_once(publisher: Publisher) -> None:
    publisher.create()  # the same again: it was made
    publisher.root = signed_root(setup_of())
    with pytest.raises(UsageError, match="holds another repository"):
        publisher.create()


def test_a_root_that_too_few_signed_makes_no_repository(tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    parsed = json.loads(publisher.root)
    parsed["signatures"] = parsed["signatures"][:1]
    publisher.root = json.dumps(parsed).encode()
    with pytest.raises(IntegrityError, match="signed by 1 of its own keys, 2 must"):
        publisher.create()
    assert not (tmp_path / "repository").exists()


# --- releases in the targets


def test_what_may_follow_what(publisher: Publisher) -> None:
    with pytest.raises(UsageError, match="is not published"):
        publisher.publish(parcel(state="withdrawn"))
    publisher.publish(parcel())
    other = parcel(files={STATEMENT: b"of another bundle"})
    with pytest.raises(UsageError, match="is published, of another bundle"):
        publisher.publish(other)
    publisher.publish(parcel(state="withdrawn"))
    with pytest.raises(UsageError, match="was withdrawn"):
        publisher.publish(parcel())


def test_withdrawing_takes_out_the_images_and_keeps_the_evidence(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(parcel())
    publisher.publish(parcel("1.1.0"))
    files = {path for path in (tmp_path / "repository").rglob("*") if path.is_file() and path.name != "timestamp.json"}
    publisher.publish(parcel(state="withdrawn"))
    one, two = releases_of(publisher.repository.state(publisher.root).targets.signed)
    assert (one.title, one.state.state, sorted(one.targets)) == (
        "pump 1.0.0", "withdrawn", ["release.signatures/0001.dsse.json", STATEMENT],
    )  # fmt: skip
    assert (two.title, two.state.state, IMAGE in two.targets) == ("pump 1.1.0", "released", True)
    assert all(path.is_file() for path in files)


@pytest.mark.parametrize("name", ["a b", "../x", "/x", "images//x", ".hidden", "ümlaut", "a+b", "a%2fb", "a\nb", ""])
def test_names_that_servers_take_differently_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a published file"):
        target_path("pump", "1.0.0", name)


def test_a_build_number_has_a_folder_of_its_own() -> None:
    assert release_folder("pump", "1.0.0+1") != release_folder("pump", "1.0.0")
    assert target_path("pump", "1.0.0+1", IMAGE) == f"pump/1.0.0_1/{IMAGE}"


def test_a_target_of_no_release_and_a_state_elsewhere_are_refused(publisher: Publisher) -> None:
    publisher.publish(parcel())
    targets = publisher.repository.state(publisher.root).targets.signed
    good = dict(targets.targets)
    targets.targets["pump/9.9.9/images/x"] = good[f"pump/1.0.0/{IMAGE}"]
    with pytest.raises(IntegrityError, match="belongs to no release"):
        releases_of(targets)
    targets.targets = good | {f"pump/9.9.9/{STATEMENT}": good[f"pump/1.0.0/{STATEMENT}"]}
    with pytest.raises(IntegrityError, match="has the state of another release"):
        releases_of(targets)
    targets.targets = good | {f"pump/1.0.0/{STATEMENT}": good[f"pump/1.0.0/{IMAGE}"]}
    with pytest.raises(IntegrityError, match="says nothing of the release"):
        releases_of(targets)


def test_a_state_of_another_statement_is_not_published(publisher: Publisher) -> None:
    good = parcel()
    wrong = Parcel(good.state.model_copy(update={"release": sha256(b"!")}), good.files)
    targets = publisher.repository.state(publisher.root).targets.signed
    with pytest.raises(IntegrityError, match="is not the release statement of the state"):
        targets_with(targets, wrong)
    with pytest.raises(UsageError, match="no release statement"):
        targets_with(targets, Parcel(good.state, {IMAGE: b"!"}))


def test_what_was_seen_cannot_be_read(publisher: Publisher, tmp_path: Path) -> None:
    (tmp_path / "state/seen.json").write_text("[]")
    with pytest.raises(UsageError, match="cannot be read"):
        publisher.publish(parcel())


def test_more_than_stock_clients_read_is_not_published(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher.publish(parcel())
    monkeypatch.setitem(_LARGEST, "targets", 2000)
    with pytest.raises(UsageError, match="stock clients read 2000 at most"):
        publisher.publish(parcel("1.1.0"))
    assert len(releases_of(publisher.repository.state(publisher.root).targets.signed)) == 1


def test_of_two_publishers_in_one_folder_both_come_to_it(publisher: Publisher, tmp_path: Path) -> None:
    import threading

    versions = [f"1.{number}.0" for number in range(6)]
    failed: list[Exception] = []

    def publish(version: str) -> None:
        try:
            publisher.publish(parcel(version))
        except Exception as error:  # noqa: BLE001 - told below
            failed.append(error)

    threads = [threading.Thread(target=publish, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    found = releases_of(load_state(publisher.repository.store, publisher.root).targets.signed)
    assert [one.state.version for one in found] == versions


# --- rotation


def test_a_key_is_changed_in_two_rotations_and_no_client_is_ever_refused(publisher: Publisher) -> None:
    publisher.publish(parcel())
    old, new = publisher.setup["timestamp"].signers[0], signer()
    publisher.setup["timestamp"] = role(new, days=7)
    with pytest.raises(UsageError, match="the published timestamp metadata do not hold under the next root"):
        publisher.repository.rotate(publisher.root, signed_root(publisher.setup, 2))
    publisher.setup["timestamp"] = role(old, new, days=7)
    second = signed_root(publisher.setup, 2)
    publisher.repository.rotate(publisher.root, second)
    publisher.setup["timestamp"] = role(new, days=7)
    publisher.repository.rotate(second, signed_root(publisher.setup, 3))
    state = publisher.repository.state(publisher.root)
    assert state.versions["root"] == 3
    assert [*state.timestamp.signatures] == [new.key.keyid]


def test_a_lost_key_is_replaced_at_once(publisher: Publisher) -> None:
    publisher.publish(parcel())
    publisher.setup["targets"] = role(signer())
    second = signed_root(publisher.setup, 2)
    publisher.repository.rotate(publisher.root, second, broken=True)
    assert publisher.publish(parcel("1.1.0")) is True


@pytest.mark.parametrize("what", ["not of the former keys", "a version left out", "unsigned"])
def test_a_root_that_does_not_follow_is_not_published(publisher: Publisher, what: str) -> None:
    former = publisher.setup["root"].signers
    publisher.setup["root"] = role(*(signer() for _ in range(3)), threshold=2)
    version = 3 if what == "a version left out" else 2
    more = () if what == "not of the former keys" else former
    root = signed_root(publisher.setup, version, more=more)
    if what == "unsigned":
        parsed = json.loads(root)
        parsed["signatures"] = []
        root = json.dumps(parsed).encode()
    with pytest.raises(IntegrityError):
        publisher.repository.rotate(publisher.root, root)
    assert publisher.repository.state(publisher.root).versions["root"] == 1


def test_another_root_of_the_same_version_is_not_taken_for_it(publisher: Publisher) -> None:
    second, other = (signed_root(publisher.setup, 2, now=publisher.clock.now), None)
    publisher.repository.rotate(publisher.root, second)
    publisher.setup["snapshot"] = role(signer())
    other = signed_root(publisher.setup, 2)
    with pytest.raises(IntegrityError, match="is not the next root that was made here"):
        publisher.repository.rotate(publisher.root, other)


def test_a_role_that_has_a_key_twice_makes_no_root() -> None:
    one = signer()
    setup = setup_of(root=role(one, one, threshold=2))
    with pytest.raises(UsageError, match="the role root has a key twice"):
        signed_root(setup)


def test_a_store_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "repository").write_text("!")
    with pytest.raises((OSError, BenchError)):
        Publisher(tmp_path).create()


@pytest.mark.parametrize("second", ["1.0.0+0", "01.0.0", "v1.0.0", "1.0.0 ", "1.0.\u0660"])
def test_a_withdrawn_version_does_not_come_back_under_another_spelling(publisher: Publisher, second: str) -> None:
    """To a device 1.0.0 and 1.0.0+0 are one version; to publish both would let one be withdrawn and the other not."""
    publisher.publish(parcel())
    publisher.publish(parcel(state="withdrawn"))
    with pytest.raises(UsageError, match="version"):
        publisher.publish(parcel(second))
    # Whoever has the repository's keys signs it all the same: no client reads it.
    said = parcel(second).state
    path = f"{release_folder(said.product, second)}/{STATEMENT}"
    custom = {"custom": {"devicepipe": said.to_json()}}
    signed = Targets(targets={path: TargetFile(1, {"sha256": said.release}, path, custom)})
    with pytest.raises(IntegrityError, match="version") as caught:
        releases_of(signed)
    assert caught.value.link == path


@pytest.mark.parametrize("change", ["another", "one more", "one less"])
def test_what_ships_of_a_published_release_is_not_exchanged(publisher: Publisher, change: str) -> None:
    """Production that was made anew has other logs: who has the release already would find it to be another one."""
    publisher.publish(parcel())
    given = parcel(files={IMAGE: b"another"} if change == "another" else {"images/beta/factory.hex": b"more"})
    if change == "one less":
        given = Parcel(parcel().state, {name: data for name, data in parcel().files.items() if name != IMAGE})
    with pytest.raises(UsageError, match=r"pump 1\.0\.0 is published, and its images/.*factory\.hex is another one"):
        publisher.publish(given)
    assert publisher.publish(parcel()) is False


def test_a_name_that_somebody_put_there_does_not_say_which_version_is_next(
    publisher: Publisher, tmp_path: Path
) -> None:
    """Without any key: the versions went to where other clients have no numbers, and versions never go back."""
    metadata = tmp_path / "repository/metadata"
    for name in (f"{2**63 - 1}.targets.json", f"{'9' * 240}.snapshot.json", "2.targets.json"):
        (metadata / name).write_bytes(b"{}")
    publisher.publish(parcel())
    assert publisher.repository.state(publisher.root).versions == {
        "root": 1, "timestamp": 2, "snapshot": 2, "targets": 3,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["metadata/.new", f"targets/pump/1.0.0/{sha256(b'signed')}.0001.dsse.json"])
def test_a_fifo_that_lies_where_something_is_written_holds_nobody(
    publisher: Publisher, tmp_path: Path, name: str
) -> None:
    """Whoever can write to the folder had `publish` wait without an end, with the lock in its hands."""
    place = tmp_path / "repository" / name.replace("1.0.0/", "1.0.0/release.signatures/")
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(place)
    done = list[object]()

    def publish() -> None:
        try:
            done.append(publisher.publish(parcel()))
        except OSError as error:
            done.append(str(error.filename))

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    thread.join(10)
    if thread.is_alive():
        os.close(os.open(place, os.O_RDONLY | os.O_NONBLOCK))
    assert done == [True if place.name == ".new" else str(place)]


def test_a_folder_that_lies_where_a_file_is_read_is_named(publisher: Publisher, tmp_path: Path) -> None:
    """It was "Is a directory: 7"."""
    place = tmp_path / "repository/metadata/2.root.json"
    place.mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        publisher.publish(parcel())
    assert str(caught.value.filename) == str(place)
