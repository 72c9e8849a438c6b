"""Whom a reader of evidence believes: one release key, and those that a history of keys joins with it.

What always holds of a `KeyTrust`: it begins at one key that the reader got from somewhere else. Without a history no other key
counts. With one, the key must stand in it as a release key that was not revoked; then each release key of the history counts for
its time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from devicepipe.errors import IntegrityError
from devicepipe.evidence.dsse import keyid_unverified
from devicepipe.evidence.key_history import KeyHistory, KeyLife, moment
from devicepipe.signing.keys import PublicKey

HISTORY = "the history of keys"


@dataclass(frozen=True)
class KeyTrust:
    """A trusted release key, and the history that it stands in. Made by `of`.

    Attributes:
        anchor: The key that the reader trusts.
        history: The history, if there is one.
    """

    anchor: PublicKey
    history: KeyHistory | None = None

    @classmethod
    def of(cls, key: PublicKey | KeyTrust, history: KeyHistory | None = None) -> KeyTrust:
        """Trust in a key, and in those that a history joins with it.

        Raises:
            IntegrityError: The history does not know the key as a release key, or it was revoked.
        """
        if isinstance(key, KeyTrust):
            return key
        if history is None:
            return cls(key)
        found = history.key_with(key.keyid)
        if found is None or found.role != "release":
            raise IntegrityError(
                f"does not have the key that you trust, {key.keyid}",
                link=HISTORY,
                remedy="name the history of this product's keys, as it stands today; if it is that, do not trust it",
            )
        if found.revoked is not None:
            raise IntegrityError(
                f"says that the key that you trust, {key.keyid}, was revoked on {found.revoked[:10]}: {found.reason}",
                link=HISTORY,
                remedy="get the present release key from the manufacturer, by a way that you trust",
            )
        return cls(key, history)

    def check_product(self, product: str) -> None:
        """Raises IntegrityError where the history is of the keys of another product."""
        if self.history is not None and self.history.product != product:
            raise IntegrityError(
                f"is of the keys of '{self.history.product}', not of '{product}'",
                link=HISTORY,
                remedy="name the history of this product's keys",
            )

    @property
    def keys(self) -> tuple[PublicKey, ...]:
        """All release keys that count for something, the trusted one first."""
        others = self.history.of_role("release") if self.history is not None else []
        return (self.anchor, *(one.public for one in others if one.public.keyid != self.anchor.keyid))

    @property
    def unrevoked(self) -> tuple[PublicKey, ...]:
        """Those of the keys that were not revoked, the trusted one first."""
        return tuple(one for one in self.keys if (life := self._life(one.keyid)) is None or life.revoked is None)

    @property
    def revoked(self) -> tuple[PublicKey, ...]:
        """Those of the keys that were revoked."""
        return tuple(one for one in self.keys if one not in self.unrevoked)

    def key_of(self, data: bytes, link: str) -> PublicKey:
        """The key to open an envelope with: the release key that it names, else the trusted one, which will refuse it.

        Raises:
            IntegrityError: It names a key that was revoked, and what was revoked does not list the file as one that still counts.
        """
        life = self._life(keyid_unverified(data, link))
        if life is None:
            return self.anchor
        self._check_revoked(life, data, link)
        return life.public

    def check_time(self, key: PublicKey, on: str, what: str, link: str) -> None:
        """Refuse what a key signed after another one had come in its place.

        Args:
            key: The key.
            on: When it was signed, as it says itself.
            what: What was signed, e.g. "was sealed".
            link: The file.

        Raises:
            IntegrityError: It was signed too late.
        """
        life = self._life(key.keyid)
        if life is not None:
            self._check_time(life, on, what, link)

    def check_use(self, data: bytes, on: str, what: str, link: str) -> None:
        """Refuse what somebody did by a file, a roster, after the release key that signed it had ended.

        Also of a file that counts on although its key was revoked: what was done by it counts, it lets nobody do more.

        Args:
            data: The file, which was opened before.
            on: When it was done, as whoever did it says.
            what: What was done, e.g. "was given".
            link: The file of what was done.

        Raises:
            IntegrityError: It was done too late.
        """
        life = self._life(self.key_of(data, link).keyid)
        ends = [one for one in (life.until, life.revoked) if one is not None] if life is not None else []
        if ends and moment(on) > min(map(moment, ends)):
            raise IntegrityError(
                f"{what} on {on} by what the release key {keyid_unverified(data, link)} signed, "
                f"which was in force until {min(ends)}",
                link=link,
            )

    def check_image_key(self, key: PublicKey, on: str, statement: bytes, link: str) -> None:
        """Refuse images of a key, for tests or production, that was replaced before, or that was revoked.

        Args:
            key: The images' key.
            on: When the release was sealed.
            statement: The envelope that is about the images, which a revocation lists if they still count.
            link: The key's file.

        Raises:
            IntegrityError: The images do not count.
        """
        life = self.history.key_with(key.keyid) if self.history is not None else None
        if life is not None:
            self._check_revoked(life, statement, link)
            self._check_time(life, on, "was used", link)

    def check_kept(self, key: PublicKey, data: bytes, link: str) -> None:
        """Refuse a file that a revoked key signed, unless the revocation lists it. Raises IntegrityError."""
        life = self._life(key.keyid)
        if life is not None:
            self._check_revoked(life, data, link)

    def _life(self, keyid: str) -> KeyLife | None:
        life = self.history.key_with(keyid) if self.history is not None else None
        return life if life is not None and life.role == "release" else None

    @staticmethod
    def _check_time(life: KeyLife, on: str, what: str, link: str) -> None:
        # Of a revoked key a list of digests decides: times are what its holder says.
        if life.until is not None and life.revoked is None and moment(on) > moment(life.until):
            raise IntegrityError(
                f"{what} on {on} with the {life.role} key {life.public.keyid}, which was replaced on {life.until}",
                link=link,
            )

    @staticmethod
    def _check_revoked(life: KeyLife, data: bytes, link: str) -> None:
        if life.revoked is not None and hashlib.sha256(data).hexdigest() not in life.kept:
            raise IntegrityError(
                f"is by the {life.role} key {life.public.keyid}, which was revoked on {life.revoked[:10]}: {life.reason}",
                link=link,
                remedy="do not trust it; what still counts is listed in the revocation, by digest",
            )
