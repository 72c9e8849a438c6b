from __future__ import annotations

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.checkpoint import (
    Checkpoint,
    Trust,
    add_cosignatures,
    check_origin,
    open_checkpoint,
    parse_checkpoint,
    sign_checkpoint,
)
from devicepipe.evidence.ledger.note import NoteSigner
from devicepipe.evidence.ledger.proof import LogProof, parse_proof, verify_proof
from devicepipe.evidence.ledger.tiles import (
    ENTRIES,
    Tile,
    decode_bundle,
    encode_bundle,
    levels,
    parse_path,
    tiles_between,
    tiles_of,
)
from devicepipe.evidence.ledger.tree import EMPTY_ROOT, inclusion_proof, leaf_hash, root_hash
from tests.evidence.ledger.keys import ORIGIN, ecdsa_signer, log_signer, witness_signer

ROOT = sha256(b"a root").digest()
GOOD = Checkpoint(ORIGIN, 123, ROOT)
TRUST = Trust((log_signer().key.public,), ORIGIN)
W1, W2 = witness_signer("witness.example.com/w1"), witness_signer("witness.example.com/w2")


def test_text() -> None:
    text = f"{ORIGIN}\n123\n{base64.b64encode(ROOT).decode()}\n"
    assert GOOD.text() == text.encode()
    assert parse_checkpoint(text.encode(), "x") == GOOD
    assert parse_checkpoint(f"{text}more\nlines\n".encode(), "x") == Checkpoint(ORIGIN, 123, ROOT, ("more", "lines"))


@pytest.mark.parametrize(
    "text",
    [
        "Head\n9944\n",
        "\n9944\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n",
        "Log\n123\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=",
        "Log\nbananas\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n",
        "Log\n-34\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n",
        "Log\n3438945738945739845734895735\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n",
        "Log\n9223372036854775808\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n",
        "Log\n0123\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n",
        "Log\n+123\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n",
        "Log\n\uff11\uff12\uff13\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n",
        "Log\n123\nThisIsn'tBase64\n",
        "Log\n123\nYmFuYW5hcw==\n",
        "Log\n123\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP1=\n",
        "Log\n123\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n\nmore\n",
        "Log\n0\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n",
        "Log\x1b[2J\n1\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n",
    ],
)
def test_published_and_other_malformed_checkpoints(text: str) -> None:
    with pytest.raises(IntegrityError, match="here: is no checkpoint"):
        parse_checkpoint(text.encode(), "here")


@pytest.mark.parametrize("signer", [log_signer(), ecdsa_signer()], ids=["ed25519", "ecdsa"])
def test_sign_and_open(signer: NoteSigner) -> None:
    data = sign_checkpoint(GOOD, signer).data
    opened = open_checkpoint(data, Trust((signer.key.public,)), "checkpoint")
    assert (opened.checkpoint, opened.data, opened.key) == (GOOD, data, signer.key.public)
    assert (opened.origin, opened.size, opened.root) == (ORIGIN, 123, ROOT)
    for at in range(len(data)):
        altered = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(IntegrityError, match="checkpoint:"):
            open_checkpoint(altered, Trust((signer.key.public,)), "checkpoint")


def test_whom_to_trust() -> None:
    data = sign_checkpoint(GOOD, log_signer(1)).data
    with pytest.raises(IntegrityError, match="not signed by a trusted key"):
        open_checkpoint(data, TRUST, "x")
    both = Trust((log_signer().key.public, log_signer(1).key.public), ORIGIN)
    assert open_checkpoint(data, both, "x").key == log_signer(1).key.public  # a former or a new key
    other = sign_checkpoint(Checkpoint("example.com/other", 123, ROOT), log_signer(0, "example.com/other")).data
    with pytest.raises(IntegrityError, match=r"is of the log 'example.com/other', expected"):
        open_checkpoint(other, TRUST, "x")
    with pytest.raises(IntegrityError, match="no name that a key can have"):
        open_checkpoint(data.replace(ORIGIN.encode() + b"\n123", b"Go SumDB\n123"), Trust(TRUST.keys), "x")
    with pytest.raises(UsageError, match="no key of the log"):
        Trust(())
    with pytest.raises(UsageError, match="1 of 0 witnesses"):
        Trust(TRUST.keys, quorum=1)
    with pytest.raises(UsageError, match="cannot be the origin"):
        check_origin("a log")


def test_witnesses() -> None:
    signed = sign_checkpoint(GOOD, log_signer())
    alone = signed.note.with_signature(W1.cosign(GOOD.text(), 1_700_000_000)).to_bytes()
    two = Trust(TRUST.keys, ORIGIN, (W1.key, W2.key), quorum=2)
    with pytest.raises(IntegrityError, match="cosigned by 1 of the witnesses that are trusted, expected 2"):
        open_checkpoint(alone, two, "x")
    other = signed.note.with_signature(W2.cosign(GOOD.text(), 1_700_000_009)).to_bytes()
    first = open_checkpoint(alone, Trust(TRUST.keys, ORIGIN, (W1.key,), quorum=1), "x")
    merged = add_cosignatures(first, other, [W2.key], "y")
    opened = open_checkpoint(merged.data, two, "x")
    assert [(one.name, one.time) for one in opened.cosigned] == [
        (W1.key.name, 1_700_000_000),
        (W2.key.name, 1_700_000_009),
    ]
    assert opened.cosigned == merged.cosigned
    wrong = signed.note.with_signature(W1.cosign(b"another\n", 1)).to_bytes()
    with pytest.raises(IntegrityError, match=r"by witness.example.com/w1 does not verify"):
        open_checkpoint(wrong, two, "x")
    with pytest.raises(IntegrityError, match=r"y: its signature by witness"):
        add_cosignatures(signed, wrong, [W1.key], "y")
    with pytest.raises(IntegrityError, match="no cosignature"):
        add_cosignatures(signed, other, [W1.key], "y")
    grown = sign_checkpoint(Checkpoint(ORIGIN, 124, ROOT), log_signer())
    with pytest.raises(IntegrityError, match=r"at size 123; the log is .* at 124"):
        add_cosignatures(grown, other, [W2.key], "y")


# --- proofs -------------------------------------------------------------------------------------------------------------

ENTRY_TEXTS = [f"entry {number}".encode() for number in range(21)]
LEAVES = [leaf_hash(entry) for entry in ENTRY_TEXTS]


def proof_of(index: int) -> LogProof:
    def node(level: int, number: int) -> bytes:
        return root_hash(LEAVES[number << level : (number + 1) << level])

    hashes = tuple(inclusion_proof(index, 21, node))
    return LogProof(
        index, hashes, sign_checkpoint(Checkpoint(ORIGIN, 21, root_hash(LEAVES)), log_signer()).data, ENTRY_TEXTS[index]
    )


@pytest.mark.parametrize("index", range(21))
def test_proof(index: int) -> None:
    proof = proof_of(index)
    data = proof.to_bytes()
    assert parse_proof(data, "x") == proof
    shown = verify_proof(data, TRUST, "x")
    assert (shown.index, shown.entry, shown.checkpoint.size) == (index, ENTRY_TEXTS[index], 21)
    bare = LogProof(proof.index, proof.hashes, proof.checkpoint).to_bytes()
    assert verify_proof(bare, TRUST, "x", entry=ENTRY_TEXTS[index]).index == index
    with pytest.raises(IntegrityError, match="does not carry its entry"):
        verify_proof(bare, TRUST, "x")
    with pytest.raises(IntegrityError, match=f"does not show that the entry is number {index}"):
        verify_proof(data, TRUST, "x", entry=b"another")


def test_published_form_of_proofs() -> None:
    # github.com/transparency-dev/formats, proof/tlog_proof_test.go: what is written
    one, two = sha256(b"hash1").digest(), sha256(b"hash2").digest()
    first = base64.b64encode(one).decode()
    text = f"c2sp.org/tlog-proof@v1\nindex 5\n{first}\n{base64.b64encode(two).decode()}\n\ntest checkpoint\n"
    assert LogProof(5, (one, two), b"test checkpoint\n").to_bytes() == text.encode()
    text = f"c2sp.org/tlog-proof@v1\nextra ZXh0cmEgaW5mb3JtYXRpb24=\nindex 10\n{first}\n\ncheckpoint data\n"
    assert LogProof(10, (one,), b"checkpoint data\n", b"extra information").to_bytes() == text.encode()
    assert LogProof(0, (), b"checkpoint\n").to_bytes() == b"c2sp.org/tlog-proof@v1\nindex 0\n\ncheckpoint\n"


@pytest.mark.parametrize(
    "text",
    [
        "wrong-header\nindex 0\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nextra !!notbase64!!\nindex 0\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\n\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nindex notanumber\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nindex -5\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nindex 05\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nindex 9223372036854775807\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n!!notbase64!!\n\ncheckpoint\n",
        f"c2sp.org/tlog-proof@v1\nindex 0\n{base64.b64encode(bytes(64)).decode()}\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + "a" * 65 * 1024 + "\n",
        "c2sp.org/tlog-proof@v1\nindex 0\n" + 64 * f"{base64.b64encode(ROOT).decode()}\n" + "\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\nextra aQ==\nextra aQ==\nindex 0\n\ncheckpoint\n",
        "c2sp.org/tlog-proof@v1\n",
        "",
    ],
)
def test_published_and_other_malformed_proofs(text: str) -> None:
    with pytest.raises(IntegrityError, match="here: is no proof"):
        parse_proof(text.encode(), "here")


@given(st.data())
def test_no_altered_proof_is_accepted(data: st.DataObject) -> None:
    proof = proof_of(data.draw(st.integers(0, 20)))
    text = proof.to_bytes()
    at = data.draw(st.integers(0, len(text) - 1))
    altered = text[:at] + bytes([text[at] ^ 1 << data.draw(st.integers(0, 7))]) + text[at + 1 :]
    with pytest.raises(IntegrityError, match="x:"):
        verify_proof(altered, TRUST, "x")
    with pytest.raises(IntegrityError, match="x:"):
        verify_proof(text[:at], TRUST, "x")


# --- tiles --------------------------------------------------------------------------------------------------------------


def test_published_paths_and_counts() -> None:
    assert Tile(0, 1234067).path == "tile/0/x001/x234/067"
    assert Tile(ENTRIES, 273, 112).path == "tile/entries/273.p/112"
    # the example of tlog-tiles: 70,000 leaves
    count = [[sum(tile.level == level and (tile.width == 256) is full for tile in tiles_of(70_000)) for full in (True, False)]
             for level in (0, 1, 2, 3)]  # fmt: skip
    assert count == [[273, 1], [1, 1], [0, 1], [0, 0]]
    widths = [tile.width for tile in tiles_of(70_000) if tile.width < 256 and tile.level >= 0]
    assert widths == [112, 17, 1]
    assert [tile.path for tile in tiles_of(256)] == ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]
    assert levels(0) == range(0)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p",
        "tile/0/001/000",
        "tile/data/000",
        "tile/0/x001/234/567",
        "tile/0/000\n",
        "checkpoint",
    ],
)
def test_other_paths(path: str) -> None:
    assert parse_path(path) is None


@given(st.integers(-1, 5), st.integers(0, 10**10), st.integers(1, 256))
def test_paths_round_trip(level: int, number: int, width: int) -> None:
    tile = Tile(level, number, width)
    assert parse_path(tile.path) == tile


@given(st.integers(0, 140_000), st.integers(0, 140_000))
def test_what_growth_adds(one: int, two: int) -> None:
    old, new = sorted((one, two))
    for level in (ENTRIES, 0, 1, 2):
        before, after = ({*tiles_between(0, size, level)} for size in (old, new))
        added = {*tiles_between(old, new, level)}
        assert added == after - before
        assert all(old < tile.size <= new for tile in added)  # what a smaller tree has is never written again
        assert all(tile.size <= old for tile in before)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=20))
def test_bundles(entries: list[bytes]) -> None:
    data = encode_bundle(entries)
    assert decode_bundle(data, len(entries)) == entries
    for bad, count in ((data + b"\0", len(entries)), (data[:-1], len(entries)), (data, len(entries) + 1)):
        with pytest.raises(ValueError, match=r"ends within|bytes after"):
            assert decode_bundle(bad, count) is None


def test_entries_have_a_limit() -> None:
    assert decode_bundle(encode_bundle([bytes(65535)]), 1) == [bytes(65535)]
    with pytest.raises(OverflowError):
        encode_bundle([bytes(65536)])


def test_the_empty_log() -> None:
    signed = sign_checkpoint(Checkpoint(ORIGIN, 0, EMPTY_ROOT), log_signer())
    assert open_checkpoint(signed.data, TRUST, "x").size == 0
    assert list(tiles_of(0)) == []
