"""Nobody without the release key can change anything in a bundle, and nobody with it can make it tell two stories."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence import verify
from devicepipe.evidence.dsse import open_envelope, sign_envelope
from devicepipe.evidence.verify import VerifiedBundle, verify_bundle
from tests.evidence.reseal import pretty, reseal, seal_text
from tests.evidence.synthetic_bundle import Keys, Made, development_keys, ecdsa_pair, make_bundle
from tests.evidence.tamper import reject_all


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_bundle(tmp_path)


def broken_link(bundle: Path, keys: Keys) -> str:
    with pytest.raises(IntegrityError) as caught:
        verify_bundle(bundle, keys.release.public)
    return caught.value.link


def test_an_untouched_bundle_verifies_and_says_what_was_checked(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, boards=("alpha", "beta"))
    verified = verify_bundle(made.path, made.keys.release.public)
    assert verified.release.version == "1.2.3"
    assert verified.links[0].link == "release.json.dsse"
    named = {link.link for link in verified.links}
    assert {"attestations/gate.dsse.json", "images/beta/factory.hex", "keys/image.pub.pem"} <= named


def test_a_bundle_may_be_moved_and_renamed(made: Made, tmp_path: Path) -> None:
    moved = made.path.rename(tmp_path / "elsewhere")
    verify_bundle(moved, made.keys.release.public)
    (tmp_path / "link").symlink_to(moved)
    verify_bundle(tmp_path / "link", made.keys.release.public)


def test_every_change_without_the_key_is_rejected_naming_the_file(made: Made, tmp_path: Path) -> None:
    (tmp_path / "aside").mkdir()
    assert reject_all(made.path, made.keys.release.public, tmp_path / "aside") > 300


def test_no_bundle_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        verify_bundle(tmp_path / "nothing", development_keys().release.public)


def test_an_unsealed_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no bundle of a release: it has no release\.json"):
        verify_bundle(tmp_path, development_keys().release.public)
    (tmp_path / "release.json").touch()
    assert broken_link(tmp_path, development_keys()) == "release.json.dsse"


# --- signatures ---


def test_sealed_by_an_untrusted_key(made: Made) -> None:
    reseal(made.path, development_keys(1).release)
    assert broken_link(made.path, made.keys) == "release.json.dsse"


def test_all_signed_by_an_untrusted_key_that_the_bundle_brings_along(tmp_path: Path) -> None:
    foreign = make_bundle(tmp_path, keys=development_keys(1))
    verify_bundle(foreign.path, foreign.keys.release.public)
    assert broken_link(foreign.path, development_keys()) == "release.json.dsse"


def test_signature_of_another_key_under_the_trusted_keyid(made: Made) -> None:
    path = made.path / "release.json.dsse"
    envelope = json.loads(path.read_bytes())
    other = json.loads(sign_envelope(base64.b64decode(envelope["payload"]), *_pair(development_keys(1))))
    envelope["signatures"][0]["sig"] = other["signatures"][0]["sig"]
    path.write_bytes(_compact(envelope))
    assert broken_link(made.path, made.keys) == "release.json.dsse"


def test_signature_of_the_same_key_over_another_release(made: Made, tmp_path: Path) -> None:
    other = make_bundle(tmp_path, version="1.2.4", name="other")
    (made.path / "release.json.dsse").write_bytes((other.path / "release.json.dsse").read_bytes())
    assert broken_link(made.path, made.keys) == "release.json"


def test_only_the_signature_of_another_release(made: Made, tmp_path: Path) -> None:
    other = make_bundle(tmp_path, version="1.2.4", name="other")
    here, there = (json.loads((each.path / "release.json.dsse").read_bytes()) for each in (made, other))
    here["signatures"] = there["signatures"]
    (made.path / "release.json.dsse").write_bytes(_compact(here))
    assert broken_link(made.path, made.keys) == "release.json.dsse"


def test_statement_and_signature_of_another_release(made: Made, tmp_path: Path) -> None:
    other = make_bundle(tmp_path, version="1.2.4", name="other")
    for name in ("release.json", "release.json.dsse"):
        (made.path / name).write_bytes((other.path / name).read_bytes())
    assert broken_link(made.path, made.keys).startswith("attestations/")


def test_an_attestations_envelope_as_the_releases(made: Made) -> None:
    data = (made.path / "attestations/gate.dsse.json").read_bytes()
    (made.path / "release.json.dsse").write_bytes(data)
    (made.path / "release.json").write_bytes(open_envelope(data, made.keys.release.public, "gate"))
    assert broken_link(made.path, made.keys) == "release.json"


def test_ecdsa_release_key_and_the_twin_of_its_signature(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

    keys = Keys(development_keys().image, ecdsa_pair())
    made = make_bundle(tmp_path, keys=keys)
    verify_bundle(made.path, keys.release.public)
    envelope = json.loads((made.path / "release.json.dsse").read_bytes())
    r, s = decode_dss_signature(base64.b64decode(envelope["signatures"][0]["sig"]))
    twin = encode_dss_signature(r, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 - s)
    envelope["signatures"][0]["sig"] = base64.b64encode(twin).decode()
    (made.path / "release.json.dsse").write_bytes(_compact(envelope))
    assert broken_link(made.path, keys) == "release.json.dsse"


# --- sealed again with the trusted key: attestations must still be of this release ---


def test_attestation_of_another_release_sealed_in(made: Made, tmp_path: Path) -> None:
    other = make_bundle(tmp_path, version="1.2.4", name="other")
    name = "attestations/alpha/signing.dsse.json"
    (made.path / name).write_bytes((other.path / name).read_bytes())
    reseal(made.path, made.keys.release)
    assert broken_link(made.path, made.keys) == name


def test_source_attestation_of_another_release_sealed_in(made: Made, tmp_path: Path) -> None:
    other = make_bundle(tmp_path, version="1.2.4", name="other")
    name = "attestations/source.dsse.json"
    (made.path / name).write_bytes((other.path / name).read_bytes())
    reseal(made.path, made.keys.release)
    assert broken_link(made.path, made.keys) == name


def test_attestation_signed_by_another_key_sealed_in(made: Made) -> None:
    name = "attestations/gate.dsse.json"
    payload = open_envelope((made.path / name).read_bytes(), made.keys.release.public, name)
    (made.path / name).write_bytes(sign_envelope(payload, *_pair(development_keys(1))))
    reseal(made.path, made.keys.release)
    assert broken_link(made.path, made.keys) == name


def test_attestations_of_two_boards_swapped_and_sealed_in(tmp_path: Path) -> None:
    made = make_bundle(tmp_path, boards=("alpha", "beta"))
    one, other = (made.path / f"attestations/{board}/test.dsse.json" for board in ("alpha", "beta"))
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    reseal(made.path, made.keys.release)
    # Coverage is about the session that it was recorded in, and comes before it.
    assert broken_link(made.path, made.keys) == "attestations/alpha/coverage.dsse.json"


def test_attestation_of_another_kind_sealed_in(made: Made) -> None:
    names = ("attestations/gate.dsse.json", "attestations/traceability.dsse.json")
    (made.path / names[0]).write_bytes((made.path / names[1]).read_bytes())
    reseal(made.path, made.keys.release)
    assert broken_link(made.path, made.keys) == names[0]


@pytest.mark.parametrize("name", ["alpha/test2", "test", "alpha/alpha/test", "alpha/gate", "Alpha/test", "beta/test"])
def test_a_second_test_attestation_sealed_in(made: Made, name: str) -> None:
    path = made.path / f"attestations/{name}.dsse.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes((made.path / "attestations/alpha/test.dsse.json").read_bytes())
    reseal(made.path, made.keys.release)
    expected = "release.json" if name == "Alpha/test" else f"attestations/{name}.dsse.json"
    assert broken_link(made.path, made.keys) == expected


def test_image_replaced_and_sealed_in(made: Made) -> None:
    name = "images/alpha/application.signed.bin"
    (made.path / name).write_bytes(b"another image")
    reseal(made.path, made.keys.release)
    assert broken_link(made.path, made.keys) == "attestations/alpha/campaigns.dsse.json"


# --- hostile release statements under a good signature ---


def _subject(name: str, digest: str = "0" * 64, **more: object) -> dict[str, object]:
    return {"name": name, "digest": {"sha256": digest}, **more}


HOSTILE_SUBJECTS: dict[str, list[Any]] = {
    "no subjects": [],
    "parent folder": [_subject("../secret")],
    "parent folder inside": [_subject("a/../b")],
    "current folder": [_subject("./a")],
    "absolute": [_subject("/etc/passwd")],
    "empty part": [_subject("a//b")],
    "trailing slash": [_subject("a/")],
    "empty name": [_subject("")],
    "line break": [_subject("a\nb")],
    "null byte": [_subject("a\0b")],
    "backslash": [_subject("a\\b")],
    "drive": [_subject("C:/a")],
    "hidden": [_subject(".git/config")],
    "option": [_subject("-rf")],
    "trailing dot": [_subject("a.")],
    "composed letter": [_subject("caf\u00e9")],
    "decomposed letter": [_subject("cafe\u0301")],
    "direction override": [_subject("a\u202ecod.exe")],
    "too long": [_subject("a" * 600)],
    "too deep": [_subject("/".join("a" * 20))],
    "twice": [_subject("a"), _subject("a")],
    "twice with two digests": [_subject("a"), _subject("a", "1" * 64)],
    "case alone": [_subject("A"), _subject("a")],
    "case of a folder alone": [_subject("A/x"), _subject("a/y")],
    "file and folder": [_subject("a"), _subject("a/b")],
    "not sorted": [_subject("b"), _subject("a")],
    "upper-case digest": [_subject("a", "AB" * 32)],
    "short digest": [_subject("a", "ab")],
    "another algorithm beside": [{"name": "a", "digest": {"sha256": "0" * 64, "md5": "0" * 32}}],
    "only another algorithm": [{"name": "a", "digest": {"md5": "0" * 32}}],
    "further key": [_subject("a", uri="https://example.org")],
    "no name": [{"digest": {"sha256": "0" * 64}}],
    "number as name": [{"name": 1, "digest": {"sha256": "0" * 64}}],
    "text as subject": ["a"],
    "lists itself": [_subject("release.json")],
}


@pytest.mark.parametrize("subjects", HOSTILE_SUBJECTS.values(), ids=HOSTILE_SUBJECTS.keys())
def test_hostile_subjects_under_a_good_signature(made: Made, subjects: list[Any]) -> None:
    statement = json.loads((made.path / "release.json").read_bytes())
    statement["subject"] = subjects
    seal_text(made.path, pretty(statement), made.keys.release)
    assert broken_link(made.path, made.keys) == "release.json"


def _with(**changes: object) -> Callable[[dict[str, Any]], bytes]:
    return lambda statement: pretty({**statement, **changes})


HOSTILE_TEXTS: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "not JSON": lambda _: b"release\n",
    "empty": lambda _: b"",
    "a list": lambda _: b"[]\n",
    "compact": lambda s: json.dumps(s, sort_keys=True).encode(),
    "no newline at the end": lambda s: pretty(s)[:-1],
    "byte order mark": lambda s: b"\xef\xbb\xbf" + pretty(s),
    "UTF-16": lambda s: pretty(s).decode().encode("utf-16"),
    "not UTF-8": lambda s: pretty(s).replace(b'"pump"', b'"\xff"'),
    "duplicate key": lambda s: pretty(s).replace(
        b'  "predicateType"', b'  "predicateType": "x",\n  "predicateType"', 1
    ),
    "duplicate key in the predicate": lambda s: pretty(s).replace(
        b'"releasable": true', b'"releasable": false,\n    "releasable": true'
    ),
    "escaped twin of a key": lambda s: pretty(s).replace(b'"releasable": true', b'"r\\u0065leasable": true'),
    "NaN": lambda s: pretty(s).replace(b'"releasable": true', b'"releasable": NaN'),
    "infinity by exponent": lambda s: pretty(s).replace(b'"releasable": true', b'"releasable": 1e999'),
    "another statement type": _with(_type="https://in-toto.io/Statement/v0.1"),
    "another predicate type": _with(predicateType="urn:devicepipe:predicate:source:v1"),
    "further key": _with(comment="hello"),
    "no predicate": lambda s: pretty({key: value for key, value in s.items() if key != "predicate"}),
    "predicate lacks a key": _with(predicate={"product": "pump"}),
    "subjects are an object": _with(subject={}),
    "number as text": lambda s: pretty(s).replace(b'"releasable": true', b'"releasable": 1'),
    "deep": lambda _: b"[" * 100_000 + b"]" * 100_000,
    "deep inside": _with(predicate=json.loads('{"a":' * 100 + "1" + "}" * 100)),
    "number of a million digits": lambda s: pretty(s).replace(
        b'"releasable": true', b'"releasable": ' + b"9" * 1_000_000
    ),
}


@pytest.mark.parametrize("text", HOSTILE_TEXTS.values(), ids=HOSTILE_TEXTS.keys())
def test_hostile_statements_under_a_good_signature(made: Made, text: Callable[[dict[str, Any]], bytes]) -> None:
    statement = json.loads((made.path / "release.json").read_bytes())
    seal_text(made.path, text(statement), made.keys.release)
    assert broken_link(made.path, made.keys) == "release.json"


# --- it cannot be held up ---


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file's content may be looked at: sizes come first."""

    def refuse(_folder: Path, name: str) -> str:
        raise AssertionError(f"{name} was read before all sizes were known")

    monkeypatch.setattr(verify, "hash_file", refuse)


def test_a_huge_file_is_refused_by_its_size(made: Made, no_reading: None) -> None:
    os.truncate(made.path / "documents/report.pdf", 1 << 40)
    assert broken_link(made.path, made.keys) == "documents/report.pdf"


def test_many_huge_files_are_refused_by_their_sum(made: Made, no_reading: None) -> None:
    for number in range(9):
        (made.path / f"documents/{number}.pdf").touch()
        os.truncate(made.path / f"documents/{number}.pdf", 1 << 30)
    statement = json.loads((made.path / "release.json").read_bytes())
    statement["subject"] += [_subject(f"documents/{number}.pdf") for number in range(9)]
    statement["subject"].sort(key=lambda subject: subject["name"])
    seal_text(made.path, pretty(statement), made.keys.release)
    assert broken_link(made.path, made.keys).startswith("documents/")


def test_a_huge_envelope(made: Made) -> None:
    os.truncate(made.path / "release.json.dsse", 1 << 40)
    assert broken_link(made.path, made.keys) == "release.json.dsse"


def test_a_flood_of_files_stops_at_the_first(made: Made) -> None:
    (made.path / "flood").mkdir()
    for number in range(500):
        (made.path / f"flood/{number}").touch()
    assert broken_link(made.path, made.keys) == "flood"


def test_a_deep_folder_stops_at_the_first(made: Made) -> None:
    (made.path / "/".join(["deep"] * 200)).mkdir(parents=True)
    assert broken_link(made.path, made.keys) == "deep"


# --- the verified bundle ---


def test_a_verified_bundle_reads_only_what_was_verified(made: Made) -> None:
    verified = verify_bundle(made.path, made.keys.release.public)
    assert verified.read("documents/report.pdf").startswith(b"%PDF")
    (made.path / "documents/report.pdf").write_bytes(b"changed after the verification")
    (made.path / "late.txt").write_bytes(b"added after the verification")
    with pytest.raises(IntegrityError):
        verified.read("documents/report.pdf")
    with pytest.raises(IntegrityError):
        verified.read("late.txt")
    assert "late.txt" not in verified.names()
    assert not verified.exists("late.txt")


def test_a_verified_bundle_cannot_be_made_up(made: Made) -> None:
    verified = verify_bundle(made.path, made.keys.release.public)
    with pytest.raises(TypeError):
        VerifiedBundle(verified, verified.release, verified.public_key, verified.trust, (), object())


def _pair(keys: Keys) -> tuple[Any, Any]:
    return keys.release.signer, keys.release.public


def _compact(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":"), sort_keys=True).encode()
