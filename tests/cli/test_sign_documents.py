"""`devicepipe sign-documents` of a release that people signed: its copies show who approved it, and the bundle stays as it is."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path

import pyotp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from pypdf import PdfReader

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.signatures import record_folder
from devicepipe.evidence.verify import verify_bundle
from devicepipe.project.config import load_project
from devicepipe.signing.keys import ED25519, PublicKey
from devicepipe.signing.pdf_check import check_pdf
from devicepipe.signing.secret_sources import forget_secret
from devicepipe.stages.context import open_keys
from devicepipe.stages.document import Documents
from tests.cli.calls import WORDS, run, run_text, sign
from tests.cli.rotation import HISTORY, rotate
from tests.evidence.synthetic_bundle import Keys, Pair, Spoil, make_bundle
from tests.signing.issuers import holder
from tests.signing.softhsm import Token
from tests.signing.test_pdf_revision import shadow
from tests.signing.test_pdf_signature import certificate, write
from tests.signing.tsa import tsa

REPORT = "software-verification-report"


@pytest.fixture
def bundle(root: Path) -> Path:
    """A release of the project's keys with the record copies that its evidence gives."""
    keys = open_keys(load_project(root / "devicepipe.toml"))
    (root / "dist").mkdir()
    pairs = Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
    plain = make_bundle(root / "dist", keys=pairs, name="plain")
    copies = Documents(Bundle(plain.path)).record_copies()
    files = {f"documents/record/{name}.pdf": data for name, data in copies.items()}
    return make_bundle(root / "dist", keys=pairs, spoil=Spoil(files=files), name="pump-1.0.0").path


@pytest.fixture
def signer(tmp_path: Path) -> tuple[list[object], x509.Certificate]:
    """The options of a PDF signer, and its certificate."""
    private = rsa.generate_private_key(65537, 3072)
    own = certificate(private)
    key, cert = write(tmp_path, private, own)
    return ["--sign-key", key, "--certificate", cert, "--reason", "Approved release"], own


def approve(bundle: Path, people: Mapping[str, pyotp.TOTP]) -> None:
    for command, who in (("submit", "eva"), ("approve", "ron"), ("approve", "quinn")):
        sign(command, bundle, who, WORDS[who], people[who].now())


def text(data: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages[:4]).split())


def test_approved_copies_show_every_signature_and_carry_pades_with_a_time_stamp(
    bundle: Path, people: dict[str, pyotp.TOTP], signer: tuple[list[object], x509.Certificate], tmp_path: Path
) -> None:
    approve(bundle, people)
    options, own = signer
    with tsa(tmp_path / "tsa") as running:
        with (tmp_path / "devicepipe.toml").open("a") as file:
            file.write(f'\n[approval]\ntsa = "{running.url}"\ntsa-certificates = "tsa/root.pem"\n')
        _, told = run("sign-documents", bundle, "-o", tmp_path / "out", *options)
        root_certificate = x509.load_pem_x509_certificate(running.root.read_bytes())
    assert (told["state"], told["timeStampedBy"]) == ("approved", running.url)
    names = {path.name for path in (bundle / "documents/record").iterdir()}
    assert {Path(file).name for file in told["files"]} == names
    signed = (tmp_path / f"out/{REPORT}.pdf").read_bytes()
    assert check_pdf(signed, [own], [root_certificate], REPORT).stamped_on is not None
    checked = verified(bundle, tmp_path / "out", tmp_path / "certificate.pem", "--tsa-certificates", running.root)
    assert checked == [(name, "approved") for name in sorted(names)]
    shown = text(signed)
    for word in ("Eva", "Ron", "Quinn", "I have read it", "APPROVED", "SUBMITTED", "account quinn"):
        assert word in shown
    assert "NOT APPROVED" not in shown
    attached = PdfReader(io.BytesIO(signed)).attachments
    for number in (1, 2, 3):
        (data,) = attached[f"signature-000{number}.dsse.json"]
        assert data == (record_folder(bundle) / f"000{number}.dsse.json").read_bytes()
    verify_bundle(bundle, PublicKey.load(bundle.parents[1] / ".devicepipe/keys/release.pub.pem"))


def test_a_release_that_nobody_signed_is_copied_as_it_is_sealed(
    bundle: Path, signer: tuple[list[object], x509.Certificate], tmp_path: Path
) -> None:
    options, own = signer
    _, told = run("sign-documents", bundle, "-o", tmp_path / "out", *options)
    assert (told["state"], told["timeStampedBy"]) == (None, None)
    signed = (tmp_path / f"out/{REPORT}.pdf").read_bytes()
    assert signed.startswith((bundle / f"documents/record/{REPORT}.pdf").read_bytes())
    check_pdf(signed, [own], [], REPORT)


def test_the_passphrase_of_an_encrypted_key_is_asked_for_unbidden(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an option that said so, the key was told to be none."""
    private = rsa.generate_private_key(65537, 3072)
    key, cert = write(tmp_path, private, certificate(private), "correct horse")
    words = ("sign-documents", bundle, "-o", tmp_path / "out", "--sign-key", key, "--certificate", cert)
    forget_secret(key.name)
    with pytest.raises(UsageError) as caught:
        run(*words, "--reason", "Approved")
    assert "DEVICEPIPE_SECRET_KEY_PEM" in str(caught.value)
    monkeypatch.setenv("DEVICEPIPE_SECRET_KEY_PEM", "correct horse")
    assert run(*words, "--reason", "Approved")[1]["files"]
    forget_secret(key.name)


def test_a_document_that_is_not_what_the_evidence_gives_gets_no_approval_block(
    root: Path, people: dict[str, pyotp.TOTP], signer: tuple[list[object], x509.Certificate], tmp_path: Path
) -> None:
    keys = open_keys(load_project(root / "devicepipe.toml"))
    (root / "dist").mkdir()
    pairs = Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
    other = Spoil(files={f"documents/record/{REPORT}.pdf": b"%PDF-1.7 of another devicepipe"})
    made = make_bundle(root / "dist", keys=pairs, spoil=other).path
    approve(made, people)
    with pytest.raises(UsageError, match="is not what this devicepipe makes of the evidence"):
        run("sign-documents", made, "-o", tmp_path / "out", *signer[0])
    assert not (tmp_path / "out").exists()


def verified(bundle: Path, folder: Path, certificate: Path, *more: object) -> list[tuple[str, str | None]]:
    told = run("verify-documents", folder, "--bundle", bundle, "--certificate", certificate, *more)[1]["documents"]
    return [(one["file"], one["state"]) for one in told]


def broken(bundle: Path, folder: Path, certificate: Path, link: str, why: str) -> None:
    with pytest.raises(IntegrityError, match=why) as caught:
        verified(bundle, folder, certificate)
    assert caught.value.link == link


def test_signed_copies_are_checked_against_the_bundle_and_its_signatures(
    bundle: Path, people: dict[str, pyotp.TOTP], signer: tuple[list[object], x509.Certificate], tmp_path: Path
) -> None:
    options, _ = signer
    certificate = tmp_path / "certificate.pem"
    run("sign-documents", bundle, "-o", tmp_path / "sealed", *options)
    sign("submit", bundle, "eva", WORDS["eva"], people["eva"].now())
    run("sign-documents", bundle, "-o", tmp_path / "submitted", *options)
    sign("approve", bundle, "ron", WORDS["ron"], people["ron"].now())
    count = len([*(bundle / "documents/record").iterdir()])
    # More signatures since then change nothing about what was signed.
    for folder, state in (("sealed", None), ("submitted", "candidate")):
        assert [one[1] for one in verified(bundle, tmp_path / folder, certificate)] == [state] * count
    name = f"{REPORT}.pdf"
    one = tmp_path / "one"
    one.mkdir()
    good = (tmp_path / f"submitted/{name}").read_bytes()
    (one / name).write_bytes(good)
    assert verified(bundle, one, certificate) == [(name, "candidate")]
    # What is not there is told, not passed over.
    every = {path.name for path in (tmp_path / "sealed").iterdir()}
    words = ("verify-documents", one, "--bundle", bundle, "--certificate", certificate)
    assert run(*words)[1]["missing"] == sorted(every - {name})
    said = run_text(*words)
    assert f"1 of {count} documents of this release, as signed" in said
    assert f"not here: {', '.join(sorted(every - {name}))}" in said
    for share in (0.1, 0.5, 0.999):
        flipped = bytearray(good)
        flipped[int(len(good) * share)] ^= 1
        (one / name).write_bytes(flipped)
        with pytest.raises(IntegrityError) as caught:
            verified(bundle, one, certificate)
        assert caught.value.link == name
    (one / name).write_bytes(good + b"\n%more")
    broken(bundle, one, certificate, name, "does not cover all of it")
    (one / name).write_bytes((bundle / f"documents/record/{name}").read_bytes())
    broken(bundle, one, certificate, name, "has 0 signatures")
    (one / name).write_bytes((tmp_path / "submitted/release-notes.pdf").read_bytes())
    broken(bundle, one, certificate, name, "is no document of this release")


def test_approved_copies_of_a_release_that_was_withdrawn_since_were_told_as_approved(
    bundle: Path, people: dict[str, pyotp.TOTP], signer: tuple[list[object], x509.Certificate], tmp_path: Path
) -> None:
    """Whoever was given them checked them against a bundle that had the withdrawal beside it, and did not learn of it."""
    approve(bundle, people)
    run("sign-documents", bundle, "-o", tmp_path / "out", *signer[0])
    words = ("verify-documents", tmp_path / "out", "--bundle", bundle, "--certificate", tmp_path / "certificate.pem")
    assert "now" not in run_text(*words)
    sign("withdraw", bundle, "quinn", WORDS["quinn"])
    told = run(*words)[1]
    assert ({one["state"] for one in told["documents"]}, told["state"]) == ({"approved"}, "withdrawn")
    said = run_text(*words)
    assert said.startswith("the release was withdrawn\n")
    assert "the release is withdrawn now, no longer approved" in said


def test_copies_by_another_signer_or_of_another_release_are_refused(
    root: Path, bundle: Path, signer: tuple[list[object], x509.Certificate], tmp_path: Path
) -> None:
    run("sign-documents", bundle, "-o", tmp_path / "out", *signer[0])
    other = tmp_path / "other"
    other.mkdir()
    private = rsa.generate_private_key(65537, 3072)
    _, stranger = write(other, private, certificate(private))
    name = min(path.name for path in (tmp_path / "out").iterdir())
    broken(bundle, tmp_path / "out", stranger, name, "leads to none that is trusted")
    keys = open_keys(load_project(root / "devicepipe.toml"))
    pairs = Keys(Pair(keys.image.signer, keys.image.public), Pair(keys.release.signer, keys.release.public))
    another = Spoil(files={f"documents/record/{REPORT}.pdf": b"%PDF-1.7 of another release"})
    made = make_bundle(root / "dist", keys=pairs, spoil=another, version="1.2.4", name="another").path
    broken(made, tmp_path / "out", tmp_path / "certificate.pem", name, "is no document of this release")
    with pytest.raises(UsageError, match="has no signed documents"):
        verified(bundle, other, stranger)
    with pytest.raises(IntegrityError, match="has no time-stamp"):
        verified(bundle, tmp_path / "out", tmp_path / "certificate.pem", "--tsa-certificates", stranger)


def test_who_has_any_certificate_of_the_authority_signed_something_else(bundle: Path, tmp_path: Path) -> None:
    """The revision that carries the signature replaced what page 1 shows, and the signature covered that as well."""
    authority = holder("Authority of Example", authority=True)
    _, trusted = authority.write(tmp_path, "authority")
    name, out = f"{REPORT}.pdf", tmp_path / "out"
    out.mkdir()
    sealed = (bundle / f"documents/record/{name}").read_bytes()
    anybody = holder("Anybody", authority)
    (out / name).write_bytes(anybody.sign(sealed))
    assert verified(bundle, out, trusted) == [(name, None)]
    (out / name).write_bytes(anybody.sign(sealed, shadow))
    broken(bundle, out, trusted, name, "was changed by who signed it: .* changes the first page")


@pytest.mark.parametrize("name", [f"{REPORT}.pdf", "x.pdf", "X.PDF"])
def test_what_is_no_file_held_up_the_check(
    bundle: Path, signer: tuple[list[object], x509.Certificate], tmp_path: Path, name: str
) -> None:
    """A FIFO was waited for, and a link followed to wherever it leads."""
    out = tmp_path / "out"
    out.mkdir()
    os.mkfifo(out / name)
    why = "not a regular file" if name == f"{REPORT}.pdf" else "is no document of this release"
    broken(bundle, out, tmp_path / "certificate.pem", name, why)
    (out / name).unlink()
    (out / name).symlink_to("/dev/zero")
    broken(bundle, out, tmp_path / "certificate.pem", name, why.replace("not a", "cannot be read as a"))
    (out / name).unlink()
    with (out / name).open("wb") as file:
        file.truncate(10**10)
    broken(bundle, out, tmp_path / "certificate.pem", name, why.replace("not a regular file", "is larger than"))


def test_documents_of_a_release_before_a_rotation_could_be_checked_with_no_key(
    bundle: Path,
    people: dict[str, pyotp.TOTP],
    signer: tuple[list[object], x509.Certificate],
    token: Token,
    tmp_path: Path,
) -> None:
    """Approved under both keys, and so of neither key alone; the remedy named an option that the commands did not have."""
    options, _ = signer
    for command, who in (("submit", "eva"), ("approve", "ron")):
        sign(command, bundle, who, WORDS[who], people[who].now())
    rotated = rotate(tmp_path, people, token, ED25519)
    sign("approve", bundle, "quinn", WORDS["quinn"], people["quinn"].now())
    check = ("--bundle", bundle, "--certificate", tmp_path / "certificate.pem")
    for key, filed in ((rotated.old, tmp_path / "filed-1"), (rotated.new, tmp_path / "filed-2")):
        commands = (("sign-documents", bundle, "-o", filed, *options), ("verify-documents", filed, *check))
        for one in commands:
            told = run(*one, "--key", key, "--history", HISTORY)[1]
            with pytest.raises(IntegrityError, match="is signed by the key") as caught:
                run(*one, "--key", key)
            assert "--history" in (caught.value.remedy or "")
            with pytest.raises(UsageError, match="--history goes with --key"):
                run(*one, "--history", HISTORY)
        assert {one["state"] for one in told["documents"]} == {"approved"}
