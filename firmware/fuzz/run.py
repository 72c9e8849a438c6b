#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the fuzzers (libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer, clang) and runs each for a bounded time.

    firmware/fuzz/run.py [--seconds 60] [--keep] [fuzzer ...]

Each begins with the kept corpus, `corpus/<fuzzer>/`, every input of which must pass: inputs that once found something stay there.
What is new goes to .pio/fuzz/; `--keep` merges what reaches a new edge into the corpus. A finding is left in .pio/fuzz/findings/.
Exit code 0: no finding; 1: a finding; 3: it cannot be built or run. One line of JSON is the last line of output.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
OUT = PROJECT / ".pio" / "fuzz"
FUZZERS = ("lines", "smp")
SANITIZERS = "-fsanitize=address,undefined"
FLAGS = [
    "-std=c11",
    "-O1",
    "-g",
    "-fno-omit-frame-pointer",
    SANITIZERS,
    "-fsanitize=fuzzer-no-link",
    "-fno-sanitize-recover=all",
]
SOURCES = ("src/core", "src/application", "lib/monocypher", "lib/zcbor", "tests/sim")
LEFT_OUT = ("src/core/memory.c", "src/application/main.c")
MAX_LENGTH = 4096  # bytes of an input
SLACK = 120  # s beyond the fuzzing time until a fuzzer is taken for hung


class CannotRunError(Exception):
    """Nothing is said about the code."""


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Fuzz the firmware's readers of console, plant link and SMP.")
    parser.add_argument("--seconds", type=int, default=60, help="for each fuzzer (default 60)")
    parser.add_argument("--keep", action="store_true", help="merge what reaches a new edge into the kept corpus")
    parser.add_argument("fuzzers", nargs="*", choices=[*FUZZERS, []], metavar="fuzzer", help=" or ".join(FUZZERS))
    arguments = parser.parse_args()
    try:
        build()
        results = [fuzz(name, arguments.seconds, keep=arguments.keep) for name in arguments.fuzzers or FUZZERS]
    except CannotRunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    found = any(result["finding"] for result in results)
    print(json.dumps({"fuzzers": results, "passed": not found}))
    return 1 if found else 0


def build() -> None:
    """Compile everything anew where a source changed; one program for each fuzzer in OUT."""
    if shutil.which("clang") is None:
        raise CannotRunError("clang is not on PATH: install it (Debian: clang, libclang-rt-14-dev)")
    sys.path.insert(0, str(PROJECT / "platforms"))
    from build_config import STACK_SIZE, Manifest, build_config, write_if_changed

    manifest = Manifest("host", json.loads((PROJECT / "tests/host.json").read_text(encoding="utf-8")))
    text = build_config(manifest, stack_size=STACK_SIZE["application"], key=None, environment={})
    write_if_changed(OUT / "generated/build_config.h", text)
    sources = [file for folder in SOURCES for file in sorted((PROJECT / folder).rglob("*.c"))]
    sources = [file for file in sources if str(file.relative_to(PROJECT)) not in LEFT_OUT] + [HERE / "fuzz.c"]
    if not (PROJECT / "lib/zcbor").is_dir():
        raise CannotRunError("lib/zcbor is missing: run `devicepipe soup fetch`")
    headers = [file for folder in (*SOURCES, "fuzz") for file in (PROJECT / folder).rglob("*.h")]
    changed = max(file.stat().st_mtime for file in (*headers, OUT / "generated/build_config.h"))
    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(lambda source: _compile(source, changed), sources))
    for name in FUZZERS:
        program, source = OUT / f"fuzz_{name}", HERE / f"fuzz_{name}.c"
        if not _is_newer(program, changed, source, *map(Path, objects)):
            _run(["clang", *_flags(), "-fsanitize=fuzzer", str(source), *objects, "-o", str(program)])


def fuzz(name: str, seconds: int, *, keep: bool) -> dict[str, Any]:
    """Run one fuzzer; what it did, and its finding if it has one."""
    corpus, new, findings = HERE / "corpus" / name, OUT / "new" / name, OUT / "findings"
    for folder in (new, findings):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    command = [
        str(OUT / f"fuzz_{name}"),
        f"-max_total_time={seconds}",
        f"-max_len={MAX_LENGTH}",
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
        f"-artifact_prefix={findings}/{name}-",
        str(new),
        str(corpus),
    ]
    try:
        ended = subprocess.run(
            command, check=False, capture_output=True, text=True, errors="replace", timeout=seconds + SLACK
        )
    except subprocess.TimeoutExpired:
        raise CannotRunError(f"fuzz_{name} did not end {SLACK} s after its time") from None
    log = OUT / f"{name}.log"
    log.write_text(ended.stderr, encoding="utf-8")
    artifacts = sorted(str(file) for file in set(findings.iterdir()) - before)
    executed = re.search(r"stat::number_of_executed_units:\s+(\d+)", ended.stderr)
    covered = re.findall(r"cov: (\d+)", ended.stderr)
    result = {
        "fuzzer": name,
        "seconds": seconds,
        "executions": int(executed[1]) if executed else 0,
        "edges": int(covered[-1]) if covered else 0,
        "corpus": sum(1 for _ in corpus.iterdir()),
        "finding": artifacts[0] if artifacts else (str(log) if ended.returncode != 0 else ""),
    }
    print(
        f"{name}: {result['executions']} inputs, {result['edges']} edges, finding: {result['finding'] or 'none'}",
        flush=True,
    )
    if result["finding"]:
        print("\n".join(ended.stderr.splitlines()[-40:]), file=sys.stderr)
    elif keep:
        merge = [
            str(OUT / f"fuzz_{name}"),
            "-merge=1",
            "-use_counters=0",
            f"-max_len={MAX_LENGTH}",
            str(corpus),
            str(new),
        ]
        subprocess.run(merge, check=True, capture_output=True, timeout=600)
    return result


def _flags() -> list[str]:
    return [
        *FLAGS,
        *(f"-I{folder}" for folder in (OUT / "generated", PROJECT / "src", PROJECT / "tests", HERE)),
        *_libraries(),
    ]


def _libraries() -> list[str]:
    return [f"-I{PROJECT / 'lib' / name}" for name in ("monocypher", "zcbor")]


def _is_newer(target: Path, changed: float, *sources: Path) -> bool:
    return target.is_file() and target.stat().st_mtime > max(changed, *(source.stat().st_mtime for source in sources))


def _compile(source: Path, changed: float) -> str:
    target = OUT / "objects" / source.relative_to(PROJECT).with_suffix(".o")
    if _is_newer(target, changed, source):
        return str(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Fetched libraries are compiled as they are: their warnings are their suppliers'.
    warnings = ["-w"] if source.is_relative_to(PROJECT / "lib") else ["-Wall", "-Wextra", "-Werror"]
    _run(["clang", *_flags(), *warnings, "-c", str(source), "-o", str(target)])
    return str(target)


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    if ended.returncode != 0:
        raise CannotRunError(f"{' '.join(command[:1])} failed:\n{ended.stderr[-4000:]}")


if __name__ == "__main__":
    sys.exit(main())
