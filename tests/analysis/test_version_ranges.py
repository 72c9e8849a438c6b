"""Versions and ranges of both record forms: what is in, before, after, and what nobody can say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.analysis.version_ranges import Range, Versions, ranges_of_events
from devicepipe.analysis.vulnerability_records import Affected, NotARecordError, keys_of, read_record
from tests.analysis.vulnerability_samples import ZCBOR, cve, osv, package, product

COMMIT = "ab" * 20


def only(record: dict[str, Any]) -> Affected:
    (affected,) = read_record(record).affected
    return affected


def position(record: dict[str, Any], version: str = "0.9.1", commit: str = "") -> str:
    return only(record).versions.position(version, commit)[0]


EVENTS = {
    "all versions": ([{"introduced": "0"}], "affected"),
    "before the fix": ([{"introduced": "0"}, {"fixed": "0.9.2"}], "affected"),
    "the fix itself": ([{"introduced": "0"}, {"fixed": "0.9.1"}], "fixed"),
    "after the fix": ([{"introduced": "0"}, {"fixed": "0.8"}], "fixed"),
    "ten is more than nine": ([{"introduced": "0.10.0"}], "outside"),
    "introduced later": ([{"introduced": "1.0.0"}, {"fixed": "1.2"}], "outside"),
    "introduced in it": ([{"introduced": "0.9.1"}], "affected"),
    "last affected": ([{"introduced": "0"}, {"last_affected": "0.9.1"}], "affected"),
    "last affected before": ([{"introduced": "0"}, {"last_affected": "0.9.0"}], "fixed"),
    "events in any order": ([{"fixed": "0.9.5"}, {"introduced": "0.9.0"}], "affected"),
    "two ranges, in the second": (
        [{"introduced": "0"}, {"fixed": "0.8"}, {"introduced": "0.9"}, {"fixed": "0.10"}],
        "affected",
    ),
    "two ranges, between them": (
        [{"introduced": "0"}, {"fixed": "0.8"}, {"introduced": "1.0"}, {"fixed": "1.1"}],
        "fixed",
    ),
    "a pre-release of the fix": ([{"introduced": "0"}, {"fixed": "0.9.1-rc1"}], "fixed"),
    "a tag": ([{"introduced": "v0.9"}, {"fixed": "v0.9.2"}], "affected"),
    "no version at all": ([{"introduced": "0"}, {"fixed": "the next one"}], "undecided"),
}


@pytest.mark.parametrize("what", EVENTS)
def test_events_of_osv(what: str) -> None:
    events, expected = EVENTS[what]
    assert position(osv("S", package(*events))) == expected


def test_schemes_are_those_of_the_package() -> None:
    def of(ecosystem: str, purl: str, version: str, fixed: str) -> str:
        entry = package({"introduced": "0"}, {"fixed": fixed}, purl=purl)
        entry["package"]["ecosystem"] = ecosystem
        entry["ranges"][0]["type"] = "ECOSYSTEM"
        return position(osv("S", entry), version)

    assert of("Debian:12", "pkg:deb/debian/gcc-12", "12.2.0-14+deb12u1", "12.2.0-14+deb12u2") == "affected"
    assert of("Debian:12", "pkg:deb/debian/gcc-12", "12.2.0-14+deb12u2", "12.2.0-14+deb12u2") == "fixed"
    assert of("PyPI", "pkg:pypi/x", "1.0.post1", "1.0") == "fixed"
    assert of("PyPI", "pkg:pypi/x", "1.0rc1", "1.0") == "affected"
    assert of("PyPI", "pkg:pypi/x", "not a version", "1.0") == "undecided"


def test_commits_and_listed_versions() -> None:
    git = {"type": "GIT", "repo": "https://github.com/NordicSemiconductor/zcbor.git"}
    ranges = [git | {"events": [{"introduced": "0"}, {"fixed": COMMIT}]}]
    bare = osv("S", {"ranges": ranges})
    assert only(bare).keys == {"repo:github.com/nordicsemiconductor/zcbor"}
    assert position(bare) == "undecided"
    assert position(bare, commit=COMMIT) == "fixed"
    assert position(osv("S", {"ranges": [git | {"events": [{"introduced": COMMIT}]}]}), commit=COMMIT) == "affected"
    listed = osv("S", {"ranges": ranges, "versions": ["v0.9.0", "0.9.1"]})
    assert position(listed) == "affected"
    assert position(listed, "0.9.2") == "outside"
    assert position(osv("S", {"package": {"ecosystem": "PyPI", "name": "x"}})) == "affected"


CVES: dict[str, tuple[dict[str, Any], str]] = {
    "in the range": (product({"version": "0.8", "lessThan": "0.9.2"}), "affected"),
    "after the range": (product({"version": "0", "lessThan": "0.9"}), "fixed"),
    "to the end, included": (product({"version": "0", "lessThanOrEqual": "0.9.1"}), "affected"),
    "before the range": (product({"version": "1.0", "lessThan": "2.0"}), "outside"),
    "one version": (product({"version": "0.9.1"}), "affected"),
    "another version": (product({"version": "0.9.0"}), "fixed"),
    "all, without end": (product({"version": "unspecified", "lessThan": "*"}), "affected"),
    "no versions, and all are affected": (product(defaultStatus="affected"), "affected"),
    "all but those that are not": (
        product({"version": "0.9", "lessThan": "*", "status": "unaffected"}, defaultStatus="affected"),
        "fixed",
    ),
    "affected and not affected": (
        product({"version": "0.9.1"}, {"version": "0", "lessThan": "*", "status": "unaffected"}),
        "affected",
    ),
    "a range that ends with a change": (
        product({"version": "0.8", "lessThan": "1.0", "changes": [{"at": "0.9.0", "status": "unaffected"}]}),
        "fixed",
    ),
    "a default that nobody states": (product({"version": "0", "lessThan": "0.9"}, defaultStatus="unknown"), "fixed"),
    "nothing is known": (product(defaultStatus="unknown"), "undecided"),
    "commits alone, and the rest is not affected": (
        product({"version": "0", "versionType": "git", "lessThan": COMMIT}),
        "undecided",
    ),
    "versions that are called commits": (
        product({"version": "*", "versionType": "git", "lessThan": "0.10"}),
        "affected",
    ),
    "words of comparison, in": (product({"version": ">= 0.9, < 0.10"}), "affected"),
    "words of comparison, after": (product({"version": "< 0.9.1"}), "fixed"),
    "words of comparison, to the end": (product({"version": "<= 0.9.1"}), "affected"),
    "words of comparison, above": (product({"version": "> 0.9.1"}), "outside"),
    "words of comparison, one": (product({"version": "= 0.9.1"}), "affected"),
    "words of comparison that contradict": (product({"version": "< 0.9, <= 1.0"}), "undecided"),
    "words of no comparison": (product({"version": "< 1.0 and later"}), "undecided"),
    "a status that nobody knows": (product({"version": "0.9", "lessThan": "1.0", "status": "unknown"}), "affected"),
    "a version that nobody knows": (product({"version": "unknown"}), "undecided"),
    "commits alone": (
        product({"version": "0", "versionType": "git", "lessThan": COMMIT}, defaultStatus="unknown"),
        "undecided",
    ),
    "a version of no scheme": (product({"version": "0", "lessThan": "next"}), "undecided"),
}


@pytest.mark.parametrize("what", CVES)
def test_versions_of_the_cve_list(what: str) -> None:
    entry, expected = CVES[what]
    assert position(cve("S", entry)) == expected


def test_cpe_applicability_of_the_cve_list() -> None:
    def of(**bounds: str) -> str:
        match = {"vulnerable": True, "criteria": "cpe:2.3:a:nordicsemi:zcbor:*:*:*:*:*:*:*:*"} | bounds
        record = cve("S", cpeApplicability=[{"nodes": [{"operator": "OR", "cpeMatch": [match]}]}])
        assert only(record).keys == {"cpe:nordicsemi:zcbor"}
        return position(record)

    assert of(versionStartIncluding="0.9.1", versionEndExcluding="1.0") == "affected"
    assert of(versionStartExcluding="0.9.1") == "outside"
    assert of(versionEndExcluding="0.9.1") == "fixed"
    assert of(versionEndIncluding="0.9.1") == "affected"
    assert of(criteria="cpe:2.3:a:nordicsemi:zcbor:0.9.1:*:*:*:*:*:*:*") == "affected"


def test_a_component_and_records_have_keys_of_one_form() -> None:
    own = keys_of(ZCBOR.purl, ZCBOR.cpe)
    assert own == {
        "purl:github/nordicsemiconductor/zcbor",
        "repo:github.com/nordicsemiconductor/zcbor",
        "cpe:nordicsemi:zcbor",
    }
    assert only(osv("S", package())).keys <= own
    named = product(
        vendor="Nordic Semiconductor ASA", product="zcbor", repo="https://github.com/NordicSemiconductor/zcbor"
    )
    assert only(cve("S", named)).keys & own == {"repo:github.com/nordicsemiconductor/zcbor"}
    assert only(cve("S", product(cpes=[ZCBOR.cpe]))).keys == {"cpe:nordicsemi:zcbor"}
    collection = product(vendor="n/a", collectionURL="https://pypi.org", packageName="Cbor_X")
    assert only(cve("S", collection)).keys == {"purl:pypi//cbor-x"}
    by_name = osv("S", {"package": {"ecosystem": "PyPI", "name": "Cbor_X"}})
    assert only(by_name).keys == keys_of("pkg:pypi/cbor-x@1", "")


def test_what_was_withdrawn_or_rejected_is_about_nothing() -> None:
    assert read_record(osv("S", package({"introduced": "0"}), withdrawn="2026-01-01T00:00:00Z")).affected == ()
    rejected = cve("S", product({"version": "0.9.1"}))
    rejected["cveMetadata"]["state"] = "REJECTED"
    assert read_record(rejected).affected == ()


@pytest.mark.parametrize(
    "data", [None, [], {}, {"id": "x"}, {"dataType": "CVE_RECORD"}, {"id": "x", "modified": "y", "affected": 3}]
)
def test_what_is_no_record_is_told(data: Any) -> None:
    with pytest.raises(NotARecordError):
        read_record(data)


numbers = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))


@given(start=numbers, end=numbers, version=numbers, included=st.booleans())
def test_ranges_agree_with_the_order_of_numbers(
    start: tuple[int, ...], end: tuple[int, ...], version: tuple[int, ...], included: bool
) -> None:
    one = Range("semver", _text(start), _text(end), end_included=included)
    inside = start <= version and (version < end or (included and version == end))
    assert (Versions(affected=(one,)).position(_text(version))[0] == "affected") == inside


@given(st.lists(st.tuples(st.booleans(), numbers), max_size=6), numbers)
def test_events_are_evaluated_as_osv_says(events: list[tuple[bool, tuple[int, ...]]], version: tuple[int, ...]) -> None:
    told = [{"introduced" if begin else "fixed": _text(number)} for begin, number in events]
    vulnerable = False
    for begin, number in sorted(events, key=lambda one: (one[1], not one[0])):
        if version >= number:
            vulnerable = begin
    ranges = tuple(ranges_of_events("semver", told))
    assert (Versions(affected=ranges).position(_text(version))[0] == "affected") == vulnerable


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
