from __future__ import annotations

import hashlib
import json
import os
import resource
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.bundle import Bundle, BundleWriter
from devicepipe.evidence.findings import StaticAnalysis
from devicepipe.evidence.layout import KINDS, kind_of_path
from devicepipe.evidence.predicates import REPRODUCIBILITY, SBOM, TEST_RESULT, Release, Reproducibility, Tool
from tests.evidence.synthetic_bundle import development_keys

RELEASE = Release(
    product="pump",
    version="1.0.0",
    commit="0" * 40,
    releasable=False,
    reasons=["it is a test"],
    development_keys=True,
    sealed_on="2026-01-01T00:00:00Z",
    generator=Tool(name="devicepipe", version="0.1.0"),
)


def same(board: str) -> Reproducibility:
    return Reproducibility(board=board, builds=2, compared=["a"], identical=True, differences=[])


@pytest.fixture
def writer(tmp_path: Path) -> BundleWriter:
    pair = development_keys().release
    return BundleWriter(tmp_path / "new", pair.signer, pair.public)


def test_files_and_attestations_are_read_back(writer: BundleWriter, tmp_path: Path) -> None:
    (tmp_path / "source.bin").write_bytes(b"from a file")
    added = writer.add_file(tmp_path / "source.bin", "images/alpha/a.bin")
    assert added.digest.sha256 == hashlib.sha256(b"from a file").hexdigest()
    assert writer.add_bytes(b"bytes", "evidence/b.bin") == writer.subject("evidence/b.bin")
    made = writer.attest("alpha/reproducibility", REPRODUCIBILITY, same("alpha"), ["images/alpha/a.bin"])
    writer.attest("beta/reproducibility", REPRODUCIBILITY, same("beta"), ["evidence/b.bin"])
    writer.attest("alpha/sbom", SBOM, {"bomFormat": "CycloneDX"}, ["images/alpha/a.bin"])

    bundle = writer.bundle
    assert bundle.read("evidence/b.bin") == b"bytes"
    assert bundle.path("evidence/b.bin").read_bytes() == b"bytes"
    assert bundle.sha256("images/alpha/a.bin") == added.digest.sha256
    assert bundle.predicate(Reproducibility, "beta") == same("beta")
    assert bundle.attestation(made.path) == made
    assert [each.board for each in bundle.statements(REPRODUCIBILITY)] == ["alpha", "beta"]
    assert bundle.statements(TEST_RESULT) == ()
    assert len(bundle.attestations()) == 3
    file = writer.folder / made.path
    assert made.as_input() == {"uri": made.path, "digest": {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}}


def test_a_private_key_never_enters(writer: BundleWriter) -> None:
    with pytest.raises(IntegrityError, match="private key"):
        writer.add_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n", "evidence/texts/scope.md")


def test_seal_and_publish(writer: BundleWriter, tmp_path: Path) -> None:
    writer.add_bytes(b"1", "one")
    writer.add_bytes(b"2", "folder/two")
    writer.seal(RELEASE)
    final = writer.publish(tmp_path / "dist" / "pump-1.0.0")
    assert not writer.folder.exists()
    statement = json.loads((final / "release.json").read_bytes())
    assert {each["name"]: each["digest"]["sha256"] for each in statement["subject"]} == {
        "one": hashlib.sha256(b"1").hexdigest(),
        "folder/two": hashlib.sha256(b"2").hexdigest(),
    }
    assert Bundle(final).names() == ("folder/two", "one", "release.json", "release.json.dsse")


def test_threads_write_at_once(writer: BundleWriter) -> None:
    def stage(number: int) -> None:
        writer.add_bytes(b"%d" % number * 1000, f"evidence/{number}/log")
        writer.attest(
            f"board{number}/reproducibility", REPRODUCIBILITY, same(f"board{number}"), [f"evidence/{number}/log"]
        )
        assert all(each.board for each in writer.bundle.statements(REPRODUCIBILITY))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(stage, range(24)))
    assert len(writer.bundle.statements(REPRODUCIBILITY)) == 24
    writer.seal(RELEASE)


def test_one_of_many_writers_of_a_name_wins(writer: BundleWriter) -> None:
    barrier = threading.Barrier(8)

    def write(number: int) -> bool:
        barrier.wait(10)
        try:
            writer.add_bytes(b"%d" % number, "the/name")
        except IntegrityError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(write, range(8))) == 1


def test_a_file_that_is_being_written_is_not_seen(writer: BundleWriter, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "slow")
    thread = threading.Thread(target=writer.add_file, args=(tmp_path / "slow", "evidence/slow"))
    thread.start()
    with (tmp_path / "slow").open("wb") as slow:
        slow.write(b"half")
        slow.flush()
        assert "evidence/slow" not in writer.bundle.names()
        with pytest.raises(IntegrityError):
            writer.subject("evidence/slow")
    thread.join(10)
    assert "evidence/slow" in writer.bundle.names()


# --- what it refuses ---


@pytest.mark.parametrize(
    "name", ["../a", "/a", "a/../b", "", "a\nb", ".hidden", "release.json", "release.json.dsse", "caf\u00e9"]
)
def test_bad_names(writer: BundleWriter, name: str) -> None:
    with pytest.raises(IntegrityError):
        writer.add_bytes(b"", name)
    assert list(writer.folder.iterdir()) == []


@pytest.mark.parametrize("name", ["a/b", "A/b", "a/B", "a", "a/b/c"])
def test_names_that_are_taken(writer: BundleWriter, name: str) -> None:
    writer.add_bytes(b"first", "a/b")
    with pytest.raises(IntegrityError):
        writer.add_bytes(b"second", name)
    assert writer.bundle.read("a/b") == b"first"


ATTESTATIONS_THAT_ARE_NONE: dict[str, Callable[[BundleWriter], object]] = {
    "unknown kind": lambda writer: writer.attest("alpha/magic", REPRODUCIBILITY, same("alpha"), ["a"]),
    "board kind without a board": lambda writer: writer.attest(
        "reproducibility", REPRODUCIBILITY, same("alpha"), ["a"]
    ),
    "product kind with a board": lambda writer: writer.attest("alpha/gate", REPRODUCIBILITY, same("alpha"), ["a"]),
    "path as a board": lambda writer: writer.attest("../reproducibility", REPRODUCIBILITY, same("alpha"), ["a"]),
    "another predicate type": lambda writer: writer.attest("alpha/reproducibility", TEST_RESULT, same("alpha"), ["a"]),
    "no subject": lambda writer: writer.attest("alpha/reproducibility", REPRODUCIBILITY, same("alpha"), []),
    "unknown subject": lambda writer: writer.attest("alpha/reproducibility", REPRODUCIBILITY, same("alpha"), ["b"]),
    "text for subjects": lambda writer: writer.attest("alpha/reproducibility", REPRODUCIBILITY, same("alpha"), "bc"),
    "number beyond 2^53": lambda writer: writer.attest("alpha/sbom", SBOM, {"n": 2**60}, ["a"]),
    "float beyond 2^53": lambda writer: writer.attest("alpha/sbom", SBOM, {"n": 1e20}, ["a"]),
    "not a number": lambda writer: writer.attest("alpha/sbom", SBOM, {"n": float("nan")}, ["a"]),
    "too deep": lambda writer: writer.attest("alpha/sbom", SBOM, json.loads('{"a":' * 80 + "1" + "}" * 80), ["a"]),
}


@pytest.mark.parametrize("attest", ATTESTATIONS_THAT_ARE_NONE.values(), ids=ATTESTATIONS_THAT_ARE_NONE.keys())
def test_attestations_that_are_none(writer: BundleWriter, attest: Callable[[BundleWriter], object]) -> None:
    writer.add_bytes(b"a", "a")
    with pytest.raises(IntegrityError):
        attest(writer)
    assert writer.bundle.names() == ("a",)


def test_no_such_source(writer: BundleWriter, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        writer.add_file(tmp_path / "none", "a")


@pytest.mark.parametrize("how", ["bytes", "file"])
def test_a_disk_that_was_full_was_told_as_a_source_that_cannot_be_copied(
    writer: BundleWriter, tmp_path: Path, how: str
) -> None:
    """And by exit code 2, as if the user had named the wrong file; where there is no source, nothing was named."""
    source = tmp_path / "big.bin"
    source.write_bytes(bytes(5000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            writer.add_file(source, "images/a.bin") if how == "file" else writer.add_bytes(bytes(5000), "images/a.bin")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.filename == str(writer.folder / "images/a.bin")


def test_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "rest").write_text("of a former run")
    pair = development_keys().release
    with pytest.raises(UsageError, match="not empty"):
        BundleWriter(tmp_path, pair.signer, pair.public)


def _become_a_link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to("../elsewhere")


BEHIND_ITS_BACK: dict[str, tuple[str, Callable[[Path], object]]] = {
    "changed": ("one", lambda folder: (folder / "one").write_bytes(b"other")),
    "removed": ("one", lambda folder: (folder / "one").unlink()),
    "put there": ("two", lambda folder: (folder / "two").write_bytes(b"x")),
    "replaced by a link": ("one", lambda folder: _become_a_link(folder / "one")),
}


@pytest.mark.parametrize(("name", "act"), BEHIND_ITS_BACK.values(), ids=BEHIND_ITS_BACK.keys())
def test_files_touched_behind_the_writers_back(writer: BundleWriter, name: str, act: Callable[[Path], object]) -> None:
    writer.add_bytes(b"1", "one")
    act(writer.folder)
    with pytest.raises(IntegrityError) as caught:
        writer.seal(RELEASE)
    assert caught.value.link == name


def test_a_sealed_bundle_is_closed(writer: BundleWriter) -> None:
    writer.add_bytes(b"1", "one")
    writer.seal(RELEASE)
    with pytest.raises(IntegrityError, match="sealed"):
        writer.add_bytes(b"2", "two")
    with pytest.raises(IntegrityError, match="sealed"):
        writer.seal(RELEASE)


def test_an_unsealed_bundle_is_not_published(writer: BundleWriter, tmp_path: Path) -> None:
    writer.add_bytes(b"1", "one")
    with pytest.raises(IntegrityError, match="not sealed"):
        writer.publish(tmp_path / "final")
    assert not (tmp_path / "final").exists()


TAKEN: dict[str, Callable[[Path], None]] = {
    "file": Path.touch,
    "folder": Path.mkdir,
    "dangling link": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("take", TAKEN.values(), ids=TAKEN.keys())
def test_a_taken_final_name_is_left_alone(writer: BundleWriter, tmp_path: Path, take: Callable[[Path], None]) -> None:
    final = tmp_path / "final"
    take(final)
    writer.add_bytes(b"1", "one")
    writer.seal(RELEASE)
    with pytest.raises(UsageError, match="already exists"):
        writer.publish(final)
    assert writer.folder.is_dir()


# --- the read side ---


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    (tmp_path / "b/folder").mkdir(parents=True)
    (tmp_path / "b/folder/file").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"outside")
    return Bundle(tmp_path / "b")


@pytest.mark.parametrize(
    "name",
    ["../secret", "folder/../../secret", "/etc/passwd", "folder", "none", "folder/none", "file/x", "", "folder//file"],
)
def test_reading_stays_inside(bundle: Bundle, name: str) -> None:
    for read in (bundle.read, bundle.path, bundle.sha256):
        with pytest.raises(IntegrityError):
            read(name)
    assert not bundle.exists(name)


def test_reading_follows_no_link(bundle: Bundle) -> None:
    (bundle.folder / "link").symlink_to("../secret")
    (bundle.folder / "folded").symlink_to("folder")
    for name in ("link", "folded/file"):
        with pytest.raises(IntegrityError):
            bundle.read(name)
    with pytest.raises(IntegrityError):
        bundle.names()


def test_reading_waits_for_no_fifo(bundle: Bundle) -> None:
    os.mkfifo(bundle.folder / "pipe")
    with pytest.raises(IntegrityError):
        bundle.read("pipe")


def test_an_attestation_in_the_wrong_place(writer: BundleWriter) -> None:
    writer.add_bytes(b"a", "a")
    made = writer.attest("alpha/reproducibility", REPRODUCIBILITY, same("alpha"), ["a"])
    writer.add_bytes(writer.bundle.read(made.path), "attestations/alpha/analysis.dsse.json")
    with pytest.raises(IntegrityError) as caught:
        writer.bundle.predicate(StaticAnalysis, "alpha")
    assert caught.value.link == "attestations/alpha/analysis.dsse.json"


def test_every_kind_has_one_place() -> None:
    for kind in KINDS:
        board = "alpha" if kind.per_board else ""
        assert kind_of_path(kind.path_for(board)) == (kind, board)
    for path in (
        "attestations/x/y/build.dsse.json",
        "attestations/build.json",
        "x/alpha/build.dsse.json",
        "attestations/.dsse.json",
    ):
        assert kind_of_path(path) is None
