"""A product's items and tests at some time: of the working tree, a commit, a bundle, or a file that keeps them (a baseline).

A baseline is one JSON document: `{"format": "devicepipe-baseline-1", "items": […], "tests": […]}`, items as in the traceability
attestation and tests with their source's SHA-256. It is written by `write_baseline` only.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from devicepipe.build.source import commit_of, export_tree
from devicepipe.errors import UsageError
from devicepipe.evidence.predicates import SourceInfo
from devicepipe.evidence.trace import Item, Traceability
from devicepipe.project.config import CONFIG_NAME, Project, load_project
from devicepipe.traceability.drafts import Draft, Traced
from devicepipe.traceability.impact import State, TestState
from devicepipe.traceability.items import project_drafts
from devicepipe.traceability.procedures import test_states

FORMAT = "devicepipe-baseline-1"
WORKING_TREE = "the working tree"


def state_of(project: Project, name: str) -> State:
    """A state by name.

    Args:
        project: The product.
        name: "" for the working tree; else the folder of a bundle, the file of a baseline, or a commit (branch, tag, id).

    Raises:
        UsageError: There is no such thing, or its items are wrong.
        IntegrityError: The bundle does not hold what it must.
    """
    if not name:
        return tree_state(project)
    path = Path(name)
    if path.is_dir():
        return _bundle_state(path)
    if path.is_file():
        return read_baseline(path)
    return _commit_state(project.root, name)


def tree_state(project: Project, name: str = WORKING_TREE, *, cached: bool = True) -> State:
    """The items and tests of a product as they stand in a folder."""
    items = project_drafts(project, cached=cached)
    tests = test_states(project.root / project.tests.path, project.root)
    return State(name, {item.id: item for item in items}, tests)


def _commit_state(root: Path, name: str) -> State:
    commit = commit_of(root, name)
    with tempfile.TemporaryDirectory() as folder:
        export_tree(root, Path(folder), commit=commit)
        if not (Path(folder) / CONFIG_NAME).is_file():
            raise UsageError(f"commit '{name}' has no {CONFIG_NAME}", remedy="name one of this product")
        return tree_state(load_project(Path(folder) / CONFIG_NAME), name, cached=False)


def _bundle_state(folder: Path) -> State:
    # Imported here, because most of what is compared is no bundle, and signatures are a sixth of the time.
    from devicepipe.evidence.bundle import Bundle
    from devicepipe.evidence.layout import kind_of_model
    from devicepipe.evidence.results import TestResult

    bundle = Bundle(folder)
    if not bundle.exists(kind_of_model(Traceability).path_for()):
        raise UsageError("is no bundle of a release: it has no traceability", file=folder)
    items = bundle.predicate(Traceability).items
    tests: dict[str, TestState] = {}
    for board in bundle.predicate(SourceInfo).boards:
        for case in bundle.predicate(TestResult, board).devicepipe.cases:
            name = case.id.partition("[")[0]
            verifies = tuple(sorted({*case.verifies, *(tests[name].verifies if name in tests else ())}))
            tests[name] = TestState(name, verifies, case.procedure_sha256, case.procedure_file, case.procedure_line)
    return State(str(folder), {item.id: item for item in items}, tests)


def write_baseline(state: State, path: Path) -> None:
    """Keep a state in a file."""
    document = {
        "format": FORMAT,
        "items": [_item(item) for item in state.items.values()],
        "tests": [
            {"id": one.id, "verifies": one.verifies, "sha256": one.sha256, "file": one.file, "line": one.line}
            for one in (state.tests or {}).values()
        ],
    }
    path.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def read_baseline(path: Path) -> State:
    """A state that was kept in a file.

    Raises:
        UsageError: The file is none of them.
    """
    try:
        document = json.loads(path.read_bytes())
        {FORMAT: None}[document["format"]]
        items = {one["id"]: _draft(one) for one in document["items"]}
        tests = {
            one["id"]: TestState(one["id"], tuple(one["verifies"]), one["sha256"], one["file"], one["line"])
            for one in document["tests"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"is no baseline ({type(error).__name__}: {error})",
            file=path,
            remedy="name a commit, a bundle, or a file that `devicepipe trace baseline` wrote",
        ) from error
    return State(str(path), items, tests)


def own_definitions(project: Project) -> Mapping[str, str]:
    """The project's definitions of documents, by file name."""
    if project.documents.path is None:
        return {}
    return _texts((project.root / project.documents.path).glob("*.toml"))


def _texts(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(paths)}


def _item(item: Traced) -> dict[str, Any]:
    return {
        "id": item.id,
        "type": item.type,
        "title": item.title,
        "text": item.text,
        "fields": item.fields,
        "links": item.links,
        "boards": item.boards,
        "file": item.file,
        "line": item.line,
        "fingerprint": item.fingerprint,
    }


def _draft(data: dict[str, Any]) -> Draft | Item:
    """Not checked as evidence is: ten thousand of them are read in a twentieth of a second this way."""
    return Draft(
        id=data["id"],
        type=data["type"],
        title=data["title"],
        text=data["text"],
        fields=data["fields"],
        links=data["links"],
        boards=data["boards"],
        file=data["file"],
        line=data["line"],
        lines={},
        fingerprint=data["fingerprint"],
    )
