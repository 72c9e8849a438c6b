"""Coverage in formats that other tools read: LCOV's tracefile and Cobertura's XML. The same coverage gives the same bytes.

The tracefile is read again as well: what boards are merged from is their files of the bundle.

Sources: geninfo(1) of LCOV 1.16, "FILES"; Cobertura's coverage-04.dtd. What is not of the product's sources is in neither.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

from devicepipe.analysis.coverage import Coverage, FileCoverage, FunctionCoverage, totals
from devicepipe.errors import IntegrityError
from devicepipe.evidence.coverage import OUTSIDE

_DOCTYPE = '<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">'


def to_lcov(coverage: Coverage, test: str = "") -> bytes:
    """An LCOV tracefile; its block numbers count the decisions of a line, branch 0 goes straight on, branch 1 elsewhere.

    Args:
        coverage: File → coverage.
        test: The name of what was run: letters, digits and underscores.
    """
    text: list[str] = []
    for path, file in _product(coverage):
        figures = totals([file])
        text += [f"TN:{test}", f"SF:{path}"]
        functions = sorted(file.functions.items(), key=lambda item: (item[1].line, item[0]))
        text += [f"FN:{function.line},{name}" for name, function in functions]
        text += [f"FNDA:{function.hits},{name}" for name, function in functions]
        text += [f"FNF:{figures.functions}", f"FNH:{figures.functions_executed}"]
        for line, decisions in sorted(file.decisions.items()):
            for block, outcomes in enumerate(decisions):
                counts = [str(count) for count in outcomes] if any(outcomes) or file.lines.get(line) else ["-", "-"]
                text += [f"BRDA:{line},{block},{branch},{count}" for branch, count in enumerate(counts)]
        text += [f"BRF:{figures.outcomes}", f"BRH:{figures.outcomes_executed}"]
        text += [f"DA:{line},{count}" for line, count in sorted(file.lines.items())]
        text += [f"LF:{figures.lines}", f"LH:{figures.lines_executed}", "end_of_record"]
    return "".join(f"{line}\n" for line in text).encode()


def read_lcov(data: bytes, link: str) -> Coverage:
    """Read what `to_lcov` wrote; how many instructions a function has is not in it.

    Raises:
        IntegrityError: It is not such a file; names `link`.
    """
    coverage: Coverage = {}
    file = FileCoverage()
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), start=1):
        kind, _, rest = line.partition(":")
        try:
            if kind == "SF":
                file = coverage.setdefault(rest, FileCoverage())
            elif kind == "FN":
                first, _, name = rest.partition(",")
                file.functions[name] = FunctionCoverage(int(first))
            elif kind == "FNDA":
                hits, _, name = rest.partition(",")
                file.functions[name].hits = int(hits)
            elif kind == "DA":
                place, _, hits = rest.partition(",")
                file.lines[int(place)] = int(hits)
            elif kind == "BRDA":
                _read_branch(file, rest)
        except (ValueError, KeyError, IndexError) as error:
            raise IntegrityError(f"is no coverage in LCOV's format at line {number}", link=link) from error
    return coverage


def _read_branch(file: FileCoverage, text: str) -> None:
    line, block, branch, count = text.split(",")
    decisions = file.decisions.setdefault(int(line), [])
    hits = 0 if count == "-" else int(count)
    if branch == "0" and int(block) == len(decisions):
        decisions.append((hits, 0))
    elif branch == "1" and int(block) == len(decisions) - 1:
        decisions[-1] = (decisions[-1][0], hits)
    else:
        raise ValueError("branches stand in another order")


def to_cobertura(coverage: Coverage, *, version: str, timestamp: int) -> bytes:
    """Cobertura's XML.

    Args:
        coverage: File → coverage.
        version: Of the tool that writes it.
        timestamp: Seconds since 1970.
    """
    files = _product(coverage)
    figures = totals(file for _, file in files)
    root = ET.Element("coverage", _rates([file for _, file in files]))
    for name, value in (
        ("lines-covered", figures.lines_executed),
        ("lines-valid", figures.lines),
        ("branches-covered", figures.outcomes_executed),
        ("branches-valid", figures.outcomes),
        ("complexity", 0),
        ("version", version),
        ("timestamp", timestamp),
    ):
        root.set(name, str(value))
    ET.SubElement(ET.SubElement(root, "sources"), "source").text = "."
    packages = ET.SubElement(root, "packages")
    for folder, members in groupby(files, key=lambda item: str(PurePosixPath(item[0]).parent)):
        _package(packages, folder, list(members))
    ET.indent(root, " ")
    body = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{_DOCTYPE}\n{body}\n'.encode()


def _product(coverage: Coverage) -> list[tuple[str, FileCoverage]]:
    """The product's files, by folder and name."""
    return sorted(
        ((path, file) for path, file in coverage.items() if path != OUTSIDE),
        key=lambda item: (PurePosixPath(item[0]).parent.parts, item[0]),
    )


def _rates(files: list[FileCoverage]) -> dict[str, str]:
    figures = totals(files)
    return {
        "line-rate": _rate(figures.lines_executed, figures.lines),
        "branch-rate": _rate(figures.outcomes_executed, figures.outcomes),
    }


def _rate(part: int, whole: int) -> str:
    return f"{part / whole:.4f}" if whole else "1.0"


def _package(packages: ET.Element, folder: str, members: list[tuple[str, FileCoverage]]) -> None:
    rates = _rates([file for _, file in members])
    package = ET.SubElement(packages, "package", {"name": folder, **rates, "complexity": "0"})
    classes = ET.SubElement(package, "classes")
    for path, file in members:
        name = PurePosixPath(path).name
        one = ET.SubElement(classes, "class", {"name": name, "filename": path, **_rates([file]), "complexity": "0"})
        methods = ET.SubElement(one, "methods")
        for function, figures in sorted(file.functions.items(), key=lambda item: (item[1].line, item[0])):
            rate = {"line-rate": _rate(figures.executed, figures.instructions), "branch-rate": "1.0"}
            method = ET.SubElement(methods, "method", {"name": function, "signature": "()", **rate, "complexity": "0"})
            lines = ET.SubElement(method, "lines")
            ET.SubElement(lines, "line", {"number": str(figures.line), "hits": str(figures.hits)})
        lines = ET.SubElement(one, "lines")
        for number, count in sorted(file.lines.items()):
            _line(lines, number, count, file.decisions.get(number, []))


def _line(lines: ET.Element, number: int, count: int, decisions: list[tuple[int, int]]) -> None:
    line = ET.SubElement(lines, "line", {"number": str(number), "hits": str(count), "branch": "false"})
    if not decisions:
        return
    seen = sum(outcome > 0 for decision in decisions for outcome in decision)
    line.set("branch", "true")
    line.set("condition-coverage", f"{100 * seen // (2 * len(decisions))}% ({seen}/{2 * len(decisions)})")
    conditions = ET.SubElement(line, "conditions")
    for index, decision in enumerate(decisions):
        share = 50 * sum(outcome > 0 for outcome in decision)
        ET.SubElement(conditions, "condition", {"number": str(index), "type": "jump", "coverage": f"{share}%"})
