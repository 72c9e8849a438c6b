from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.ledger.checkpoint import parse_checkpoint
from devicepipe.evidence.ledger.note import (
    TYPE_COSIGNATURE,
    TYPE_ECDSA,
    Note,
    NoteKey,
    NoteSigner,
    is_key_name,
    parse_note,
    signed_by,
)
from tests.evidence.ledger.keys import ORIGIN, ecdsa_signer, from_seed, log_signer, witness_signer

# --- published: C2SP signed-note, "Example" -----------------------------------------------------------------------------

C2SP_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

# --- published: golang.org/x/mod/sumdb/note, note_test.go ---------------------------------------------------------------

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
PETER_NOTE = f"{TEXT}\n{PETER_LINE}"

# --- published: github.com/transparency-dev/formats, note/note_verifier_test.go and note_cosigv1_test.go -----------------

REKOR = (
    "rekor.sigstore.dev+c0d23d6a+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNhtmPtrWm3U1eQXBogSMdGvXwBcK5AW5i0hrZLOC96l"
    "+smGNM7nwZ4QvFK/4sueRoVj//QP22Ni4Qt9DPfkWLc="
)
REKOR_TEXT = "Rekor\n798034\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n"
REKOR_LINE = (
    "— rekor.sigstore.dev wNI9ajBEAiARInWIWyCdyG27CO6LPnPekyw20qO0YJfoaPaowGp/XgIgc+qEHS3+GKVClgqq20uDLet7MCoTURUC"
    "RdxwWBHHufk=\n"
)
PIXEL = (
    "pixel6_transparency_log+91c16e30+AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABN+4x0Jk1yTwvLFI9A4NDdGZcX0aiWVdWM5XJVy0"
    "M4VWD3AvyW5Q6Hs9A0mcDkpUoYgn+KKPNzFC0H3nN3q6JQ8="
)
PIXEL_NOTE = (
    "DEFAULT\n10\nbsWRucJU5xJPHb5eBdOm6+DM+VelCZBuvtI3sHERJ9Y=\n\n— pixel6_transparency_log "
    "kcFuMDBFAiEAhqMAP8P6qf6QxtUJhzMhbN+MbZ9dwfUHzGQJmffJHtoCIGD0cNe47dHWBoPwYdgBCepB06/+g5O1FmYjXl06owL4\n"
)
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"

# --- published: C2SP tlog-cosignature, the example (its keys are not published) ------------------------------------------

SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 "
    "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)


def verified(note: bytes | str, *keys: str) -> list[str]:
    """The names of the keys that signed."""
    data = note.encode() if isinstance(note, str) else note
    return [
        key.name for key, _ in signed_by(parse_note(data, "note"), [NoteKey.from_text(key) for key in keys], "note")
    ]


def test_published_example() -> None:
    assert verified(C2SP_NOTE, C2SP_KEY) == ["example.com/foo"]
    with pytest.raises(IntegrityError, match="note: its signature by example"):
        verified(C2SP_NOTE.replace(b"an example", b"no example"), C2SP_KEY)


def test_published_notes() -> None:
    assert verified(PETER_NOTE, PETER) == ["PeterNeumann"]
    assert verified(PETER_NOTE + ENOCH_LINE, PETER) == ["PeterNeumann"]
    assert verified(PETER_NOTE + ENOCH_LINE, PETER, ENOCH) == ["PeterNeumann", "EnochRoot"]
    assert verified(PETER_NOTE + PETER_LINE + ENOCH_LINE + ENOCH_LINE, ENOCH) == ["EnochRoot"]
    assert verified(PETER_NOTE) == []


def test_published_signing() -> None:
    seed = base64.b64decode(PETER_SEED)
    assert seed[0] == 1
    signer = from_seed(seed[1:], "PeterNeumann")
    assert signer.key.text() == PETER
    note = Note(TEXT.encode(), (signer.sign(TEXT.encode()),))
    assert note.to_bytes() == PETER_NOTE.encode()
    assert from_seed(bytes(32), "EnochRoot").key.text() == ENOCH
    both = note.with_signature(from_seed(bytes(32), "EnochRoot").sign(TEXT.encode()))
    assert both.to_bytes() == (PETER_NOTE + ENOCH_LINE).encode()
    assert both.with_signature(signer.sign(TEXT.encode())).to_bytes() == f"{TEXT}\n{ENOCH_LINE}{PETER_LINE}".encode()


@pytest.mark.parametrize(
    "bad",
    [
        TEXT,
        TEXT + "\n",
        PETER_NOTE[:-1],
        "\x01" + PETER_NOTE,
        b"\xff" + PETER_NOTE.encode(),
        f"{TEXT}\n— Bad Name x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=",
        PETER_NOTE + "Unexpected line.\n",
        f"{TEXT}\n" + 101 * PETER_LINE,
        PETER_NOTE.replace("— ", "-- "),
        PETER_NOTE.replace("— ", "—"),
        PETER_NOTE.replace("PeterNeumann ", "Peter+Neumann "),
        PETER_NOTE.replace("AM=\n", "AN=\n"),  # another spelling of the same bytes
        PETER_NOTE.replace("AM=\n", "AM=\u2028"),
        f"{TEXT}\n— PeterNeumann x08gow==\n",
        "\n\n" + PETER_LINE,
        "a\n\n" + "x" * 1024 * 1024,
    ],
)
def test_published_and_other_malformed_notes(bad: str | bytes) -> None:
    with pytest.raises(IntegrityError, match=r"is no signed note|more than 100"):
        verified(bad, PETER)


def test_published_wrong_signature() -> None:
    for note in (PETER_NOTE.replace("x08go/ZJ", "x08go/ZK"), f"{TEXT}\n{PETER_LINE[:60]}ABCD{PETER_LINE[60:]}"):
        with pytest.raises(IntegrityError, match="PeterNeumann does not verify"):
            verified(note, PETER)
    assert verified(PETER_NOTE.replace("PeterNeumann", "CarmenSandiego"), PETER) == []  # unknown key: ignored
    assert verified(PETER_NOTE.replace("x08g", "xxxx"), PETER) == []


def test_published_keys() -> None:
    for text in (PETER, ENOCH, C2SP_KEY, REKOR, PIXEL, REMORA):
        assert NoteKey.from_text(text).text() == text
    assert NoteKey.from_text(REKOR).kind == TYPE_ECDSA
    assert NoteKey.from_text(REMORA).kind == TYPE_COSIGNATURE


def test_published_ecdsa() -> None:
    assert verified(f"{REKOR_TEXT}\n{REKOR_LINE}", REKOR) == ["rekor.sigstore.dev"]
    assert verified(PIXEL_NOTE, PIXEL) == ["pixel6_transparency_log"]
    with pytest.raises(IntegrityError, match="does not verify"):
        verified(f"{REKOR_TEXT.replace('798034', '798035')}\n{REKOR_LINE}", REKOR)


def test_published_cosignature_is_read() -> None:
    note = parse_note(SOFA.encode(), "sofa")
    assert note.to_bytes() == SOFA.encode()
    assert [one.name for one in note.signatures] == ["example.com/behind-the-sofa", "witness.example.com/w1"]
    assert note.signatures[1].time == 1679315147  # that of the example's text
    assert parse_checkpoint(note.text, "sofa").size == 20852163


def test_every_part_of_a_published_key_matters() -> None:
    bad = [PETER[start:end] for start in range(len(PETER)) for end in range(start, len(PETER) + 1)][:-1]
    bad = [text for text in bad if text != PETER]
    bad += [PETER[:at] + chr(ord(PETER[at]) + 1) + PETER[at + 1 :] for at in range(len(PETER))]
    bad.append("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==")
    bad.append("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    bad += [
        REKOR.replace("c0d23d6a", "00000000"),
        "rekor.sigstore.dev+12345678+AwEB",
        "a+12345678+THIS_IS_NOT_BASE64!",
        "",
    ]
    for text in bad:
        with pytest.raises(UsageError):
            NoteKey.from_text(text)


# --- our own ------------------------------------------------------------------------------------------------------------


@given(st.text(st.characters(codec="utf-8", exclude_characters=[chr(code) for code in range(32)]), max_size=40))
def test_round_trip(text: str) -> None:
    data = f"{text}\n\nmore\n".encode()
    note = Note(data, (log_signer().sign(data), ecdsa_signer().sign(data)))
    again = parse_note(note.to_bytes(), "x")
    assert again == note
    keys = [log_signer().key, ecdsa_signer().key]
    assert [key for key, _ in signed_by(again, keys, "x")] == keys


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\u2003b", "a\nb", "a\x85b", "\x1b[31m"])
def test_bad_names(name: str) -> None:
    assert not is_key_name(name)
    with pytest.raises(UsageError, match="no name"):
        NoteKey.of_log(name, log_signer().key.public)


def test_cosignatures_bind_text_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"example.com/log\n1\nf+7CoKgXKE/tNys9TTXcr/ad6U/K3xvznmzew9y6SP0=\n"
    witness = witness_signer()
    made = witness.cosign(text, 1679315147)
    assert len(made.made) == 72
    assert made.time == 1679315147
    assert witness.key.verifies(text, made.made)
    assert not witness.key.verifies(text + b"more\n", made.made)
    assert not witness.key.verifies(text, (1679315148).to_bytes(8, "big") + made.made[8:])
    assert not witness.key.verifies(text, (2**63).to_bytes(8, "big") + made.made[8:])
    assert not witness.key.verifies(text, made.made[:8])
    last = 253402300799  # the end of the year 9999: no later time can be shown as a date
    assert witness.key.verifies(text, witness.cosign(text, last).made)
    monkeypatch.setattr("devicepipe.evidence.ledger.note._LAST_TIME", 2**63 - 1)
    later = witness.cosign(text, last + 1).made
    monkeypatch.undo()
    assert not witness.key.verifies(text, later)
    # The same key as a log's is another key: one signature never passes for the other.
    as_log = NoteKey.of_log(witness.key.name, witness.key.public)
    assert as_log.key_id != witness.key.key_id
    assert not as_log.verifies(text, made.made[8:])


def test_who_signs_what() -> None:
    with pytest.raises(UsageError, match="cosigns, with a time"):
        witness_signer().sign(b"x\n")
    for signer, time in ((log_signer(), 1), (witness_signer(), 0), (witness_signer(), 2**63)):
        with pytest.raises(UsageError, match="only a witness's key"):
            signer.cosign(b"x\n", time)
    with pytest.raises(UsageError, match="Ed25519 only"):
        NoteKey.of_witness("w", ecdsa_signer().key.public)
    with pytest.raises(UsageError, match="makes no signatures"):
        NoteKey("w", TYPE_ECDSA, log_signer().key.public)
    with pytest.raises(UsageError, match="makes no signatures"):
        NoteKey("w", 6, log_signer().key.public)


def test_two_keys_of_one_id() -> None:
    class Twin(NoteKey):
        key_id = log_signer().key.key_id  # 32 bits: somebody can make one

    twin = Twin(ORIGIN, 1, log_signer(1).key.public)
    note = Note(b"x\n", (log_signer().sign(b"x\n"),))
    with pytest.raises(UsageError, match="same name and id"):
        signed_by(note, [log_signer().key, twin], "x")
    assert signed_by(note, [log_signer().key, log_signer().key], "x")
    assert isinstance(log_signer(), NoteSigner)
