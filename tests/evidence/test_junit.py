"""JUnit XML of many frameworks: nothing but a plain pass is green."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devicepipe.errors import UsageError
from devicepipe.evidence.junit import JUnitFile, read_junit
from devicepipe.evidence.results import Verdict

PATH = Path("junit.xml")


def read(text: str, *, items: str | None = None) -> JUnitFile:
    return read_junit(text.encode(), PATH, properties=["verifies"], items=items)


def verdict_of(case: str, suite: str = "") -> tuple[Verdict, str]:
    found = read(f'<testsuites><testsuite name="s" {suite}>{case}</testsuite></testsuites>')
    (one,) = found.cases.values()
    return one.verdict, one.reason


VERDICTS = {
    "plain": ('<testcase name="t"/>', "", Verdict.PASSED),
    "with output": ('<testcase name="t"><system-out>FAILED</system-out></testcase>', "", Verdict.PASSED),
    "failure": ('<testcase name="t"><failure message="1 is 2"/></testcase>', "", Verdict.FAILED),
    "error": ('<testcase name="t"><error/></testcase>', "", Verdict.ERROR),
    "skipped": ('<testcase name="t"><skipped/></testcase>', "", Verdict.NOT_RUN),
    "failed and skipped": ('<testcase name="t"><skipped/><failure/></testcase>', "", Verdict.FAILED),
    "GoogleTest: run": ('<testcase name="t" status="run" result="completed"/>', "", Verdict.PASSED),
    "GoogleTest: disabled": ('<testcase name="t" status="notrun" result="suppressed"/>', "", Verdict.NOT_RUN),
    "GoogleTest: skipped": ('<testcase name="t" status="run" result="skipped"/>', "", Verdict.NOT_RUN),
    "CTest: fail": ('<testcase name="t" status="fail"/>', "", Verdict.FAILED),
    "CTest: disabled": ('<testcase name="t" status="disabled"/>', "", Verdict.NOT_RUN),
    "a status that nobody knows": ('<testcase name="t" status="wonderful"/>', "", Verdict.ERROR),
    "Maven: passed when tried again": ('<testcase name="t"><flakyFailure/></testcase>', "", Verdict.FAILED),
    "Maven: failed again": ('<testcase name="t"><failure/><rerunFailure/></testcase>', "", Verdict.FAILED),
    "fewer cases than the suite says": ('<testcase name="t"/>', 'tests="2"', Verdict.ERROR),
    "more cases than the suite says": ('<testcase name="t"/>', 'tests="0"', Verdict.ERROR),
    "as many as it says": ('<testcase name="t"/>', 'tests="1" failures="0" errors="0"', Verdict.PASSED),
    "a failure that no case has": ('<testcase name="t"/>', 'tests="1" failures="1"', Verdict.ERROR),
    "an error that no case has": ('<testcase name="t"/>', 'tests="1" errors="1"', Verdict.ERROR),
    "a suite that broke": ('<testcase name="t"/><error message="setup"/>', "", Verdict.ERROR),
    "one id with two verdicts": ('<testcase name="t"/><testcase name="t"><failure/></testcase>', "", Verdict.FAILED),
    "one id, the better one last": ('<testcase name="t"><error/></testcase><testcase name="t"/>', "", Verdict.ERROR),
}


@pytest.mark.parametrize(("case", "suite", "verdict"), VERDICTS.values(), ids=VERDICTS.keys())
def test_verdicts(case: str, suite: str, verdict: Verdict) -> None:
    found, reason = verdict_of(case, suite)
    assert found is verdict
    assert bool(reason) == (verdict is not Verdict.PASSED)


def test_ids_of_items_come_from_properties_of_case_and_suite_attributes_and_names() -> None:
    found = read(
        """<testsuite name="s"><properties><property name="verifies" value="DSG-1"/></properties>
        <testcase classname="a.b" name="test_SRS_001_adds" verifies="SRS-003">
        <properties><property name="verifies">SRS-002, TST-1</property><property name="other" value="X-1"/></properties>
        </testcase></testsuite>""",
        items=r"(SRS_\d+)",
    )
    (case,) = found.cases.values()
    assert case.id == "a.b.test_SRS_001_adds"
    assert case.names == ["DSG-1", "SRS-002", "TST-1", "SRS-003", "SRS-001"]
    assert case.line == 2


def test_the_commit_is_what_a_suite_states() -> None:
    commit = "1f" * 20
    text = '<testsuite><properties><property name="commit" value="{}"/></properties><testcase name="t"/></testsuite>'
    assert read(text.format(commit)).commits == [commit]
    assert read(text.format("main")).commits == []


REFUSED = {
    "no XML": ("hello", 1, "is not well-formed XML"),
    "cut off": ("<testsuite>\n<testcase name='t'>", 2, "is not well-formed XML"),
    "something else": ("<html/>", 1, "its root is <html>"),
    "no cases": ("<testsuites/>", 1, "holds no test case"),
    "a case without a name": ("<testsuite>\n\n<testcase/></testsuite>", 3, "without a name"),
    "a number that is none": ("<testsuite tests='many'><testcase name='t'/></testsuite>", 1, "is no number"),
    "entities": ("<!DOCTYPE x [<!ENTITY a 'b'>]><testsuite/>", 1, "document type"),
    "an external file": (
        "<?xml version='1.0'?>\n<!DOCTYPE x SYSTEM 'file:///etc/passwd'><testsuite/>",
        2,
        "document type",
    ),
}


@pytest.mark.parametrize(("text", "line", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused(text: str, line: int, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read(text)
    assert (caught.value.file, caught.value.line) == (PATH, line)


def test_a_document_type_cannot_hide_in_another_encoding() -> None:
    text = "<?xml version='1.0' encoding='UTF-16'?><!DOCTYPE x [<!ENTITY a 'b'>]><testsuite/>"
    with pytest.raises(UsageError, match="document type"):
        read_junit(text.encode("utf-16"), PATH, properties=[])


@given(st.binary(max_size=200) | st.text(alphabet="<>/='\" testcaseunmr\n", max_size=200).map(str.encode))
def test_damaged_files_end_in_an_error_of_ours(data: bytes) -> None:
    try:
        read_junit(b"<testsuite>" + data, PATH, properties=["verifies"])
    except UsageError as error:
        told = error.file
    else:
        told = PATH
    assert told == PATH
