"""What the gate decided, by which rules, and what was waived of it by whom.

A rule that does not hold is `failed` or, where signed waivers cover all that it found, `waived`: never passed. A waiver is an
in-toto statement in a DSSE envelope, signed by the key of a person or by the release key; its one subject is the rule that it
waives, by the digest of what that decides.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from devicepipe.evidence.model import Component, Instant, Model, ProviderLogin, Sha256, Time
from devicepipe.evidence.printed import Words
from devicepipe.evidence.statement import canonical

WAIVER = "urn:devicepipe:predicate:waiver:v1"
WAIVERS = "evidence/policy/waivers/"
"""Where the waivers of a product lie in a bundle, used or not."""
WAIVER_SUFFIX = ".dsse.json"

Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d\d-\d\d$")]
_Finding = Annotated[str, StringConstraints(min_length=1)]


class WaiverSigner(Model):
    """Whose account signed a waiver.

    `role` is the one of the account, `roster` the SHA-256 of the file of the roster that it was signed under, `components` are
    those by which the person was identified for it.
    """

    account: Words
    role: Words
    roster: Sha256
    on: Instant
    components: list[Component] = Field(min_length=1)
    session: Words
    first_of_session: bool
    login: ProviderLogin | None = None


class Waiver(Model):
    """Predicate WAIVER: what is not asked of a product for a time, and why.

    `findings` are what the rule found, in its own words: nothing else is waived. One that ends in "*" covers the one finding that
    begins with it, whatever is said further of the item that it names (waivers.py). `board` is "" for a rule that is
    judged once for the release. `role` is what the rule calls who may waive it. `until` is the last day, in UTC. With a
    `signer` the waiver was signed by the account of `by`, which has that role; without, by the release key, and name and role are
    what somebody said.
    """

    product: str
    rule: str
    board: str = ""
    findings: list[_Finding] = Field(min_length=1)
    reason: Words
    by: Words
    role: Words
    made_on: Time
    until: Day
    signer: WaiverSigner | None = None

    @property
    def told(self) -> str:
        """Who waives it until when and why."""
        account = f", account {self.signer.account}" if self.signer else ""
        return " ".join(f"until {self.until} by {self.by} ({self.role}{account}): {self.reason}".split())


class WaiverUse(Model):
    """What became of a waiver: whether it was applied, and in words what it covers or why it does nothing.

    `waiver` is None where the file is no waiver signed by the release key: nothing that it says is believed then.
    """

    file: str
    sha256: Sha256
    applied: bool
    message: str
    waiver: Waiver | None = None


class Decision(Model):
    """One rule's outcome: what was asked, by which clause, what was seen, and what to do about it.

    `waivers` are the files of the waivers that cover all `findings` of a rule that does not hold; None where there are none.
    """

    rule: str
    title: str
    clause: str
    severity: Literal["error", "warning"]
    passed: bool
    message: str
    remedy: str
    board: str = ""
    findings: list[str] | None = None
    waivers: list[str] | None = None

    @property
    def state(self) -> Literal["passed", "waived", "failed"]:
        """What became of the rule."""
        if self.passed:
            return "passed"
        return "waived" if self.waivers else "failed"

    @property
    def stops(self) -> bool:
        """Whether the release is not releasable for it."""
        return self.severity == "error" and self.state == "failed"


class PolicyChange(Model):
    """What a product, or a rule set, changed about a rule as it is written: what, why, and where that is said."""

    rule: str
    change: str
    reason: str
    place: str


class Decisions(Model):
    """All decisions of a gate; goes under `devicepipe` of the SLSA verification summary. `releasable` is their sum.

    `changes` is None where every rule judged as it is written, `waivers` where the product has none.
    """

    rule_set: str
    releasable: bool
    reasons: list[str]
    decisions: list[Decision]
    changes: list[PolicyChange] | None = None
    waivers: list[WaiverUse] | None = None

    @property
    def waived(self) -> list[str]:
        """What does not hold and is waived, in a sentence each."""
        told = {use.file: use.waiver.told for use in self.waivers or () if use.waiver is not None}
        return [
            f"{one.rule}{f' on {one.board}' if one.board else ''}, waived {'; '.join(told[file] for file in one.waivers or ())}"
            for one in self.decisions
            if one.state == "waived"
        ]

    @property
    def weakened(self) -> list[str]:
        """What was made weaker about the rules, in a sentence each: left out, only a warning, waivable by somebody."""
        weaker = [one for one in self.changes or () if one.change not in ("severity error", "waivable by nobody")]
        return [f"{one.rule}: {one.change}: {' '.join(one.reason.split())} ({one.place})" for one in weaker]


class VerificationSummary(Model):
    """Predicate VERIFICATION_SUMMARY (SLSA VSA v1) with our decisions under `devicepipe`."""

    verifier: dict[str, Any]
    time_verified: Time
    resource_uri: str
    policy: dict[str, Any]
    input_attestations: list[dict[str, Any]]
    verification_result: Literal["PASSED", "FAILED"]
    verified_levels: list[str]
    slsa_version: str = "1.0"
    devicepipe: Decisions


def rule_subject(rule: str) -> str:
    """The name of a rule as the subject of a waiver."""
    return f"rules/{rule}"


def rule_digest(rule: str, scope: str, expression: str) -> str:
    """The SHA-256 of what a rule decides: a waiver of it is void when that is another one."""
    return hashlib.sha256(canonical({"expression": expression, "id": rule, "scope": scope})).hexdigest()
