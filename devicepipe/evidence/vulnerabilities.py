"""What is known of the vulnerabilities of what is linked in: a verdict for each component, from a snapshot named by its digest.

The predicate is in-toto's vulns v0.2: `scanner.result` lists what affects the product, `scanner.db` names the snapshot. The whole
assessment stands under `devicepipe`: also what was fixed, what a VEX statement says is not affected, and what nobody knows of.

What always holds of an `Assessment`: a component's verdict follows from its matches (`verdict_of`), and "no data" is its own
verdict: the snapshot has no record that names the component, which is not the same as having none that affects it.
Source: in-toto attestation framework, spec/predicates/vulns_0.2.md; OpenVEX 0.2.0.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from pydantic import Field

from devicepipe.evidence.model import Model, Sha256, Time
from devicepipe.evidence.predicates import NoData, VulnerabilityWish

VULNERABILITIES = "https://in-toto.io/attestation/vulns/v0.2"

RECORDS = "evidence/vulnerabilities/records.json"
"""The records of the snapshot that name a component, as they stand in it: id -> its text."""
VEX_FOLDER = "evidence/vulnerabilities/vex/"

Verdict = Literal["affected", "not_affected", "fixed", "no_data"]
Status = Literal["affected", "not_affected", "fixed"]

Justification = Literal[
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
]
"""Why a product is not affected: the status justifications of VEX."""


class Severity(Model):
    """A severity as a record gives it: the method ("CVSS_V3") and the score or vector."""

    method: str
    score: str


class Exploited(Model):
    """That a vulnerability is known to be exploited: since which day, and the record that says so."""

    since: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    record: str


class Match(Model):
    """A record of the snapshot that names a component.

    Attributes:
        id: The record's id, e.g. "CVE-2026-1234".
        aliases: Its other ids.
        status: What it means for this component in its version.
        by: What decides: the version alone, or a VEX statement about it.
        reason: In words.
        record_sha256: SHA-256 of the record as it stands in the snapshot.
        severity: As the record gives it.
        justification: The VEX statement's, where it says not affected.
        statement: The VEX statement: file and number.
        exploited: Where it is known to be exploited.
    """

    id: str
    aliases: list[str] = Field(default_factory=list)
    status: Status
    by: Literal["version", "vex"]
    reason: str
    record_sha256: Sha256
    severity: list[Severity] = Field(default_factory=list)
    justification: Justification | None = None
    statement: str | None = None
    exploited: Exploited | None = None


class ComponentVerdict(Model):
    """What is known of a component: the boards that it is linked into, and every record that names it."""

    name: str
    version: str
    purl: str
    cpe: str
    boards: list[str]
    verdict: Verdict
    matches: list[Match]


class Snapshot(Model):
    """The vulnerability data that was asked.

    `sha256` is over the ids and SHA-256 of all records, so a folder and an archive of it are one snapshot. `date` is the day that
    it is of; `newest_record` when a record was last changed.
    """

    sha256: Sha256
    date: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    newest_record: Time
    format: Literal["osv", "cve", "osv+cve", "osv+kev", "kev+cve", "osv+kev+cve"]
    records: int = Field(ge=1)
    description: str

    @property
    def knows_exploited(self) -> bool:
        """Whether CISA's catalogue of known exploited vulnerabilities is in it."""
        return "kev" in self.format


class VexDocument(Model):
    """A file of VEX statements: its name in the bundle, its own id, author and number of statements."""

    file: str
    id: str
    author: str
    statements: int


class Assessment(Model):
    """Every component's verdict, what was asked, and the VEX statements that were taken into account.

    `unused` are statements that concern no component or no record, in sentences.
    """

    snapshot: Snapshot
    max_age: int
    no_data: NoData
    components: list[ComponentVerdict]
    vex: list[VexDocument]
    unused: list[str]

    @property
    def wish(self) -> VulnerabilityWish:
        """What the source must have asked for."""
        return VulnerabilityWish(
            snapshot=self.snapshot.sha256, date=self.snapshot.date, max_age=self.max_age, no_data=self.no_data
        )


class Vulnerabilities(Model):
    """Predicate VULNERABILITIES (in-toto vulns v0.2) with the assessment under `devicepipe`."""

    scanner: dict[str, Any]
    metadata: dict[str, Time]
    devicepipe: Assessment


def verdict_of(matches: list[Match]) -> Verdict:
    """A component's verdict. What a VEX statement clears is told as not affected also where other records are fixed."""
    statuses = {(match.status, match.by) for match in matches}
    if not matches:
        return "no_data"
    if any(match.status == "affected" for match in matches):
        return "affected"
    if ("not_affected", "vex") in statuses:
        return "not_affected"
    return "fixed" if any(match.status == "fixed" for match in matches) else "not_affected"


def results_of(components: list[ComponentVerdict]) -> list[dict[str, Any]]:
    """`scanner.result`: each record that affects a component, once, with the components that it affects."""
    found: dict[str, dict[str, Any]] = {}
    for component in components:
        for match in component.matches:
            if match.status == "affected":
                entry = found.setdefault(
                    match.id,
                    {"id": match.id, "severity": [one.to_json() for one in match.severity], "annotations": []},
                )
                entry["annotations"].append({"component": component.purl or component.cpe or component.name})
    return [found[name] for name in sorted(found)]


def age_in_days(date: str, moment: str) -> int:
    """How old a snapshot of a day (YYYY-MM-DD) is at a moment (RFC 3339), in whole days."""
    return (dt.date.fromisoformat(moment[:10]) - dt.date.fromisoformat(date)).days
