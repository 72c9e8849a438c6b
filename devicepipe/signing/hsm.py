"""Keys on PKCS #11 tokens: hardware security modules, smart cards, SoftHSM2. Ed25519 and ECDSA P-256.

What always holds: the private key stays on the token. One that could be read out (CKA_EXTRACTABLE), or whose value is not kept
secret (CKA_SENSITIVE is false), is refused. A PIN is tried once: a token that has refused one, failed at it or
not answered is given no other by the same process, through whatever module, because tokens lock themselves. A module is waited
for as whoever is at the end of a wire (`in_time`), whatever it is asked; an answer that cannot be understood is an error of the
bench. What a token calls itself is told in one printable line.

A module is used by one thread at a time, and a token is logged in to once in a process: both are PKCS #11's own conditions.
Sources: PKCS #11 v2.40 and v3.0 (EdDSA), RFC 7512. python-pkcs11 calls the module; nothing of PKCS #11 is written here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from securesystemslib.signer import ECDSA_SHA2_NISTP256, ED25519, SecretsHandler, Signature, Signer, SSlibKey

from devicepipe.errors import BenchError, DevicepipeError, UsageError
from devicepipe.peers import in_one_line, in_time
from devicepipe.signing.pkcs11_uri import SCHEME, Pkcs11Uri
from devicepipe.signing.secret_sources import find_secret, forget_secret, secret_from

if TYPE_CHECKING:
    import pkcs11

_POINT_SIZE: Final = 32
_MISSING = "the package python-pkcs11 is not installed"
_EDWARDS = bytes.fromhex(
    "130c656477617264733235353139"
)  # DER of the curve's name, "edwards25519" (PKCS #11 v3.0, 2.3.10)

# One lock for all: modules are initialised for one thread (C_Initialize without arguments).
_lock = RLock()
_sessions: dict[tuple[str, str, bytes], pkcs11.Session] = {}
_refused: dict[tuple[str, bytes], str] = {}
"""The tokens that refused a PIN, by label and serial number (several modules may lead to one), and how they put it."""

T = TypeVar("T")


class PinRefusedError(UsageError):
    """A token did not take its PIN, now or earlier in this process."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What a token says of a key.

    Attributes:
        uri: Which key it is.
        token: The token's label.
        made_there: Whether it was made on the token and could never be read out (CKA_NEVER_EXTRACTABLE); else it was brought in.
        public: The public half in PEM; None where the token has no public key object for it.
    """

    uri: str
    token: str
    made_there: bool
    public: bytes | None


class Pkcs11Signer(Signer):
    """A signer whose key is on a token. Made by `from_priv_key_uri`, or `open`."""

    SCHEME = SCHEME

    def __init__(self, uri: Pkcs11Uri, public_key: SSlibKey, secrets: SecretsHandler | None) -> None:
        """As `open`."""
        if public_key.scheme not in (ED25519, ECDSA_SHA2_NISTP256):
            raise UsageError(
                f"a token does not sign with {public_key.scheme}", remedy=f"use {ED25519} or {ECDSA_SHA2_NISTP256}"
            )
        self._uri, self._public_key, self._secrets = uri, public_key, secrets
        with _used(uri):
            session = _session(uri, secrets)
            _asked(uri, lambda: _check_kind(_private_key(session, uri), public_key.scheme, uri))

    @classmethod
    def open(cls, uri: str, public_key: SSlibKey, base: Path, secrets: SecretsHandler | None = None) -> Pkcs11Signer:
        """The signer of a key.

        Args:
            uri: The key's URI, see `Pkcs11Uri`.
            public_key: Its public half.
            base: The folder that a relative module path starts from.
            secrets: Asked for the PIN, with the token's label.

        Raises:
            UsageError: The URI, the key or the PIN cannot be used.
            BenchError: The module or the token cannot be reached.
        """
        return cls(Pkcs11Uri.parse(uri, base), public_key, secrets)

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Any, secrets_handler: SecretsHandler | None = None
    ) -> Pkcs11Signer:
        """As `open`, as securesystemslib calls it: relative paths start from the present folder."""
        return cls.open(priv_key_uri, public_key, Path(), secrets_handler)

    @property
    def public_key(self) -> SSlibKey:
        """The public half."""
        return self._public_key

    def public_on_token(self) -> bytes | None:
        """The PEM of the public half that the token has for the key, if it has one. Raises as `open`."""
        with _used(self._uri):
            session = _session(self._uri, self._secrets)
            return _asked(self._uri, lambda: _public(session, _private_key(session, self._uri)))

    def sign(self, payload: bytes) -> Signature:
        """Sign on the token. ECDSA: the token sees the SHA-256 of the payload.

        Raises:
            UsageError: The key is there no longer, or can be read out by now.
            BenchError: The token failed.
        """
        import pkcs11

        with _used(self._uri):
            session = _session(self._uri, self._secrets)

            def sign() -> bytes:
                private = _private_key(session, self._uri)
                if self._public_key.scheme == ED25519:
                    return bytes(private.sign(payload, mechanism=pkcs11.Mechanism.EDDSA))
                plain = private.sign(hashlib.sha256(payload).digest(), mechanism=pkcs11.Mechanism.ECDSA)
                half = len(plain) // 2
                return encode_dss_signature(int.from_bytes(plain[:half], "big"), int.from_bytes(plain[half:], "big"))

            return Signature(self._public_key.keyid, _asked(self._uri, sign).hex())


def describe_key(uri: str, base: Path, secrets: SecretsHandler | None = None) -> TokenKey:
    """What a token says of a key, its public half too. Raises as `Pkcs11Signer.open`."""
    import pkcs11

    named = Pkcs11Uri.parse(uri, base)
    with _used(named):
        session = _session(named, secrets)

        def describe() -> TokenKey:
            private = _private_key(session, named)
            made_there = bool(private[pkcs11.Attribute.NEVER_EXTRACTABLE])
            return TokenKey(named.shown, _label(session.token), made_there, _public(session, private))

        return _asked(named, describe)


def make_key(uri: str, scheme: str, base: Path, secrets: SecretsHandler | None = None) -> TokenKey:
    """Make a key pair on a token, the private half never to leave it; returns what the token says of it.

    Args:
        uri: What it is to be called: `object` is its label, `id` its id; each that is left out is left to be derived.
        scheme: `ed25519` or `ecdsa-sha2-nistp256`.
        base: The folder that a relative module path starts from.
        secrets: Asked for the PIN.

    Raises:
        UsageError: There is a key of that name already, or the token does not make such keys.
        BenchError: The module or the token cannot be reached.
    """
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    named = Pkcs11Uri.parse(uri, base)
    if named.object is None:
        raise UsageError("a new key needs a label", remedy="name it in the URI: object=…")
    kinds = {
        ED25519: (pkcs11.KeyType.EC_EDWARDS, _EDWARDS, pkcs11.Mechanism.EC_EDWARDS_KEY_PAIR_GEN),
        ECDSA_SHA2_NISTP256: (
            pkcs11.KeyType.EC,
            encode_named_curve_parameters("secp256r1"),
            pkcs11.Mechanism.EC_KEY_PAIR_GEN,
        ),
    }
    if scheme not in kinds:
        raise UsageError(f"a token makes no key of the scheme {scheme}", remedy=f"use {', '.join(kinds)}")
    kind, curve, mechanism = kinds[scheme]
    label, key_id = (
        named.object,
        named.id if named.id is not None else hashlib.sha256(named.object.encode()).digest()[:8],
    )
    with _used(named):
        session = _session(named, secrets)

        def make() -> None:
            if [*session.get_objects({pkcs11.Attribute.LABEL: label})]:
                raise UsageError(
                    f"the token '{_label(session.token)}' has an object called '{label}' already",
                    remedy="name another one in the URI: object=…",
                )
            with _writing(session) as writer:
                parameters = writer.create_domain_parameters(kind, {pkcs11.Attribute.EC_PARAMS: curve}, local=True)
                parameters.generate_keypair(
                    mechanism=mechanism,
                    store=True,
                    label=label,
                    id=key_id,
                    capabilities=pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
                    private_template={
                        pkcs11.Attribute.SENSITIVE: True,
                        pkcs11.Attribute.EXTRACTABLE: False,
                        pkcs11.Attribute.PRIVATE: True,
                    },
                )

        _asked(named, make)
    return describe_key(uri, base, secrets)


def forget_tokens() -> None:
    """Close all modules: the next use opens them, and asks for PINs, anew, as another process would."""
    import pkcs11

    with _lock:
        for module in {module for module, _, _ in _sessions}:
            pkcs11.unload(module)
        _sessions.clear()
        _refused.clear()


# --- tokens and sessions --------------------------------------------------------------------------------------------------


@contextmanager
def _used(uri: Pkcs11Uri) -> Iterator[None]:
    """One thread at a time; errors of the module in our words."""
    try:
        import pkcs11
    except ImportError as error:
        raise BenchError(_MISSING, remedy="pip install 'devicepipe[pkcs11]'") from error
    with _lock:
        try:
            yield
        except pkcs11.PKCS11Error as error:
            # Whatever it was, the session may be of no more use: the next use opens another.
            for key in [key for key in _sessions if key[0] == uri.module]:
                del _sessions[key]
            raise BenchError(
                f"the token of {uri.shown} failed: {_told(error)}",
                remedy="check that the token is there and that its module fits it",
            ) from error


@contextmanager
def _writing(session: pkcs11.Session) -> Iterator[Any]:
    """A further session of the same token, which may write."""
    writer = session.token.open(rw=True)  # logged in as the other one is: a login is the process's
    try:
        yield writer
    finally:
        writer.close()


def _session(uri: Pkcs11Uri, secrets: SecretsHandler | None) -> pkcs11.Session:
    import pkcs11

    token = _token(uri)
    key = (uri.module, token.label, token.serial)
    if key in _sessions:
        return _sessions[key]
    if key[1:] in _refused:
        raise _pin_refused(token, _refused[key[1:]])
    if not token.flags & pkcs11.TokenFlag.LOGIN_REQUIRED:
        _sessions[key] = _asked(uri, token.open)
        return _sessions[key]
    try:
        _sessions[key] = _logged_in(token, uri, secrets)
    except BenchError as error:  # no answer in time: nobody knows whether the PIN was wrong
        _refused[key[1:]] = error.message
        raise
    except (
        pkcs11.PinIncorrect,
        pkcs11.PinInvalid,
        pkcs11.PinLenRange,
        pkcs11.PinLocked,
        pkcs11.PinExpired,
        # What some say of a wrong PIN, too.
        pkcs11.GeneralError,
        pkcs11.FunctionFailed,
        pkcs11.DeviceError,
    ) as error:
        forget_secret(uri.pin_source or _label(token))
        _refused[key[1:]] = _told(error)
        raise _pin_refused(token, _refused[key[1:]]) from error
    return _sessions[key]


def _logged_in(token: pkcs11.Token, uri: Pkcs11Uri, secrets: SecretsHandler | None) -> pkcs11.Session:
    import pkcs11

    what, pin = f"PIN of the token '{_label(token)}'", pkcs11.PROTECTED_AUTH
    if not token.flags & pkcs11.TokenFlag.PROTECTED_AUTHENTICATION_PATH:
        if secrets is None and uri.pin_source is not None:
            pin = secret_from(uri.pin_source, what)
        else:
            pin = find_secret(_label(token), what, secrets)
    try:
        return _asked(uri, lambda: token.open(user_pin=pin))
    except pkcs11.UserAlreadyLoggedIn:  # by another part of the program
        return _asked(uri, token.open)


def _asked(uri: Pkcs11Uri, ask: Callable[[], T]) -> T:
    """What a module answers. It may never, as where its device is on a network, and Ctrl-C does not get through to it.

    Raises:
        BenchError: It does not in time, or nothing that can be understood.
        PKCS11Error, DevicepipeError: As `ask`.
    """
    import pkcs11

    who, remedy = (
        f"the PKCS #11 module of {uri.shown}",
        "check that its token, or the service behind it, can be reached",
    )
    try:
        return in_time(ask, who, remedy)
    except (pkcs11.PKCS11Error, DevicepipeError):
        raise
    except Exception as error:
        raise BenchError(
            f"{who} answers what cannot be understood: {in_one_line(_told(error))}", remedy=remedy
        ) from error


def _label(token: pkcs11.Token) -> str:
    """What a token calls itself, fit for people: whoever plugs one in chooses it."""
    return in_one_line(token.label)


def _pin_refused(token: pkcs11.Token, told: str) -> PinRefusedError:
    return PinRefusedError(
        f"the token '{_label(token)}' does not take the PIN: {told}",
        remedy="correct it before you try again: a token locks itself after a few wrong ones",
    )


def _token(uri: Pkcs11Uri) -> pkcs11.Token:
    import pkcs11

    try:
        there = _asked(uri, lambda: list(pkcs11.lib(uri.module).get_tokens()))
    except pkcs11.PKCS11Error as error:
        raise BenchError(
            f"the PKCS #11 module '{uri.module}' cannot be used: {_told(error)}",
            remedy="name the token's module: ?module-path=/…/module.so in the URI, or DEVICEPIPE_PKCS11_MODULE",
        ) from error
    found = [token for token in there if _fits(token, uri)]
    if len(found) != 1:
        labels = ", ".join(f"'{_label(token)}'" for token in there) or "none"
        raise BenchError(
            f"{len(found) or 'no'} tokens are those of {uri.shown}, expected one",
            remedy="name it by its serial number as well: serial=…"
            if found
            else f"plug it in, or name one that is there: {labels}",
        )
    return found[0]


def _fits(token: pkcs11.Token, uri: Pkcs11Uri) -> bool:
    said = (token.label, token.serial.decode(errors="replace"), token.manufacturer_id, token.model)
    wanted = (uri.token, uri.serial, uri.manufacturer, uri.model)
    return all(want is None or want == is_ for want, is_ in zip(wanted, said, strict=True))


# --- keys -----------------------------------------------------------------------------------------------------------------


def _private_key(session: pkcs11.Session, uri: Pkcs11Uri) -> Any:
    """The one private key that the URI names, which nobody can read out."""
    import pkcs11

    wanted: dict[pkcs11.Attribute, Any] = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY}
    if uri.object is not None:
        wanted[pkcs11.Attribute.LABEL] = uri.object
    if uri.id is not None:
        wanted[pkcs11.Attribute.ID] = uri.id
    found: list[Any] = [*session.get_objects(wanted)]
    if len(found) != 1:
        raise UsageError(
            f"the token '{_label(session.token)}' has {len(found) or 'no'} private keys that are {uri.shown}, expected one",
            remedy="make it (`devicepipe keys make`)" if not found else "name the key by its id as well: id=%XX…",
        )
    private = found[0]
    if private[pkcs11.Attribute.EXTRACTABLE] or not private[pkcs11.Attribute.SENSITIVE]:
        raise UsageError(
            f"the key {uri.shown} can be read out of its token",
            remedy="make a key that cannot: `devicepipe keys make`, or with CKA_SENSITIVE and without CKA_EXTRACTABLE",
        )
    return private


def _check_kind(private: Any, scheme: str, uri: Pkcs11Uri) -> None:
    import pkcs11

    wanted = pkcs11.KeyType.EC_EDWARDS if scheme == ED25519 else pkcs11.KeyType.EC
    if private.key_type != wanted:
        raise UsageError(
            f"the key {uri.shown} is of the kind {private.key_type.name}, its public half of {scheme}",
            remedy="configure the public key that belongs to it",
        )


def _public(session: pkcs11.Session, private: Any) -> bytes | None:
    """The PEM of a key's public half, from the token's public key object of the same id."""
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    wanted = {
        pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY,
        pkcs11.Attribute.ID: private[pkcs11.Attribute.ID],
        pkcs11.Attribute.KEY_TYPE: private.key_type,
    }
    found: list[Any] = [*session.get_objects(wanted)]
    if len(found) != 1:
        return None
    point = bytes(found[0][pkcs11.Attribute.EC_POINT])
    key: Ed25519PublicKey | EllipticCurvePublicKey
    try:
        if private.key_type == pkcs11.KeyType.EC_EDWARDS:
            key = Ed25519PublicKey.from_public_bytes(_octets(point, _POINT_SIZE))
        elif bytes(found[0][pkcs11.Attribute.EC_PARAMS]) == encode_named_curve_parameters("secp256r1"):
            key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), _octets(point, 2 * _POINT_SIZE + 1))
        else:
            return None
    except ValueError:
        return None
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _octets(point: bytes, size: int) -> bytes:
    """A point of a size, which tokens give bare or as a DER OCTET STRING."""
    if len(point) == size:
        return point
    from asn1crypto.core import OctetString

    octets: bytes = OctetString.load(point, strict=True).native
    return octets


def _told(error: Exception) -> str:
    """What went wrong: the errors of python-pkcs11 are told by their names."""
    return f"{type(error).__name__} {error}".strip()
