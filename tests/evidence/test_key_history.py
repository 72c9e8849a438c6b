"""The history of keys: whatever is done to it is found, and each key counts for its time only."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tempfile
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.dsse import sign_envelope
from devicepipe.evidence.key_history import (
    KEY_CHANGE,
    KeyChange,
    KeyHistory,
    Signing,
    change_file,
    follow,
    sign_change,
    verify_history,
)
from devicepipe.evidence.key_trust import KeyTrust
from devicepipe.evidence.statement import canonical
from devicepipe.signing.keys import ensure_development_keys

TIMES = [f"2026-0{month}-01T00:00:00.000000Z" for month in range(1, 8)]
BASE = {"product": "pump", "by": "a tester", "reason": "for a test"}


@cache
def key(number: int) -> Signing:
    """A key pair; each number is another one."""
    with tempfile.TemporaryDirectory(prefix=f"key-{number}-") as folder:
        pair = ensure_development_keys(Path(folder)).release
        return pair.signer(), pair.public


class Making:
    """A history in the making, with changes that need not be right."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.files: list[bytes] = []

    def add(
        self, change: str, role: str, about: Signing, authority: Signing, new: Signing | None = None, **more: Any
    ) -> Making:
        number = len(self.files) + 1
        said = {
            **BASE,
            "number": number,
            "follows": hashlib.sha256(self.files[-1]).hexdigest() if self.files else None,
            "role": role,
            "change": change,
            "on": TIMES[number - 1],
            "public_key": None if change in ("revoke", "keep") else about[1].pem.decode(),
            "kept": [] if change in ("revoke", "keep") else None,
        } | more
        data = sign_change(KeyChange.model_validate(said), about[1].keyid, authority, new)
        self.files.append(data)
        (self.folder / change_file(number)).write_bytes(data)
        return self


def begun(folder: Path) -> Making:
    """Release key 0, image key 1; release key 2 comes after 0; 0 is revoked, and counts for one file."""
    return (
        Making(folder)
        .add("begin", "release", key(0), key(0))
        .add("begin", "image", key(1), key(0), key(1))
        .add("rotate", "release", key(2), key(0), key(2), replaces=key(0)[1].keyid)
        .add("revoke", "release", key(0), key(2), kept=[hashlib.sha256(b"kept").hexdigest()])
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return begun(tmp_path / "history").folder


def test_a_history_tells_each_keys_time(folder: Path) -> None:
    history = verify_history(folder)
    assert [(one.role, one.since, one.until, one.revoked) for one in history.keys] == [
        ("release", TIMES[0], TIMES[2], TIMES[3]),
        ("image", TIMES[1], None, None),
        ("release", TIMES[2], None, None),
    ]
    assert history.product == "pump"
    in_force = history.key_in_force("release")
    assert in_force is not None
    assert in_force.public == key(2)[1]
    assert history.key_in_force("production") is None


# --- tampering ---

Tamper = Callable[[Path], object]


def flip(name: str, at: int = 100) -> Tamper:
    def how(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at] ^= 1
        (folder / name).write_bytes(data)

    return how


def swap(folder: Path) -> None:
    first, second = (folder / change_file(number) for number in (2, 3))
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)


def edited(name: str, edit: Callable[[dict[str, Any]], object]) -> Tamper:
    """Change the envelope's JSON."""

    def how(folder: Path) -> None:
        data = json.loads((folder / name).read_bytes())
        edit(data)
        (folder / name).write_bytes(canonical(data))

    return how


def again(name: str, by: Signing) -> Tamper:
    """Sign what a change says with other keys."""

    def how(folder: Path) -> None:
        data = json.loads((folder / name).read_bytes())
        payload = base64.b64decode(data["payload"])
        (folder / name).write_bytes(sign_envelope(payload, *by))

    return how


def another_history(folder: Path) -> None:
    other = Making(folder.parent / "other").add("begin", "release", key(7), key(7))
    other.add("begin", "image", key(8), key(7), key(8))
    shutil.copy(other.folder / change_file(2), folder)


TAMPERING: dict[str, tuple[Tamper, str]] = {
    "a byte of the first": (flip("0001.dsse.json"), "0001.dsse.json"),
    "a byte of the last": (flip("0004.dsse.json"), "0004.dsse.json"),
    "the last byte": (flip("0003.dsse.json", -1), "0003.dsse.json"),
    "one is dropped": (lambda folder: (folder / "0002.dsse.json").unlink(), "0002.dsse.json"),
    "the first is dropped": (lambda folder: (folder / "0001.dsse.json").unlink(), "0001.dsse.json"),
    "two are exchanged": (swap, "0002.dsse.json"),
    "one of another history": (another_history, "0002.dsse.json"),
    "one is there twice": (
        lambda folder: shutil.copy(folder / "0002.dsse.json", folder / "0005.dsse.json"),
        "0005.dsse.json",
    ),
    "signed by another key": (again("0002.dsse.json", key(7)), "0002.dsse.json"),
    "the first signed by another key": (again("0001.dsse.json", key(7)), "0001.dsse.json"),
    "the new key's signature is dropped": (
        edited("0003.dsse.json", lambda data: data["signatures"].pop()),
        "0003.dsse.json",
    ),
    "the old key's signature is dropped": (
        edited("0003.dsse.json", lambda data: data["signatures"].pop(0)),
        "0003.dsse.json",
    ),
    "the signatures are exchanged": (
        edited("0003.dsse.json", lambda data: data["signatures"].reverse()),
        "0003.dsse.json",
    ),
    "no signatures": (edited("0003.dsse.json", lambda data: data["signatures"].clear()), "0003.dsse.json"),
    "a third signature": (
        edited("0003.dsse.json", lambda data: data["signatures"].append(data["signatures"][0])),
        "0003.dsse.json",
    ),
    "a further key in the envelope": (edited("0003.dsse.json", lambda data: data.update(more=1)), "0003.dsse.json"),
    "no JSON": (lambda folder: (folder / "0003.dsse.json").write_bytes(b"{"), "0003.dsse.json"),
    "JSON of another form": (lambda folder: (folder / "0003.dsse.json").write_bytes(b"[[]]"), "0003.dsse.json"),
    "deep JSON": (lambda folder: (folder / "0003.dsse.json").write_bytes(b"[" * 100_000), "0003.dsse.json"),
    "white space": (
        lambda folder: (folder / "0003.dsse.json").write_bytes((folder / "0003.dsse.json").read_bytes() + b"\n"),
        "0003.dsse.json",
    ),
    "a file that does not belong there": (lambda folder: (folder / "note.txt").write_text("x"), "note.txt"),
    "a folder": (lambda folder: (folder / "0005.dsse.json").mkdir(), "0005.dsse.json"),
    "a link": (lambda folder: (folder / "0005.dsse.json").symlink_to("0001.dsse.json"), "0005.dsse.json"),
    "a proof of nothing": (lambda folder: (folder / "0009.tlog-proof").write_text("x"), "0009.tlog-proof"),
}


@pytest.mark.parametrize("what", TAMPERING)
def test_whatever_is_done_to_the_files_is_found_and_named(folder: Path, what: str) -> None:
    how, link = TAMPERING[what]
    verify_history(folder)
    how(folder)
    with pytest.raises(IntegrityError) as caught:
        verify_history(folder)
    assert caught.value.link == link


def test_every_flipped_byte_of_a_change_is_found(folder: Path) -> None:
    path = folder / change_file(3)
    good = path.read_bytes()
    before = KeyHistory("")
    for number in (1, 2):
        before = follow(before, (folder / change_file(number)).read_bytes(), "x")
    follow(before, good, "x")
    for at in range(0, len(good), 7):
        data = bytearray(good)
        data[at] ^= 4
        with pytest.raises(IntegrityError):
            follow(before, bytes(data), "x")


def test_a_change_of_many_signatures_does_not_fill_the_memory(folder: Path) -> None:
    """Each signature took a copy of the whole file: 4 MiB of somebody else's history were 140 GB."""
    path = folder / change_file(1)
    whole = json.loads(path.read_bytes())
    many = whole | {"payload": "A" * 2_000_000, "signatures": [{"keyid": "", "sig": ""}] * 60}
    path.write_bytes(canonical(many))
    tracemalloc.start()
    with pytest.raises(IntegrityError):
        verify_history(folder)
    assert tracemalloc.get_traced_memory()[1] < 64 * 1024 * 1024
    tracemalloc.stop()


def test_no_history(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(UsageError, match="there is no history of keys"):
            verify_history(folder)


# --- changes that are signed well and are wrong ---

Wrong = Callable[[Making], Making]
WRONG: dict[str, tuple[Wrong, str]] = {
    "by a key that was replaced": (
        lambda one: one.add("begin", "production", key(3), key(0), key(3)),
        "is signed by the key",
    ),
    "by the key that comes in": (
        lambda one: one.add("rotate", "release", key(3), key(3), replaces=key(2)[1].keyid),
        "is signed by the key",
    ),
    "by the image key": (lambda one: one.add("begin", "production", key(3), key(1), key(3)), "is signed by the key"),
    "the new key did not sign": (lambda one: one.add("begin", "production", key(3), key(2)), "has 1 signatures"),
    "another new key signed": (
        lambda one: one.add("begin", "production", key(3), key(2), key(4)),
        "is signed by the key",
    ),
    "a key that is there already": (
        lambda one: one.add("rotate", "image", key(1), key(2), key(1), replaces=key(1)[1].keyid),
        "stands in the history already",
    ),
    "a revoked key comes back in another role": (
        lambda one: one.add("begin", "production", key(0), key(2), key(0)),
        "stands in the history already",
    ),
    "a second beginning": (lambda one: one.add("begin", "image", key(3), key(2), key(3)), "where there are earlier"),
    "it replaces another key": (
        lambda one: one.add("rotate", "image", key(3), key(2), key(3), replaces=key(2)[1].keyid),
        "which is not the last image key",
    ),
    "it replaces a key where there is none": (
        lambda one: one.add("rotate", "production", key(3), key(2), key(3), replaces=key(2)[1].keyid),
        "which is not the last production key",
    ),
    "the release key in force is revoked": (
        lambda one: one.add("revoke", "release", key(2), key(2)),
        "another one has to come in first",
    ),
    "revoked twice": (lambda one: one.add("revoke", "release", key(0), key(2)), "no release key that can be revoked"),
    "more is kept of a key that was not revoked": (
        lambda one: one.add("keep", "image", key(1), key(2), kept=["0" * 64]),
        "no image key that was revoked",
    ),
    "more is kept of a key of another role": (
        lambda one: one.add("keep", "image", key(0), key(2), kept=["0" * 64]),
        "no image key that was revoked",
    ),
    "nothing more is kept": (
        lambda one: one.add("keep", "release", key(0), key(2), kept=[hashlib.sha256(b"kept").hexdigest()]),
        "keeps nothing that was not kept before",
    ),
    "the revoked key itself keeps more": (
        lambda one: one.add("keep", "release", key(0), key(0), kept=["0" * 64]),
        "is signed by the key",
    ),
    "an unknown key is revoked": (lambda one: one.add("revoke", "image", key(3), key(2)), "no image key that can be"),
    "a key of another role is revoked": (
        lambda one: one.add("revoke", "production", key(1), key(2)),
        "no production key that can be revoked",
    ),
    "of another product": (
        lambda one: one.add("revoke", "image", key(1), key(2), product="other"),
        "is about the keys of other",
    ),
    "a number is left out": (lambda one: one.add("revoke", "image", key(1), key(2), number=6), "does not follow"),
    "it follows something else": (
        lambda one: one.add("revoke", "image", key(1), key(2), follows="0" * 64),
        "does not follow",
    ),
    "before the one that it follows": (
        lambda one: one.add("revoke", "image", key(1), key(2), on=TIMES[0]),
        "before the change that it follows",
    ),
    "a beginning that replaces": (
        lambda one: one.add("begin", "production", key(3), key(2), key(3), replaces=key(1)[1].keyid),
        "does not say what",
    ),
    "a rotation that keeps": (
        lambda one: one.add("rotate", "image", key(3), key(2), key(3), replaces=key(1)[1].keyid, kept=[]),
        "does not say what",
    ),
    "a revocation that brings a key in": (
        lambda one: one.add("revoke", "image", key(1), key(2), public_key=key(1)[1].pem.decode()),
        "does not say what",
    ),
    "kept twice": (
        lambda one: one.add("revoke", "image", key(1), key(2), kept=["0" * 64, "0" * 64]),
        "does not list what is kept",
    ),
    "another key than it is about": (
        lambda one: one.add("begin", "production", key(3), key(2), key(3), public_key=key(4)[1].pem.decode()),
        "another key than the one that it is about",
    ),
    "no key at all": (
        lambda one: one.add("begin", "production", key(3), key(2), key(3), public_key="hello"),
        "is not one PEM public key",
    ),
    "two beginnings of text before the key": (
        lambda one: one.add("begin", "production", key(3), key(2), key(3), public_key=f"x\n{key(3)[1].pem.decode()}"),
        "another key than the one that it is about",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_changes_that_are_signed_well_and_are_wrong(tmp_path: Path, what: str) -> None:
    how, why = WRONG[what]
    made = how(begun(tmp_path / "history"))
    with pytest.raises(IntegrityError, match=why) as caught:
        verify_history(made.folder)
    assert caught.value.link == change_file(5)


def test_a_history_begins_with_the_release_key(tmp_path: Path) -> None:
    made = Making(tmp_path / "history").add("begin", "image", key(1), key(1))
    with pytest.raises(IntegrityError, match="not of the release key"):
        verify_history(made.folder)


def test_a_statement_of_another_type_or_about_more_is_no_change(tmp_path: Path) -> None:
    made = Making(tmp_path / "history").add("begin", "release", key(0), key(0))
    payload = json.loads(base64.b64decode(json.loads(made.files[0])["payload"]))
    for edit in ({"predicateType": KEY_CHANGE + "x"}, {"subject": payload["subject"] * 2}):
        (made.folder / change_file(1)).write_bytes(sign_envelope(canonical(payload | edit), *key(0)))
        with pytest.raises(IntegrityError):
            verify_history(made.folder)


# --- trust ---


def test_trust_begins_at_a_release_key_that_is_not_revoked(folder: Path) -> None:
    history = verify_history(folder)
    assert KeyTrust.of(key(2)[1], history).keys == (key(2)[1], key(0)[1])
    for number, why in ((0, "was revoked on 2026-04-01: for a test"), (1, "does not have"), (7, "does not have")):
        with pytest.raises(IntegrityError, match=why):
            KeyTrust.of(key(number)[1], history)


def test_only_release_keys_open_envelopes(folder: Path) -> None:
    trust = KeyTrust.of(key(2)[1], verify_history(folder))
    for number, expected in ((2, 2), (1, 2), (7, 2)):  # of other keys: the trusted one, which refuses
        assert trust.key_of(sign_envelope(b"{}", *key(number)), "x") == key(expected)[1]
    with pytest.raises(IntegrityError, match=r"by the release key .*, which was revoked"):
        trust.key_of(sign_envelope(b"{}", *key(0)), "x")


def test_what_a_revocation_keeps_counts(tmp_path: Path) -> None:
    envelope = sign_envelope(b"{}", *key(0))
    made = Making(tmp_path / "history").add("begin", "release", key(0), key(0))
    made.add("rotate", "release", key(2), key(0), key(2), replaces=key(0)[1].keyid)
    made.add("revoke", "release", key(0), key(2), kept=[hashlib.sha256(envelope).hexdigest()])
    trust = KeyTrust.of(key(2)[1], verify_history(made.folder))
    assert trust.key_of(envelope, "x") == key(0)[1]
    trust.check_kept(key(0)[1], envelope, "x")
    with pytest.raises(IntegrityError, match="revoked"):
        trust.key_of(sign_envelope(b"[]", *key(0)), "x")
    with pytest.raises(IntegrityError, match="revoked"):
        trust.check_kept(key(0)[1], b"another", "x")


def test_a_replaced_key_counts_until_then(tmp_path: Path) -> None:
    made = Making(tmp_path / "history").add("begin", "release", key(0), key(0))
    made.add("rotate", "release", key(2), key(0), key(2), replaces=key(0)[1].keyid)
    trust = KeyTrust.of(key(0)[1], verify_history(made.folder))
    trust.check_time(key(0)[1], "2026-02-01T00:00:00Z", "was sealed", "x")
    trust.check_time(key(2)[1], "2027-01-01T00:00:00Z", "was sealed", "x")
    for late in ("2026-02-01T00:00:00.000001Z", "2026-02-01T00:00:01Z"):
        with pytest.raises(IntegrityError, match="was replaced on"):
            trust.check_time(key(0)[1], late, "was sealed", "x")


def test_without_a_history_one_key_counts() -> None:
    trust = KeyTrust.of(key(0)[1])
    assert trust.keys == (key(0)[1],)
    assert trust.key_of(sign_envelope(b"{}", *key(7)), "x") == key(0)[1]
    assert KeyTrust.of(trust) is trust
    trust.check_time(key(0)[1], "2100-01-01T00:00:00Z", "was sealed", "x")


def test_more_is_kept_of_a_revoked_key_and_never_less(tmp_path: Path) -> None:
    made, keyid = begun(tmp_path / "history"), key(0)[1].keyid
    before = verify_history(made.folder).key_with(keyid)
    history = verify_history(made.add("keep", "release", key(0), key(2), kept=["0" * 64]).folder)
    life, as_it_was = history.key_with(keyid), history.before_revocations().key_with(keyid)
    assert before is not None
    assert life is not None
    assert as_it_was is not None
    assert life.kept == before.kept | {"0" * 64}
    assert (life.revoked, life.reason) == (before.revoked, before.reason)
    assert (as_it_was.revoked, as_it_was.until) == (None, life.until)
    assert history.before_revocations(key(1)[1].keyid).key_with(keyid) == life
