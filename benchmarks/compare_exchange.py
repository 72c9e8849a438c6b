"""Does devicepipe read other tools' files as they do themselves, and do they read what it writes? Counts of both, side by side.

    python3 -m venv peers
    peers/bin/pip install strictdoc doorstop sphinx-needs trlc bmw-lobster-core
    python benchmarks/compare_exchange.py --peers peers [--strictdoc FOLDER] [--doorstop FOLDER] [--needs NEEDS.JSON]

FOLDER and NEEDS.JSON are of any project that uses the tool: those measured are named in docs/reference/exchange.md. For StrictDoc,
FOLDER must be one that `strictdoc export` takes. Each line is a measure: what the tool says, what devicepipe says, whether they
agree. The second part exports the reference product's items and has each tool read them. Exits with 1 where something differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devicepipe.project.config import load_project
from devicepipe.traceability.importers.importer import Imported
from devicepipe.traceability.items import read_items
from devicepipe.traceability.registry import make_exporter, make_importer

REPOSITORY = Path(__file__).parents[1]
DOORSTOP = """
import doorstop, json, sys
found = {"items": {}, "normative": {}, "links": 0}
for document in doorstop.build(sys.argv[1], sys.argv[1]).documents:
    items = list(document.items)
    found["items"][document.prefix] = len(items)
    found["normative"][document.prefix] = sum(item.normative for item in items)
    found["links"] += sum(len(item.links) for item in items)
print(json.dumps(found))
"""
NEEDS_CONF = """
import json
extensions = ["sphinx_needs"]
needs_build_json = True
needs_id_regex = ".*"
_version = json.load(open("needs.json"))["versions"]["1.0"]
_types = sorted({need["type"] for need in _version["needs"].values()})
_properties = _version["needs_schema"]["properties"]
needs_types = [dict(directive=name, title=name, prefix="", color="#fff", style="node") for name in _types]
needs_fields = {name: {"nullable": True} for name, of in _properties.items() if of["field_type"] == "extra"}
needs_links = {name: {} for name, of in _properties.items() if of["field_type"] == "links"}
"""


class Table:
    """The measures, and whether any differs."""

    def __init__(self) -> None:
        self.differs = False

    def row(self, measure: str, theirs: object, ours: object) -> None:
        """Compare two numbers."""
        same = theirs == ours
        self.differs |= not same
        print(f"{'ok ' if same else 'NO '} {measure:64} theirs {theirs!s:>8}  devicepipe {ours!s:>8}", flush=True)


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What a peer prints; its errors are ours."""
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return done.stdout


def read(name: str, path: Path, **options: object) -> Imported:
    """What devicepipe finds."""
    return make_importer(name, options).read([path])


# --- their projects, read by both -------------------------------------------------------------------------------------


def strictdoc(table: Table, peers: Path, folder: Path) -> None:
    """Nodes by tag, and relations to parents, of the project's .sdoc files."""
    with tempfile.TemporaryDirectory() as work:
        run(peers / "bin/strictdoc", "export", folder, "--formats=json", "--output-dir", work)
        data = json.loads((Path(work) / "json/index.json").read_text(encoding="utf-8"))
    files = sorted(folder.rglob("*.sdoc"))
    titles = {
        line[7:].strip() for file in files for line in file.read_text().split("\n")[:4] if line.startswith("TITLE: ")
    }
    counts: Counter[str] = Counter()
    for document in data["DOCUMENTS"]:
        if document["TITLE"] in titles:  # StrictDoc reads Markdown documents as well
            for node in document.get("NODES", []):
                _count(node, counts)
    found = make_importer("strictdoc", {}).read(files)
    kinds = Counter(item.type for item in found.items)
    for tag in sorted({name for name in counts if not name.startswith(" ")} | kinds.keys()):
        table.row(f"StrictDoc: [{tag}] with a UID", counts[tag], kinds[tag])
    without = sum("without a UID" in loss.what or loss.what.startswith("section:") for loss in found.losses)
    table.row("StrictDoc: sections and nodes without a UID", counts[" without"], without)
    links = sum(len(targets) for item in found.items for targets in item.links.values())
    table.row("StrictDoc: relations to parents", counts[" links"], links)


def _count(node: Mapping[str, Any], counts: Counter[str]) -> None:
    counts[node["_NODE_TYPE"] if "UID" in node else " without"] += 1
    counts[" links"] += sum(one["TYPE"] in ("Parent", "Child") for one in node.get("RELATIONS", []))
    for inner in node.get("NODES", []):
        _count(inner, counts)


def doorstop(table: Table, peers: Path, folder: Path) -> None:
    """Active items and normative ones by document, and links."""
    theirs = json.loads(run(peers / "bin/python", "-c", DOORSTOP, folder))
    every = read("doorstop", folder, **{"not-normative": "items"})
    normative = Counter(item.type for item in read("doorstop", folder).items)
    items = Counter(item.type for item in every.items)
    for prefix, count in theirs["items"].items():
        table.row(f"Doorstop: {prefix}, active items", count, items[prefix])
        table.row(f"Doorstop: {prefix}, normative items", theirs["normative"][prefix], normative[prefix])
    table.row("Doorstop: links", theirs["links"], sum(len(item.links.get("links", ())) for item in every.items))


def needs(table: Table, file: Path) -> None:
    """Needs, by type, and links, by kind, as the builder of Sphinx-Needs counted and declared them."""
    data = json.loads(file.read_text(encoding="utf-8"))
    version = data["versions"][data["current_version"]]
    found = read("needs-json", file)
    table.row("Sphinx-Needs: needs", version["needs_amount"], len(found.items))
    theirs = Counter(need["type"] for need in version["needs"].values())
    ours = Counter(item.type for item in found.items)
    for kind in sorted(theirs):
        table.row(f"Sphinx-Needs: {kind}", theirs[kind], ours[kind])
    properties = version["needs_schema"]["properties"]
    for link in (name for name, of in properties.items() if of["field_type"] == "links"):
        count = sum(len(need.get(link) or ()) for need in version["needs"].values())
        if count:
            table.row(
                f"Sphinx-Needs: links '{link}'", count, sum(len(item.links.get(link, ())) for item in found.items)
            )


# --- our items, read by them ------------------------------------------------------------------------------------------


def ours(table: Table, peers: Path) -> None:
    """The reference product's items, exported, as each tool counts them."""
    items = read_items(load_project(REPOSITORY / "devicepipe.toml"))
    links = sum(len(targets) for item in items for targets in item.links.values())
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for form in ("strictdoc", "doorstop", "needs-json", "trlc", "lobster"):
            for relative, data in make_exporter(form, {}).write(items).files.items():
                path = work / form / (relative or {"needs-json": "needs.json"}.get(form, "items.sdoc"))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        run(peers / "bin/strictdoc", "export", work / "strictdoc", "--formats=json", "--output-dir", work / "out")
        counts: Counter[str] = Counter()
        for document in json.loads((work / "out/json/index.json").read_text(encoding="utf-8"))["DOCUMENTS"]:
            for node in document.get("NODES", []):
                _count(node, counts)
        table.row("our items in StrictDoc", sum(counts.values()) - counts[" links"], len(items))
        table.row("our links in StrictDoc", counts[" links"], links)
        theirs = json.loads(run(peers / "bin/python", "-c", DOORSTOP, work / "doorstop"))
        table.row("our items in Doorstop", sum(theirs["items"].values()), len(items))
        distinct = sum(len({target for targets in item.links.values() for target in targets}) for item in items)
        table.row("our links in Doorstop", theirs["links"], distinct)
        (work / "needs-json/conf.py").write_text(NEEDS_CONF, encoding="utf-8")
        (work / "needs-json/index.rst").write_text("Items\n=====\n\n.. needimport:: needs.json\n", encoding="utf-8")
        run(peers / "bin/python", "-m", "sphinx", "-q", "-b", "needs", ".", "out", cwd=work / "needs-json")
        built = json.loads((work / "needs-json/out/needs.json").read_text(encoding="utf-8"))
        table.row("our items in Sphinx-Needs", built["versions"][built["current_version"]]["needs_amount"], len(items))
        summary = run(peers / "bin/trlc", "--brief", work / "trlc")
        table.row("our items in TRLC, without errors", "no errors" if "error" not in summary else summary, "no errors")
        policy = 'requirements "Items" {\n  source: "lobster/items.lobster";\n}\n'
        (work / "lobster.conf").write_text(policy, encoding="utf-8")
        run(peers / "bin/lobster-report", "--lobster-config", "lobster.conf", "--out", "report.lobster", cwd=work)
        report = json.loads((work / "report.lobster").read_text(encoding="utf-8"))
        table.row("our items in LOBSTER", sum(len(level["items"]) for level in report["levels"]), len(items))


def main() -> int:
    """Compare what is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True, help="a virtual environment with the tools")
    parser.add_argument("--strictdoc", type=Path, help="a StrictDoc project")
    parser.add_argument("--doorstop", type=Path, help="a folder of Doorstop documents")
    parser.add_argument("--needs", type=Path, help="a needs.json")
    given = parser.parse_args()
    table = Table()
    if given.strictdoc:
        strictdoc(table, given.peers, given.strictdoc.resolve())
    if given.doorstop:
        doorstop(table, given.peers, given.doorstop.resolve())
    if given.needs:
        needs(table, given.needs.resolve())
    ours(table, given.peers)
    return int(table.differs)


if __name__ == "__main__":
    sys.exit(main())
