"""How long the gate takes to judge a release of 2,000 requirements on 4 boards.

Run it with the project's Python: `python benchmarks/bench_gate.py`. Reading and compiling the rule sets is told apart from judging;
what counts is the slowest set, in processor time: it all happens in one thread, and a neighbour's work is not the gate's.
The last line is one JSON object: measure, value, unit, target, ok.
"""

from __future__ import annotations

import json
import sys
import time

from devicepipe.evidence.results import Device, Verdict
from devicepipe.evidence.results import TestCase as Case
from devicepipe.evidence.results import TestRun as Run
from devicepipe.evidence.trace import Item, MatrixRow, Traceability
from devicepipe.policy.evidence import BoardEvidence, GateInput
from devicepipe.policy.gate import decide
from devicepipe.policy.rules import load_rule_set, shipped_sets

REQUIREMENTS = 2_000
BOARDS = ("a", "b", "c", "d")
ROUNDS = 20
TARGET_MILLISECONDS = 50.0
ZERO = "0" * 64
WHEN = "2026-01-01T00:00:00Z"


def evidence() -> GateInput:
    """The parts that grow with the number of requirements; what else a release has does not change the time."""
    numbers = range(REQUIREMENTS)
    items = [
        Item(
            id=f"SRS-{number}",
            type="requirement",
            title="T",
            text="T.",
            fields={"verification": "test", "boards": "all"},
            links={},
            boards=list(BOARDS),
            file="r.md",
            line=number,
            fingerprint=ZERO,
        )
        for number in numbers
    ]
    rows = [
        MatrixRow(requirement=f"SRS-{number}", test=f"t{number}", verdicts=dict.fromkeys(BOARDS, "passed"))
        for number in numbers
    ]
    cases = [
        Case(
            id=f"t{number}",
            verdict=Verdict.PASSED,
            verifies=[f"SRS-{number}"],
            procedure_file="hil/test_x.py",
            procedure_line=number,
            procedure_sha256=ZERO,
            expected="It works.",
            duration_seconds=0.1,
            log_start=0,
            log_end=0,
        )
        for number in numbers
    ]
    runs = [
        Run(
            board=name,
            device=Device(id=name, board=name, serial="x", driver="qemu", emulated=True),
            image_digest=ZERO,
            payload_digest=ZERO,
            identity_errors=[],
            tools=[],
            tester="nobody",
            started_on=WHEN,
            finished_on=WHEN,
            serial_log="x",
            serial_log_sha256=ZERO,
            cases=cases,
        )
        for name in BOARDS
    ]
    traced = Traceability(items=items, matrix=rows, findings=[])
    return GateInput(None, traced, tuple(BoardEvidence(board=run.board, tests=run) for run in runs))


def main() -> int:
    """Measure and print."""
    given = evidence()
    value = 0.0
    for name in shipped_sets():
        start = time.process_time()
        rules = load_rule_set(name)
        loaded = (time.process_time() - start) * 1e3
        times = []
        for _ in range(ROUNDS):
            start = time.process_time()
            decided = decide(given, rules)
            times.append((time.process_time() - start) * 1e3)
        value = max(value, min(times))
        print(
            f"{name}: {len(rules.rules)} rules read, compiled and proven in {loaded:.1f} ms; "
            f"{len(decided.decisions)} decisions in {min(times):.1f} ms"
        )
    if verified := next((one for one in decided.decisions if one.rule == "requirements-verified"), None):
        print(verified.message)
    print(
        json.dumps(
            {
                "measure": f"judge {REQUIREMENTS} requirements on {len(BOARDS)} boards",
                "value": round(value, 1),
                "unit": "ms",
                "target": TARGET_MILLISECONDS,
                "ok": value <= TARGET_MILLISECONDS,
            }
        )
    )
    return 0 if value <= TARGET_MILLISECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
