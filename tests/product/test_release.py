"""One release of the reference product on two boards, and what anyone can check of it."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pypdf import PdfReader

from devicepipe.errors import IntegrityError
from devicepipe.evidence.verify import verify_bundle
from devicepipe.signing.keys import PublicKey
from tests.product.conftest import RELEASED_BOARDS, Product


@pytest.fixture(scope="session")
def bundle(released: Product) -> Path:
    return released.root / "dist/infusion-pump-1.2.3"


@pytest.fixture(scope="session")
def key(released: Product) -> PublicKey:
    return PublicKey.load(released.root / ".devicepipe/keys/release.pub.pem")


def predicate(bundle: Path, name: str) -> dict[str, object]:
    import base64

    envelope = json.loads((bundle / f"attestations/{name}.dsse.json").read_bytes())
    found: dict[str, object] = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
    return found


def test_verify_accepts_it(released: Product) -> None:
    outcome = released.run("verify", "dist/infusion-pump-1.2.3", "--key", ".devicepipe/keys/release.pub.pem", "--json")
    assert outcome.code == 0
    document = outcome.json()
    assert document["intact"] is True
    assert document["release"]["releasable"] is True
    assert document["release"]["developmentKeys"] is True


def test_every_attestation_and_decision_is_in_the_log_and_proven(released: Product, bundle: Path) -> None:
    attestations = {path.relative_to(bundle).as_posix() for path in bundle.glob("attestations/**/*.dsse.json")}
    logged = json.loads(released.run("log", "show", "--kind", "attestation", "--json").out)
    digests = {hashlib.sha256((bundle / name).read_bytes()).hexdigest() for name in attestations}
    assert digests <= {one["digest"] for one in logged}
    assert len([*bundle.glob("evidence/log/**/*.tlog-proof")]) == len(attestations) + 1
    decided = json.loads(released.run("log", "show", "--kind", "decision", "--json").out)
    gate = hashlib.sha256((bundle / "attestations/gate.dsse.json").read_bytes()).hexdigest()
    ours = [one["details"] for one in decided if one["digest"] == gate]
    assert {"outcome": "releasable"} in ours
    assert {one["rule"] for one in ours if "rule" in one} >= {"clean-source"}


def test_every_use_of_a_key_is_in_the_log(released: Product, bundle: Path) -> None:
    used = {
        one["digest"]: one["details"]
        for one in json.loads(released.run("log", "show", "--kind", "key-use", "--json").out)
    }
    keys = {role: PublicKey.load(bundle / f"keys/{role}.pub.pem").keyid for role in ("image", "release")}
    files = dict.fromkeys(bundle.glob("images/*/*.signed.bin"), "image") | {bundle / "release.json": "release"}
    assert len(files) > 1
    for path, role in files.items():
        found = used[hashlib.sha256(path.read_bytes()).hexdigest()]
        purpose = "image" if role == "image" else "release statement"
        assert found == {"keyid": keys[role], "purpose": purpose, "release": "infusion-pump 1.2.3"}


def test_verify_needs_neither_repository_nor_state(released: Product, bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "b")
    shutil.copy(released.root / ".devicepipe/keys/release.pub.pem", tmp_path / "k.pem")
    done = subprocess.run(
        [sys.executable, "-m", "devicepipe", "verify", "b", "--key", "k.pem"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "DEVELOPMENT" in done.stdout


@pytest.mark.parametrize("board", RELEASED_BOARDS)
def test_imgtool_accepts_the_image(bundle: Path, board: str) -> None:
    imgtool = Path(sys.executable).with_name("imgtool")
    command: list[str | Path] = [
        imgtool,
        "verify",
        "-k",
        bundle / "keys/image.pub.pem",
        bundle / f"images/{board}/application.signed.bin",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_openssl_accepts_the_release_signature(bundle: Path, tmp_path: Path) -> None:
    """A third party needs no devicepipe: DSSE's pre-authentication encoding and Ed25519 by OpenSSL."""
    import base64

    envelope = json.loads((bundle / "release.json.dsse").read_bytes())
    payload = (bundle / "release.json").read_bytes()
    assert base64.b64decode(envelope["payload"]) == payload
    kind = envelope["payloadType"].encode()
    (tmp_path / "pae").write_bytes(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload))
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"]))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(bundle / "keys/release.pub.pem"), "-rawin"]
    done = subprocess.run(
        [*command, "-in", str(tmp_path / "pae"), "-sigfile", str(tmp_path / "sig")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_report_names_every_requirement(released: Product, bundle: Path) -> None:
    items = {
        found
        for file in (released.root / "requirements").glob("*.md")
        for found in re.findall(r"^## ([A-Z]+-\d+) ", file.read_text(), re.MULTILINE)
    }
    assert len([item for item in items if item.startswith("SRS-")]) >= 50
    assert len([item for item in items if item.startswith("HAZ-")]) >= 12
    pages = [page.extract_text() for page in PdfReader(bundle / "documents/software-verification-report.pdf").pages]
    text = "\n".join(pages)
    assert [item for item in sorted(items) if item not in text] == []
    assert all(re.search(rf"\b{number} of {len(pages)}\b", page) for number, page in enumerate(pages, start=1))
    assert "NOT RELEASABLE" not in text
    assert "RELEASABLE" in text


def test_documents_are_made_again_byte_for_byte(released: Product, bundle: Path, tmp_path: Path) -> None:
    outcome = released.run("report", str(bundle), "--output", str(tmp_path / "again"))
    assert outcome.code == 0, outcome.out + outcome.err
    documents = [path for path in (bundle / "documents").rglob("*") if path.is_file()]
    assert documents
    for path in documents:
        assert (tmp_path / "again" / path.relative_to(bundle / "documents")).read_bytes() == path.read_bytes()


def test_every_case_passed_on_both_boards_through_the_signed_image(bundle: Path) -> None:
    for board in RELEASED_BOARDS:
        run = predicate(bundle, f"{board}/test")["devicepipe"]
        signing = predicate(bundle, f"{board}/signing")
        assert isinstance(run, dict)
        assert run["cases"]
        assert {case["verdict"] for case in run["cases"]} == {"passed"}
        assert run["payloadDigest"] == signing["payloadDigest"]
        for identity in ("identityBefore", "identityAfter"):
            assert run[identity]["digest"] == signing["imageDigest"]


def test_campaigns_are_attested_judged_and_shown(bundle: Path) -> None:
    for board in RELEASED_BOARDS:
        found = predicate(bundle, f"{board}/campaigns")
        assert [(one["kind"], one["points"], one["failures"]) for one in found["results"]] == [  # type: ignore[attr-defined]
            ("powercut", 4, []),
            ("bitflip", 15, []),
            ("fuzz", 4, []),
        ]
    decisions = predicate(bundle, "gate")["devicepipe"]["decisions"]  # type: ignore[index]
    told = {one["board"]: one["message"] for one in decisions if one["rule"] == "campaigns-held"}
    assert told == dict.fromkeys(
        RELEASED_BOARDS, "powercut at 4 points, bitflip at 15 points, fuzz at 4 points: every promise was kept"
    )
    page = (bundle / "documents/software-verification-report.html").read_text(encoding="utf-8")
    assert "Bits flipped in flash: what became of the device" in page


def test_nothing_in_the_bundle_names_this_machine(released: Product, bundle: Path) -> None:
    private = [str(released.root), str(Path(__file__).parents[2]), str(Path.home()) + "/"]
    for file in bundle.rglob("*"):
        if file.is_file() and not file.name.endswith(".elf"):
            data = file.read_bytes()
            assert [path for path in private if path.encode() in data] == [], file


def test_a_version_that_no_image_can_carry_is_refused_at_once(released: Product) -> None:
    outcome = released.run("release", "1.2.3-rc.1", "--json")
    assert outcome.code == 2
    assert "1.2.3-rc.1" in outcome.json()["message"]


def test_a_second_spelling_of_a_version_is_refused_at_once(released: Product) -> None:
    outcome = released.run("release", "1.2.3+0", "--json")
    assert (outcome.code, outcome.json()["remedy"]) == (2, "say 1.2.3")


def test_a_shallow_clone_is_refused(released: Product, tmp_path: Path) -> None:
    clone = Product(tmp_path / "clone")
    released.git("clone", "-q", "--depth", "1", released.root.as_uri(), str(clone.root))
    outcome = clone.run("release", "1.2.4", "--json")
    assert outcome.code == 2
    assert "is a shallow clone" in outcome.json()["message"]
    assert "--unshallow" in outcome.json()["remedy"]
    assert not (clone.root / "dist").exists()


def test_a_dirty_tree_is_refused_and_named(released: Product) -> None:
    (released.root / "stray.txt").write_text("not committed")
    try:
        outcome = released.run("release", "9.9.9", "--json")
    finally:
        (released.root / "stray.txt").unlink()
    assert outcome.code == 2
    assert "stray.txt" in outcome.json()["message"]
    assert "--allow-dirty" in outcome.json()["remedy"]


# --- tampering: every file of the real bundle ------------------------------------------------------------------------


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def names(bundle: Path) -> list[str]:
    return sorted(path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file())


def broken_link(bundle: Path, key: PublicKey) -> str:
    with pytest.raises(IntegrityError) as raised:
        verify_bundle(bundle, key)
    return raised.value.link


def test_a_flipped_byte_in_any_file_is_found_there(copy: Path, key: PublicKey) -> None:
    for name in names(copy):
        original = (copy / name).read_bytes()
        for position in sorted({0, len(original) // 2, len(original) - 1}):
            if not original:
                continue
            changed = bytearray(original)
            changed[position] ^= 1
            (copy / name).write_bytes(changed)
            assert broken_link(copy, key) == name
        (copy / name).write_bytes(original)
    assert verify_bundle(copy, key).release.version == "1.2.3"


def test_a_dropped_file_is_missed(copy: Path, key: PublicKey) -> None:
    for name in names(copy):
        (copy / name).rename(copy.parent / "aside")
        assert broken_link(copy, key) == name
        (copy.parent / "aside").rename(copy / name)


def test_an_added_file_is_found(copy: Path, key: PublicKey) -> None:
    for name in (
        "added",
        "images/added.bin",
        ".hidden",
        "attestations/microbit/added.dsse.json",
        "documents/report.pdf",
    ):
        (copy / name).write_bytes(b"added")
        assert broken_link(copy, key) == name
        (copy / name).unlink()


def test_two_swapped_files_are_found(copy: Path, key: PublicKey) -> None:
    everything = names(copy)
    for first, second in itertools.pairwise(everything):
        if (copy / first).read_bytes() == (copy / second).read_bytes():
            continue
        swap(copy / first, copy / second)
        assert broken_link(copy, key) in (first, second)
        swap(copy / first, copy / second)


def swap(first: Path, second: Path) -> None:
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)


def test_a_signature_replaced_by_another_valid_one_is_found(copy: Path, key: PublicKey) -> None:
    """The other attestation's signature is valid, by the right key, and not over this payload."""
    envelopes = [name for name in names(copy) if name.endswith((".dsse.json", ".dsse"))]
    for name, other in zip(envelopes, [*envelopes[1:], envelopes[0]], strict=True):
        original = (copy / name).read_bytes()
        envelope, donor = json.loads(original), json.loads((copy / other).read_bytes())
        envelope["signatures"] = donor["signatures"]
        (copy / name).write_text(json.dumps(envelope))
        assert broken_link(copy, key) == name
        (copy / name).write_bytes(original)
