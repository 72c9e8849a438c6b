"""Public keys, signers by URI, and development keys.

What always holds: a `PublicKey` was read from a real PEM SubjectPublicKeyInfo of a supported kind; its key id is the
SHA-256 of the DER SubjectPublicKeyInfo (the same value as MCUboot's KEYHASH TLV). A development key says so in its PEM file, in a
line before BEGIN (RFC 7468 section 2 lets text stand there), so that whoever holds only the public key still sees it.
Signing is securesystemslib's work, or that of a token (`hsm`); no signature is computed here.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import (
    SIGNER_FOR_URI_SCHEME,
    CryptoSigner,
    SecretsHandler,
    Signature,
    Signer,
    SSlibKey,
)

from devicepipe.errors import BenchError, DevicepipeError, UsageError
from devicepipe.signing.pkcs11_uri import SCHEME as PKCS11_SCHEME
from devicepipe.signing.secret_sources import find_secret, forget_secret, variable_of

ED25519 = "ed25519"
ECDSA_P256 = "ecdsa-sha2-nistp256"

DEVELOPMENT_MARKER = "devicepipe: DEVELOPMENT KEY, not for production"

MAXIMUM_PEM = 64 * 1024
"""The longest public key file that is read, in bytes."""

_FILE_SCHEMES = ("file", "file2")
_BEGIN = b"-----BEGIN "
# PKCS #8 (RFC 7468, 11), and what OpenSSL writes of its own forms (RFC 1421, 4.6.1.1).
_ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
_DOES_IT_FIT = (
    b"devicepipe: does this key fit its public half?"  # signed with a token that has no public half of the key
)
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # SEC 2, section 2.4.2


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that signatures are checked with.

    Attributes:
        keyid: SHA-256 of the DER SubjectPublicKeyInfo, 64 lower-case hexadecimal digits.
        scheme: `ed25519` or `ecdsa-sha2-nistp256` (securesystemslib's names).
        pem: The PEM text of the key, with the development marker before it where it is a development key.
        development: Whether the key's file said that it is a development key.
    """

    keyid: str
    scheme: str
    pem: bytes
    development: bool

    @classmethod
    def load(cls, path: Path) -> PublicKey:
        """Read a PEM file.

        Raises:
            UsageError: The file cannot be read, or is not one public key of a supported kind.
        """
        try:
            with path.open("rb") as file:
                data = file.read(MAXIMUM_PEM + 1)
        except OSError as error:
            raise UsageError(
                f"public key cannot be read: {error.strerror}", file=path, remedy="name an existing PEM file"
            ) from error
        return cls.from_pem(data, path)

    @classmethod
    def from_pem(cls, data: bytes, file: Path | None = None) -> PublicKey:
        """Read PEM text; `file` is only named in errors.

        Raises:
            UsageError: It is not exactly one PEM public key (RFC 7468 section 13) of a supported kind.
        """
        remedy = "expected one PEM block 'PUBLIC KEY' holding an Ed25519 or ECDSA P-256 key"
        if len(data) > MAXIMUM_PEM or data.count(_BEGIN) != 1:
            raise UsageError("is not one PEM public key", file=file, remedy=remedy)
        try:
            key = load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise UsageError("is not a PEM public key", file=file, remedy=remedy) from error
        preamble = data[: data.index(_BEGIN)].decode("utf-8", errors="replace")
        development = DEVELOPMENT_MARKER in (line.strip() for line in preamble.splitlines())
        return cls._of(key, development=development, file=file)

    @classmethod
    def _of(cls, key: object, *, development: bool, file: Path | None = None) -> PublicKey:
        if isinstance(key, Ed25519PublicKey):
            scheme = ED25519
        elif isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            scheme = ECDSA_P256
        else:
            raise UsageError(
                f"unsupported kind of key: {type(key).__name__}",
                file=file,
                remedy="use an Ed25519 or ECDSA P-256 key",
            )
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        if development:
            pem = _marked(pem)
        return cls(hashlib.sha256(der).hexdigest(), scheme, pem, development)

    def to_securesystemslib(self) -> SSlibKey:
        """The key as securesystemslib wants it, under our key id."""
        key = load_pem_public_key(self.pem)
        return SSlibKey.from_crypto(key, keyid=self.keyid, scheme=self.scheme)

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether the signature over `data` is this key's, in the one form that we accept.

        An ECDSA signature (r, s) has a twin (r, n - s) that anyone can compute and that verifies too. Only the one with the
        smaller s in strict DER is accepted, so that nobody can turn one valid file into a different valid file.
        """
        if self.canonical_signature(signature) != signature:
            return False
        try:
            self.to_securesystemslib().verify_signature(Signature(self.keyid, signature.hex()), data)
        except (UnverifiedSignatureError, VerificationError):
            return False
        return True

    def canonical_signature(self, signature: bytes) -> bytes | None:
        """The signature in the form that `verifies` accepts; None where it is no signature of the key's scheme at all."""
        if self.scheme != ECDSA_P256:
            return signature
        try:
            r, s = decode_dss_signature(signature)
        except ValueError:
            return None
        return encode_dss_signature(r, min(s, _P256_ORDER - s)) if 0 < s < _P256_ORDER else None


def load_signer(uri: str, public_key: PublicKey, base: Path, secrets: SecretsHandler | None = None) -> Signer:
    """The signer of a URI.

    Args:
        uri: `file:` or `file2:` with the path of a PKCS #8 PEM file (a relative one is taken from `base`), which may be
            encrypted; `pkcs11:` with a key on a token (RFC 7512, see `pkcs11_uri`); or any other scheme that securesystemslib
            knows (`hsm:`, `awskms:`, `gcpkms:`, `azurekms:`, `hv:`, ...).
        public_key: The public half; a private key that does not fit it is refused.
        base: The folder that relative paths start from.
        secrets: Asked for PINs and passphrases, with the token's label or the file's name; None asks the usual sources
            (`secret_sources`).

    Raises:
        UsageError: Unknown scheme, no such file or key, not a private key, not the private half of `public_key`, or its secret is
            nowhere or wrong.
        BenchError: The signer's device or service cannot be reached.
    """
    scheme, colon, rest = uri.partition(":")
    known = {*_FILE_SCHEMES, PKCS11_SCHEME, *SIGNER_FOR_URI_SCHEME}
    if not colon or scheme not in known:
        raise UsageError(f"unknown signer '{scheme}:'", remedy=f"known schemes: {', '.join(sorted(known))}")
    if scheme in _FILE_SCHEMES:
        return _file_signer(base / rest, public_key, secrets)
    if scheme == PKCS11_SCHEME:
        return _token_signer(uri, public_key, base, secrets)
    from devicepipe.signing.services import SERVICES, ServiceSigner

    kind = ServiceSigner if scheme in SERVICES else Signer
    try:
        return kind.from_priv_key_uri(uri, public_key.to_securesystemslib(), secrets)
    except DevicepipeError:
        raise
    except ValueError as error:
        raise UsageError(f"signer '{scheme}:' refuses its URI or key: {error}") from error
    except Exception as error:  # securesystemslib: signers may raise errors that it does not document
        raise BenchError(
            f"signer '{scheme}:' cannot be used: {error}",
            remedy="check that the device or service is reachable and that securesystemslib's extra for it is installed",
        ) from error


def sign(signer: Signer, public_key: PublicKey, data: bytes) -> bytes:
    """A signature over `data`, in the form that `PublicKey.verifies` accepts and checked with it.

    Raises:
        UsageError: The signer's key is not the private half of `public_key`.
        BenchError: The signer's device or service failed.
    """
    try:
        made = bytes.fromhex(signer.sign(data).signature)
    except DevicepipeError:
        raise
    except Exception as error:  # securesystemslib: signers may raise errors that it does not document
        raise BenchError(f"the signer failed: {error}", remedy="check the signing device or service") from error
    signature = public_key.canonical_signature(made)
    if signature is None or not public_key.verifies(signature, data):
        raise UsageError(
            "the signer's signature does not verify under its public key",
            remedy="configure the public key that belongs to the signer",
        )
    return signature


def read_private(path: Path, secrets: SecretsHandler | None = None) -> PrivateKeyTypes:
    """The private key of a PEM file; the passphrase of an encrypted one is asked for under the file's name.

    Raises:
        UsageError: There is no such file, it is no private key, or its passphrase is nowhere or wrong.
    """
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"private key cannot be read: {error.strerror}", file=path, remedy="name an existing PEM file"
        ) from error
    passphrase: bytes | None = None
    if any(line in pem for line in _ENCRYPTED):
        passphrase = find_secret(path.name, f"passphrase of the key file '{path.name}'", secrets).encode()
    try:
        return load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if passphrase is None:
            raise UsageError(
                "is not a PEM private key",
                file=path,
                remedy="name a PKCS #8 file; `devicepipe keys make file:…` makes one",
            ) from error
        forget_secret(path.name)
        raise UsageError(
            "is not a PEM private key, or its passphrase is another",
            file=path,
            remedy=f"give the passphrase that it was made with, on the terminal or as {variable_of(path.name)}",
        ) from error


def _file_signer(path: Path, public_key: PublicKey, secrets: SecretsHandler | None) -> Signer:
    # Built here and not by Signer.from_priv_key_uri, which cuts a path at '?' and '#'.
    private = read_private(path, secrets)
    if not public_key.development and DEVELOPMENT_MARKER.encode() in path.read_bytes():
        raise UsageError(
            "is a development key, but its public half does not say so", file=path, remedy="make a key for production"
        )
    if PublicKey._of(private.public_key(), development=False, file=path).keyid != public_key.keyid:  # noqa: SLF001 - one module
        raise UsageError(
            "private key does not fit the public key", file=path, remedy="configure the two halves of one key"
        )
    return CryptoSigner(private, public_key.to_securesystemslib())


def _token_signer(uri: str, public_key: PublicKey, base: Path, secrets: SecretsHandler | None) -> Signer:
    from devicepipe.signing.hsm import Pkcs11Signer

    signer = Pkcs11Signer.open(uri, public_key.to_securesystemslib(), base, secrets)
    there = signer.public_on_token()
    if there is None:
        sign(signer, public_key, _DOES_IT_FIT)
    elif PublicKey.from_pem(there).keyid != public_key.keyid:
        raise UsageError(
            "the key on the token does not fit the public key", remedy="configure the two halves of one key"
        )
    return signer


# --- development keys -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair in two PEM files; `public` is what `public_path` holds."""

    private_path: Path
    public_path: Path
    public: PublicKey

    @property
    def uri(self) -> str:
        """The URI for `load_signer`."""
        return f"file:{self.private_path}"

    def signer(self) -> Signer:
        """The pair's signer."""
        return load_signer(self.uri, self.public, self.private_path.parent)


@dataclass(frozen=True, slots=True)
class DevelopmentKeys:
    """The development keys of a project: one for images, one for attestations and releases.

    `made` is true when this call made at least one of them.
    """

    image: KeyPair
    release: KeyPair
    made: bool


def ensure_development_keys(folder: Path) -> DevelopmentKeys:
    """The development keys in `folder`; made where they are missing.

    Files: `image.key.pem`, `image.pub.pem`, `release.key.pem`, `release.pub.pem`; Ed25519, PKCS #8 and SubjectPublicKeyInfo,
    each with the development marker. Private files have mode 0600, the folder 0700. Any number of processes at once end
    with the same keys, and none of them waits for another.

    Raises:
        UsageError: The folder cannot be written, or holds a file that is no development key.
    """
    image, made_image = _development_key(folder, "image")
    release, made_release = _development_key(folder, "release")
    return DevelopmentKeys(image, release, made_image or made_release)


def ensure_development_key(folder: Path, name: str) -> KeyPair:
    """A further development key, `<name>.key.pem` and `<name>.pub.pem`, as `ensure_development_keys` makes them.

    Raises:
        UsageError: As there.
    """
    return _development_key(folder, name)[0]


def _development_key(folder: Path, name: str) -> tuple[KeyPair, bool]:
    """The development key of that name, and whether it was made now."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        made = _make_private(folder / f"{name}.key.pem")
        return _pair(folder, name), made
    except OSError as error:
        raise UsageError(
            f"development keys cannot be made: {error.strerror}",
            file=folder,
            remedy="make the folder writable, or configure [keys] in devicepipe.toml",
        ) from error


def _make_private(path: Path) -> bool:
    """Make a private key unless there is one. A hard link appears whole or not at all, and never replaces a file."""
    if path.exists():
        path.chmod(0o600)
        return False
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    temporary = _write_temporary(path.parent, _marked(pem))
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def _pair(folder: Path, name: str) -> KeyPair:
    private_path, public_path = folder / f"{name}.key.pem", folder / f"{name}.pub.pem"
    try:
        private = load_pem_private_key(private_path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError(
            "is not an unencrypted private key", file=private_path, remedy="delete it; it is made anew"
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError("is not an Ed25519 key", file=private_path, remedy="delete it; it is made anew")
    public = PublicKey._of(private.public_key(), development=True)  # noqa: SLF001 - one module, one job
    # The private file is the truth, and every process derives the same public file from it.
    if not public_path.exists():
        _write_temporary(folder, public.pem, mode=0o644).replace(public_path)
    if PublicKey.load(public_path) != public:
        raise UsageError(
            f"is not the public half of {private_path.name}", file=public_path, remedy="delete it; it is made anew"
        )
    return KeyPair(private_path, public_path, public)


def _write_temporary(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(data)
        file.flush()
        os.fsync(handle)
    return Path(name)


def _marked(pem: bytes) -> bytes:
    return DEVELOPMENT_MARKER.encode() + b"\n" + pem
