"""Snapshots, VEX statements and verdicts: what turns a component affected, what clears it, and what nobody knows."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest

from devicepipe.analysis.vex import Document, load_vex
from devicepipe.analysis.vulnerabilities import Assessed, assess
from devicepipe.analysis.vulnerability_snapshot import make_store, open_store, store_path
from devicepipe.errors import BenchError, IntegrityError, UsageError
from devicepipe.evidence.vulnerabilities import results_of
from tests.analysis.vulnerability_samples import (
    PRODUCT,
    ZCBOR,
    cve,
    dump,
    osv,
    package,
    product,
    statement,
    store_of,
    vex,
)

AFFECTING = osv("SAMPLE-1", package({"introduced": "0.8"}, {"fixed": "0.9.2"}), aliases=["CVE-0000-1"])
REPAIRED = osv("SAMPLE-2", package({"introduced": "0"}, {"fixed": "0.9.0"}))
LATER = osv("SAMPLE-3", package({"introduced": "1.0"}))
FOREIGN = osv("SAMPLE-4", package({"introduced": "0"}, purl="pkg:pypi/other"))
BY_COMMITS = osv("SAMPLE-5", package(ranges=[{"type": "GIT", "events": [{"introduced": "0"}]}]))


def documents(folder: Path, *statements: dict[str, Any]) -> tuple[Document, ...]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.json").write_text(json.dumps(vex(*statements)), encoding="utf-8")
    return load_vex(folder)


def assessed(tmp_path: Path, *records: dict[str, Any], statements: tuple[dict[str, Any], ...] = ()) -> Assessed:
    told = documents(tmp_path / "vex", *statements) if statements else ()
    with store_of(tmp_path / "dump", *records) as store:
        return assess(PRODUCT, {"small": [ZCBOR], "large": [ZCBOR]}, store, told)


COMMIT = {"version": "0", "versionType": "git", "lessThan": "ab" * 20}
BOTH = cve("CVE-0000-3", product(COMMIT), product({"version": "0", "lessThan": "0.9"}))


@pytest.mark.parametrize(
    ("records", "verdict"),
    [
        ([AFFECTING], "affected"),
        ([AFFECTING, REPAIRED], "affected"),
        ([REPAIRED], "fixed"),
        ([REPAIRED, LATER], "fixed"),
        ([LATER], "not_affected"),
        ([FOREIGN], "no_data"),
        ([BY_COMMITS], "affected"),
        ([cve("CVE-0000-2", product({"version": "0.9.1"}))], "affected"),
        ([cve("CVE-0000-2", product(COMMIT))], "affected"),
        ([BOTH], "fixed"),
    ],
)
def test_verdict_of_a_component(tmp_path: Path, records: list[dict[str, Any]], verdict: str) -> None:
    (found,) = assessed(tmp_path, *records).components
    assert found.verdict == verdict
    assert found.boards == ["small", "large"]
    assert len(found.matches) == (0 if verdict == "no_data" else len(records))


def test_what_cannot_be_compared_counts_as_affected_and_says_so(tmp_path: Path) -> None:
    (found,) = assessed(tmp_path, BY_COMMITS).components
    assert found.matches[0].reason == "0.9.1 cannot be compared with the range from (commits): counted as affected"


def test_a_component_that_is_not_linked_in_is_not_assessed(tmp_path: Path) -> None:
    with store_of(tmp_path, AFFECTING) as store:
        assert assess(PRODUCT, {"small": [dataclasses.replace(ZCBOR, linked=False)]}, store, ()).components == []


STATEMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "not affected": (statement(), "not_affected"),
    "by an alias": (statement(vulnerability={"name": "CVE-0000-1"}), "not_affected"),
    "by an alias of its own": (statement(vulnerability={"name": "X", "aliases": ["SAMPLE-1"]}), "not_affected"),
    "the component as product": (
        statement(products=[{"@id": "pkg:github/nordicsemiconductor/zcbor@0.9.1"}]),
        "not_affected",
    ),
    "by CPE": (statement(products=[{"identifiers": {"cpe23": ZCBOR.cpe}}]), "not_affected"),
    "fixed by us": (statement(status="fixed", justification=None, impact_statement=None), "fixed"),
    "affected": (
        statement(status="affected", justification=None, impact_statement=None, action_statement="Update."),
        "affected",
    ),
    "under investigation": (
        statement(status="under_investigation", justification=None, impact_statement=None),
        "affected",
    ),
    "of another vulnerability": (statement(vulnerability={"name": "SAMPLE-9"}), "affected"),
    "of another version": (statement(products=[{"@id": "pkg:github/nordicsemiconductor/zcbor@0.9.0"}]), "affected"),
    "of another component": (statement(products=[{"@id": "pkg:github/nordicsemiconductor/other"}]), "affected"),
    "of another product": (
        statement(products=[{"@id": "pkg:generic/pomp", "subcomponents": [{"@id": ZCBOR.purl}]}]),
        "affected",
    ),
    "of another version of the product": (
        statement(products=[{"@id": "pkg:generic/pump@2.0.0", "subcomponents": [{"@id": ZCBOR.purl}]}]),
        "affected",
    ),
    "of this version of the product": (
        statement(products=[{"@id": PRODUCT, "subcomponents": [{"@id": ZCBOR.purl}]}]),
        "not_affected",
    ),
}


@pytest.mark.parametrize("what", STATEMENTS)
def test_a_statement_counts_for_what_it_names_and_for_nothing_else(tmp_path: Path, what: str) -> None:
    said, verdict = STATEMENTS[what]
    found = assessed(tmp_path, AFFECTING, statements=(said,))
    assert found.components[0].verdict == verdict
    assert len(found.unused) == what.startswith("of another")


def test_the_latest_statement_counts(tmp_path: Path) -> None:
    first = statement(timestamp="2026-01-01T00:00:00Z")
    then = statement(
        status="under_investigation", justification=None, impact_statement=None, timestamp="2026-02-01T00:00:00Z"
    )
    assert assessed(tmp_path, AFFECTING, statements=(then, first)).components[0].verdict == "affected"


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_statements_of_one_time_the_worse_counts(tmp_path: Path, order: int) -> None:
    said = (
        statement(),
        statement(status="affected", justification=None, impact_statement=None, action_statement="Wait."),
    )
    found = assessed(tmp_path, AFFECTING, statements=said[::order])
    assert found.components[0].verdict == "affected"
    assert found.unused[0].endswith("or another statement counts")


def test_a_statement_about_something_else_is_told_as_such(tmp_path: Path) -> None:
    for what in (
        "of another version",
        "of another component",
        "of another product",
        "of another version of the product",
    ):
        found = assessed(tmp_path / what, AFFECTING, statements=(STATEMENTS[what][0],))
        assert "it is about pkg:" in found.unused[0]
    whole = assessed(tmp_path, AFFECTING, statements=(statement(products=[{"@id": PRODUCT}]),))
    assert f"it is about {PRODUCT}: no component that is linked in" in whole.unused[0]


def test_a_statement_about_what_the_version_clears_is_left_over(tmp_path: Path) -> None:
    found = assessed(tmp_path, REPAIRED, statements=(statement(vulnerability={"name": "SAMPLE-2"}),))
    assert found.components[0].verdict == "fixed"
    assert found.unused[0].startswith("a.json#1: SAMPLE-2 is not_affected, but no record")


def test_the_result_of_the_scanner_lists_what_affects(tmp_path: Path) -> None:
    found = assessed(tmp_path, AFFECTING | {"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/…"}]}, REPAIRED)
    assert results_of(found.components) == [
        {
            "id": "SAMPLE-1",
            "severity": [{"method": "CVSS_V3", "score": "CVSS:3.1/…"}],
            "annotations": [{"component": ZCBOR.purl}],
        }
    ]
    assert set(found.records) == {"SAMPLE-1", "SAMPLE-2"}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "not affected without a justification": (vex(statement(justification=None)), "needs a justification"),
    "not affected without a word": (
        vex(statement(impact_statement=" ")),
        "needs a justification and an impact_statement",
    ),
    "a justification of its own": (vex(statement(justification="we_checked")), "expected 'component_not_present'"),
    "affected without an action": (
        vex(statement(status="affected", justification=None, impact_statement=None)),
        "needs an action_statement",
    ),
    "a justification for what is affected": (vex(statement(status="fixed")), "only 'not_affected' has a justification"),
    "a status of its own": (vex(statement(status="ignored")), "expected 'not_affected'"),
    "no product": (vex(statement(products=[])), "at least one entry"),
    "a product without a name": (vex(statement(products=[{"@id": "urn:x"}])), "names no package URL and no CPE"),
    "no vulnerability": (vex(statement(vulnerability={})), "missing key"),
    "a key that nobody knows": (vex(statement(statsu="fixed")), "unknown key"),
    "no statement": (vex(), "at least one entry"),
    "another context": (vex(statement(), **{"@context": "https://example.org"}), "expected 'https://openvex.dev/ns'"),
    "a time without a zone": (vex(statement(), timestamp="2026-01-01T00:00:00"), "has no zone"),
    "a time to come": (vex(statement(), timestamp="2999-01-01T00:00:00Z"), "has not come yet"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_statement_is_refused_with_its_place(tmp_path: Path, what: str) -> None:
    document, words = WRONG[what]
    (tmp_path / "wrong.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UsageError, match=words) as caught:
        load_vex(tmp_path)
    assert caught.value.file == tmp_path / "wrong.json"


def test_a_folder_and_a_zip_of_it_are_one_snapshot_in_any_order(tmp_path: Path) -> None:
    folder = dump(tmp_path / "dump", AFFECTING, REPAIRED, cve("CVE-0000-2", product({"version": "0.9.1"})))
    (folder / "delta.json").write_text('{"new": []}', encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "dump.zip", "w") as archive:
        for path in sorted(folder.iterdir(), reverse=True):
            archive.write(path, f"some/folder/{path.name}")
    first, second = make_store(folder, None), make_store(tmp_path / "dump.zip", tmp_path / "stores")
    assert first == second
    assert (first.records, first.format, first.newest, first.skipped) == (3, "osv+cve", "2024-02-03T04:05:06Z", 1)
    with open_store(first.sha256, folder=tmp_path / "stores", source=None) as store:
        assert [one.record.id for one in store.about(["cpe:nordicsemi:zcbor"])] == ["CVE-0000-2"]
    dump(folder, AFFECTING | {"modified": "2024-01-03T00:00:00Z"})
    assert make_store(folder, None).sha256 != first.sha256


def kev(*names: str, **fields: Any) -> dict[str, Any]:
    """CISA's catalogue, with an entry for each CVE."""
    entries = [{"cveID": name, "dateAdded": "2024-05-06", "vendorProject": "v", "product": "p"} for name in names]
    return {"title": "catalogue", "catalogVersion": "2024.05.06", "vulnerabilities": entries} | fields


def exploited(found: Assessed) -> list[tuple[str, str, str]]:
    return [
        (match.id, match.exploited.since, match.exploited.record)
        for match in found.components[0].matches
        if match.exploited is not None
    ]


def test_what_the_catalogue_of_exploited_ones_names_is_told_whether_a_statement_clears_it_or_not(
    tmp_path: Path,
) -> None:
    found = assessed(tmp_path, AFFECTING, kev("CVE-0000-1", "CVE-0000-9"))
    assert exploited(found) == [("SAMPLE-1", "2024-05-06", "KEV/CVE-0000-1")]
    assert set(found.records) == {"SAMPLE-1", "KEV/CVE-0000-1"}
    cleared = assessed(tmp_path, AFFECTING, kev("CVE-0000-1"), statements=(statement(),))
    assert cleared.components[0].verdict == "not_affected"
    assert exploited(cleared) == [("SAMPLE-1", "2024-05-06", "KEV/CVE-0000-1")]


@pytest.mark.parametrize("record", [REPAIRED | {"aliases": ["CVE-0000-1"]}, AFFECTING | {"aliases": ["CVE-0000-2"]}])
def test_what_does_not_affect_the_version_or_is_not_in_the_catalogue_is_not_called_exploited(
    tmp_path: Path, record: dict[str, Any]
) -> None:
    found = assessed(tmp_path, record, kev("CVE-0000-1"))
    assert exploited(found) == []
    assert set(found.records) == {record["id"]}


def test_a_record_to_which_cisa_added_it_says_itself_that_it_is_exploited(tmp_path: Path) -> None:
    record = cve("CVE-0000-2", product({"version": "0.9.1"}))
    content = {"dateAdded": "2024-07-08", "reference": "catalogue"}
    record["containers"]["adp"] = [{"metrics": [{"other": {"type": "kev", "content": content}}]}]
    assert exploited(assessed(tmp_path, record)) == [("CVE-0000-2", "2024-07-08", "CVE-0000-2")]


def test_a_snapshot_tells_whether_the_catalogue_is_in_it_and_is_the_same_however_that_is_laid_out(
    tmp_path: Path,
) -> None:
    first = make_store(dump(tmp_path / "a", AFFECTING, kev("CVE-0000-1")), None)
    assert (first.format, first.records, first.skipped) == ("osv+kev", 2, 0)
    (tmp_path / "b").mkdir()
    catalogue = json.dumps(kev("CVE-0000-1", count=1), indent=2, sort_keys=True)
    (tmp_path / "b/kev.json").write_text(catalogue, encoding="utf-8")
    (tmp_path / "b/1.json").write_bytes((tmp_path / "a/0.json").read_bytes())
    assert make_store(tmp_path / "b", None) == first


def test_a_catalogue_alone_is_no_snapshot_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no vulnerability record"):
        make_store(dump(tmp_path / "alone", kev("CVE-0000-1")), None)
    damaged = kev() | {"vulnerabilities": [{"cveID": "CVE-0000-1"}]}
    with pytest.raises(UsageError, match="is not of the form that it claims"):
        make_store(dump(tmp_path / "damaged", AFFECTING, damaged), None)


@pytest.mark.parametrize("what", ["cut off", "another form", "too large"])
def test_a_file_that_cannot_be_read_is_not_passed_over(tmp_path: Path, what: str) -> None:
    folder = dump(tmp_path / "dump", AFFECTING)
    text = json.dumps(REPAIRED)
    wrong = {
        "cut off": text[:-3],
        "another form": json.dumps(REPAIRED | {"affected": "all"}),
        "too large": " " * 17 * 2**20 + text,
    }
    (folder / "wrong.json").write_text(wrong[what])
    with pytest.raises(UsageError, match=r"wrong\.json is (no|larger)") as caught:
        make_store(folder, None)
    assert caught.value.remedy
    (folder / "wrong.json").write_text('{"schema": "of something else"}')
    assert make_store(folder, None).skipped == 1


def test_a_snapshot_that_is_not_there_or_another_one_is_told(tmp_path: Path) -> None:
    folder = dump(tmp_path / "dump", AFFECTING)
    sha256 = make_store(folder, tmp_path / "stores").sha256
    with pytest.raises(BenchError, match="not on this machine"), open_store("0" * 64, folder=tmp_path, source=None):
        pass
    with pytest.raises(IntegrityError, match="that is pinned"), open_store("0" * 64, folder=tmp_path, source=folder):
        pass
    store_path(tmp_path / "stores", sha256).rename(store_path(tmp_path / "stores", "0" * 64))
    with (
        pytest.raises(IntegrityError, match="that is pinned"),
        open_store("0" * 64, folder=tmp_path / "stores", source=None),
    ):
        pass


def test_a_record_that_was_changed_in_the_store_is_found(tmp_path: Path) -> None:
    sha256 = make_store(dump(tmp_path / "dump", AFFECTING, LATER), tmp_path).sha256
    with sqlite3.connect(store_path(tmp_path, sha256)) as database:
        database.execute(
            "UPDATE record SET text = (SELECT text FROM record WHERE id = 'SAMPLE-3') WHERE id = 'SAMPLE-1'"
        )
    database.close()
    with (
        open_store(sha256, folder=tmp_path, source=None) as store,
        pytest.raises(IntegrityError, match="not the record"),
    ):
        store.about(["purl:github/nordicsemiconductor/zcbor"])
    store_path(tmp_path, sha256).write_bytes(b"no database" * 100)
    with pytest.raises(IntegrityError, match="cannot be read"), open_store(sha256, folder=tmp_path, source=None):
        pass


def test_a_dump_without_records_or_with_one_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no vulnerability record"):
        make_store(dump(tmp_path / "empty", {"new": []}), None)
    with pytest.raises(UsageError, match="a second record with the id SAMPLE-1"):
        make_store(dump(tmp_path / "twice", AFFECTING, AFFECTING), None)
    (tmp_path / "file.zip").write_bytes(b"no zip")
    with pytest.raises(UsageError, match="cannot be read"):
        make_store(tmp_path / "file.zip", None)
