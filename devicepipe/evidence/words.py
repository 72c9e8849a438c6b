"""The words that evidence is written in: item types, fields that mean something to devicepipe, verdicts.

They stand apart from the models, because commands that only look at items start without these.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

REQUIREMENT = "requirement"
"""The item type that tests verify."""
HAZARD = "hazard"
RISK_CONTROL = "risk-control"
USER_NEED = "user-need"
DESIGN = "design"
TEST = "test"
"""A test that is written down as an item, because it is no device test: its procedure is carried out elsewhere."""
SOUP = "soup"
"""Software of unknown provenance (IEC 62304 8.1.2, 7.1.3)."""
ANOMALY = "anomaly"
"""A known problem of the product, open or resolved."""
OPEN = "open"
"""The status of an anomaly that is not resolved."""
RATINGS = ("severity", "probability", "severity-after", "probability-after")
"""The fields of a hazard that rate it without and with its risk controls."""
HOST = "host"
"""The column of the matrix for tests that did not run on a device. No board is called so where there are such."""
HOST_TEST = "host-test"
"""The `verification` of a requirement that tests on a host may verify, instead of tests on a device."""
SECURITY_CONTROL = "security-control"
"""The field of a requirement that names the categories of security controls which it serves, parted by commas."""
CONTROL_CATEGORIES = (
    "authentication",
    "authorization",
    "cryptography",
    "integrity",
    "confidentiality",
    "logging",
    "resiliency",
    "updatability",
)
"""The categories of security controls of the FDA's guidance on cybersecurity, appendix 1."""
EVIDENCE_DIGEST = "evidence-sha256"
"""The field of an item that holds the SHA-256 of the file named by `evidence`; written by devicepipe only."""


class Verdict(StrEnum):
    """The closed set of test verdicts. Nothing else may be mapped to `passed`.

    `failed` accuses the product, `error` the bench or the harness; `not_run` always has a reason.
    """

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    NOT_RUN = "not_run"


def record_of(fields: Mapping[str, str]) -> str:
    """What `Item.record` is, of an item's fields."""
    if EVIDENCE_DIGEST not in fields:
        return ""
    return f"{fields.get('verification', '')}: {fields.get('evidence', '')}"


UNREVIEWED_ITEM = "unreviewed-item"
CHANGED_SINCE_REVIEW = "changed-since-review"
SUSPECT_LINK = "suspect-link"
REVIEW_OF_UNKNOWN_ITEM = "review-of-unknown-item"
REVIEW_FINDINGS = (UNREVIEWED_ITEM, CHANGED_SINCE_REVIEW, SUSPECT_LINK, REVIEW_OF_UNKNOWN_ITEM)
