"""How long other tools take for the same 10,000 items: each checks them and writes its report, in turns with devicepipe.

    python3 -m venv peers
    peers/bin/pip install strictdoc doorstop sphinx-needs trlc bmw-lobster-core bmw-lobster-tool-trlc
    python benchmarks/compare_trace.py --peers peers [--items 10000] [--runs 5] [--budget 300]

The items are those of bench_trace.py, given to each tool in its own form. What is timed are whole processes, without a cache: for
devicepipe the check and the matrix as CSV and HTML; for TRLC and LOBSTER reading, report and its HTML; for Sphinx-Needs its
`needs` builder, which writes no HTML at all; for StrictDoc its HTML export with the traceability matrix; for Doorstop its check and
HTML. A tool is run `--runs` times, or until it has had `--budget` seconds, but once at least; how often is printed beside its
median.
Prints last one JSON line: {"measure", "value", "unit", "target", "ok"}; its value is our time over that of the fastest of them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

# Run as a script: the benchmarks' folder is in the path then, the product's is not.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.bench_trace import Used, fresh, write
from devicepipe.evidence.trace import Item
from devicepipe.project.config import load_project
from devicepipe.traceability.items import read_items
from devicepipe.traceability.registry import make_exporter

NEEDS_CONF = """
extensions = ["sphinx_needs"]
needs_build_json = True
needs_id_regex = ".*"
_types = "requirement", "design", "test"
needs_types = [dict(directive=name, title=name, prefix="", color="#fff", style="node") for name in _types]
needs_links = {"realises": {}, "verifies": {}}
needs_fields = {"source": {"nullable": True}}
"""
PER_FILE = 100


def exported(form: str, items: Sequence[Item], folder: Path) -> None:
    """Write the items in the form of another tool."""
    for relative, data in make_exporter(form, {}).write(items).files.items():
        path = folder / (relative or "items.sdoc")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def strictdoc(items: Sequence[Item], folder: Path) -> list[list[str]]:
    """StrictDoc: its project, and its commands."""
    exported("strictdoc", items, folder)
    (folder / "strictdoc_config.py").write_text(
        "from strictdoc.core.project_config import ProjectConfig\n\n\ndef create_config() -> ProjectConfig:\n"
        '    return ProjectConfig(project_title="Items", project_features=["TABLE_SCREEN", "TRACEABILITY_SCREEN", '
        '"TRACEABILITY_MATRIX_SCREEN"])\n',
        encoding="utf-8",
    )
    return [["strictdoc", "export", ".", "--formats=html", "--output-dir", "out"]]


def doorstop(items: Sequence[Item], folder: Path) -> list[list[str]]:
    """Doorstop: its documents, in a repository as it asks for, and its commands."""
    exported("doorstop", items, folder)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return [["doorstop", "--quiet"], ["doorstop", "publish", "--quiet", "all", "out", "--html"]]


def sphinx_needs(items: Sequence[Item], folder: Path) -> list[list[str]]:
    """Sphinx-Needs: its project, and its command."""
    (folder / "conf.py").write_text(NEEDS_CONF, encoding="utf-8")
    names = []
    for start in range(0, len(items), PER_FILE):
        lines = [f"Items {start}", "=" * 20, ""]
        for item in items[start : start + PER_FILE]:
            links = [f"   :{kind}: {', '.join(ids)}" for kind, ids in item.links.items() if ids]
            text = ["   " + line if line else "" for line in item.text.splitlines()]
            lines += [f".. {item.type}:: {item.title}", f"   :id: {item.id}", *links, "", *text, ""]
        names.append(f"items-{start:06}")
        (folder / f"{names[-1]}.rst").write_text("\n".join(lines).replace("### ", ""), encoding="utf-8")
    index = ["Items", "=====", "", ".. toctree::", "", *(f"   {name}" for name in names), ""]
    (folder / "index.rst").write_text("\n".join(index), encoding="utf-8")
    return [["sphinx-build", "-q", "-b", "needs", ".", "out"]]


def lobster(items: Sequence[Item], folder: Path) -> list[list[str]]:
    """TRLC and LOBSTER: files, the policy, and the commands."""
    exported("trlc", items, folder)
    rules = "".join(
        f"- package: devicepipe_items\n  record-type: {name}\n  namespace: req\n  description-fields: text\n"
        for name in ("Requirement", "Design", "Test")
    )
    (folder / "lobster-trlc.yaml").write_text(f"conversion-rules:\n{rules}", encoding="utf-8")
    (folder / "lobster.conf").write_text('requirements "Items" {\n  source: "items.lobster";\n}\n', encoding="utf-8")
    return [
        ["lobster-trlc", "--config", "lobster-trlc.yaml", "--out", "items.lobster", "."],
        ["lobster-report", "--lobster-config", "lobster.conf", "--out", "report.lobster"],
        ["lobster-html-report", "--out", "report.html", "report.lobster"],
    ]


PEERS: dict[str, Callable[[Sequence[Item], Path], list[list[str]]]] = {
    "TRLC and LOBSTER": lobster,
    "Sphinx-Needs, needs.json": sphinx_needs,
    "StrictDoc": strictdoc,
    "Doorstop": doorstop,
}


def peer_run(commands: Sequence[Sequence[str]], peers: Path, project: Path) -> Used:
    """A tool's commands, one after the other, on a copy of its project that no run has touched."""
    environment = os.environ | {"PATH": f"{peers / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    seconds = processor = megabytes = 0.0
    with tempfile.TemporaryDirectory(prefix="compare-trace-") as name:
        folder = Path(name) / "project"
        shutil.copytree(project, folder)
        for command in commands:
            log = (Path(name) / "log").open("w+b")
            start = time.perf_counter()
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
            seconds += time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            log.seek(0)
            said = log.read().decode(errors="replace")
            log.close()
            if process.returncode:
                sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{said[-3000:]}")
            processor += usage.ru_utime + usage.ru_stime
            megabytes = max(megabytes, usage.ru_maxrss * 1024 / 1e6)
    return Used(seconds, processor, megabytes)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, help="a virtual environment with the tools")
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--budget", type=float, default=300.0, help="seconds after which a tool is not run again")
    given = parser.parse_args()
    peers = given.peers.resolve()
    with tempfile.TemporaryDirectory(prefix="compare-trace-") as name:
        own = Path(name) / "devicepipe"
        write(own, given.items)
        items = read_items(load_project(own / "devicepipe.toml"))
        projects: dict[str, tuple[list[list[str]], Path]] = {}
        for peer, make in PEERS.items():
            folder = Path(name) / f"peer{len(projects)}"
            folder.mkdir()
            projects[peer] = make(items, folder), folder
        ours: list[Used] = []
        runs: dict[str, list[Used]] = {peer: [] for peer in PEERS}
        for number in range(given.runs):
            ours.append(fresh(own))
            for peer, (commands, folder) in projects.items():
                if not number or sum(one.seconds for one in runs[peer]) < given.budget:
                    runs[peer].append(peer_run(commands, peers, folder))
    mine = statistics.median(one.seconds for one in ours)
    print(f"{len(items)} items")
    medians = {}
    for who, used in {"devicepipe": ours, **runs}.items():
        medians[who] = statistics.median(one.seconds for one in used)
        processor, peak = statistics.median(one.processor for one in used), max(one.megabytes for one in used)
        print(
            f"{who:26} {medians[who]:8.2f} s  ({processor:8.2f} s of a processor)  {peak:6.0f} MB  "
            f"{medians[who] / mine:7.1f} x  {len(used)} runs"
        )
    value = round(mine / min(medians[peer] for peer in PEERS), 3)
    print(json.dumps({"measure": f"trace of {len(items)} items: devicepipe / fastest peer", "value": value, "unit": "ratio",
                      "target": 1.0, "ok": value <= 1.0}))  # fmt: skip
    return 0 if value <= 1.0 else 1


if __name__ == "__main__":
    sys.exit(main())
