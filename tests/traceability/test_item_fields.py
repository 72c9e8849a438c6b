"""SOUP, anomalies and ratings: what they must have, and a sample of each mistake that must be refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.evidence.trace import Item
from devicepipe.traceability.fields import Scales
from devicepipe.traceability.items import read_folder
from devicepipe.traceability.soup import COMPARED, Locked, check_soup

PREFIXES = {"HAZ": "hazard", "RC": "risk-control", "SRS": "requirement", "SOUP": "soup", "ANO": "anomaly"}
SCALES = Scales(("minor", "critical"), ("remote", "probable"))

GOOD = """# Everything

## HAZ-001 Over-infusion
- severity: critical
- probability: probable
- severity-after: critical
- probability-after: remote

Too much.

## SRS-001 Signature
- verification: test
- boards: all

It is checked.

## SOUP-001 Tiny crypto
- component: tiny
- version: 1.2.3
- supplier: Somebody
- licence: MIT
- purl: pkg:github/somebody/tiny@1.2.3
- cpe: cpe:2.3:a:somebody:tiny:1.2.3:*:*:*:*:*:*:*
- sha256: 0000000000000000000000000000000000000000000000000000000000000000
- requirements: SRS-001
- anomaly-list: https://example.com/tiny/issues
- anomalies-reviewed: 2026-11-25

It verifies a signature in bounded time.

## ANO-001 Slow on one board
- status: open
- affects: SRS-001, SOUP-001
- found-by: review

It takes 2 s.

### Cause

No multiplier.

### Impact

None.

### Rationale

It happens once, at power-on.
"""

LOCKED = Locked(
    name="Tiny",
    place="firmware/soup.toml:3",
    fields={
        "version": "1.2.3",
        "supplier": "Somebody",
        "licence": "MIT",
        "purl": "pkg:github/somebody/tiny@1.2.3",
        "cpe": "cpe:2.3:a:somebody:tiny:1.2.3:*:*:*:*:*:*:*",
        "sha256": "0" * 64,
    },
)


def read(folder: Path, text: str = GOOD) -> tuple[Item, ...]:
    (folder / "requirements").mkdir(exist_ok=True)
    (folder / "requirements/all.md").write_text(text, encoding="utf-8")
    return read_folder(folder, "requirements", prefixes=PREFIXES, boards=["small", "large"], scales=SCALES)


def test_all_types_are_read(tmp_path: Path) -> None:
    hazard, requirement, soup, anomaly = read(tmp_path)
    assert hazard.fields["probability-after"] == "remote"
    assert requirement.boards == ["small", "large"]
    assert requirement.fields == {"verification": "test", "boards": "all"}
    assert (soup.type, soup.links) == ("soup", {"requirements": ["SRS-001"]})
    assert (anomaly.type, anomaly.links) == ("anomaly", {"affects": ["SRS-001", "SOUP-001"]})
    assert anomaly.fields["cause"] == "No multiplier."
    assert check_soup(read(tmp_path), [LOCKED], tmp_path) == ()


REFUSED = {
    **{
        f"soup without {key}": (f"- {key}: ", "", "SOUP-001", f"needs '{key}'")
        for key in (
            "version",
            "supplier",
            "licence",
            "purl",
            "cpe",
            "requirements",
            "anomaly-list",
            "anomalies-reviewed",
        )
    },
    **{
        f"anomaly without {key}": (f"- {key}: ", "", "ANO-001", f"needs '{key}'")
        for key in ("status", "affects", "found-by")
    },
    "soup without digest and origin": ("- sha256: ", "", "SOUP-001", "'sha256' or 'origin'"),
    "anomaly without a cause": ("### Cause\n\nNo multiplier.\n\n", "", "ANO-001", "needs 'cause'"),
    "anomaly without an impact": ("### Impact\n\nNone.\n\n", "", "ANO-001", "needs 'impact'"),
    "anomaly without a rationale": (
        "### Rationale\n\nIt happens once, at power-on.\n",
        "",
        "ANO-001",
        "needs 'rationale'",
    ),
    "anomaly of another status": ("status: open", "status: closed", "status", "expected one of open, resolved"),
    "review on no day": ("2026-11-25", "November", "anomalies-reviewed", "expected a date"),
    "review in another spelling": ("2026-11-25", "20261125", "anomalies-reviewed", "expected a date"),
    "digest of another kind": ("sha256: 00", "sha256: ", "sha256", "64 hexadecimal digits"),
    "rating of no scale": ("severity: critical", "severity: grave", "severity", "expected one of minor, critical"),
    "requirement of soup that is none": (
        "requirements: SRS-001",
        "requirements: HAZ-001",
        "requirements",
        "is a hazard",
    ),
    "anomaly that affects nothing known": ("affects: SRS-001", "affects: SRS-002", "affects", "no item SRS-002"),
    "anomaly that affects an anomaly": ("affects: SRS-001", "affects: ANO-001", "affects", "is an anomaly"),
    "mistyped field": ("supplier: ", "suplier: ", "suplier", "mistyped"),
    "soup that mitigates": ("- component: tiny", "- mitigates: HAZ-001", "mitigates", "has no link"),
}


@pytest.mark.parametrize(("old", "new", "key", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_missing_or_wrong_is_named(tmp_path: Path, old: str, new: str, key: str, says: str) -> None:
    assert old in GOOD
    if not new and old.startswith("- "):
        text = "\n".join(line for line in GOOD.split("\n") if not line.startswith(old))
    else:
        text = GOOD.replace(old, new, 1)
    with pytest.raises(UsageError) as raised:
        read(tmp_path, text)
    assert (raised.value.key, raised.value.file) == (key, tmp_path / "requirements/all.md")
    assert says in str(raised.value)
    assert raised.value.line


@pytest.mark.parametrize("key", COMPARED)
def test_an_item_that_differs_from_the_lock_names_both_places(tmp_path: Path, key: str) -> None:
    other = Locked("tiny", LOCKED.place, LOCKED.fields | {key: "other"})
    with pytest.raises(UsageError) as raised:
        check_soup(read(tmp_path), [other], tmp_path)
    assert "'other' in firmware/soup.toml:3" in str(raised.value)
    assert (raised.value.file, raised.value.line) == (tmp_path / "requirements/all.md", 17)


def test_an_item_of_no_locked_component(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no locked component is called 'tiny'; there are: none"):
        check_soup(read(tmp_path), [], tmp_path)
    with_origin = GOOD.replace("- component: tiny", "- origin: the compiler, gcc 12.2.1")
    assert check_soup(read(tmp_path, with_origin), [], tmp_path) == ()


def test_two_items_of_one_component(tmp_path: Path) -> None:
    start = GOOD.index("## SOUP-001")
    again = GOOD[start : GOOD.index("## ANO-001")].replace("SOUP-001", "SOUP-002")
    with pytest.raises(UsageError, match="SOUP-001 is about 'tiny' already"):
        check_soup(read(tmp_path, GOOD + "\n" + again), [LOCKED], tmp_path)


def test_a_locked_component_without_an_item_is_told(tmp_path: Path) -> None:
    more = Locked("zlib", "firmware/soup.toml:20", {})
    assert check_soup(read(tmp_path), [LOCKED, more], tmp_path) == (more,)
