"""Waivers as files: written with the release key, and read only under it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Final

from securesystemslib.signer import Signer

from devicepipe.errors import IntegrityError
from devicepipe.evidence.decisions import WAIVER, Waiver, rule_subject
from devicepipe.evidence.dsse import open_envelope, sign_envelope
from devicepipe.evidence.statement import canonical_text, make_statement, parse_canonical, read_predicate
from devicepipe.signing.keys import PublicKey

MAXIMUM_BYTES: Final = 1024 * 1024
_ITEM = re.compile(r"[0-9/_]|\w\.\w|::")
SAID: Final = (": ", " (")
"""How what is said of an item begins in a finding."""
LONGEST: Final = 366
"""The most days that a waiver may hold: what is waived for longer is no exception, and belongs into [[policy.change]]."""


def sign_waiver(waiver: Waiver, digest: str, signer: Signer, public_key: PublicKey) -> bytes:
    """The bytes of a waiver's file.

    Args:
        waiver: What is waived.
        digest: That of the rule, by `rule_digest`.
        signer: The signer of the release key.
        public_key: Its public half.

    Raises:
        UsageError, BenchError: As `keys.sign`.
    """
    statement = make_statement(WAIVER, waiver, {rule_subject(waiver.rule): digest}, "the waiver")
    return sign_envelope(canonical_text(statement), signer, public_key)


def open_waiver(data: bytes, public_key: PublicKey, link: str) -> tuple[Waiver, str]:
    """A waiver, its signature verified, and the digest of the rule that it is about.

    Raises:
        IntegrityError: The file is not exactly a waiver signed by that key.
    """
    if len(data) > MAXIMUM_BYTES:
        raise IntegrityError(f"is larger than {MAXIMUM_BYTES} bytes", link=link)
    statement = parse_canonical(open_envelope(data, public_key, link), link)
    if statement.predicate_type != WAIVER:
        raise IntegrityError("is no waiver", link=link)
    waiver = read_predicate(statement.predicate, Waiver, link)
    digest = statement.digest_of(rule_subject(waiver.rule))
    if digest is None or len(statement.subjects) != 1:
        raise IntegrityError("is not about the one rule that it names", link=link)
    return waiver, digest


def covers(pattern: str, finding: str) -> bool:
    """Whether a waiver's finding is the one that a rule found.

    It is, word for word; or the pattern ends in "*", and the finding begins with what stands before that (a colon at its end left
    out) and goes on with what is said of it. What names more (a test of the file, another board, another vulnerability of the
    component) is another finding, and so is what goes on within the brackets of a test's parameters.
    """
    if not pattern.endswith("*"):
        return pattern == finding
    start = pattern[:-1].rstrip(" ").removesuffix(":")
    rest = finding[len(start) :]
    whole = start.count("[") == start.count("]")
    return finding.startswith(start) and (not rest or (whole and rest.startswith(SAID)))


def item_end(finding: str) -> int:
    """Where the first name of an item ends in a finding, or -1: of a word with a digit or that is a path, e.g. t.py::test_b."""
    for word in re.finditer(r"\S+", finding):
        name = word[0].strip(",;:()'\"")
        if _ITEM.search(name):
            return word.start() + word[0].index(name) + len(name)
    return -1


def over_wide(waiver: Waiver) -> str:
    """Why a waiver covers too much, whatever was found, in words; "" where it does not."""
    for pattern in waiver.findings:
        if "*" in pattern[:-1]:
            return f"is over-wide: '*' stands for the end of a finding only, not as in '{pattern}'"
        if pattern.endswith("*") and item_end(pattern[:-1]) < 0:
            return f"is over-wide: '{pattern}' names no item"
    return ""


def several(waiver: Waiver, found: Sequence[str]) -> str:
    """The pattern of a waiver that covers more than one finding, which none may; "" where there is none."""
    return next((one for one in waiver.findings if sum(covers(one, each) for each in found) > 1), "")


def time_problem(waiver: Waiver, today: date) -> str:
    """Why a waiver does not hold on a day, in words; "" where it does."""
    try:
        until, made = date.fromisoformat(waiver.until), date.fromisoformat(waiver.made_on[:10])
    except ValueError:
        return "has no proper dates"
    if until < today:
        return f"expired on {waiver.until}"
    if made > today:
        return f"is of {waiver.made_on[:10]}, which has not come yet"
    if (until - made).days > LONGEST:
        return f"is over-wide: it would hold for {(until - made).days} days, {LONGEST} are the most"
    return ""
