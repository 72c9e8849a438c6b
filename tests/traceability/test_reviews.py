"""Reviews: what each change of an item or a parent is told as, and that the file of reviews loses nothing."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.evidence.items import changes, fingerprint_of
from devicepipe.evidence.review_links import review_findings, suspects
from devicepipe.evidence.reviews import Review
from devicepipe.evidence.trace import Item
from devicepipe.project.config import Project, load_project
from devicepipe.traceability.reviews import (
    forget_reviews,
    read_reviews,
    record_reviews,
    review_of,
    reviews_file,
)
from tests.project.test_config import GOOD, MANIFEST
from tests.traceability.item_samples import sample

WHEN = "2026-11-29T10:00:00Z"
CHAIN = [sample("HAZ-001"), sample("RC-001", mitigates=["HAZ-001"]), sample("SRS-001", implements=["RC-001"])]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


def make_project(root: Path) -> Project:
    for folder in ("firmware", "boards", "requirements", "hil"):
        (root / folder).mkdir()
    (root / "boards/one.json").write_text(json.dumps(MANIFEST))
    (root / "devicepipe.toml").write_text(GOOD)
    return load_project(root / "devicepipe.toml")


def review(item: Item, items: list[Item] | None = None, note: str = "") -> Review:
    return review_of(item, {one.id: one for one in items or CHAIN}, by="A. Tester", on=WHEN, note=note)


def all_of(items: list[Item]) -> list[Review]:
    return [review(item, items) for item in items]


def kinds(items: list[Item], reviews: list[Review]) -> list[tuple[str, str]]:
    return [(found.kind, found.item) for found in review_findings(items, reviews)]


def replaced(item: Item) -> list[Item]:
    return [item if one.id == item.id else one for one in CHAIN]


def test_reviewed_items_have_no_finding() -> None:
    assert kinds(CHAIN, all_of(CHAIN)) == []


def test_an_item_that_nobody_reviewed_is_told_with_its_place() -> None:
    (found,) = review_findings(CHAIN, all_of(CHAIN)[:2])
    assert (found.kind, found.item, found.file, found.line) == ("unreviewed-item", "SRS-001", "r.md", 7)


CHANGED = {
    "Statement": sample("RC-001", text="Other.", mitigates=["HAZ-001"]),
    "mitigates": sample("RC-001", mitigates=[]),
    "source": sample("RC-001", fields={"source": "GIP"}, mitigates=["HAZ-001"]),
    "Boards": sample("RC-001", boards=("small",), mitigates=["HAZ-001"]),
}


@pytest.mark.parametrize("attribute", CHANGED)
def test_any_change_makes_the_item_changed_and_the_link_to_it_suspect(attribute: str) -> None:
    items = replaced(CHANGED[attribute])
    found = review_findings(items, all_of(CHAIN))
    assert [(one.kind, one.item) for one in found] == [("changed-since-review", "RC-001"), ("suspect-link", "SRS-001")]
    assert found[0].message.endswith(f": {attribute}")
    assert found[1].message.startswith("RC-001, which it rests on, changed")
    assert set(suspects(found)) == {"RC-001", "SRS-001"}


def test_a_review_of_the_parent_alone_leaves_the_link_suspect() -> None:
    items = replaced(CHANGED["Statement"])
    reviews = [review(items[1], items) if one.item == "RC-001" else one for one in all_of(CHAIN)]
    assert kinds(items, reviews) == [("suspect-link", "SRS-001")]
    assert kinds(items, all_of(items)) == []


def test_moving_an_item_changes_nothing() -> None:
    moved = CHAIN[1].model_copy(update={"file": "other.md", "line": 99})
    assert kinds(replaced(moved), all_of(CHAIN)) == []


def test_a_review_of_an_item_that_is_no_more() -> None:
    (found,) = review_findings(CHAIN[:2], all_of(CHAIN), {"SRS-001": ("requirements/reviews.jsonl", 3)})
    assert (found.kind, found.item) == ("review-of-unknown-item", "SRS-001")
    assert (found.file, found.line) == ("requirements/reviews.jsonl", 3)


def test_changes_are_told_attribute_by_attribute() -> None:
    before = sample("SRS-001", fields={"source": "GIP", "boards": "all"}, implements=["RC-001"])
    after = sample("SRS-001", text="Other.", fields={"category": "use", "boards": "all"}, implements=["RC-001"])
    assert {(one.attribute, one.before, one.after) for one in changes(before, after)} == {
        ("Statement", "Text.", "Other."),
        ("source", "GIP", None),
        ("category", None, "use"),
    }
    assert changes(before, before) == ()


def test_boards_written_otherwise_are_a_change_too() -> None:
    before, after = (sample("SRS-001", fields={"boards": said}) for said in ("all", "small, large"))
    assert [(one.attribute, one.before, one.after) for one in changes(before, after)] == [
        ("Boards", "all (small, large)", "small, large")
    ]


def test_a_fingerprint_is_that_of_the_attributes() -> None:
    assert all(fingerprint_of(item) == item.fingerprint for item in CHAIN)


# --- the file


def test_without_a_file_nothing_is_kept_unless_it_is_required(project: Project) -> None:
    reviews = read_reviews(project)
    assert (reviews.kept, reviews.evidence, reviews.findings(CHAIN)) == (False, None, [])
    config = project.root / "devicepipe.toml"
    config.write_text(config.read_text() + '\n[traceability]\nreviews = "required"\n')
    reviews = read_reviews(load_project(config))
    assert reviews.kept
    assert reviews.evidence == []
    assert [one.kind for one in reviews.findings(CHAIN)] == ["unreviewed-item"] * 3


def test_reviews_are_written_in_order_and_read_again(project: Project) -> None:
    record_reviews(project, reversed(all_of(CHAIN)))
    again = review(CHAIN[1], note="the µl, ≤ and 漢字")
    record_reviews(project, [again])
    reviews = read_reviews(project)
    assert [one.item for one in reviews.reviews] == ["HAZ-001", "RC-001", "SRS-001"]
    assert reviews.of("RC-001") == again
    assert reviews.lines == {"HAZ-001": 1, "RC-001": 2, "SRS-001": 3}
    before = reviews_file(project).read_bytes()
    record_reviews(project, [])
    assert reviews_file(project).read_bytes() == before
    assert sorted(path.name for path in (project.root / "requirements").iterdir()) == ["reviews.jsonl"]


def test_a_review_of_what_is_gone_is_taken_out(project: Project) -> None:
    record_reviews(project, all_of(CHAIN))
    forget_reviews(project, ["SRS-001", "SRS-999"])
    assert [one.item for one in read_reviews(project).reviews] == ["HAZ-001", "RC-001"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("<<<<<<< HEAD", "is no review"),
        ('{"item": "SRS-001"}', "fingerprint: Field required"),
        ('{"item": "SRS-001", "fingerprint": "x"}', "fingerprint"),
    ],
)
def test_a_wrong_line_is_named(project: Project, line: str, said: str) -> None:
    record_reviews(project, all_of(CHAIN))
    file = reviews_file(project)
    file.write_text(file.read_text() + line + "\n")
    for act in (lambda: read_reviews(project), lambda: record_reviews(project, [])):
        with pytest.raises(UsageError, match=said) as caught:
            act()
        assert (caught.value.file, caught.value.line) == (file, 4)


def test_an_item_reviewed_twice_is_named(project: Project) -> None:
    record_reviews(project, all_of(CHAIN))
    file = reviews_file(project)
    file.write_text(file.read_text() + file.read_text())
    with pytest.raises(UsageError, match="HAZ-001 is reviewed twice, in line 1 already") as caught:
        read_reviews(project)
    assert caught.value.line == 4


def _record(root: Path, first: int) -> None:
    project = load_project(root / "devicepipe.toml")
    for number in range(first, first + 20):
        record_reviews(project, [review(sample(f"SRS-{number:03}"))])


def test_nothing_is_lost_where_two_write_at_once(project: Project) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_record, args=(project.root, first)) for first in (0, 100, 200)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    expected = [f"SRS-{first + number:03}" for first in (0, 100, 200) for number in range(20)]
    assert [one.item for one in read_reviews(project).reviews] == expected
