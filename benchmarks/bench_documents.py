"""How long the documents of a release take: the PDF of a matrix of 10,000 rows, and the whole set from a bundle.

Run it with the project's Python: `python benchmarks/bench_documents.py [BUNDLE]`. Without a bundle the newest below dist/ is taken;
where there is none (`make release` makes one), only the matrix is measured. Each figure is the median of five runs, in wall time,
with the processor time beside it: other work on the machine shows in the first and not in the second.
The last lines are one JSON object each: measure, value, unit, target, ok.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from devicepipe.documents.pdf import render_pdf
from devicepipe.documents.record import ReleaseRecord, empty_record
from devicepipe.documents.release import compose_document, shipped_set
from devicepipe.evidence.bundle import Bundle
from devicepipe.evidence.trace import Item, MatrixRow, Traceability
from devicepipe.stages.document import documents_of

ROWS = 10_000
BOARDS = ("microbit", "mps2_an385", "mps2_an505", "virt_rv32")
ROUNDS = 5
TARGETS = {"matrix": 4.0, "set": 10.0}
ZERO = "0" * 64


def item(identifier: str, kind: str, title: str) -> Item:
    """An item with nothing but what a matrix shows."""
    return Item(
        id=identifier, type=kind, title=title, text="", fields={}, links={}, boards=list(BOARDS), file="x.md", line=1,
        fingerprint=ZERO,
    )  # fmt: skip


def matrix(rows: int) -> ReleaseRecord:
    """A matrix of so many rows: hazards, two controls each, ten requirements a control, two tests a requirement."""
    wanted = rows // 2
    requirements = [
        item(f"SRS-{n:05d}", "requirement", f"The device shall do what number {n} asks for") for n in range(wanted)
    ]
    controls = [item(f"RC-{n:04d}", "risk-control", f"Measure number {n} against it") for n in range(wanted // 10 + 1)]
    hazards = [item(f"HAZ-{n:04d}", "hazard", f"Harm number {n} to the patient") for n in range(wanted // 20 + 1)]
    lines = [
        MatrixRow(
            hazard=hazards[n // 20].id,
            risk_control=controls[n // 10].id,
            requirement=requirements[n].id,
            test=f"hil/test_topic_{n // 50:03d}.py::test_what_number_{n}_asks_for_is_done[{case}]",
            verdicts=dict.fromkeys(BOARDS, "passed"),
        )
        for n in range(wanted)
        for case in ("lowest", "highest")
    ]
    record = empty_record(shipped_set(), list(BOARDS))
    trace = Traceability(items=[*hazards, *controls, *requirements], matrix=lines, findings=[])
    return ReleaseRecord(
        source=record.source, traceability=trace, decisions=record.decisions, documents=record.documents
    )


def median(what: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds of doing it."""
    walls, processors = [], []
    for _ in range(ROUNDS):
        wall, processor = time.perf_counter(), time.process_time()
        what()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return statistics.median(walls), statistics.median(processors)


def tell(measure: str, seconds: float, target: float) -> bool:
    """Print a figure as JSON; whether it meets its target."""
    ok = seconds <= target
    print(json.dumps({"measure": measure, "value": round(seconds, 2), "unit": "s", "target": target, "ok": ok}))
    return ok


def main() -> int:
    """Measure and print."""
    record = matrix(ROWS)
    wall, processor = median(lambda: render_pdf(compose_document(record, "traceability-matrix")))
    print(f"matrix of {ROWS:,} rows as PDF: {wall:.2f} s, of them {processor:.2f} s of the processor")
    held = [tell(f"matrix PDF of {ROWS} rows", wall, TARGETS["matrix"])]
    given = [Path(one) for one in sys.argv[1:]] or sorted(Path("dist").glob("*/"), key=lambda one: one.stat().st_mtime)[
        -1:
    ]
    if not given:
        print("no bundle below dist/: the document set is not measured (make release, or name a bundle)")
        return 0 if all(held) else 1
    bundle = Bundle(given[0])
    made = documents_of(bundle)
    wall, processor = median(lambda: documents_of(bundle))
    size = sum(map(len, made.values()))
    print(
        f"{len(made)} files, {size / 1e6:.1f} MB: {wall:.2f} s, of them {processor:.2f} s of this process's processor time"
    )
    held.append(tell(f"document set of {given[0].name}, PDF, HTML and tables", wall, TARGETS["set"]))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
