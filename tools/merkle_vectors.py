"""Make tests/evidence/ledger/merkle_vectors.json anew from the published vectors for RFC 6962 proofs.

    git clone https://github.com/transparency-dev/merkle
    .venv/bin/python tools/merkle_vectors.py merkle > tests/evidence/ledger/merkle_vectors.json

The folder is a clone, with or without a work tree; the newest commit counts. Of its files testdata/inclusion and
testdata/consistency, only the figures are taken: sizes, indexes, hashes, and whether the proof is to be accepted. Each hash
stands once, in "hashes", and proofs name it by its number there; null stands for a value that the vector leaves out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCE = "https://github.com/transparency-dev/merkle"


def main() -> int:
    """Read the clone and print the file."""
    if len(sys.argv) != 2:  # noqa: PLR2004 - the script and the folder
        sys.exit(__doc__)
    repository = Path(sys.argv[1])

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(repository), *arguments], check=True, capture_output=True, encoding="utf-8"
        ).stdout

    hashes: dict[str, int] = {}

    def number(text: str | None) -> int | None:
        return None if text is None else hashes.setdefault(text, len(hashes))

    def vector(name: str, data: dict[str, Any]) -> list[Any]:
        proof = [number(one) for one in data["proof"] or ()]
        head = (
            [data["leafIdx"], data["treeSize"], number(data["leafHash"]), number(data["root"])]
            if "leafIdx" in data
            else [data["size1"], number(data["root1"]), data["size2"], number(data["root2"])]
        )
        return [name.removeprefix("testdata/").removesuffix(".json"), not data["wantErr"], *head, proof]

    kinds: dict[str, list[list[Any]]] = {"inclusion": [], "consistency": []}
    for name in git("ls-tree", "-r", "--name-only", "-z", "HEAD", "testdata").split("\0"):
        kind = name.split("/")[1] if name else ""
        if kind in kinds:
            kinds[kind].append(vector(name, json.loads(git("show", f"HEAD:{name}"))))
    lines = [f' "source": {json.dumps(SOURCE)}', f' "commit": {json.dumps(git("rev-parse", "HEAD").strip())}']
    lines.append(' "license": "Apache-2.0"')
    made = "tools/merkle_vectors.py; name, accepted, then (index, size, leaf, root) or (size, root, size, root), proof"
    lines.append(f' "made": {json.dumps(made)}')
    lists: dict[str, list[Any]] = {**kinds, "hashes": [*hashes]}
    for kind, vectors in lists.items():
        lines.append(f' "{kind}": [\n' + ",\n".join(f"  {json.dumps(one)}" for one in vectors) + "\n ]")
    print("{\n" + ",\n".join(lines) + "\n}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
