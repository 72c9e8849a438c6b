"""Live sources: items of other tools beside those in Markdown, with their own ids and places, checked as all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from devicepipe.errors import UsageError
from devicepipe.project.config import Project, load_project
from devicepipe.project.exchange import TraceMapping, TraceSource
from devicepipe.traceability.items import read_items
from devicepipe.traceability.loss import Loss
from devicepipe.traceability.sources import loss_findings

REPOSITORY = Path(__file__).parents[3]
RISKS = "# Risks\n\n## HAZ-001 Much\n\nMore than wanted.\n\n## RC-001 Limit\n- mitigates: HAZ-001\n\nIt limits.\n"
CSV = "id,type,title,text,implements\nREQ/1,requirement,Rate,At most 5 ml/h.,RC-001\n"
TESTS = "id,type,title,text,verifies\nT1,test,Flow,Measure it.,REQ/1\n"


def project(root: Path, *sources: TraceSource, mapping: TraceMapping | None = None) -> Project:
    own = load_project(REPOSITORY / "devicepipe.toml")
    (root / "requirements").mkdir(exist_ok=True)
    (root / "requirements/risks.md").write_text(RISKS, encoding="utf-8")
    settings = own.traceability.model_copy(
        update={"path": "requirements", "source": sources, "mapping": mapping or TraceMapping(), "schema_": None}
    )
    return own.model_copy(update={"root": root, "traceability": settings})


def source(root: Path, name: str, text: str, **settings: object) -> TraceSource:
    (root / name).write_text(text, encoding="utf-8")
    return TraceSource.model_validate({"format": "csv", "path": name, **settings})


def test_live_items_stand_beside_others_and_link_across_files_and_sources(tmp_path: Path) -> None:
    tests, requirements = source(tmp_path, "tests.csv", TESTS), source(tmp_path, "requirements.csv", CSV)
    items = {item.id: item for item in read_items(project(tmp_path, tests, requirements))}
    assert [*items] == ["HAZ-001", "RC-001", "T1", "REQ/1"]
    rate = items["REQ/1"]
    assert (rate.type, rate.file, rate.line, rate.links) == (
        "requirement", "requirements.csv", 2, {"implements": ["RC-001"]},
    )  # fmt: skip
    assert items["T1"].links == {"verifies": ["REQ/1"]}
    assert rate.boards
    assert len(rate.fingerprint) == 64


def test_a_link_to_nothing_is_an_error_at_its_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no item RC-009") as caught:
        read_items(project(tmp_path, source(tmp_path, "r.csv", CSV.replace("RC-001", "RC-009"))))
    assert (caught.value.file, caught.value.line) == (tmp_path / "r.csv", 2)


def test_an_id_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the id is taken") as caught:
        read_items(project(tmp_path, source(tmp_path, "r.csv", CSV.replace("REQ/1", "HAZ-001"))))
    assert caught.value.file == tmp_path / "r.csv"


def test_what_is_lost_is_told_or_where_the_source_is_strict_an_error(tmp_path: Path) -> None:
    text = CSV.replace("5 ml/h.,RC-001", "5 ml/h.,RC-001,more")
    losses: list[Loss] = []
    read_items(project(tmp_path, source(tmp_path, "r.csv", text)), losses=losses)
    (found,) = loss_findings(losses, tmp_path)
    assert (found.kind, found.severity, found.file, found.line) == ("not-carried", "warning", "r.csv", 2)
    with pytest.raises(UsageError, match="a cell in a column without a name") as caught:
        read_items(project(tmp_path, source(tmp_path, "r.csv", text, strict=True)))
    assert (caught.value.file, caught.value.line) == (tmp_path / "r.csv", 2)


def test_mistakes_of_the_mapping_name_where_it_stands(tmp_path: Path) -> None:
    wrong = project(tmp_path, source(tmp_path, "r.csv", CSV), mapping=TraceMapping(types={"requirement": "wish"}))
    with pytest.raises(UsageError, match="unknown item type 'wish'") as caught:
        read_items(wrong)
    assert (caught.value.file, caught.value.key) == (
        tmp_path / "devicepipe.toml",
        "traceability.mapping.types.requirement",
    )
    (tmp_path / "m.toml").write_text('[links]\nimplements = "does"\n')
    with pytest.raises(UsageError, match="unknown kind of link 'does'") as caught:
        read_items(project(tmp_path, source(tmp_path, "r.csv", CSV, mapping="m.toml")))
    assert caught.value.file == tmp_path / "m.toml"


def test_an_unknown_format_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown format 'word'") as caught:
        read_items(project(tmp_path, source(tmp_path, "r.csv", CSV, format="word")))
    assert "doorstop" in caught.value.remedy
    assert caught.value.key == "traceability.source.0.format"
    with pytest.raises(UsageError, match="unknown key") as caught:
        read_items(project(tmp_path, source(tmp_path, "r.csv", CSV, options={"sheet": "x"})))
    assert caught.value.key == "traceability.source.0.options.sheet"


def test_a_file_that_no_bundle_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="its name cannot be that of a file in a bundle"):
        read_items(project(tmp_path, source(tmp_path, "my items.csv", CSV)))
