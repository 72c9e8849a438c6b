"""What goes out comes back: every lossless format gives the same items, or says what it lost."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from devicepipe.evidence.trace import Item
from devicepipe.project.config import load_project
from devicepipe.traceability.items import read_items
from devicepipe.traceability.registry import EXPORTERS, IMPORTERS, formats, make_exporter
from tests.traceability.exchange.made_items import content, content_of_raw, export, item_sets, read_back

NAMES = {
    "csv": "items.csv",
    "markdown": "items.md",
    "mlx-traceability": "items.rst",
    "needs-json": "needs.json",
    "reqif": "items.reqif",
    "strictdoc": "items.sdoc",
    "xlsx": "items.xlsx",
    "doorstop": "",
}
LOSSLESS = sorted(
    name for name in formats(EXPORTERS) if name in formats(IMPORTERS) and make_exporter(name, {}).lossless
)
REPOSITORY = Path(__file__).parents[3]


def test_all_but_the_formats_without_fields_are_lossless() -> None:
    assert sorted(NAMES) == LOSSLESS


@pytest.mark.parametrize("name", LOSSLESS)
@given(items=item_sets())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_made_up_items_come_back(name: str, items: list[Item]) -> None:
    if not items:
        return
    with tempfile.TemporaryDirectory() as folder:
        path, lost = export(name, items, Path(folder), NAMES[name])
        back, further = read_back(name, path)
        changed = {loss.item for loss in (*lost, *further)}
        before, after = content(items), content_of_raw(back)
        assert before.keys() == after.keys()
        assert {own: what for own, what in after.items() if own not in changed} == {
            own: what for own, what in before.items() if own not in changed
        }


@pytest.mark.parametrize("name", LOSSLESS)
def test_the_reference_products_items_come_back(name: str, tmp_path: Path) -> None:
    project = load_project(REPOSITORY / "devicepipe.toml")
    items = read_items(project)
    path, lost = export(name, items, tmp_path, NAMES[name])
    back, further = read_back(name, path)
    by_id = {one.id: one for one in items}
    before = content(
        [
            one.model_copy(
                update={"fields": {key: value for key, value in one.fields.items() if key != "evidence-sha256"}}
            )
            for one in by_id.values()
        ]
    )
    changed = {loss.item for loss in (*lost, *further)}
    after = content_of_raw(back)
    assert before.keys() == after.keys()
    assert {own for own in before if before[own] != after[own]} <= changed
    assert name == "mlx-traceability" or not changed - {""}


@pytest.mark.parametrize("name", LOSSLESS)
def test_the_same_items_make_the_same_bytes(name: str) -> None:
    items = read_items(load_project(REPOSITORY / "devicepipe.toml"))[:20]
    assert make_exporter(name, {}).write(items).files == make_exporter(name, {}).write(items).files
