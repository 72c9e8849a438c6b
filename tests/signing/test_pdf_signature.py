"""PAdES signatures: they verify, the file stays PDF/A and the same up to them, and whatever is changed breaks them."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pikepdf
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from devicepipe.cli.main import cli
from devicepipe.documents.pdfa import Level
from devicepipe.errors import BenchError, IntegrityError, UsageError
from devicepipe.evidence.verify import verify_bundle
from devicepipe.signing.pdf import PdfSigner
from devicepipe.signing.pdf_check import check_pdf
from devicepipe.signing.time_stamps import TimeStampAuthority
from tests.documents.test_pdfa import findings, record_copy
from tests.evidence.synthetic_bundle import Spoil, make_bundle
from tests.signing.tsa import Tsa, tsa

PASSPHRASE = "four green umbrellas"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


def certificate(
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, days: int = 30, since: int = 0
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Quality of Example Medical")])
    start = datetime.now(UTC) - timedelta(days=since, minutes=5)
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
    builder = builder.serial_number(7).not_valid_before(start).not_valid_after(start + timedelta(days=days))
    return builder.add_extension(usage, critical=True).sign(private, SHA256())


def write(
    folder: Path, private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, found: x509.Certificate, passphrase: str = ""
) -> tuple[Path, Path]:
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    files = folder / "key.pem", folder / "certificate.pem"
    files[0].write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    files[1].write_bytes(found.public_bytes(Encoding.PEM))
    return files


@pytest.fixture(scope="module")
def record() -> bytes:
    return record_copy()


def valid(data: bytes, trusted: x509.Certificate) -> bool:
    from asn1crypto import x509 as asn1

    (signature,) = PdfFileReader(io.BytesIO(data)).embedded_signatures
    root = asn1.Certificate.load(trusted.public_bytes(Encoding.DER))
    status = validate_pdf_signature(signature, ValidationContext(trust_roots=[root]))
    return bool(status.bottom_line) and status.coverage == SignatureCoverageLevel.ENTIRE_FILE


def test_a_signed_record_copy_verifies_and_is_the_same_up_to_the_signature(
    tmp_path: Path, key: rsa.RSAPrivateKey, record: bytes
) -> None:
    own = certificate(key)
    signer = PdfSigner.load(*write(tmp_path, key, own, PASSPHRASE), secrets={"key.pem": PASSPHRASE}.__getitem__)
    signed = signer.sign(record, reason="Reviewed", link="report.pdf")
    assert signed.startswith(record)
    assert valid(signed, own)
    assert signer.subject == "CN=Quality of Example Medical"
    with pikepdf.open(io.BytesIO(signed)) as pdf:
        assert pdf.pdf_version == "1.7"
        assert "/Version" not in pdf.Root
    # pikepdf knows no signed file; it says of what it does not know that it is unsupported.
    assert [one for one in findings(signed, Level.RECORD) if "[unsupported]" not in one] == []


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_changed_byte_breaks_the_signature(
    tmp_path: Path, key: rsa.RSAPrivateKey, record: bytes, share: float
) -> None:
    own = certificate(key)
    signed = bytearray(PdfSigner.load(*write(tmp_path, key, own)).sign(record, reason="Reviewed", link="report.pdf"))
    place = signed.index(b"stream\n", int(len(record) * share)) + 20
    signed[place] ^= 1
    assert not valid(bytes(signed), own)


def test_a_program_with_a_running_event_loop_can_sign(tmp_path: Path, key: rsa.RSAPrivateKey, record: bytes) -> None:
    own = certificate(key)
    signer = PdfSigner.load(*write(tmp_path, key, own))

    async def inside() -> bytes:
        return signer.sign(record, reason="Reviewed", link="report.pdf")

    assert valid(asyncio.run(inside()), own)


def test_a_file_is_signed_once(tmp_path: Path, key: rsa.RSAPrivateKey, record: bytes) -> None:
    signer = PdfSigner.load(*write(tmp_path, key, certificate(key)))
    signed = signer.sign(record, reason="Reviewed", link="report.pdf")
    with pytest.raises(UsageError, match=r"report\.pdf is signed already"):
        signer.sign(signed, reason="Again", link="report.pdf")
    with pytest.raises(UsageError, match="cannot be signed"):
        signer.sign(b"no PDF at all", reason="Reviewed", link="report.pdf")


def test_what_cannot_sign_is_told(tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    small = rsa.generate_private_key(65537, 2048)
    curve = ec.generate_private_key(ec.SECP256R1())
    for private in (small, curve):
        with pytest.raises(UsageError, match="not an RSA key of at least 3072 bits"):
            PdfSigner.load(*write(tmp_path, private, certificate(private)))
    with pytest.raises(UsageError, match="not the certificate of the key"):
        PdfSigner.load(*write(tmp_path, key, certificate(rsa.generate_private_key(65537, 3072))))
    with pytest.raises(UsageError, match="is in force from"):
        PdfSigner.load(*write(tmp_path, key, certificate(key, days=5, since=10)))
    with pytest.raises(UsageError, match="passphrase is another"):
        PdfSigner.load(*write(tmp_path, key, certificate(key), PASSPHRASE), secrets=lambda _: "another")
    write(tmp_path, key, certificate(key))[1].write_text("none")
    with pytest.raises(UsageError, match="no certificate in PEM"):
        PdfSigner.load(tmp_path / "key.pem", tmp_path / "certificate.pem")


def test_the_command_signs_every_record_copy_of_a_bundle_and_leaves_it_as_it_is(
    tmp_path: Path, key: rsa.RSAPrivateKey, record: bytes
) -> None:
    own = certificate(key)
    private, cert = write(tmp_path, key, own)
    made = make_bundle(tmp_path, spoil=Spoil(files={"documents/record/report.pdf": record}))
    public = tmp_path / "release.pub.pem"
    public.write_bytes(made.keys.release.public.pem)
    words = ["sign-documents", made.path, "-o", tmp_path / "signed", "--sign-key", private, "--certificate", cert]
    words += ["--reason", "Approved", "--key", public]
    result = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    assert result.output == f"1 document signed by CN=Quality of Example Medical in {tmp_path / 'signed'}\n", (
        result.exception
    )
    assert valid((tmp_path / "signed/report.pdf").read_bytes(), own)
    verify_bundle(made.path, made.keys.release.public)
    again = CliRunner().invoke(cli, [str(word) for word in words], standalone_mode=False)
    assert isinstance(again.exception, UsageError)
    assert "is there already" in again.exception.message


def refusal(data: bytes, trusted: x509.Certificate, authorities: list[x509.Certificate] | None = None) -> str:
    with pytest.raises(IntegrityError) as caught:
        check_pdf(data, [trusted], authorities or [], "report.pdf")
    assert caught.value.link == "report.pdf"
    return caught.value.message


def root_of(running: Tsa) -> x509.Certificate:
    return x509.load_pem_x509_certificate(running.root.read_bytes())


def test_a_time_stamp_says_when_it_was_signed_and_the_file_stays_pdf_a(
    tmp_path: Path, key: rsa.RSAPrivateKey, record: bytes
) -> None:
    own = certificate(key)
    signer = PdfSigner.load(*write(tmp_path, key, own))
    before = datetime.now(UTC) - timedelta(seconds=2)
    with tsa(tmp_path / "tsa") as running, tsa(tmp_path / "other") as other:
        authority = TimeStampAuthority.load(running.url, running.root)
        signed = signer.sign(record, reason="Reviewed", link="report.pdf", authority=authority)
        trusted, another = root_of(running), root_of(other)
    assert signed.startswith(record)
    told = check_pdf(signed, [own], [trusted], "report.pdf")
    assert told.stamped_on is not None
    assert before <= told.stamped_on <= datetime.now(UTC) + timedelta(seconds=2)
    assert [one for one in findings(signed, Level.RECORD) if "[unsupported]" not in one] == []
    assert "time-stamp that does not hold, or of an authority that is not trusted" in refusal(signed, own, [another])
    stranger = certificate(rsa.generate_private_key(65537, 3072))
    assert "leads to none that is trusted" in refusal(signed, stranger, [trusted])


def test_a_file_without_a_time_stamp_is_not_taken_for_one_with(
    tmp_path: Path, key: rsa.RSAPrivateKey, record: bytes
) -> None:
    own = certificate(key)
    signed = PdfSigner.load(*write(tmp_path, key, own)).sign(record, reason="Reviewed", link="report.pdf")
    assert check_pdf(signed, [own], [], "report.pdf").stamped_on is None
    assert "has no time-stamp" in refusal(signed, own, [own])
    assert "has 0 signatures" in refusal(record, own)
    assert "cannot be read" in refusal(b"no PDF", own)
    assert "does not cover all of it" in refusal(signed + b"\n% more\n", own)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.9])
def test_a_changed_byte_is_named_as_that(tmp_path: Path, key: rsa.RSAPrivateKey, record: bytes, share: float) -> None:
    own = certificate(key)
    signed = bytearray(PdfSigner.load(*write(tmp_path, key, own)).sign(record, reason="Reviewed", link="report.pdf"))
    signed[signed.index(b"stream\n", int(len(record) * share)) + 20] ^= 1
    assert "is not what was signed" in refusal(bytes(signed), own)


def test_nothing_is_signed_where_the_authority_fails(
    tmp_path: Path, key: rsa.RSAPrivateKey, record: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, cert = write(tmp_path, key, certificate(key))
    made = make_bundle(tmp_path, spoil=Spoil(files={"documents/record/report.pdf": record}))
    public = tmp_path / "release.pub.pem"
    public.write_bytes(made.keys.release.public.pem)
    words = ["sign-documents", made.path, "-o", tmp_path / "signed", "--sign-key", private, "--certificate", cert]
    words += ["--reason", "Approved", "--key", public]
    monkeypatch.chdir(tmp_path)

    def run(*more: object) -> BaseException | None:
        return CliRunner().invoke(cli, [str(one) for one in (*words, *more)], standalone_mode=False).exception

    with tsa(tmp_path / "tsa") as running, tsa(tmp_path / "other") as other:
        assert isinstance(run("--tsa", running.url), UsageError)
        assert isinstance(run("--tsa", running.url, "--tsa-certificates", other.root), IntegrityError)
        running.change = lambda _: b""
        assert isinstance(run("--tsa", running.url, "--tsa-certificates", running.root), IntegrityError)
    assert isinstance(run("--tsa", running.url, "--tsa-certificates", running.root), BenchError)
    assert not (tmp_path / "signed").exists()
