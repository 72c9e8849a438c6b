"""How long 10,000 items take to read: devicepipe's Markdown reader, beside the same items as TOML read by tomllib.

Run it with the project's Python: `python benchmarks/bench_items.py`. Both readers take turns in one process, so that a busy machine
slows both. The Markdown side does everything (read, parse, check links, fingerprint); the TOML side only parses. The last line
is one JSON object: measure, value, unit, target, ok.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from devicepipe.traceability.items import read_folder

ITEMS = 10_000
PER_FILE = 100
ROUNDS = 7
TARGET_SECONDS = 0.4
PREFIXES = {"HAZ": "hazard", "RC": "risk-control", "SRS": "requirement"}
BOARDS = ["board-a", "board-b"]
SENTENCE = (
    "The pump shall hold the delivered rate within five per cent of the commanded rate over any hour of delivery. "
)


def item(number: int) -> tuple[str, dict[str, str], str, str]:
    """Id, fields, statement and rationale of one item: a tenth hazards, a fifth risk controls, the rest requirements."""
    if number < ITEMS // 10:
        return f"HAZ-{number:05}", {"severity": "critical", "probability": "occasional"}, SENTENCE * 2, SENTENCE
    if number < 3 * ITEMS // 10:
        return f"RC-{number:05}", {"mitigates": f"HAZ-{number % (ITEMS // 10):05}"}, SENTENCE * 2, SENTENCE
    control = ITEMS // 10 + number % (ITEMS // 5)
    fields = {"implements": f"RC-{control:05}", "verification": "test", "source": "GIP 1.2.1", "boards": "board-a"}
    return f"SRS-{number:05}", fields, SENTENCE * 2, SENTENCE


def write(folder: Path) -> int:
    """Write all items in both formats; the size of the Markdown in bytes."""
    size = 0
    for start in range(0, ITEMS, PER_FILE):
        markdown, toml = [f"# Items from {start}\n"], []
        for number in range(start, start + PER_FILE):
            name, fields, text, rationale = item(number)
            lines = "".join(f"- {key}: {value}\n" for key, value in fields.items())
            markdown.append(f"## {name} Item number {number}\n{lines}\n{text}\n\n### Rationale\n\n{rationale}\n")
            lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
            toml.append(
                f'[{name}]\ntitle = "Item number {number}"\n{lines}text = """\n{text}\n"""\nrationale = """\n{rationale}\n"""\n'
            )
        content = "\n".join(markdown)
        size += len(content.encode())
        (folder / "markdown" / f"items-{start:05}.md").write_text(content, encoding="utf-8")
        (folder / "toml" / f"items-{start:05}.toml").write_text("\n".join(toml), encoding="utf-8")
    return size


def read_markdown(folder: Path) -> int:
    """The whole reader: items checked, linked and fingerprinted."""
    return len(read_folder(folder, "markdown", prefixes=PREFIXES, boards=BOARDS))


def read_toml(folder: Path) -> int:
    """Only the parsing of the same content."""
    return sum(len(tomllib.loads(path.read_text(encoding="utf-8"))) for path in sorted((folder / "toml").iterdir()))


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "markdown").mkdir()
        (folder / "toml").mkdir()
        size = write(folder)
        times: dict[str, list[float]] = {"markdown": [], "toml": []}
        for _ in range(ROUNDS):
            for kind, read in (("markdown", read_markdown), ("toml", read_toml)):
                start = time.perf_counter()
                if read(folder) != ITEMS:
                    raise AssertionError(kind)
                times[kind].append(time.perf_counter() - start)
    for kind, seconds in times.items():
        print(f"{kind:9} best {min(seconds):.3f} s, median {statistics.median(seconds):.3f} s, {size / 1e6:.1f} MB")
    value = min(times["markdown"])
    print(
        json.dumps(
            {
                "measure": f"read {ITEMS} items ({size / 1e6:.1f} MB)",
                "value": round(value, 3),
                "unit": "s",
                "target": TARGET_SECONDS,
                "ok": value <= TARGET_SECONDS,
            }
        )
    )
    return 0 if value <= TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
