"""Measurements: recorded with their limits, and never green outside of them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from devicepipe.bench.case import limit_of
from devicepipe.bench.record import Collected, Limit, Measured
from devicepipe.bench.results import SessionResult
from devicepipe.bench.session import run_session
from devicepipe.errors import UsageError
from devicepipe.evidence.results import Measurement, within
from devicepipe.evidence.results import TestRun as Run
from devicepipe.project.inventory import DeviceEntry
from tests.bench.samples import SpecMaker, reason, verdicts
from tests.bench.test_bench_results import ENDED, whole

SESSION = {
    "conftest.py": """
        @pytest.fixture
        def measures_too_late(measure):
            yield
            measure("late", 2, "s", high=1)

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_call(item):
            try:
                return (yield)
            except AssertionError:
                if item.name != "test_swallowed":
                    raise
        """,
    "test_a.py": """
        def test_within(measure):
            for window, error in ((1, -4.5), (5, 1), (30, 0.25)):
                assert measure("flow error", error, "%", -5, 5, where=f"window {window} min")
            measure("delay", 80, "ms", high=100)
            measure("wall time", 1.5, "s")

        def test_outside(measure):
            assert not measure("flow error", 5.01, "%", -5, 5, where="window 1 min")
            measure("flow error", 1, "%", -5, 5, where="window 2 min")

        def test_swallowed(measure): measure("delay", 101, "ms", high=100)
        def test_too_late(measures_too_late): pass
        def test_not_a_number(measure): measure("x", float("nan"), "1", low=0)
        def test_infinite(measure): measure("x", float("inf"), "1", low=0)
        def test_infinite_limit(measure): measure("x", 1, "1", high=float("inf"))
        def test_truth(measure): measure("x", True, "1", low=0)
        def test_text(measure): measure("x", "1", "1", low=0)
        def test_limits_crossed(measure): measure("x", 1, "1", 2, 0)
        def test_no_unit(measure): measure("x", 1, " ", 0)
        def test_no_mark(measure): measure("x", 1)
        def test_twice(measure):
            measure("x", 1, "1", 0)
            measure("x", 1, "1", 0)
        """,
}


@pytest.mark.usefixtures("no_process_left")
def test_what_was_measured_is_in_the_evidence(make_spec: SpecMaker) -> None:
    run = run_session(make_spec(SESSION))
    assert Run.from_json(run.to_json()) == run
    ended = {name.removeprefix("test_a.py::test_"): verdict for name, verdict in verdicts(run).items()}
    cases = {case.id.removeprefix("hil/test_a.py::test_"): case for case in run.cases}
    assert ended.pop("within") == "passed"
    assert [(m.name, m.where, m.value, m.unit, m.low, m.high, m.within) for m in cases["within"].measurements] == [
        ("flow error", "window 1 min", -4.5, "%", -5, 5, True),
        ("flow error", "window 5 min", 1, "%", -5, 5, True),
        ("flow error", "window 30 min", 0.25, "%", -5, 5, True),
        ("delay", "", 80, "ms", None, 100, True),
        ("wall time", "", 1.5, "s", None, None, True),
    ]
    assert ended.pop("outside") == "failed"
    assert [measured.within for measured in cases["outside"].measurements] == [False, True]
    assert "flow error (window 1 min) 5.01 %, not at least -5 and at most 5" in cases["outside"].reason
    assert ended.pop("swallowed") == "failed"
    assert ended.pop("too_late") == "failed"
    assert set(ended.values()) == {"error"}, ended
    assert all(case.measurements == [] for name, case in cases.items() if name in ended and name != "twice")
    assert "nan" in reason(run, "test_not_a_number")
    assert "the value of 'x' is '1': not a finite number" in reason(run, "test_text")
    assert "remedy: e.g. measure(" in reason(run, "test_text")
    assert "the upper limit of 'x' is inf" in reason(run, "test_infinite_limit")
    assert "the limits of 'x' are crossed: at least 2, at most 0" in reason(run, "test_limits_crossed")
    assert "remedy: give the lower limit first" in reason(run, "test_limits_crossed")
    assert "'x' was measured without a unit, and no mark 'limit'" in reason(run, "test_no_mark")
    assert '@pytest.mark.limit("x", UNIT' in reason(run, "test_no_mark")
    assert "a second time" in reason(run, "test_twice")


def test_fixture_that_stands_for_measure(make_spec: SpecMaker) -> None:
    conftest = "\n    @pytest.fixture\n    def measure(): return lambda *_, **__: True"
    with pytest.raises(UsageError, match=r"fixture 'measure' .* hides"):
        run_session(make_spec({"conftest.py": conftest, "test_a.py": "\n    def test_x(measure): pass"}))


def measurement(value: float, *, inside: bool) -> Measurement:
    return Measurement(name="x", value=value, unit="1", low=0, high=1, within=inside)


def test_record_with_a_value_outside_is_never_green() -> None:
    entries = whole()
    entries.insert(4, Measured(id="a", measurement=measurement(2, inside=False)))
    cases = SessionResult(entries).test_cases(ENDED, whole=True, log_size=20)
    assert [str(case.verdict) for case in cases] == ["failed", "passed"]
    assert cases[0].reason == "outside its limits: x 2 1, not at least 0 and at most 1"


@pytest.mark.parametrize(("value", "inside"), [(2, True), (0.5, False), (-1, True)])
def test_evidence_that_lies_about_its_limits(value: float, inside: bool) -> None:
    with pytest.raises(ValidationError, match="within is not what"):
        measurement(value, inside=inside)


def test_limits() -> None:
    assert within(1, 1, 1)
    assert within(1, None, 1)
    assert not within(0.999, 1, None)
    assert within(5, None, None)


# --- the marks `requires` and `limit` -----------------------------------------------------------------------------------

MARKED = """
    @pytest.mark.requires("emulated", "debugger", "scale")
    @pytest.mark.limit("delay", "ms", high=100)
    def test_all_there(measure):
        for run in range(2):
            assert measure("delay", 80 + run, where=f"run {run}")

    @pytest.mark.limit("delay", "ms", 10, 100)
    def test_outside(measure): assert not measure("delay", 9)

    @pytest.mark.limit("delay", "ms", high=100)
    @pytest.mark.limit("rate", "ml/h", 0, 5)
    def test_forgets_one(measure): measure("rate", 1)

    @pytest.mark.limit("delay", "ms", high=100)
    def test_forgets_and_is_accused_for_that_alone(): assert False

    @pytest.mark.limit("delay", "ms", high=100)
    def test_own_limits(measure): measure("delay", 200, "ms", high=300)

    def test_no_unit(measure): measure("delay", 1)

    @pytest.fixture(scope="module")
    def breaks(): raise RuntimeError("set up without the device that it needs")

    @pytest.mark.requires("probe")
    @pytest.mark.requires("scale", "camera")
    def test_lacks_two(breaks): assert False

    @pytest.mark.requires("camera")
    @pytest.mark.xfail
    def test_lacks_one(): pass
    """
MARKED_VERDICTS = {
    "all_there": ("passed", ""),
    "outside": ("failed", "delay 9 ms, not at least 10 and at most 100"),
    "forgets_one": ("error", "never measured, though the mark 'limit' is about it: delay"),
    "forgets_and_is_accused_for_that_alone": ("failed", "assert False"),
    "own_limits": ("error", "from the mark 'limit'"),
    "no_unit": ("error", "was measured without a unit"),
    "lacks_two": (
        "not_run",
        "camera (no device of bench.toml has this tag; known: debugger, emulated, probe, read-flash, scale, virtual-time, ",
    ),
    "lacks_one": ("not_run", "the device has not what the test requires: camera"),
}


@pytest.mark.usefixtures("no_process_left")
def test_marks_requires_and_limit(make_spec: SpecMaker) -> None:
    run = run_session(
        make_spec(
            {"test_a.py": MARKED},
            device=DeviceEntry(id="one", board="microbit", driver="qemu", tags=("scale",)),
            tags=("probe", "scale"),
        )
    )
    ended = {case.id.rpartition("::test_")[2]: (str(case.verdict), case.reason) for case in run.cases}
    assert {name: verdict for name, (verdict, _) in ended.items()} == {
        name: verdict for name, (verdict, _) in MARKED_VERDICTS.items()
    }, ended
    assert all(said in ended[name][1] for name, (_, said) in MARKED_VERDICTS.items()), ended
    first = run.cases[0].measurements
    assert [(m.value, m.unit, m.low, m.high, m.where) for m in first] == [
        (80, "ms", None, 100, "run 0"),
        (81, "ms", None, 100, "run 1"),
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "x", "unit": "ms"}, "at least one limit"),
        ({"name": "x", "unit": "ms", "high": "5"}, "at least one limit"),
        ({"name": "x", "unit": "ms", "high": True}, "at least one limit"),
        ({"name": "x", "unit": "ms", "low": float("nan")}, "finite number"),
        ({"name": "x", "unit": "ms", "low": 2, "high": 1}, "above the upper one"),
        ({"name": " ", "unit": "ms", "high": 1}, "texts"),
        ({"name": "x", "high": 1}, "unit"),
    ],
)
def test_limit_that_says_nothing(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        limit_of(**arguments)


def test_two_marks_about_one_value(make_spec: SpecMaker) -> None:
    source = """
        @pytest.mark.limit("x", "ms", high=1)
        @pytest.mark.limit("x", "s", high=2)
        def test_x(): pass
        """
    with pytest.raises(UsageError, match="two marks 'limit'"):
        run_session(make_spec({"test_a.py": source}))


def test_record_without_what_a_mark_wants_is_never_green() -> None:
    """Whoever swallows what the session raises of it."""
    first, *entries = whole()
    assert isinstance(first, Collected)
    limited = first.model_copy(update={"limits": [Limit(name="x", unit="1", low=0, high=1)]})
    lacking = first.model_copy(update={"lacks": ["scale"]})
    for case, verdict in ((limited, "error"), (lacking, "not_run")):
        cases = SessionResult([case, *entries]).test_cases(ENDED, whole=True, log_size=20)
        assert [str(one.verdict) for one in cases] == [verdict, "passed"]
    other_limits = Measured(id="a", measurement=Measurement(name="x", value=2, unit="1", low=0, high=3, within=True))
    cases = SessionResult([limited, *entries[:3], other_limits, *entries[3:]]).test_cases(
        ENDED, whole=True, log_size=20
    )
    assert [str(one.verdict) for one in cases] == ["error", "passed"]
