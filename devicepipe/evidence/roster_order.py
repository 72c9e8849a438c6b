"""The rosters of one record: they only ever get newer, and each signature is judged by the newest one of its time as well.

What always holds of signatures that passed `check_rosters`: along the record neither numbers nor times of rosters fall; and where
the record has a later roster that was made before a signature, it gives that person the same key, name and role still. So an
account that was closed, a role that was taken away and a key that was reset sign nothing by an older roster. Where no later roster
came into the record, its folder cannot tell that there was one: that takes the log, which whoever signs is held against.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

from devicepipe.errors import IntegrityError, UsageError
from devicepipe.signing.keys import PublicKey

if TYPE_CHECKING:
    from devicepipe.evidence.signatures import Given, Person, Roster, Signature

_WITHDRAW: Final = "withdraw"


def check_people(roster: Roster, link: str) -> None:
    """Check what a roster says of keys: none begins or ends after it was signed, and each account has one at a time.

    Raises:
        IntegrityError: It is not so.
    """
    before: dict[str, Person] = {}
    for person in sorted(roster.people, key=lambda one: one.since):
        if max(person.since, person.until or "") > roster.on:
            raise IntegrityError(
                f"gives {person.account} a key that begins or ends after {roster.on}, when it was signed", link=link
            )
        last = before.get(person.account)
        if last is not None and (last.until is None or last.until > person.since):
            raise IntegrityError(f"gives {person.account} two keys at once", link=link)
        if person.until is not None and person.until < person.since:
            raise IntegrityError(f"gives {person.account} a key that ends before it begins", link=link)
        before[person.account] = person


def check_rosters(given: Sequence[Given], rosters: Collection[Roster]) -> None:
    """Check the signatures of a record, each of which holds under its own roster, against the rosters of the record.

    The roster that came with a withdrawal judges nothing before it, and of a withdrawal the numbers of rosters are compared alone:
    neither who lost a right since nor a roster or signature that was dated ahead keeps a release from being withdrawn.

    Raises:
        IntegrityError: One was given under an older roster than it may; names the first one.
    """
    end = given[-1] if given and given[-1].signature.action == _WITHDRAW else None
    judging = [
        one for one in rosters if end is None or one != end.roster or one in [each.roster for each in given[:-1]]
    ]
    newest: Roster | None = None
    for one in given:
        ends = one is end
        if newest is not None and _older(one.roster, newest, withdrawing=ends):
            raise IntegrityError(
                f"was given under the roster {one.roster.number} of {one.roster.on}, after one under the later roster "
                f"{newest.number} of {newest.on}",
                link=one.file,
            )
        newest = one.roster
        later = [
            roster
            for roster in judging
            if roster.on < one.signature.on and _older(one.roster, roster, withdrawing=ends)
        ]
        judge = max(later, key=_place, default=one.roster)
        if why := _objection(one.signature, one.keyid, judge):
            raise IntegrityError(
                f"was given under the roster {one.roster.number}, when the later roster {judge.number} of {judge.on} "
                f"was there, by which {why}",
                link=one.file,
            )


def check_next_roster(
    given: Sequence[Given], rosters: Collection[Roster], roster: Roster, *, withdrawing: bool = False
) -> None:
    """Find out whether the next signature of a record may be given under a roster.

    Raises:
        UsageError: It is older than one that is in use already.
        IntegrityError: By this roster a signature that is there does not hold, where the next one is no withdrawal.
    """
    last = given[-1].roster if given else None
    if last is not None and _older(roster, last, withdrawing=withdrawing):
        raise UsageError(
            f"the roster {roster.number} of {roster.on} is older than the roster {last.number} of {last.on}, under which "
            "this release was signed already",
            remedy="restore the newest roster from version control",
        )
    check_rosters(given, rosters if withdrawing else [*rosters, roster])


def _place(roster: Roster) -> tuple[int, str]:
    return roster.number, roster.on


def _older(one: Roster, other: Roster, *, withdrawing: bool) -> bool:
    return one.number < other.number or (one.on < other.on and not withdrawing)


def _objection(signature: Signature, keyid: str, roster: Roster) -> str:
    """Why a roster does not give the signer what was signed with, or ""."""
    own = [person for person in roster.people if person.account == signature.account]
    for person in own:
        if PublicKey.from_pem(person.public_key.encode()).keyid != keyid:
            continue
        if not person.since <= signature.on or (person.until is not None and signature.on >= person.until):
            return f"the key of {signature.account} was in force no longer"
        if signature.name != person.name or signature.role not in person.roles:
            return f"{signature.account} was {person.name} ({', '.join(person.roles)})"
        return ""
    return f"{signature.account} had no such key"
