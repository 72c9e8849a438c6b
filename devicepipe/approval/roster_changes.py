"""What a roster becomes by a change of an account: the people of the signed roster before it, and that one change.

The database of accounts is a convenience: a row that somebody writes into it (another key, a further role, a key of the past) is
told as a difference, and comes into no roster with the next change that has nothing to do with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from devicepipe.evidence.files import shown
from devicepipe.evidence.signatures import Person, instant

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Difference:
    """What is in the database of accounts otherwise than in the signed roster: whose account, and what."""

    account: str
    what: str

    def __str__(self) -> str:
        """In one line."""
        return f"{self.account}: {self.what}"


def differences(signed: Sequence[Person], found: Sequence[Person]) -> list[Difference]:
    """What differs between the people of a signed roster and those of the database, in the order of the accounts.

    Roles and link of a key that has ended are those that it had, which the database does not know.
    """
    there = {_key(one): one for one in found}
    known = {_key(one): one for one in signed}
    told = [Difference(one.account, _strange(one)) for key, one in there.items() if key not in known]
    for key, one in known.items():
        other = there.get(key)
        if other is not None:
            told += [Difference(one.account, what) for what in _fields(one, other)]
        elif one.until is None:
            told.append(Difference(one.account, "the key that the roster gives is not in the database"))
    return sorted((Difference(shown(one.account), _short(one.what)) for one in told), key=lambda one: one.account)


def changed(
    signed: Sequence[Person], found: Sequence[Person], account: str, change: str, roles: Sequence[str]
) -> list[Person]:
    """The people of a signed roster with one change of an account, as the database has it now.

    Args:
        signed: The people of the signed roster.
        found: Those of the database; nothing is taken from there but what the change is about.
        account: The account that was changed.
        change: What was done: added, roles, reset, linked, unlinked, closed or reopened; another word changes nothing.
        roles: The roles that it was given.
    """
    own = {one.public_key: one for one in found if one.account == account}
    before = [one for one in signed if one.account == account]
    active = next((one for one in before if one.until is None), None)
    fresh = [
        one for one in own.values() if one.until is None and one.public_key not in {old.public_key for old in before}
    ]
    if change == "added" and not before:
        return [*signed, *(one.model_copy(update={"roles": sorted({*roles})}) for one in fresh[:1])]
    if change == "reopened" and before and active is None:
        last = max(before, key=lambda one: one.since)
        return [*signed, *(_of(last, one).model_copy(update={"roles": sorted({*roles})}) for one in fresh[:1])]
    if active is None:
        return [*signed]
    now = own.get(active.public_key, active)
    new = active
    if change == "roles":
        new = active.model_copy(update={"roles": sorted({*roles})})
    elif change in ("linked", "unlinked"):
        new = active.model_copy(update={"identity": now.identity if change == "linked" else None})
    elif change in ("reset", "closed"):
        new = active.model_copy(update={"until": now.until})
    people = [new if one is active else one for one in signed]
    if change == "reset":
        people += [_of(active, one) for one in fresh[:1]]
    return people


def _of(person: Person, fresh: Person) -> Person:
    """A new key as that of a person whom the roster has."""
    same = {"name": person.name, "email": person.email, "roles": person.roles, "identity": person.identity}
    return fresh.model_copy(update=same)


def accepted(signed: Sequence[Person], found: Sequence[Person], on: str) -> list[Person]:
    """The people as the database has them; keys that have ended keep the roles that they had, and none that was signed is lost."""
    known = {_key(one): one for one in signed}
    there = {_key(one) for one in found}
    people = [one if one.until is None else _as_it_was(one, known.get(_key(one))) for one in found]
    gone = [one for key, one in known.items() if key not in there]
    return [*(one if one.until is not None else one.model_copy(update={"until": on}) for one in gone), *people]


def times_ahead(people: Sequence[Person], on: str) -> dict[str, str]:
    """What becomes of the times of keys that are after a moment: that moment, or just before it, in their order.

    A clock that was ahead gives such times, and no roster can have them (`check_people`).
    """
    ahead = sorted({time for one in people for time in (one.since, one.until or "") if time > on})
    latest = datetime.fromisoformat(on)
    return {
        time: instant(latest - timedelta(microseconds=len(ahead) - number))
        for number, time in enumerate(ahead, start=1)
    }


def put_right(people: Sequence[Person], times: Mapping[str, str]) -> list[Person]:
    """The people with the times of their keys as `times_ahead` has them."""
    return [
        one.model_copy(
            update={
                "since": times.get(one.since, one.since),
                "until": None if one.until is None else times.get(one.until, one.until),
            }
        )
        for one in people
    ]


def still_to_come(people: Sequence[Person], on: str) -> list[Difference]:
    """What times of keys are after a moment."""
    times = times_ahead(people, on)
    found = {(one.account, "begins", one.since) for one in people} | {
        (one.account, "ends", one.until) for one in people
    }
    return [
        Difference(shown(account), f"a key that {what} on {time}, which is to come")
        for account, what, time in sorted(each for each in found if each[2] in times)
    ]


def _as_it_was(ended: Person, signed: Person | None) -> Person:
    return ended if signed is None else ended.model_copy(update={"roles": signed.roles, "identity": signed.identity})


def _key(person: Person) -> tuple[str, str]:
    return person.account, person.public_key


def _strange(person: Person) -> str:
    until = f" until {person.until}" if person.until is not None else ""
    return (
        f"a key that is in no roster, in force from {person.since}{until}, of {person.name} <{person.email}> "
        f"({', '.join(person.roles)})"
    )


def _fields(signed: Person, found: Person) -> list[str]:
    names = ["name", "email", "since", "until", *(["roles", "identity"] if signed.until is None else [])]
    return [
        f"{name} is {_told(getattr(found, name))} in the database, {_told(getattr(signed, name))} in the roster"
        for name in names
        if getattr(found, name) != getattr(signed, name)
    ]


def _told(value: object) -> str:
    return "none" if value is None else ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _short(text: str) -> str:
    text = shown(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
